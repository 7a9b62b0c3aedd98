/// \file
/// Internal: the conditions of a rule set as one graph of shared parts, each of which is computed for a block of candidates at
/// once.
///
/// A part that reads constants and the task alone has one value for all candidates; one that reads the action alone can be
/// computed when a catalogue is loaded. What no column form is known for runs on the scalar machine, candidate by candidate, so
/// that every condition has one meaning, however it is computed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/policy/detail/cel/program.hpp"

namespace opspilot::cel::detail {

enum class part_kind : std::uint8_t {
    scalar,     ///< one value for all candidates
    each,       ///< the scalar machine, candidate by candidate
    distinct,   ///< reads one text of the candidate: the scalar machine, text by text
    given,      ///< has(field)
    flag,       ///< a bool field
    text_is,    ///< text field == scalar
    same_text,  ///< text field == text field
    field,      ///< numbers or times of a field
    looked_up,  ///< numbers of a table: the scalar machine, text by text where `by_text`, else candidate by candidate
    widen,      ///< double(int)
    negate,
    arithmetic,  ///< operand 0 `op` operand 1
    compare,     ///< operand 0 `op` operand 1, the first one a column
    not_,
    and_,  ///< of all operands
    or_,
    same,    ///< bool == bool
    choose,  ///< operand 0 ? operand 1 : operand 2, truths
};

/// What a part gives for a candidate.
enum class lane : std::uint8_t { truth, integer, number, moment, other };

struct graph_part {
    part_kind kind = part_kind::scalar;
    lane gives = lane::truth;
    opcode op = opcode::constant;
    std::uint8_t reads = reads_nothing;  ///< of `dependency`
    schema::path field, second;
    std::uint32_t program = 0;
    std::uint32_t first = 0, count = 0;  ///< operands, in `graph::operands`
    std::uint32_t column = 0;            ///< of numbers: which of `graph::columns`
    std::uint32_t uses = 0;              ///< by parts and conditions
    bool by_text = false;                ///< reads one text of the candidate, `field`, and nothing else of it
};

/// Operands stand before the parts that use them.
struct graph {
    std::vector<graph_part> parts;
    std::vector<std::uint32_t> operands;
    std::vector<program> programs;
    std::vector<std::uint32_t> prepared;  ///< what a catalogue is prepared for: its largest parts that read the action alone
    std::uint32_t columns = 0;

    [[nodiscard]] std::uint32_t operand(std::uint32_t part, std::uint32_t i) const noexcept {
        return operands[parts[part].first + i];
    }
    /// Whether a part has one value for all candidates of a task.
    [[nodiscard]] bool is_scalar(std::uint32_t part) const noexcept { return parts[part].kind == part_kind::scalar; }
    /// Whether it can be computed for a catalogue, before any task is known.
    [[nodiscard]] bool is_prepared(std::uint32_t part) const noexcept { return parts[part].reads == reads_action; }
};

/// Enters conditions into a graph; equal parts are entered once.
class graph_builder {
public:
    explicit graph_builder(dictionary* strings) : strings_(strings) {}

    /// The part that is the condition's value. `c` must be without errors.
    std::uint32_t add(const checked& c);
    /// Puts operands into the order in which they are best asked, and returns the graph.
    [[nodiscard]] graph finish() &&;

private:
    class reader;
    std::uint32_t enter(graph_part part, std::vector<std::uint32_t> operands, std::string key);

    dictionary* strings_;
    graph graph_;
    std::vector<std::uint32_t> conditions_;
    std::map<std::string, std::uint32_t, std::less<>> known_;
};

}  // namespace opspilot::cel::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/policy/detail/columns/graph-inl.hpp"
#endif
