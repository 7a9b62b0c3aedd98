#include "opspilot/policy/diff-inl.hpp"
