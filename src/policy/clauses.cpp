#include "opspilot/policy/clauses-inl.hpp"
