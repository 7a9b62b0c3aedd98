#include "opspilot/policy/detail/analysis/lints-inl.hpp"
