#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "opspilot/data/detail/field_checks.hpp"
#include "opspilot/policy/detail/analysis/domain.hpp"
#include "opspilot/policy/detail/cel/machine_values.hpp"

namespace opspilot::detail::analysis {

inline constexpr std::uint64_t few_values = 64;  ///< an int of no more values is looked at value by value

OPSPILOT_INLINE std::uint64_t rank_of(const cel::value& v) noexcept {
    constexpr std::uint64_t top = std::uint64_t{1} << 63;
    if (v.is(cel::kind::number)) {
        const auto bits = std::bit_cast<std::uint64_t>(v.number);
        return (bits & top) != 0 ? ~bits : bits | top;
    }
    if (v.is(cel::kind::timestamp)) {
        const auto micros = static_cast<std::uint64_t>(v.integer) * 1'000'000 + v.size / 1'000;
        return micros ^ top;
    }
    return static_cast<std::uint64_t>(v.integer) ^ top;
}

OPSPILOT_INLINE cel::value value_at(std::uint64_t rank, field_type type) noexcept {
    constexpr std::uint64_t top = std::uint64_t{1} << 63;
    switch (type) {
        case field_type::number: return cel::make_number(std::bit_cast<double>((rank & top) != 0 ? rank & ~top : ~rank));
        case field_type::timestamp: return cel::detail::timestamp_of_micros(static_cast<std::int64_t>(rank ^ top));
        default: return cel::make_integer(static_cast<std::int64_t>(rank ^ top));
    }
}

OPSPILOT_INLINE bool contains_text(const domain& d, const cell_set& cell, std::string_view text) {
    if (std::find(d.constants.begin(), d.constants.end(), text) != d.constants.end()) return false;
    std::string_view longest;
    for (const std::string_view start : d.starts)
        if (start.size() > longest.size() && text.starts_with(start)) longest = start;
    return longest == cell.start;
}

/// Cuts the values of one field.
class cutter {
public:
    cutter(const field_use& use, const test_library& library, text_pool& texts, domain& out)
        : use_(use), library_(library), texts_(texts), out_(out) {}

    bool run(std::span<const std::string> constants, std::span<const std::string> starts) {
        out_.field = use_.field;
        const bool time = use_.field == time_of_decision;
        declared_ = time ? nullptr : &library_.fields().at(path_of(use_.field));
        out_.type = time ? field_type::timestamp : declared_->type;
        switch (out_.type) {
            case field_type::boolean:
                single(cel::make_boolean(true));
                single(cel::make_boolean(false));
                break;
            case field_type::text: declared_->values.empty() ? free_texts(constants, starts) : listed_texts(); break;
            case field_type::text_list: out_.cells.push_back({cell_set::kind::lists, {}, {}, {}, {}}); break;
            default: ordered(); break;
        }
        if (library_.may_be_missing(use_.field)) out_.cells.emplace_back();
        return out_.cells.size() <= most_cells;
    }

private:
    void single(cel::value v) { out_.cells.push_back({cell_set::kind::single, v, v, v, {}}); }

    // ---- numbers and times ----

    /// First rank in [from, to] for which `is` holds; it holds for all higher ones. to + 1 where there is none, as `none`.
    template <class F>
    static std::uint64_t first_where(std::uint64_t from, std::uint64_t to, std::uint64_t none, F&& is) {
        if (!is(to)) return none;
        while (from < to) {
            const std::uint64_t middle = from + (to - from) / 2;
            if (is(middle))
                to = middle;
            else
                from = middle + 1;
        }
        return from;
    }

