/// \file
/// Counts behind the effect `limit`: token buckets by key, in memory, by the host's clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "opspilot/base/config.hpp"

namespace opspilot {

/// Token buckets, one per 64-bit key, made when it is first asked for. A bucket holds `count` tokens and fills evenly in `per_us`
/// microseconds; it is kept as the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371), so 16
/// bytes a key. Buckets that are full again are forgotten; when `most_keys` are in use, further keys get nothing: the safe
/// answer.
///
/// A clock that goes back never gives tokens, and never takes longer than `per_us` to fill a bucket again.
/// Any number of threads. Counts are of this process: a host with several divides the count or keeps a key on one of them.
class OPSPILOT_API limit_counters {
public:
    static constexpr std::size_t default_keys = std::size_t{1} << 20;

    explicit limit_counters(std::size_t most_keys = default_keys);
    ~limit_counters();
    limit_counters(const limit_counters&) = delete;
    limit_counters& operator=(const limit_counters&) = delete;

    /// Takes a token; false when there is none. `count` >= 1, `per_us` >= 1.
    [[nodiscard]] bool take(std::uint64_t key, std::int64_t count, std::int64_t per_us, std::int64_t now_us);
    /// Puts back what `take` took.
    void give_back(std::uint64_t key, std::int64_t count, std::int64_t per_us) noexcept;
    /// Keys that are remembered.
    [[nodiscard]] std::size_t keys() const;

private:
    struct impl;
    std::unique_ptr<impl> state_;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/limits-inl.hpp"
#endif
