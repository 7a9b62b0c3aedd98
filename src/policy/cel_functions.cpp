#include "opspilot/policy/detail/cel/functions-inl.hpp"
