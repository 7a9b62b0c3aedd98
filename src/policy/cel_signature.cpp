#include "opspilot/policy/detail/cel/signature-inl.hpp"
