#include "opspilot/policy/detail/cel/parser-inl.hpp"
