#include "opspilot/audit/log-inl.hpp"
