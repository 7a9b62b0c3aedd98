#include "opspilot/policy/detail/columns/graph-inl.hpp"
