#include "opspilot/policy/detail/cel/optionals-inl.hpp"
