#include "opspilot/policy/detail/rules-inl.hpp"
