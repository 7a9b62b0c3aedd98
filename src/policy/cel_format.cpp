#include "opspilot/policy/detail/cel/format-inl.hpp"
