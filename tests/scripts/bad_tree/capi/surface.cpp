#include "opspilot/base/good.hpp"
#include "opspilot/base/detail/json.hpp"  // EXPECT detail
#include "opspilot/base/good-inl.hpp"     // EXPECT inl
