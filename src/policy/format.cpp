#include "opspilot/policy/format-inl.hpp"
