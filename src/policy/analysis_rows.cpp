#include "opspilot/policy/detail/analysis/rows-inl.hpp"
