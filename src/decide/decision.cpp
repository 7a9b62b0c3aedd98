#include "opspilot/decide/decision-inl.hpp"
