#include "opspilot/policy/detail/analysis/domain-inl.hpp"
