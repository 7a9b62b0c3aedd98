/// \file
/// Internal: a condition taken apart for reasoning: connectives over tests, and what each test asks of which fields.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "opspilot/data/schema.hpp"
#include "opspilot/policy/detail/analysis/outcomes.hpp"
#include "opspilot/policy/detail/cel/program.hpp"

namespace opspilot::detail::analysis {

/// A field of a record, or the time of decision.
using field_id = std::uint32_t;
inline constexpr field_id time_of_decision = 3U << 16;
[[nodiscard]] constexpr field_id id_of(schema::path p) noexcept { return (static_cast<field_id>(p.where) << 16) | p.index; }
[[nodiscard]] constexpr schema::path path_of(field_id f) noexcept { return {static_cast<role>(f >> 16), f & 0xFFFFU}; }

/// What a field holds, or nothing where it is missing.
using holding = std::optional<cel::value>;

/// A constant of an expression, with what owns its texts.
struct literal {
    cel::value value;
    std::shared_ptr<const cel::detail::program> owner;
};

/// The value of a subtree that reads nothing, unless it fails.
[[nodiscard]] std::optional<literal> literal_of(const cel::detail::checked& c, std::uint32_t node);

/// A computation over one field in which the value of every step rises or falls with the field: task.amount * 2.0 - 5.0.
/// So each comparison of it with a constant splits the field's order at one place, which can be found by halving.
class chain {
public:
    /// Nothing when the subtree is no such computation.
    [[nodiscard]] static std::optional<chain> of(const cel::detail::checked& c, std::uint32_t node);

    struct place {
        cel::value value;
        int beyond = 0;  ///< the computation fails: 1 there and at all higher values of the field, -1 there and at all lower ones
    };
    [[nodiscard]] place at(const cel::value& x) const;
    [[nodiscard]] bool rises() const noexcept { return rises_; }
    [[nodiscard]] bool plain() const noexcept { return steps_.empty(); }
    [[nodiscard]] field_id field() const noexcept { return field_; }

private:
    struct step {
        cel::detail::node_kind how = cel::detail::node_kind::null;  ///< call: a conversion
        bool constant_first = false;
        bool to_number = false;
        literal constant;
    };
    std::vector<step> steps_;
    field_id field_ = 0;
    bool rises_ = true;
};

/// What is known of a subtree's values when no field it reads is missing.
struct bounds {
    bool total = false;                              ///< it cannot fail. Budgets of time and memory are left out of account
    bool nan = true;                                 ///< of doubles: it may be no number
    std::int64_t low = INT64_MIN, high = INT64_MAX;  ///< of ints
    double from = -std::numeric_limits<double>::infinity(), to = std::numeric_limits<double>::infinity();  ///< of doubles
};

struct reading {
    field_id field = 0;
    bool strict = false;  ///< the test fails where the field is missing, whatever else holds
};

/// How two values of an order stand to each other.
enum class comparison : std::uint8_t { equal, not_equal, less, less_equal, greater, greater_equal, in };
[[nodiscard]] bool satisfied(comparison how, cel::ordering o) noexcept;

/// A part of a condition that is no connective. Its outcome depends on its fields alone.
struct test {
    enum class form : std::uint8_t {
        opaque,    ///< true, false or failing, nobody knows
        chain,     ///< `way` compared with `constants`
        text,      ///< a field that is a text, compared with `constants` for equality
        prefix,    ///< a field that is a text starts with `constants[0]`
        term,      ///< any `subject` compared with `constants`
        relation,  ///< `subject` compared with `other`
    };
    std::string key;  ///< equal for equal tests, wherever they stand
    std::vector<reading> reads;
    form shape = form::opaque;
    comparison how = comparison::equal;
    bool swapped = false;  ///< relation: `subject` stands on the right
    bool total = false;
    bool presence = false;     ///< asks only whether its field is there
    bool plain_texts = false;  ///< relation: of two text fields as they are
    std::optional<chain> way, other_way;
    std::vector<literal> constants;
    std::string subject, other;  ///< keys of subtrees
    bounds known;                ///< of the subject; of a relation `nan` is that of both
    cel::detail::type_id subject_type = 0;
    bounds other_known;  ///< relation: of the other side
    cel::detail::type_id other_type = 0;
    std::vector<std::string> words;      ///< texts that the test is about
    std::string sought;                  ///< contains, endsWith: the text
    std::vector<std::string_view> keys;  ///< of one text field that is only looked up in tables: their keys; of all other texts
                                         ///< the outcome is the same. Empty where that is not so
    char seeking = 0;                    ///< 'c' contains, 'e' ends with, 'm' matches, 'i' in a list of the record
    cel::detail::program run;            ///< over three variables per reading: value, optional, presence

    [[nodiscard]] std::optional<std::size_t> position(field_id f) const noexcept;
};

/// A condition over a schema, type-checked.
struct condition {
    std::string source;
    std::vector<part> parts;
    std::vector<std::uint32_t> tests;  ///< per `part::a`: number in the library
    std::vector<std::uint32_t> nodes;  ///< per part: its node
    cel::detail::checked tree;
    std::optional<cel::detail::program> program;  ///< made when first run
};

/// All tests of some conditions; equal ones are one.
class test_library {
public:
    explicit test_library(const schema& s) : schema_(s) {}

    [[nodiscard]] const test& operator[](std::uint32_t i) const noexcept { return tests_[i]; }
    [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(tests_.size()); }
    [[nodiscard]] const schema& fields() const noexcept { return schema_; }

    /// Takes a condition apart, which must be free of errors.
    [[nodiscard]] condition take_apart(cel::detail::checked c);

    /// Whether the field may be missing in a row that the readers accept.
    [[nodiscard]] bool may_be_missing(field_id f) const noexcept;

private:
    std::uint32_t enter(const cel::detail::checked& c, std::uint32_t node);
    const schema& schema_;
    std::deque<test> tests_;
    std::unordered_map<std::string, std::uint32_t> known_;
};

/// Runs a test on chosen values, one per reading.
class bench {
public:
    bench();
    [[nodiscard]] outcomes run(const test& t, std::span<const holding> values);

private:
    std::vector<cel::value> variables_;
    std::deque<cel::value> insides_;
    cel::arena memory_;
    cel::detail::machine machine_;
};

/// The subtree of a node by itself.
[[nodiscard]] cel::detail::checked cut_out(const cel::detail::checked& c, std::uint32_t node);

/// A text that is the same for the same computation over the same fields.
[[nodiscard]] std::string key_of(const cel::detail::checked& c, std::uint32_t node);

}  // namespace opspilot::detail::analysis

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/analysis/bounds-inl.hpp"
#include "opspilot/policy/detail/analysis/chain-inl.hpp"
#include "opspilot/policy/detail/analysis/tests-inl.hpp"
#endif
