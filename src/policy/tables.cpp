#include "opspilot/policy/tables-inl.hpp"