    void ordered() {
        std::uint64_t low = 0, high = std::numeric_limits<std::uint64_t>::max();
        if (out_.type == field_type::number) {
            low = rank_of(cel::make_number(declared_->min.value_or(std::numeric_limits<double>::lowest())));
            high = rank_of(cel::make_number(declared_->max.value_or(std::numeric_limits<double>::max())));
            if (declared_->min && *declared_->min == 0) low = rank_of(cel::make_number(-0.0));
            if (declared_->max && *declared_->max == 0) high = rank_of(cel::make_number(0.0));
        } else if (declared_ != nullptr && out_.type == field_type::integer && !whole_bounds(low, high)) {
            return;
        }
        if (low > high) return;
        if (out_.type == field_type::integer && high - low < few_values) {
            for (std::uint64_t r = low;; ++r) {
                single(value_at(r, out_.type));
                if (r == high) return;
            }
        }
        // `begins`: ranks at which a new cell begins.
        std::vector<std::uint64_t> begins{low};
        const auto split = [&](auto&& is) {
            const std::uint64_t at = first_where(low, high, low, is);
            if (at > low) begins.push_back(at);
        };
        for (const test* t : use_.tests) {
            if (t->shape != test::form::chain) continue;
            const chain& way = *t->way;
            const auto beyond = [&](std::uint64_t r) { return way.at(value_at(r, out_.type)).beyond; };
            if (!way.plain()) {
                split([&](std::uint64_t r) { return beyond(r) >= 0; });
                split([&](std::uint64_t r) { return beyond(r) > 0; });
            }
            for (const literal& l : t->constants) {
                // Past the constant in the direction in which the chain goes.
                const auto past = [&](std::uint64_t r, bool at_it) {
                    const chain::place p = way.at(value_at(r, out_.type));
                    if (p.beyond != 0) return p.beyond > 0;
                    const cel::ordering o = cel::compare(p.value, l.value);
                    if (o == cel::ordering::equal) return at_it;
                    return way.rises() ? o == cel::ordering::greater : o == cel::ordering::less;
                };
                split([&](std::uint64_t r) { return past(r, true); });
                split([&](std::uint64_t r) { return past(r, false); });
            }
        }
        std::sort(begins.begin(), begins.end());
        begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
        for (std::size_t i = 0; i < begins.size(); ++i) {
            const std::uint64_t last = i + 1 < begins.size() ? begins[i + 1] - 1 : high;
            range(begins[i], last, i == 0, i + 1 == begins.size());
        }
    }
    bool whole_bounds(std::uint64_t& low, std::uint64_t& high) const {
        const auto inside = [&](std::uint64_t r, const std::optional<double>& bound, int sign) {
            return !bound || compare_exactly(value_at(r, field_type::integer).integer, *bound) * sign >= 0;
        };
        const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
        if (!inside(most, declared_->min, 1) || !inside(0, declared_->max, -1)) return false;
        low = first_where(0, most, 0, [&](std::uint64_t r) { return inside(r, declared_->min, 1); });
        high = most - first_where(0, most, 0, [&](std::uint64_t r) { return inside(most - r, declared_->max, -1); });
        return true;
    }
    void range(std::uint64_t low, std::uint64_t high, bool first, bool last) {
        if (low == high) return single(value_at(low, out_.type));
        cell_set c;
        c.what = cell_set::kind::range;
        c.low = value_at(low, out_.type);
        c.high = value_at(high, out_.type);
        c.sample = sample_of(c.low, c.high, first, last);
        out_.cells.push_back(c);
    }
    /// A value that reads well: a round one near the end at which the cell was cut.
    [[nodiscard]] cel::value sample_of(const cel::value& low, const cel::value& high, bool first, bool last) const {
        const auto inside = [&](const cel::value& v) { return rank_of(v) >= rank_of(low) && rank_of(v) <= rank_of(high); };
        std::vector<cel::value> tries;
        if (out_.type == field_type::number) {
            if (first && last) tries = {cel::make_number(0.0), cel::make_number(1.0)};
            if (!first) tries.insert(tries.end(), {cel::make_number(std::floor(low.number) + 1), cel::make_number(low.number)});
            if (first && !last)
                tries.insert(tries.end(), {cel::make_number(std::ceil(high.number) - 1), cel::make_number(high.number)});
            if (low.number < -1e9 && !first) tries.clear();
            if (!tries.empty() && !last && !first) {
                const double half = low.number / 2 + high.number / 2;
                tries.insert(tries.begin() + 1, {cel::make_number(std::round(half)), cel::make_number(half)});
            }
        } else if (out_.type == field_type::timestamp) {
            constexpr std::int64_t second = 1'000'000, day = 86'400 * second, recent = 1'767'225'600 * second;
            const auto micros = [](const cel::value& v) {
                return static_cast<std::int64_t>(rank_of(v) ^ (std::uint64_t{1} << 63));
            };
            tries.push_back(cel::detail::timestamp_of_micros(recent));
            if (!first && micros(low) < std::numeric_limits<std::int64_t>::max() - day)
                tries.push_back(cel::detail::timestamp_of_micros((micros(low) / second + 1) * second));
            if (!last && micros(high) > std::numeric_limits<std::int64_t>::min() + day)
                tries.push_back(cel::detail::timestamp_of_micros((micros(high) / second - 1) * second));
        } else if (first && last) {
            tries = {cel::make_integer(0), cel::make_integer(1)};
        }
        for (const cel::value& v : tries)
            if (inside(v)) return v;
        return first && !last ? high : low;
    }

    // ---- texts ----

    void listed_texts() {
        for (const std::string& value : declared_->values) single(cel::make_text(texts_.keep(value)));
    }
    void free_texts(std::span<const std::string> constants, std::span<const std::string> starts) {
        for (const std::string& text : constants) out_.constants.push_back(texts_.keep(text));
        for (const std::string& text : starts) out_.starts.push_back(texts_.keep(text));
        for (const std::string_view text : out_.constants) single(cel::make_text(text));
        open_texts({});
        for (const std::string_view start : out_.starts)
            if (!start.empty()) open_texts(start);
    }
    void open_texts(std::string_view start) {
        cell_set c;
        c.what = cell_set::kind::texts;
        c.start = start;
        for (const char* tail : {"", "other", "x", "1", "_", "~", "Q", "é", "zzz", "0?", "#", "…"}) {
            if (start.empty() && *tail == '\0') continue;
            const std::string text = std::string(start) + tail;
            if (!contains_text(out_, c, text)) continue;
            c.sample = cel::make_text(texts_.keep(text));
            break;
        }
        out_.cells.push_back(c);
    }

    const field_use& use_;
    const test_library& library_;
    text_pool& texts_;
    domain& out_;
    const field* declared_ = nullptr;
};

OPSPILOT_INLINE bool cut(const field_use& use, const test_library& library, std::span<const std::string> constants,
                         std::span<const std::string> starts, text_pool& texts, domain& out) {
    return cutter(use, library, texts, out).run(constants, starts);
}

}  // namespace opspilot::detail::analysis
