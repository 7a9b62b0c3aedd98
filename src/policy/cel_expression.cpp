#include "opspilot/policy/cel/expression-inl.hpp"
