/// \file
/// Internal: numbers of model files, little-endian whatever the machine.
#pragma once

#include <bit>
#include <cstdint>
#include <string>

namespace opspilot::detail {

inline std::uint32_t load_u32(const char* at) noexcept {
    std::uint32_t out = 0;
    for (int i = 3; i >= 0; --i) out = out << 8 | static_cast<unsigned char>(at[i]);
    return out;
}

inline float load_f32(const char* at) noexcept { return std::bit_cast<float>(load_u32(at)); }

inline double load_f64(const char* at) noexcept {
    return std::bit_cast<double>(std::uint64_t{load_u32(at + 4)} << 32 | load_u32(at));
}

inline void store_u32(std::string& out, std::uint32_t value) {
    for (int i = 0; i < 4; ++i) out += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
}

inline void store_f32(std::string& out, float value) { store_u32(out, std::bit_cast<std::uint32_t>(value)); }

inline void store_f64(std::string& out, double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    store_u32(out, static_cast<std::uint32_t>(bits));
    store_u32(out, static_cast<std::uint32_t>(bits >> 32));
}

}  // namespace opspilot::detail
