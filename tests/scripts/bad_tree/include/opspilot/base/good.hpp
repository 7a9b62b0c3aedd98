#pragma once
#include <string>
#include "opspilot/base/other.hpp"
// #include "opspilot/data/table.hpp" and std::regex in a comment are nobody's business
inline const char* text() { return "std::regex from_cbor( #include <fmt/format.h>"; }
#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/base/good-inl.hpp"
#endif
