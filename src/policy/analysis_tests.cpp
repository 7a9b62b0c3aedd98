#include "opspilot/policy/detail/analysis/tests-inl.hpp"
