#include "opspilot/policy/limits-inl.hpp"
