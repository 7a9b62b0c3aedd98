#include "opspilot/decide/metrics-inl.hpp"
