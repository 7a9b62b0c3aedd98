#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <vector>

#include "opspilot/policy/limits.hpp"

namespace opspilot {

namespace detail {

/// A part of the buckets behind a lock of its own: open addressing, at most three quarters full.
class limit_shard {
public:
    struct bucket {
        std::uint64_t key = 0;  // 0: free
        std::int64_t full_at = 0;
    };

    std::mutex lock;

    bucket* find(std::uint64_t key) noexcept {
        if (slots_.empty()) return nullptr;
        for (std::size_t i = key & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
            if (slots_[i].key == key) return &slots_[i];
            if (slots_[i].key == 0) return nullptr;
        }
    }

    /// A new bucket, full; null when there is no room.
    bucket* add(std::uint64_t key, std::int64_t now, std::size_t most) {
        if (used_ + 1 > room()) {
            // Where everything is in use, looking for room at every new key would be a way to slow all others down.
            if (slots_.size() >= most && now >= cleaned_at_ && now - cleaned_at_ < clean_every) return nullptr;
            make_room(now, most);
            if (used_ + 1 > room()) return nullptr;
        }
        return &place({key, now});
    }

    [[nodiscard]] std::size_t used() const noexcept { return used_; }

private:
    static constexpr std::int64_t clean_every = 100'000'000;  // nanoseconds

    [[nodiscard]] std::size_t room() const noexcept { return slots_.size() / 4 * 3; }

    /// Forgets buckets that are full again; doubles what is still more than half full.
    void make_room(std::int64_t now, std::size_t most) {
        std::vector<bucket> old;
        old.swap(slots_);
        const auto kept = static_cast<std::size_t>(
            std::count_if(old.begin(), old.end(), [&](const bucket& b) { return b.key != 0 && b.full_at > now; }));
        std::size_t size = std::max<std::size_t>(old.size(), 16);
        while (kept + 1 > size / 2 && size < most) size *= 2;
        slots_.assign(size, {});
        used_ = 0;
        cleaned_at_ = now;
        for (const bucket& b : old)
            if (b.key != 0 && b.full_at > now) place(b);
    }
    bucket& place(const bucket& b) noexcept {
        std::size_t i = b.key & (slots_.size() - 1);
        while (slots_[i].key != 0) i = (i + 1) & (slots_.size() - 1);
        slots_[i] = b;
        ++used_;
        return slots_[i];
    }

    std::vector<bucket> slots_;
    std::size_t used_ = 0;
    std::int64_t cleaned_at_ = 0;
};

/// Nanoseconds since 1970, with room above for the longest span of a limit.
inline std::int64_t limit_clock(std::int64_t now_us) noexcept {
    constexpr std::int64_t edge = 9'000'000'000'000'000;  // the year 2255
    return std::clamp(now_us, -edge, edge) * 1'000;
}

/// Nanoseconds in which one token comes back, rounded up: rather too few than too many.
inline std::int64_t token_time(std::int64_t count, std::int64_t per_us) noexcept { return (per_us * 1'000 + count - 1) / count; }

}  // namespace detail

struct limit_counters::impl {
    static constexpr std::size_t shards = 64;
    std::size_t most_slots = 0;  ///< of a shard, a power of two
    std::array<detail::limit_shard, shards> parts;

    /// The low bits choose the slot, so the high ones choose the shard.
    [[nodiscard]] detail::limit_shard& of(std::uint64_t key) noexcept { return parts[key >> 58]; }
};

OPSPILOT_INLINE limit_counters::limit_counters(std::size_t most_keys) : state_(std::make_unique<impl>()) {
    state_->most_slots = std::bit_ceil(std::max<std::size_t>(most_keys / impl::shards, 16));
}
OPSPILOT_INLINE limit_counters::~limit_counters() = default;

OPSPILOT_INLINE bool limit_counters::take(std::uint64_t key, std::int64_t count, std::int64_t per_us, std::int64_t now_us) {
    if (key == 0) key = 1;
    const std::int64_t now = detail::limit_clock(now_us), token = detail::token_time(count, per_us), whole = token * count;
    detail::limit_shard& shard = state_->of(key);
    const std::lock_guard hold(shard.lock);
    detail::limit_shard::bucket* found = shard.find(key);
    if (found == nullptr) found = shard.add(key, now, state_->most_slots);
    if (found == nullptr) return false;
    found->full_at = std::min(found->full_at, now + whole);  // the clock went back: as empty as a bucket can be, from now on
    const std::int64_t from = std::max(found->full_at, now);
    if (from + token > now + whole) return false;
    found->full_at = from + token;
    return true;
}

OPSPILOT_INLINE void limit_counters::give_back(std::uint64_t key, std::int64_t count, std::int64_t per_us) noexcept {
    if (key == 0) key = 1;
    detail::limit_shard& shard = state_->of(key);
    const std::lock_guard hold(shard.lock);
    if (detail::limit_shard::bucket* found = shard.find(key)) found->full_at -= detail::token_time(count, per_us);
}

OPSPILOT_INLINE std::size_t limit_counters::keys() const {
    std::size_t sum = 0;
    for (detail::limit_shard& shard : state_->parts) {
        const std::lock_guard hold(shard.lock);
        sum += shard.used();
    }
    return sum;
}

}  // namespace opspilot
