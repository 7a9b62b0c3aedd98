#include "opspilot/policy/detail/cel/math-inl.hpp"
