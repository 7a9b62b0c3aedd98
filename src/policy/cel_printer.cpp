#include "opspilot/policy/detail/cel/printer-inl.hpp"
