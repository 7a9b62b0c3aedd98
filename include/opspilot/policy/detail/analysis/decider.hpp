/// \file
/// Internal: exact questions about conditions: can they hold together, does one follow from another?
///
/// Every field is cut into cells on which each test is alike; what cannot be told by cells (two fields compared, a pattern on
/// a free text) is an unknown with few positions. The search goes through cells and positions, prunes by what the connectives
/// of CEL make of sets of outcomes, and is complete: where it finds nothing there is nothing. What it finds it makes a row of,
/// and only a row for which the scalar machine says the same counts. Everything else is "not decided". Left out of account: the
/// budgets of time and memory of one evaluation.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "opspilot/data/frame.hpp"
#include "opspilot/policy/detail/analysis/rows.hpp"
#include "opspilot/policy/detail/analysis/tests.hpp"
#include "opspilot/policy/tables.hpp"

namespace opspilot::detail::analysis {

/// "This condition comes out as one of those."
struct demand {
    std::uint32_t condition = 0;
    outcomes wanted = holds;
};

/// Whether there is a row that meets all demands.
struct finding {
    enum class kind : std::uint8_t { none, row, unknown };
    kind what = kind::unknown;
    example row;
};

/// A yes, a no with a row that shows it (of `satisfiable`: a yes with one), or neither.
struct decision {
    enum class kind : std::uint8_t { yes, no, unknown };
    kind what = kind::unknown;
    std::optional<example> row;
};

class decider {
public:
    /// Schema and dictionary must outlive the decider. `strings` gets the texts of conditions that are run.
    decider(const schema& s, dictionary& strings, lookup_tables tables = {});
    ~decider();
    decider(const decider&) = delete;
    decider& operator=(const decider&) = delete;

    /// Enters a condition and returns its number. Errors: kind policy, the first finding of the checker.
    [[nodiscard]] result<std::uint32_t> add(std::string_view source);
    [[nodiscard]] const condition& at(std::uint32_t number) const noexcept { return conditions_[number]; }
    [[nodiscard]] const test_library& tests() const noexcept { return library_; }

    /// `also`: what else must be true of a row that is found, or null.
    [[nodiscard]] finding find(std::span<const demand> demands, const std::function<bool(const frame&)>& also = nullptr);

    [[nodiscard]] decision satisfiable(std::uint32_t a);
    /// Whether it holds for every row.
    [[nodiscard]] decision valid(std::uint32_t a);
    /// Whether b holds wherever a does.
    [[nodiscard]] decision implies(std::uint32_t a, std::uint32_t b);
    /// Whether there is no row for which both hold.
    [[nodiscard]] decision disjoint(std::uint32_t a, std::uint32_t b);

    /// What a condition comes out as for a candidate, by the scalar machine.
    [[nodiscard]] outcomes evaluate(std::uint32_t number, const frame& f);

    /// Work that may still be done, in about tenths of a microsecond; at 0 nothing more is decided.
    std::uint64_t budget = 20'000'000;
    /// The same for one question.
    std::uint64_t question_budget = 2'000'000;

private:
    friend class search;
    const schema& schema_;
    dictionary& strings_;
    lookup_tables tables_;
    test_library library_;
    std::deque<condition> conditions_;
    std::unordered_map<std::string, std::uint32_t> known_;
    bench bench_;
    example_maker maker_;
    cel::arena memory_;
    cel::detail::machine machine_;
};

}  // namespace opspilot::detail::analysis

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/analysis/decider-inl.hpp"
#endif
