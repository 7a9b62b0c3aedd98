#include "opspilot/policy/detail/cel/strings-inl.hpp"
