#include "catch.hpp"
#include "opspilot/base/detail/json.hpp"
#include "opspilot/decide/engine.hpp"  // EXPECT room
