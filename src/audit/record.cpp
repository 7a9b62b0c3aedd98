#include "opspilot/audit/record-inl.hpp"
