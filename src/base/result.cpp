#include "opspilot/base/result-inl.hpp"
