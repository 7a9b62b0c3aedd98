#include "opspilot/policy/cel/arrow_values-inl.hpp"
