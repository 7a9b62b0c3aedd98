#include "opspilot/features/plan-inl.hpp"
