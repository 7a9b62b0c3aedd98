/// \file
/// Internal: what a condition may come out as, as sets of the three outcomes, and what CEL's connectives make of such sets.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace opspilot::detail::analysis {

/// A set of outcomes, a bit each.
using outcomes = std::uint8_t;
inline constexpr outcomes holds = 1, lapses = 2, fails = 4, anything = 7;

[[nodiscard]] constexpr bool decided(outcomes o) noexcept { return o == holds || o == lapses || o == fails; }

[[nodiscard]] constexpr outcomes negation(outcomes a) noexcept {
    return static_cast<outcomes>((a & fails) | ((a & holds) != 0 ? lapses : 0) | ((a & lapses) != 0 ? holds : 0));
}

/// a && b: false absorbs errors on either side.
[[nodiscard]] constexpr outcomes conjunction(outcomes a, outcomes b) noexcept {
    if (a == 0 || b == 0) return 0;
    const outcomes both = a & b, either = a | b;
    outcomes out = either & lapses;
    if ((both & holds) != 0) out |= holds;
    const bool fails_left = (a & fails) != 0 && (b & (holds | fails)) != 0;
    const bool fails_right = (b & fails) != 0 && (a & (holds | fails)) != 0;
    if (fails_left || fails_right) out |= fails;
    return out;
}

[[nodiscard]] constexpr outcomes disjunction(outcomes a, outcomes b) noexcept {
    return negation(conjunction(negation(a), negation(b)));
}

/// c ? a : b
[[nodiscard]] constexpr outcomes choice(outcomes c, outcomes a, outcomes b) noexcept {
    return static_cast<outcomes>((c & fails) | ((c & holds) != 0 ? a : 0) | ((c & lapses) != 0 ? b : 0));
}

/// a == b of two bools.
[[nodiscard]] constexpr outcomes sameness(outcomes a, outcomes b) noexcept {
    if (a == 0 || b == 0) return 0;
    outcomes out = (a | b) & fails;
    if ((a & b & (holds | lapses)) != 0) out |= holds;
    if (((a & holds) != 0 && (b & lapses) != 0) || ((a & lapses) != 0 && (b & holds) != 0)) out |= lapses;
    return out;
}

/// How a part of a condition is made of others.
enum class junction : std::uint8_t { test, both, either, opposite, choice, same, different };

/// Children stand before their parents.
struct part {
    junction how = junction::test;
    std::uint32_t a = 0, b = 0, c = 0;  ///< of a test: `a` is its number; else indices of parts
};

/// The outcomes of all parts, given those of the tests.
inline void combine(std::span<const part> parts, std::span<const outcomes> tests, std::vector<outcomes>& out) {
    out.resize(parts.size());
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const part& p = parts[i];
        switch (p.how) {
            case junction::test: out[i] = tests[p.a]; break;
            case junction::both: out[i] = conjunction(out[p.a], out[p.b]); break;
            case junction::either: out[i] = disjunction(out[p.a], out[p.b]); break;
            case junction::opposite: out[i] = negation(out[p.a]); break;
            case junction::choice: out[i] = choice(out[p.a], out[p.b], out[p.c]); break;
            case junction::same: out[i] = sameness(out[p.a], out[p.b]); break;
            case junction::different: out[i] = negation(sameness(out[p.a], out[p.b])); break;
        }
    }
}

}  // namespace opspilot::detail::analysis
