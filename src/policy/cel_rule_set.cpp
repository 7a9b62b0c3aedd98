#include "opspilot/policy/cel/rule_set-inl.hpp"
