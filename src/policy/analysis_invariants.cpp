#include "opspilot/policy/detail/analysis/invariants-inl.hpp"
