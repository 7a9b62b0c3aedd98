/// \file
/// Internal: steps on string codes and lists of codes: equality, membership, history.
#pragma once

#include <algorithm>
#include <span>

#include "opspilot/features/detail/numeric.hpp"
#include "opspilot/features/detail/run.hpp"
#include "opspilot/features/detail/terms.hpp"

namespace opspilot::detail {

[[nodiscard]] inline std::span<const std::uint32_t> items_of(const column& c, std::size_t row) noexcept {
    return std::span<const std::uint32_t>(c.codes).subspan(c.offsets[row], c.offsets[row + 1] - c.offsets[row]);
}

/// out = 1 where both values are equal, 0 where they differ, NaN where one is missing.
inline void equal_integers(const field_rows& a, const field_rows& b, double* out, std::size_t n) {
    const std::int64_t* const x = a.values->integers.data();
    const std::int64_t* const y = b.values->integers.data();
    const std::uint8_t* const known_a = a.values->valued.data();
    const std::uint8_t* const known_b = b.values->valued.data();
    if (a.constant) {
        const std::int64_t value = x[a.base];
        if (known_a[a.base] == 0) {
            std::fill_n(out, n, not_a_number);
            return;
        }
        each_row(b, n, [&](std::size_t i, std::size_t row) {
            out[i] = known_b[row] == 0 ? not_a_number : y[row] == value ? 1.0 : 0.0;
        });
        return;
    }
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t row_a = a.at(i);
        const std::size_t row_b = b.at(i);
        out[i] = known_a[row_a] == 0 || known_b[row_b] == 0 ? not_a_number : x[row_a] == y[row_b] ? 1.0 : 0.0;
    }
}

/// The same for texts, whose codes say themselves when there is no value.
inline void equal_codes(const field_rows& a, const field_rows& b, double* out, std::size_t n) {
    constexpr double answers[] = {0.0, 1.0, not_a_number, not_a_number};  // looked up: what is equal cannot be foreseen
    const std::uint32_t* const x = a.values->codes.data();
    const std::uint32_t* const y = b.values->codes.data();
    const auto answer = [&](std::uint32_t one, std::uint32_t other) {
        return answers[(one == other ? 1U : 0U) | (one == no_code ? 2U : 0U) | (other == no_code ? 2U : 0U)];
    };
    if (a.constant)
        each_row(b, n, [&](std::size_t i, std::size_t row) { out[i] = answer(x[a.base], y[row]); });
    else
        for (std::size_t i = 0; i < n; ++i) out[i] = answer(x[a.at(i)], y[b.at(i)]);
}

/// Numbers of one type (or of an integer type and a double) compared as the doubles they are in features.
inline void equal_numbers(const step& s, const field_rows& a, const field_rows& b, double* out, std::size_t n) {
    const auto value = [](const field_rows& r, field_type type, std::size_t i) {
        const std::size_t row = r.at(i);
        if (r.values->valued[row] == 0) return not_a_number;
        return type == field_type::number ? r.values->numbers[row] : static_cast<double>(r.values->integers[row]);
    };
    for (std::size_t i = 0; i < n; ++i) {
        const double x = value(a, s.fields[0].type, i);
        const double y = value(b, s.fields[1].type, i);
        out[i] = x != x || y != y ? not_a_number : x == y ? 1.0 : 0.0;
    }
}

inline void run_equal(const step& s, const feature_run& run, double* out, std::size_t n) {
    field_rows a = run.rows(s.fields[0]);
    field_rows b = run.rows(s.fields[1]);
    if (b.constant) std::swap(a, b);
    if (s.fields[0].type == field_type::text)
        equal_codes(a, b, out, n);
    else if (s.fields[0].type != field_type::number && s.fields[1].type != field_type::number)
        equal_integers(a, b, out, n);
    else
        equal_numbers(s, run.rows(s.fields[0]), run.rows(s.fields[1]), out, n);
}

/// Per list and item: `measure(list, code)`, NaN where one is missing.
template <class F>
inline void each_list_and_code(const field_rows& list, const field_rows& item, double* out, std::size_t n, F&& measure) {
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t row_list = list.at(i);
        const std::size_t row_item = item.at(i);
        const std::uint32_t code = item.values->codes[row_item];
        out[i] = list.values->valued[row_list] == 0 || code == no_code ? not_a_number
                                                                       : measure(items_of(*list.values, row_list), code);
    }
}

/// One list for all rows: its items are marked per code once, then each row is one look-up.
template <class Mark, class Read>
inline void marked_list(const field_rows& list, const field_rows& item, const feature_run& run, double* out, std::size_t n,
                        Mark&& mark, Read&& read) {
    if (list.values->valued[list.base] == 0) {
        std::fill_n(out, n, not_a_number);
        return;
    }
    const std::span<const std::uint32_t> items = items_of(*list.values, list.base);
    std::vector<std::uint32_t>& marks = run.ws.marks;
    if (marks.size() < run.strings.size()) marks.resize(run.strings.size());
    for (std::size_t i = 0; i < items.size(); ++i) mark(marks[items[i]], i, items.size());
    const std::uint32_t* const codes = item.values->codes.data();
    each_row(item, n,
             [&](std::size_t i, std::size_t row) { out[i] = codes[row] == no_code ? not_a_number : read(marks[codes[row]]); });
    for (const std::uint32_t code : items) marks[code] = 0;  // marks stay zero between steps
}

