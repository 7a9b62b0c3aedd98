#include "opspilot/policy/detail/cel/words-inl.hpp"
