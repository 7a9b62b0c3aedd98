#pragma once
#include <fmt/format.h>
#include "opspilot/base/detail/json.hpp"
#include "opspilot/nowhere/x.hpp"  // EXPECT room
#include "opspilot/opspilot.hpp"   // EXPECT room
