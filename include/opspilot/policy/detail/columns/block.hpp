/// \file
/// Internal: computes parts of a graph for one block of candidates after the other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "opspilot/data/frame.hpp"
#include "opspilot/policy/detail/columns/kernel.hpp"
#include "opspilot/policy/detail/columns/scratch.hpp"

namespace opspilot::cel::detail {

/// One decision's evaluation. Parts are computed when they are asked for and kept until the next block; those of the task alone
/// until the end. `m` must have its memory; `ready` may be null, else it was prepared for the frame's actions.
class block_evaluator {
public:
    block_evaluator(const graph& g, const frame& f, const prepared_catalogue* ready, const column_kernel& kernel, machine& m,
                    column_scratch& scratch);

    /// Goes to the candidates [first, first + rows), at most `block_rows` of them.
    void begin(std::size_t first, std::size_t rows);

    /// What a condition is for the block's candidates; valid until the next block.
    [[nodiscard]] truths truth(std::uint32_t part) { return truth(part, nullptr); }
    /// The value of a scalar part.
    [[nodiscard]] const value& scalar(std::uint32_t part);
    [[nodiscard]] column_view column(std::uint32_t part);

private:
    using state = column_scratch::state;

    truths truth(std::uint32_t part, const std::uint64_t* needed);
    truths compute(std::uint32_t part, const std::uint64_t* needed);
    truths ready_truth(const prepared_catalogue::entry& e, std::uint32_t part);
    column_view ready_column(const prepared_catalogue::entry& e, std::uint32_t part);
    const std::uint64_t* ready_plane(std::uint32_t which, std::uint64_t* into);
    void gather_planes();
    truths of_scalar(std::uint32_t part);
    truths by_machine(std::uint32_t part, const std::uint64_t* needed);
    truths by_text(std::uint32_t part, const std::uint64_t* needed);
    truths flag(std::uint32_t part);
    truths text_is(std::uint32_t part);
    truths same_text(std::uint32_t part);
    truths compare(std::uint32_t part);
    truths inverted(std::uint32_t part, const std::uint64_t* needed);
    truths all_of(std::uint32_t part, const std::uint64_t* needed);
    truths any_of(std::uint32_t part, const std::uint64_t* needed);
    truths same(std::uint32_t part);
    truths chosen(std::uint32_t part);
    column_view compute_column(std::uint32_t part);
    column_view field_column(std::uint32_t part);
    column_view looked_up(std::uint32_t part);
    column_view arithmetic(std::uint32_t part);

    /// The rows of a field's table that the block's candidates have.
    struct rows_of {
        const struct opspilot::column* values = nullptr;
        const std::uint32_t* picks = nullptr;  ///< null: `from` and the rows after it
        std::size_t from = 0;
    };
    [[nodiscard]] rows_of rows(schema::path field) const noexcept;
    /// Answers per text of the dictionary, with a mark of their own per part and task; the last one stands for no text.
    std::size_t begin_texts(std::uint32_t part);
    [[nodiscard]] std::size_t text_at(const rows_of& r, const std::uint32_t* codes, std::size_t i,
                                      std::size_t none) const noexcept;
    template <class T>
    const T* taken(const rows_of& r, const std::vector<T>& column, T* into) const noexcept;
    /// Null where every candidate has a value.
    const std::uint64_t* missing(const rows_of& r, std::uint64_t* into);
    [[nodiscard]] std::uint64_t* yes_of(std::uint32_t part) noexcept { return s_.planes[2 * part].data(); }
    [[nodiscard]] std::uint64_t* error_of(std::uint32_t part) noexcept { return s_.planes[2 * part + 1].data(); }
    [[nodiscard]] std::size_t words() const noexcept { return (rows_ + 63) / 64; }
    truths all(std::uint32_t part, bool yes, const std::uint64_t* error);
    /// Yes without error; the error plane is dropped where it is empty.
    truths settled(std::uint64_t* yes, const std::uint64_t* error) const noexcept;
    const std::uint64_t* united(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* into) const noexcept;
    template <class Test>
    truths tested(std::uint32_t part, const column_view& x, const Test& test);
    template <class T, class Value>
    const T* operand(std::uint32_t part, const T* column_values, const Value& value_of, T* into, bool& failed);

    const graph& g_;
    const frame& f_;
    const prepared_catalogue* ready_;
    const column_kernel& kernel_;
    machine& m_;
    column_scratch& s_;
    std::size_t first_ = 0, rows_ = 0;
    bool in_order_ = false;  ///< the block's actions are rows of their table one after the other
    bool gathered_ = false;
    std::uint64_t task_ = 0, block_ = 0;
    plane rows_plane_{};  ///< a bit per row
};

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/columns/block-inl.hpp"
#endif
