#pragma once
#include "opspilot/data/table.hpp"  // EXPECT room
#include <fmt/format.h>             // EXPECT public
#include "nlohmann/json.hpp"        // EXPECT public
#include "opspilot/base/detail/json.hpp"  // EXPECT detail
#include "opspilot/base/upward-inl.hpp"   // EXPECT inl
#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/base/upward-inl.hpp"
#else
#include "opspilot/base/upward-inl.hpp"  // EXPECT inl
#endif
