#include "opspilot/policy/detail/analysis/decider-inl.hpp"
