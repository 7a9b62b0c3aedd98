#include "opspilot/policy/detail/cel/time-inl.hpp"
