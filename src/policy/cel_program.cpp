#include "opspilot/policy/detail/cel/lower-inl.hpp"
#include "opspilot/policy/detail/cel/machine-inl.hpp"
