#include "opspilot/policy/detail/analysis/excerpts-inl.hpp"
