#include "opspilot/policy/policy-inl.hpp"
