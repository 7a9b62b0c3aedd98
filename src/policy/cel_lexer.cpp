#include "opspilot/policy/detail/cel/lexer-inl.hpp"
