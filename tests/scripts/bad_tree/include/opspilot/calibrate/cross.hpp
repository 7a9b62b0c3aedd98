#pragma once
#include "opspilot/base/good.hpp"
#include "opspilot/data/table.hpp"  // EXPECT room
