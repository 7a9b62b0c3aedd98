/// \file
/// Candidate generation: which rows of a catalogue are offered for a task, when the host brings none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/data/frame.hpp"
#include "opspilot/data/schema.hpp"

namespace opspilot {

/// Scratch of one thread for `generator::generate`.
struct generator_workspace {
    std::vector<std::uint32_t> seen;  ///< per action: the generation that last offered it
    std::uint32_t generation = 0;
};

/// The generators of a bundle (candidates.json), bound to one catalogue. An action is offered when any generator offers it.
///
///     {"generators": [{"kind": "match", "task": "task.queues", "action": "action.queue"}], "limit": 2000}
///
/// - "match": the task's value equals the action's, or occurs in it, where either may be a string or a list of strings;
/// - "all": every action of the catalogue.
///
/// Immutable; shared by any number of threads.
class OPSPILOT_API generator {
public:
    /// Compiles the document and indexes the catalogue. Errors: kind model, JSON pointer; unknown fields name the nearest.
    [[nodiscard]] static result<generator> parse(std::string_view json, const schema& s, const table& actions);

    /// Writes the offered rows of the catalogue in catalogue order, each once, at most `limit()` of them (the first ones).
    void generate(const table& tasks, std::size_t task_row, generator_workspace& scratch, std::vector<std::uint32_t>& rows) const;

    [[nodiscard]] std::size_t limit() const noexcept;

    struct impl;
    std::shared_ptr<const impl> state;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/rank/generator-inl.hpp"
#endif
