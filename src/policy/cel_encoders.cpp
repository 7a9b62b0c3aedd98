#include "opspilot/policy/detail/cel/encoders-inl.hpp"
