#include "opspilot/policy/cel/value-inl.hpp"
