/// \file
/// Internal: what cells cannot tell: computations over several fields or of forms with no order, as unknowns with few positions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "opspilot/policy/detail/analysis/domain.hpp"
#include "opspilot/policy/detail/analysis/tests.hpp"

namespace opspilot::detail::analysis {

/// Where an unknown stands. Of a term: 2i is between constants i-1 and i, 2i + 1 is constant i. Of a relation: 0 less, 1 equal,
/// 2 greater. Of an opaque test: its outcome.
using standing = std::int32_t;
inline constexpr standing stands_unordered = -1, stands_failing = -2, stands_nowhere = -3;

struct unknown {
    test::form shape = test::form::opaque;
    std::string key;
    std::vector<const test*> tests;
    std::vector<literal> constants;   ///< of a term: in their order, no two equal
    std::vector<standing> positions;  ///< all there are, failing last

    /// What a test of this unknown comes out as there.
    [[nodiscard]] outcomes outcome(const test& t, standing at) const {
        if (at == stands_failing) return fails;
        const auto truth = [](bool b) { return b ? holds : lapses; };
        if (shape == test::form::opaque) return static_cast<outcomes>(at);
        if (shape == test::form::relation) return truth(satisfied(t.how, order_of(at)));
        if (t.how == comparison::in)
            return truth(std::any_of(t.constants.begin(), t.constants.end(),
                                     [&](const literal& l) { return order(at, l) == cel::ordering::equal; }));
        return truth(satisfied(t.how, order(at, t.constants[0])));
    }

    /// Adds a test and, of a term, its constants.
    void take(const test& t) {
        tests.push_back(&t);
        if (shape != test::form::term) return;
        for (const literal& l : t.constants) {
            const auto at = std::find_if(constants.begin(), constants.end(), [&](const literal& known) {
                return cel::compare(known.value, l.value) != cel::ordering::less;
            });
            if (at == constants.end() || cel::compare(at->value, l.value) != cel::ordering::equal) constants.insert(at, l);
        }
    }

    /// Finds the positions once all tests are known. `may_fail`: fields may be missing that a test does not need.
    void settle(bool may_fail) {
        positions.clear();
        const test& t = *tests.front();
        if (shape == test::form::opaque) {
            positions = {holds, lapses};
        } else if (shape == test::form::relation) {
            positions = {0, 1, 2};
        } else {
            for (standing at = 0; at <= static_cast<standing>(2 * constants.size()); ++at)
                if (possible(t, at)) positions.push_back(at);
        }
        const bool number = t.subject_type == cel::detail::types::number || shape == test::form::relation;
        if (shape != test::form::opaque && number && t.known.nan) positions.push_back(stands_unordered);
        if (may_fail || !t.total) positions.push_back(stands_failing);
    }

    static cel::ordering order_of(standing at) noexcept {
        return at == 0   ? cel::ordering::less
               : at == 1 ? cel::ordering::equal
               : at == 2 ? cel::ordering::greater
                         : cel::ordering::unordered;
    }

private:
    /// The term at `at` compared with a constant, which is one of `constants`.
    [[nodiscard]] cel::ordering order(standing at, const literal& l) const {
        if (at == stands_unordered) return cel::ordering::unordered;
        standing constant = 0;
        while (cel::compare(constants[static_cast<std::size_t>(constant)].value, l.value) == cel::ordering::less) ++constant;
        const standing place = 2 * constant + 1;
        return at < place ? cel::ordering::less : at == place ? cel::ordering::equal : cel::ordering::greater;
    }

    /// False where no value of the term's type and bounds lies.
    [[nodiscard]] bool possible(const test& t, standing at) const {
        const auto i = static_cast<std::size_t>(at) / 2;
        const bool exact = at % 2 == 1;
        const cel::value* const below = exact ? &constants[i].value : i > 0 ? &constants[i - 1].value : nullptr;
        const cel::value* const above = exact ? &constants[i].value : i < constants.size() ? &constants[i].value : nullptr;
        if (t.subject_type == cel::detail::types::integer) {
            const auto outside = [&](std::int64_t low, std::int64_t high) {
                const cel::ordering over = above == nullptr ? cel::ordering::less : cel::compare(cel::make_integer(low), *above);
                const cel::ordering under =
                    below == nullptr ? cel::ordering::greater : cel::compare(cel::make_integer(high), *below);
                return over == cel::ordering::greater || under == cel::ordering::less ||
                       (!exact && (over == cel::ordering::equal || under == cel::ordering::equal));
            };
            if (outside(t.known.low, t.known.high)) return false;
            const bool whole =
                below != nullptr && above != nullptr && below->is(cel::kind::integer) && above->is(cel::kind::integer);
            return exact || !whole || above->integer - 1 > below->integer;
        }
        if (t.subject_type == cel::detail::types::number && !t.known.nan) {
            const cel::value from = cel::make_number(t.known.from), to = cel::make_number(t.known.to);
            const cel::ordering over = above == nullptr ? cel::ordering::less : cel::compare(from, *above);
            const cel::ordering under = below == nullptr ? cel::ordering::greater : cel::compare(to, *below);
            return over != cel::ordering::greater && under != cel::ordering::less &&
                   (exact || (over != cel::ordering::equal && under != cel::ordering::equal));
        }
        return true;
    }
};

}  // namespace opspilot::detail::analysis
