#include "opspilot/audit/outcome-inl.hpp"
