#include "opspilot/policy/detail/cel/types-inl.hpp"
