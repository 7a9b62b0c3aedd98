#include "opspilot/policy/detail/cel/checker-inl.hpp"
