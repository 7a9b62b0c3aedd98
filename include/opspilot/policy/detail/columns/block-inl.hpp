#pragma once

#include <algorithm>
#include <type_traits>

#include "opspilot/policy/detail/columns/arithmetic.hpp"
#include "opspilot/policy/detail/columns/block.hpp"
#include "opspilot/policy/detail/columns/limits.hpp"

namespace opspilot::cel::detail {

OPSPILOT_INLINE block_evaluator::block_evaluator(const graph& g, const frame& f, const prepared_catalogue* ready,
                                                 const column_kernel& kernel, machine& m, column_scratch& scratch)
    : g_(g), f_(f), ready_(ready), kernel_(kernel), m_(m), s_(scratch), task_(++scratch.marks) {
    if (s_.states.size() < g.parts.size()) {
        s_.states.resize(g.parts.size());
        s_.planes.resize(2 * g.parts.size());
    }
    if (s_.numbers.size() < g.columns * block_rows) {
        s_.numbers.resize(g.columns * block_rows);
        s_.integers.resize(g.columns * block_rows);
    }
    m_.where = &f;
    m_.strings = f.strings;
}

OPSPILOT_INLINE void block_evaluator::begin(std::size_t first, std::size_t rows) {
    first_ = first;
    rows_ = rows;
    block_ = ++s_.marks;
    gathered_ = false;
    rows_plane_.fill(0);
    fill_rows(rows_plane_.data(), rows);
    in_order_ = true;
    for (std::size_t i = 1; i < rows; ++i) in_order_ = in_order_ && f_.action_rows[first + i] == f_.action_rows[first] + i;
}

// ---- what is known before or for all candidates ----

OPSPILOT_INLINE const value& block_evaluator::scalar(std::uint32_t part) {
    state& s = s_.states[part];
    if (s.task == task_) return s.scalar;
    const program& p = g_.programs[g_.parts[part].program];
    m_.memory->reset();
    s.scalar = run_all(p, m_);
    // Texts made by the expression live no longer than this; their code does.
    if (s.scalar.is(kind::text) && s.scalar.code == no_code) s.scalar.code = f_.strings->find(s.scalar.view());
    s.task = task_;
    return s.scalar;
}

OPSPILOT_INLINE truths block_evaluator::all(std::uint32_t part, bool yes, const std::uint64_t* error) {
    std::uint64_t* const out = yes_of(part);
    for (std::size_t w = 0; w < words(); ++w) out[w] = yes ? rows_plane_[w] & ~(error == nullptr ? 0 : error[w]) : 0;
    return {out, error};
}

OPSPILOT_INLINE truths block_evaluator::of_scalar(std::uint32_t part) {
    const value& v = scalar(part);
    if (v.is(kind::boolean)) return all(part, v.boolean, nullptr);
    std::copy_n(rows_plane_.data(), words(), error_of(part));
    return all(part, false, error_of(part));
}

OPSPILOT_INLINE void block_evaluator::gather_planes() {
    const std::size_t stride = block_words, row_words = ready_->row_words;
    if (s_.gathered.size() < row_words * 64 * stride) s_.gathered.resize(row_words * 64 * stride);
    std::array<std::uint64_t, 64> square;
    for (std::size_t w = 0; w < words(); ++w) {
        const std::size_t here = std::min<std::size_t>(64, rows_ - 64 * w);
        for (std::size_t k = 0; k < row_words; ++k) {
            for (std::size_t i = 0; i < here; ++i)
                square[i] = ready_->by_row[f_.action_rows[first_ + 64 * w + i] * row_words + k];
            std::fill(square.begin() + static_cast<std::ptrdiff_t>(here), square.end(), 0);
            transpose_64(square.data());
            const std::size_t planes = std::min<std::size_t>(64, ready_->planes - 64 * k);
            for (std::size_t p = 0; p < planes; ++p) s_.gathered[(64 * k + p) * stride + w] = square[p];
        }
    }
    gathered_ = true;
}

OPSPILOT_INLINE const std::uint64_t* block_evaluator::ready_plane(std::uint32_t which, std::uint64_t* into) {
    if (which == prepared_catalogue::none) return nullptr;
    const std::size_t from = rows_ == 0 ? 0 : f_.action_rows[first_];
    if (in_order_ && from % 64 == 0) {
        const std::uint64_t* const whole = ready_->by_plane.data() + which * ready_->words + from / 64;
        if (rows_ % 64 == 0) return whole;
        for (std::size_t w = 0; w < words(); ++w) into[w] = whole[w] & rows_plane_[w];
        return into;
    }
    if (!gathered_) gather_planes();
    return s_.gathered.data() + which * block_words;
}

OPSPILOT_INLINE truths block_evaluator::ready_truth(const prepared_catalogue::entry& e, std::uint32_t part) {
    return {ready_plane(e.yes, yes_of(part)), ready_plane(e.error, error_of(part))};
}

OPSPILOT_INLINE column_view block_evaluator::ready_column(const prepared_catalogue::entry& e, std::uint32_t part) {
    const rows_of r{nullptr, in_order_ ? nullptr : f_.action_rows.data() + first_, rows_ == 0 ? 0 : f_.action_rows[first_]};
    const std::size_t place = g_.parts[part].column * block_rows;
    column_view out;
    if (g_.parts[part].gives == lane::number)
        out.numbers = taken(r, e.numbers, s_.numbers.data() + place);
    else
        out.integers = taken(r, e.integers, s_.integers.data() + place);
    out.error = ready_plane(e.error, error_of(part));
    return out;
}

// ---- fields ----

OPSPILOT_INLINE block_evaluator::rows_of block_evaluator::rows(schema::path field) const noexcept {
    if (field.where == role::candidate) return {&f_.pairs->at(field.index), nullptr, f_.pair_begin + first_};
    const std::size_t from = rows_ == 0 ? 0 : f_.action_rows[first_];
    return {&f_.actions->at(field.index), in_order_ ? nullptr : f_.action_rows.data() + first_, from};
}

template <class T>
inline const T* block_evaluator::taken(const rows_of& r, const std::vector<T>& column, T* into) const noexcept {
    if (r.picks == nullptr) return column.data() + r.from;
    for (std::size_t i = 0; i < rows_; ++i) into[i] = column[r.picks[i]];
    return into;
}

OPSPILOT_INLINE truths block_evaluator::settled(std::uint64_t* yes, const std::uint64_t* error) const noexcept {
    if (error == nullptr) return {yes, nullptr};
    std::uint64_t any = 0;
    for (std::size_t w = 0; w < words(); ++w) {
        yes[w] &= ~error[w];
        any |= error[w];
    }
    return {yes, any == 0 ? nullptr : error};
}

OPSPILOT_INLINE const std::uint64_t* block_evaluator::united(const std::uint64_t* a, const std::uint64_t* b,
                                                             std::uint64_t* into) const noexcept {
    if (a == nullptr && b == nullptr) return nullptr;
    for (std::size_t w = 0; w < words(); ++w) into[w] = (a == nullptr ? 0 : a[w]) | (b == nullptr ? 0 : b[w]);
    return into;
}

OPSPILOT_INLINE const std::uint64_t* block_evaluator::missing(const rows_of& r, std::uint64_t* into) {
    kernel_.bytes(taken(r, r.values->valued, s_.bytes.data()), rows_, into);
    std::uint64_t any = 0;
    for (std::size_t w = 0; w < words(); ++w) {
        into[w] = ~into[w] & rows_plane_[w];
        any |= into[w];
    }
    return any == 0 ? nullptr : into;
}

OPSPILOT_INLINE truths block_evaluator::flag(std::uint32_t part) {
    const rows_of r = rows(g_.parts[part].field);
    std::uint64_t* const out = yes_of(part);
    kernel_.integers(taken(r, r.values->integers, s_.left_integers.data()), rows_, opcode::equal, 0, out);
    for (std::size_t w = 0; w < words(); ++w) out[w] = ~out[w] & rows_plane_[w];
    return settled(out, missing(r, error_of(part)));
}

OPSPILOT_INLINE truths block_evaluator::text_is(std::uint32_t part) {
    const rows_of r = rows(g_.parts[part].field);
    const value& wanted = scalar(g_.operand(part, 0));
    if (wanted.failed()) {
        std::copy_n(rows_plane_.data(), words(), error_of(part));
        return all(part, false, error_of(part));
    }
    std::uint64_t* const out = yes_of(part);
    const std::uint64_t* const error = missing(r, error_of(part));
    if (!wanted.is(kind::text) || wanted.code == no_code) return all(part, false, error);
    kernel_.codes(taken(r, r.values->codes, s_.codes.data()), rows_, wanted.code, out);
    return settled(out, error);
}

OPSPILOT_INLINE truths block_evaluator::same_text(std::uint32_t part) {
    const rows_of a = rows(g_.parts[part].field), b = rows(g_.parts[part].second);
    const std::uint32_t* const x = taken(a, a.values->codes, s_.codes.data());
    const std::uint32_t* const y = taken(b, b.values->codes, s_.other_codes.data());
    std::uint64_t* const out = yes_of(part);
    std::fill_n(out, words(), 0);
    for (std::size_t i = 0; i < rows_; ++i) out[i / 64] |= static_cast<std::uint64_t>(x[i] == y[i]) << (i % 64);
    plane other;
    return settled(out, united(missing(a, error_of(part)), missing(b, other.data()), error_of(part)));
}

OPSPILOT_INLINE column_view block_evaluator::field_column(std::uint32_t part) {
    const graph_part& g = g_.parts[part];
    const rows_of r = rows(g.field);
    column_view out;
    if (g.gives == lane::number)
        out.numbers = taken(r, r.values->numbers, s_.numbers.data() + g.column * block_rows);
    else
        out.integers = taken(r, r.values->integers, s_.integers.data() + g.column * block_rows);
    out.error = missing(r, error_of(part));
    return out;
}

// ---- the scalar machine ----

/// Runs a program candidate by candidate; what reads the task alone once.
class candidate_runner {
public:
    candidate_runner(const program& p, machine& m, std::size_t first) : p_(p), m_(m), first_(first) {}

