#pragma once
#include "opspilot/data/table-inl.hpp"
#include "opspilot/rank/pipeline.hpp"  // EXPECT room
#include <regex>                       // EXPECT banned
inline auto pattern() { return std::regex("a"); }  // EXPECT banned
inline auto tree(const char* bytes) { return json::from_ubjson(bytes); }  // EXPECT banned
