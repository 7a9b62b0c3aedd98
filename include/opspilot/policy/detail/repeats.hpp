/// \file
/// Internal: how often a rule has seen a value.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace opspilot::detail {

/// Counts by rule and value. Reused, so that it allocates only while traffic grows.
class repeat_counter {
public:
    /// Forgets everything; room for `most` counts.
    void reset(std::size_t most) { slots_.assign(std::bit_ceil(2 * most + 2), {}); }

    /// The count of one value under one rule, 0 when it is new.
    std::int64_t& of(std::uint32_t rule, std::uint64_t value) noexcept {
        const std::uint64_t mixed = (value + rule) * 0x9E3779B97F4A7C15ULL;
        for (std::size_t i = mixed >> 32 & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
            slot& s = slots_[i];
            if (!s.used) s = {value, rule, true, 0};
            if (s.rule == rule && s.value == value) return s.count;
        }
    }

    std::vector<std::uint32_t> demoted;  ///< scratch of the caller

private:
    struct slot {
        std::uint64_t value = 0;
        std::uint32_t rule = 0;
        bool used = false;
        std::int64_t count = 0;
    };
    std::vector<slot> slots_;
};

}  // namespace opspilot::detail