inline void run_membership(const step& s, const feature_run& run, double* out, std::size_t n) {
    const field_rows list = run.rows(s.fields[0]);
    const field_rows item = run.rows(s.fields[1]);
    const auto count = [](std::span<const std::uint32_t> items, std::uint32_t code) {
        return static_cast<double>(std::count(items.begin(), items.end(), code));
    };
    const auto contains = [](std::span<const std::uint32_t> items, std::uint32_t code) {
        return std::find(items.begin(), items.end(), code) != items.end() ? 1.0 : 0.0;
    };
    const auto recency = [](std::span<const std::uint32_t> items, std::uint32_t code) {
        for (std::size_t k = 0; k < items.size(); ++k)
            if (items[items.size() - 1 - k] == code) return static_cast<double>(k);
        return not_a_number;
    };
    const bool one_list = list.constant && n > 1;
    const auto add = [](std::uint32_t& mark, std::size_t, std::size_t) { ++mark; };
    // Distance from the end plus one; the last occurrence wins because it is marked last.
    const auto place = [](std::uint32_t& mark, std::size_t i, std::size_t size) { mark = static_cast<std::uint32_t>(size - i); };
    switch (s.op) {
        case opcode::contains:
            if (one_list)
                marked_list(list, item, run, out, n, add, [](std::uint32_t m) { return m != 0 ? 1.0 : 0.0; });
            else
                each_list_and_code(list, item, out, n, contains);
            return;
        case opcode::count_in:
            if (one_list)
                marked_list(list, item, run, out, n, add, [](std::uint32_t m) { return static_cast<double>(m); });
            else
                each_list_and_code(list, item, out, n, count);
            return;
        default:
            if (one_list)
                marked_list(list, item, run, out, n, place,
                            [](std::uint32_t m) { return m == 0 ? not_a_number : static_cast<double>(m - 1); });
            else
                each_list_and_code(list, item, out, n, recency);
    }
}

/// 1 where the k-th last item of a list equals a text, or is among the items of another list.
inline void run_last_equals(const step& s, const feature_run& run, double* out, std::size_t n) {
    const field_rows list = run.rows(s.fields[0]);
    const field_rows other = run.rows(s.fields[1]);
    const auto k = static_cast<std::size_t>(s.k);
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t row_list = list.at(i);
        const std::size_t row_other = other.at(i);
        if (list.values->valued[row_list] == 0 || other.values->valued[row_other] == 0) {
            out[i] = not_a_number;
            continue;
        }
        const std::span<const std::uint32_t> items = items_of(*list.values, row_list);
        if (items.size() < k) {
            out[i] = 0.0;
            continue;
        }
        const std::uint32_t code = items[items.size() - k];
        if (s.fields[1].type == field_type::text) {
            out[i] = other.values->codes[row_other] == code ? 1.0 : 0.0;
        } else {
            const auto among = items_of(*other.values, row_other);
            out[i] = std::find(among.begin(), among.end(), code) != among.end() ? 1.0 : 0.0;
        }
    }
}

/// The steps that read codes; false when the step is of another kind.
inline bool run_lookup(const step& s, const feature_run& run, double* out, std::size_t n) {
    switch (s.op) {
        case opcode::code_lookup: {
            const field_rows r = run.rows(s.fields[0]);
            each_row(r, n, [&](std::size_t i, std::size_t row) {
                const std::uint32_t code = r.values->codes[row];
                if (code == no_code)
                    out[i] = not_a_number;
                else
                    out[i] = code < s.lookup.size() && s.lookup[code] >= 0 ? static_cast<double>(s.lookup[code]) : s.unseen;
            });
            return true;
        }
        case opcode::code_equal: {
            const field_rows r = run.rows(s.fields[0]);
            const auto wanted = static_cast<std::uint32_t>(s.k);
            each_row(r, n, [&](std::size_t i, std::size_t row) {
                if (r.values->valued[row] == 0) {
                    out[i] = not_a_number;
                } else if (s.fields[0].type == field_type::text) {
                    out[i] = r.values->codes[row] == wanted ? 1.0 : 0.0;
                } else {
                    const auto items = items_of(*r.values, row);
                    out[i] = std::find(items.begin(), items.end(), wanted) != items.end() ? 1.0 : 0.0;
                }
            });
            return true;
        }
        case opcode::hashed: {
            const field_rows r = run.rows(s.fields[0]);
            each_row(r, n, [&](std::size_t i, std::size_t row) {
                const std::uint32_t code = r.values->codes[row];
                out[i] = code == no_code
                             ? not_a_number
                             : static_cast<double>(term_hash(run.strings.text(code)) % static_cast<std::uint64_t>(s.k));
            });
            return true;
        }
        case opcode::equal: run_equal(s, run, out, n); return true;
        case opcode::contains:
        case opcode::count_in:
        case opcode::recency_in: run_membership(s, run, out, n); return true;
        case opcode::last_equals: run_last_equals(s, run, out, n); return true;
        default: return false;
    }
}

}  // namespace opspilot::detail
