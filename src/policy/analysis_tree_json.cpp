#include "opspilot/policy/detail/analysis/tree_json-inl.hpp"
