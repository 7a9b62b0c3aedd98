/// \file
/// Internal: buckets in any order as ascending distinct buckets with their counts.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace opspilot::detail {

/// Sorts by the lowest `bits` bits of `key(x)`, stable: two counting passes. `scratch` has room for as many items.
template <class T, class Key>
inline void radix_sort(T* items, T* scratch, std::size_t n, unsigned bits, Key key) {
    const unsigned low = (bits + 1) / 2;
    const std::uint32_t low_mask = (1U << low) - 1;
    const std::size_t digits = std::size_t{1} << low;
    std::array<std::uint32_t, 4096> first;
    std::array<std::uint32_t, 4096> second;
    std::fill_n(first.begin(), digits, 0U);
    std::fill_n(second.begin(), digits, 0U);
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t k = key(items[i]);
        ++first[k & low_mask];
        ++second[k >> low];
    }
    std::uint32_t a = 0;
    std::uint32_t b = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        a += std::exchange(first[i], a);
        b += std::exchange(second[i], b);
    }
    for (std::size_t i = 0; i < n; ++i) scratch[first[key(items[i]) & low_mask]++] = items[i];
    for (std::size_t i = 0; i < n; ++i) items[second[key(scratch[i]) >> low]++] = scratch[i];
}

/// The same for a vector, where few items take a comparison sort.
template <class T, class Key>
inline void sort_by_bucket(std::vector<T>& items, std::vector<T>& scratch, unsigned bits, Key key) {
    const std::size_t n = items.size();
    if (n < 96) {
        for (std::size_t i = 1; i < n; ++i) {  // insertion: stable, and these are few
            const T item = items[i];
            const auto k = key(item);
            std::size_t j = i;
            for (; j > 0 && key(items[j - 1]) > k; --j) items[j] = items[j - 1];
            items[j] = item;
        }
        return;
    }
    if (scratch.size() < n) scratch.resize(n);
    radix_sort(items.data(), scratch.data(), n, bits, key);
}

/// Sorts almost sorted items, most of which stand right or one place late. False, with `out` undefined, when
/// there is more to move than a few places per item.
[[nodiscard]] inline bool sort_neighbours(const std::uint32_t* items, std::uint32_t* out, std::size_t n) noexcept {
    std::size_t moves = 8 * n;
    std::uint32_t largest = items[0];  // of those before i; not written yet
    std::uint32_t before = 0;          // the one written last
    for (std::size_t i = 1; i < n; ++i) {
        const std::uint32_t item = std::min(largest, items[i]);
        largest = std::max(largest, items[i]);
        if (item < before) [[unlikely]] {
            std::size_t j = i - 1;
            for (; j > 0 && out[j - 1] > item; --j) out[j] = out[j - 1];
            out[j] = item;
            if (i - j > moves) return false;
            moves -= i - j;
            continue;  // the one written last has only moved
        }
        out[i - 1] = before = item;
    }
    out[n - 1] = largest;
    return true;
}

/// Sorts buckets. They are hashes, so their top bits spread them over about as many places as there are buckets: one counting
/// pass leaves little out of order. Texts made to crowd a place, and very long ones, take two passes.
inline void sort_buckets(std::uint32_t* buckets, std::uint32_t* scratch, std::size_t n, unsigned bits) {
    constexpr unsigned most_digits = 13;
    const auto itself = [](std::uint32_t b) { return b; };
    if (n < 2) return;
    if (n > std::size_t{1} << most_digits) {
        radix_sort(buckets, scratch, n, bits, itself);
        return;
    }
    unsigned digits = 4;
    while (std::size_t{1} << digits < n) ++digits;
    const unsigned shift = bits > digits ? bits - digits : 0;
    std::array<std::uint16_t, std::size_t{1} << most_digits> place;
    std::fill_n(place.begin(), std::size_t{1} << digits, std::uint16_t{0});
    for (std::size_t i = 0; i < n; ++i) ++place[buckets[i] >> shift];
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < std::size_t{1} << digits; ++i) sum += std::exchange(place[i], static_cast<std::uint16_t>(sum));
    for (std::size_t i = 0; i < n; ++i) scratch[place[buckets[i] >> shift]++] = buckets[i];
    if (sort_neighbours(scratch, buckets, n)) return;
    std::copy_n(scratch, n, buckets);
    radix_sort(buckets, scratch, n, bits, itself);
}

/// Takes buckets in any order, gives them in ascending order, each once, with how often it was there. Keeps its memory.
class bucket_counter {
public:
    /// Forgets what was there. Up to `most` buckets may be written where this points.
    [[nodiscard]] std::uint32_t* start(std::size_t most) {
        if (buckets_.size() < most + 1) buckets_.resize(most + 1);
        return buckets_.data();
    }
    /// Counts what was written from there to `end`, all of it below 2^bits.
    void count(const std::uint32_t* end, unsigned bits) {
        const auto n = static_cast<std::size_t>(end - buckets_.data());
        if (ends_.size() < n + 1) {
            ends_.resize(n + 1);
            sorting_.resize(n + 1);
        }
        sort_buckets(buckets_.data(), sorting_.data(), n, bits);
        buckets_[n] = std::numeric_limits<std::uint32_t>::max();
        const std::uint32_t* const sorted = buckets_.data();
        std::uint32_t* const distinct = sorting_.data();
        std::int32_t* const ends = ends_.data();
        std::size_t size = 0;
        for (std::size_t i = 0; i < n; ++i) {  // no branch: the last of equal ones stays
            const std::uint32_t bucket = sorted[i];
            const std::uint32_t next = sorted[i + 1];
            distinct[size] = bucket;
            ends[size + 1] = static_cast<std::int32_t>(i + 1);
            size += bucket != next ? 1U : 0U;
        }
        size_ = size;
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] const std::uint32_t* buckets() const noexcept { return sorting_.data(); }
    [[nodiscard]] std::size_t count_of(std::size_t i) const noexcept { return static_cast<std::size_t>(ends_[i + 1] - ends_[i]); }
    /// size() + 1 numbers: bucket i was there ends()[i + 1] - ends()[i] times.
    [[nodiscard]] const std::int32_t* ends() const noexcept { return ends_.data(); }

private:
    std::vector<std::uint32_t> buckets_, sorting_;
    std::vector<std::int32_t> ends_;
    std::size_t size_ = 0;
};

}  // namespace opspilot::detail