    const value& operator()(std::size_t i) {
        m_.candidate = first_ + i;
        if (!begun_) {
            m_.memory->reset();
            m_.prepare(p_);
            run(p_, m_, 0, p_.main_begin);
            after_task_ = m_.memory->here();
            begun_ = true;
        }
        m_.memory->rewind(after_task_);
        m_.steps = 0;
        run(p_, m_, p_.main_begin, static_cast<std::uint32_t>(p_.code.size()));
        return m_.registers[p_.result];
    }

private:
    const program& p_;
    machine& m_;
    std::size_t first_;
    bool begun_ = false;
    arena::mark after_task_;
};

OPSPILOT_INLINE truths block_evaluator::by_machine(std::uint32_t part, const std::uint64_t* needed) {
    candidate_runner run_at(g_.programs[g_.parts[part].program], m_, first_);
    std::uint64_t* const yes = yes_of(part);
    std::uint64_t* const error = error_of(part);
    std::fill_n(yes, words(), 0);
    std::fill_n(error, words(), 0);
    each_bit(needed == nullptr ? rows_plane_.data() : needed, words(), [&](std::size_t i) {
        const value& v = run_at(i);
        const std::uint64_t bit = std::uint64_t{1} << (i % 64);
        if (!v.is(kind::boolean))
            error[i / 64] |= bit;
        else if (v.boolean)
            yes[i / 64] |= bit;
    });
    return settled(yes, error);
}

OPSPILOT_INLINE std::size_t block_evaluator::begin_texts(std::uint32_t part) {
    const std::size_t none = f_.strings->size();
    if (s_.answers.size() < none + 1) s_.answers.resize(none + 1);
    state& s = s_.states[part];
    if (s.task != task_) {
        s.task = task_;
        s.texts = ++s_.marks;
    }
    return none;
}

OPSPILOT_INLINE std::size_t block_evaluator::text_at(const rows_of& r, const std::uint32_t* codes, std::size_t i,
                                                     std::size_t none) const noexcept {
    const std::size_t row = r.picks == nullptr ? r.from + i : r.picks[i];
    return r.values->valued[row] != 0 ? codes[i] : none;
}

OPSPILOT_INLINE truths block_evaluator::by_text(std::uint32_t part, const std::uint64_t* needed) {
    const rows_of r = rows(g_.parts[part].field);
    const std::uint32_t* const codes = taken(r, r.values->codes, s_.codes.data());
    const std::size_t none = begin_texts(part);
    const std::uint64_t mark = s_.states[part].texts;
    candidate_runner run_at(g_.programs[g_.parts[part].program], m_, first_);
    std::uint64_t* const yes = yes_of(part);
    std::uint64_t* const error = error_of(part);
    std::fill_n(yes, words(), 0);
    std::fill_n(error, words(), 0);
    each_bit(needed == nullptr ? rows_plane_.data() : needed, words(), [&](std::size_t i) {
        std::uint64_t& answer = s_.answers[text_at(r, codes, i, none)];
        if (answer / 4 != mark) {
            const value& v = run_at(i);
            answer = mark * 4 + (v.is(kind::boolean) ? static_cast<std::uint64_t>(v.boolean) : 2);
        }
        yes[i / 64] |= (answer & 1) << (i % 64);
        error[i / 64] |= (answer >> 1 & 1) << (i % 64);
    });
    return settled(yes, error);
}

OPSPILOT_INLINE column_view block_evaluator::looked_up(std::uint32_t part) {
    const graph_part& g = g_.parts[part];
    candidate_runner run_at(g_.programs[g.program], m_, first_);
    std::uint64_t* const error = error_of(part);
    std::fill_n(error, words(), 0);
    double* const numbers = s_.numbers.data() + g.column * block_rows;
    std::int64_t* const integers = s_.integers.data() + g.column * block_rows;
    bool failed = false;
    const auto take = [&](std::size_t i, const value& v) {
        const bool fits = v.is(g.gives == lane::number ? kind::number : kind::integer);
        failed = failed || !fits;
        error[i / 64] |= static_cast<std::uint64_t>(!fits) << (i % 64);
        if (g.gives == lane::number)
            numbers[i] = fits ? v.number : 0;
        else
            integers[i] = fits ? v.integer : 0;
    };
    if (g.by_text) {
        const rows_of r = rows(g.field);
        const std::uint32_t* const codes = taken(r, r.values->codes, s_.codes.data());
        const std::size_t none = begin_texts(part);
        const std::uint64_t mark = s_.states[part].texts;
        if (s_.values.size() < none + 1) s_.values.resize(none + 1);
        for (std::size_t i = 0; i < rows_; ++i) {
            const std::size_t at = text_at(r, codes, i, none);
            if (s_.answers[at] / 4 != mark) {
                s_.values[at] = run_at(i);
                s_.answers[at] = mark * 4;
            }
            take(i, s_.values[at]);
        }
    } else {
        for (std::size_t i = 0; i < rows_; ++i) take(i, run_at(i));
    }
    column_view out;
    if (g.gives == lane::number)
        out.numbers = numbers;
    else
        out.integers = integers;
    out.error = failed ? error : nullptr;
    return out;
}

// ---- logic ----

OPSPILOT_INLINE truths block_evaluator::inverted(std::uint32_t part, const std::uint64_t* needed) {
    const truths t = truth(g_.operand(part, 0), needed);
    std::uint64_t* const out = yes_of(part);
    for (std::size_t w = 0; w < words(); ++w) out[w] = ~(t.yes[w] | (t.error == nullptr ? 0 : t.error[w])) & rows_plane_[w];
    return {out, t.error};
}

OPSPILOT_INLINE truths block_evaluator::all_of(std::uint32_t part, const std::uint64_t* needed) {
    std::uint64_t* const yes = yes_of(part);
    std::uint64_t* const open = error_of(part);  // not yet known to be false; in the end, where not true, failed
    std::copy_n(rows_plane_.data(), words(), yes);
    std::copy_n(needed == nullptr ? rows_plane_.data() : needed, words(), open);
    bool failed = false;
    for (std::uint32_t k = 0; k < g_.parts[part].count; ++k) {
        const std::uint32_t o = g_.operand(part, k);
        if (g_.is_scalar(o)) {
            const value& v = scalar(o);
            if (v.is_true()) continue;
            if (v.is_false()) return all(part, false, nullptr);
            std::fill_n(yes, words(), 0);
            failed = true;
            continue;
        }
        const truths t = truth(o, open);
        std::uint64_t any = 0;
        for (std::size_t w = 0; w < words(); ++w) {
            const std::uint64_t error = t.error == nullptr ? 0 : t.error[w];
            yes[w] &= t.yes[w];
            open[w] &= t.yes[w] | error;
            any |= open[w];
        }
        failed = failed || t.error != nullptr;
        if (any == 0) return all(part, false, nullptr);
    }
    for (std::size_t w = 0; w < words(); ++w) yes[w] &= open[w];
    if (!failed) return {yes, nullptr};
    for (std::size_t w = 0; w < words(); ++w) open[w] &= ~yes[w];
    return settled(yes, open);
}

OPSPILOT_INLINE truths block_evaluator::any_of(std::uint32_t part, const std::uint64_t* needed) {
    std::uint64_t* const yes = yes_of(part);
    std::uint64_t* const failing = error_of(part);
    std::fill_n(yes, words(), 0);
    std::fill_n(failing, words(), 0);
    plane open;  // not yet known to be true
    std::copy_n(needed == nullptr ? rows_plane_.data() : needed, words(), open.data());
    for (std::uint32_t k = 0; k < g_.parts[part].count; ++k) {
        const std::uint32_t o = g_.operand(part, k);
        if (g_.is_scalar(o)) {
            const value& v = scalar(o);
            if (v.is_true()) return all(part, true, nullptr);
            if (!v.is_false()) std::copy_n(rows_plane_.data(), words(), failing);
            continue;
        }
        const truths t = truth(o, open.data());
        std::uint64_t any = 0;
        for (std::size_t w = 0; w < words(); ++w) {
            yes[w] |= t.yes[w];
            if (t.error != nullptr) failing[w] |= t.error[w];
            open[w] &= ~t.yes[w];
            any |= open[w];
        }
        if (any == 0) break;
    }
    std::uint64_t any = 0;
    for (std::size_t w = 0; w < words(); ++w) {
        failing[w] &= ~yes[w];
        any |= failing[w];
    }
    return {yes, any == 0 ? nullptr : failing};
}

OPSPILOT_INLINE truths block_evaluator::same(std::uint32_t part) {
    const truths a = truth(g_.operand(part, 0), nullptr), b = truth(g_.operand(part, 1), nullptr);
    std::uint64_t* const out = yes_of(part);
    for (std::size_t w = 0; w < words(); ++w) out[w] = ~(a.yes[w] ^ b.yes[w]) & rows_plane_[w];
    return settled(out, united(a.error, b.error, error_of(part)));
}

OPSPILOT_INLINE truths block_evaluator::chosen(std::uint32_t part) {
    const truths c = truth(g_.operand(part, 0), nullptr), a = truth(g_.operand(part, 1), nullptr),
                 b = truth(g_.operand(part, 2), nullptr);
    std::uint64_t* const yes = yes_of(part);
    std::uint64_t* const error = error_of(part);
    for (std::size_t w = 0; w < words(); ++w) {
        const auto of = [&](const std::uint64_t* e) { return e == nullptr ? std::uint64_t{0} : e[w]; };
        const std::uint64_t no = rows_plane_[w] & ~(c.yes[w] | of(c.error));
        yes[w] = (c.yes[w] & a.yes[w]) | (no & b.yes[w]);
        error[w] = of(c.error) | (c.yes[w] & of(a.error)) | (no & of(b.error));
    }
    return settled(yes, error);
}

// ---- numbers ----

/// A column to combine with another: the operand's own, or its one value many times.
template <class T, class Value>
inline const T* block_evaluator::operand(std::uint32_t part, const T* column_values, const Value& value_of, T* into,
                                         bool& failed) {
    if (!g_.is_scalar(part)) return column_values;
    T constant{};
    failed = failed || !value_of(scalar(part), constant);
    std::fill_n(into, rows_, constant);
    return into;
}

OPSPILOT_INLINE column_view block_evaluator::arithmetic(std::uint32_t part) {
    const graph_part& g = g_.parts[part];
    const std::uint32_t a = g_.operand(part, 0), b = g.count > 1 ? g_.operand(part, 1) : a;
    const column_view x = g_.is_scalar(a) ? column_view{} : column(a), y = b == a || g_.is_scalar(b) ? column_view{} : column(b);
    column_view out;
    std::uint64_t* const error = error_of(part);
    bool failed = false, overflow = false;
    out.error = united(x.error, y.error, error);
    const std::size_t place = g.column * block_rows;
    if (g.kind == part_kind::widen) {
        double* const made = s_.numbers.data() + place;
        for (std::size_t i = 0; i < rows_; ++i) made[i] = static_cast<double>(x.integers[i]);
        out.numbers = made;
    } else if (g.gives == lane::number) {
        double* const made = s_.numbers.data() + place;
        if (g.kind == part_kind::negate) {
            for (std::size_t i = 0; i < rows_; ++i) made[i] = -x.numbers[i];
        } else {
            const auto number_of = [](const value& v, double& to) { return to = v.number, v.is(kind::number); };
            const double* const left = operand(a, x.numbers, number_of, s_.left_numbers.data(), failed);
            const double* const right = b == a ? left : operand(b, y.numbers, number_of, s_.right_numbers.data(), failed);
            combine_numbers(g.op, left, right, rows_, made);
        }
        out.numbers = made;
    } else {
        std::int64_t* const made = s_.integers.data() + place;
        plane over{};
        if (g.kind == part_kind::negate) {
            overflow = negate_integers(x.integers, rows_, made, over.data());
        } else {
            const auto integer_of = [](const value& v, std::int64_t& to) { return to = v.integer, v.is(kind::integer); };
            const std::int64_t* const left = operand(a, x.integers, integer_of, s_.left_integers.data(), failed);
            const std::int64_t* const right =
                b == a ? left : operand(b, y.integers, integer_of, s_.right_integers.data(), failed);
            overflow = combine_integers(g.op, left, right, rows_, made, over.data());
        }
        out.integers = made;
        if (overflow) {
            for (std::size_t w = 0; w < words(); ++w) error[w] = over[w] | (out.error == nullptr ? 0 : out.error[w]);
            out.error = error;
        }
    }
    if (failed) {
        std::copy_n(rows_plane_.data(), words(), error);
        out.error = error;
    }
    return out;
}

template <class Test>
inline truths block_evaluator::tested(std::uint32_t part, const column_view& x, const Test& test) {
    std::uint64_t* const out = yes_of(part);
    if (test.same) return all(part, test.answer, x.error);
    if constexpr (std::is_same_v<Test, column_test<double>>)
        kernel_.numbers(x.numbers, rows_, test.op, test.limit, out);
    else
        kernel_.integers(x.integers, rows_, test.op, test.limit, out);
    return settled(out, x.error);
}

OPSPILOT_INLINE truths block_evaluator::compare(std::uint32_t part) {
    const graph_part& g = g_.parts[part];
    const std::uint32_t a = g_.operand(part, 0), b = g_.operand(part, 1);
    const bool numbers = g_.parts[a].gives == lane::number;
    const column_view x = column(a);
    if (!g_.is_scalar(b)) {
        const column_view y = column(b);
        std::uint64_t* const out = yes_of(part);
        if (numbers)
            kernel_.number_pairs(x.numbers, y.numbers, rows_, g.op, out);
        else
            kernel_.integer_pairs(x.integers, y.integers, rows_, g.op, out);
        return settled(out, united(x.error, y.error, error_of(part)));
    }
    const value& v = scalar(b);
    switch (v.what) {
        case kind::integer: {
            if (numbers) return tested(part, x, number_against(g.op, v.integer));
            return tested(part, x, column_test<std::int64_t>{false, false, g.op, v.integer});
        }
        case kind::uinteger:
            return numbers ? tested(part, x, number_against(g.op, v.uinteger)) : tested(part, x, whole_against(g.op, v.uinteger));
        case kind::number:
            if (numbers) return tested(part, x, column_test<double>{false, false, g.op, v.number});
            return tested(part, x, whole_against(g.op, v.number));
        case kind::timestamp: return tested(part, x, moment_against(g.op, v));
        default: std::copy_n(rows_plane_.data(), words(), error_of(part)); return all(part, false, error_of(part));
    }
}

// ---- which part is what ----

OPSPILOT_INLINE column_view block_evaluator::column(std::uint32_t part) {
    state& s = s_.states[part];
    if (s.block == block_) return s.column;
    s.column = compute_column(part);
    s.block = block_;
    return s.column;
}

OPSPILOT_INLINE column_view block_evaluator::compute_column(std::uint32_t part) {
    if (ready_ != nullptr && ready_->entries[part].ready) return ready_column(ready_->entries[part], part);
    switch (g_.parts[part].kind) {
        case part_kind::field: return field_column(part);
        case part_kind::looked_up: return looked_up(part);
        default: return arithmetic(part);
    }
}

/// With `needed` the answers matter there alone, which is only looked at where nobody else asks for the part.
OPSPILOT_INLINE truths block_evaluator::truth(std::uint32_t part, const std::uint64_t* needed) {
    state& s = s_.states[part];
    if (s.block == block_) return s.truth;
    s.truth = compute(part, g_.parts[part].uses == 1 ? needed : nullptr);
    s.block = block_;
    return s.truth;
}

OPSPILOT_INLINE truths block_evaluator::compute(std::uint32_t part, const std::uint64_t* needed) {
    if (ready_ != nullptr && ready_->entries[part].ready) return ready_truth(ready_->entries[part], part);
    switch (g_.parts[part].kind) {
        case part_kind::scalar: return of_scalar(part);
        case part_kind::each: return by_machine(part, needed);
        case part_kind::distinct: return by_text(part, needed);
        case part_kind::given: {
            const rows_of r = rows(g_.parts[part].field);
            kernel_.bytes(taken(r, r.values->valued, s_.bytes.data()), rows_, yes_of(part));
            return {yes_of(part), nullptr};
        }
        case part_kind::flag: return flag(part);
        case part_kind::text_is: return text_is(part);
        case part_kind::same_text: return same_text(part);
        case part_kind::compare: return compare(part);
        case part_kind::not_: return inverted(part, needed);
        case part_kind::and_: return all_of(part, needed);
        case part_kind::or_: return any_of(part, needed);
        case part_kind::same: return same(part);
        case part_kind::choose: return chosen(part);
        default: break;
    }
    return all(part, false, nullptr);  // columns are no truths
}

}  // namespace opspilot::cel::detail
