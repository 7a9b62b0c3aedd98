#include "opspilot/policy/detail/policy_tests-inl.hpp"
