#include "opspilot/policy/detail/analysis/characters-inl.hpp"
