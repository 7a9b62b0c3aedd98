/// \file
/// How training uses the host's threads: the core starts none.
#pragma once

#include <cstddef>
#include <functional>

namespace opspilot {

/// Runs `body(0) … body(count - 1)`, in any order and on any threads, and returns when all are done. Empty = one after the
/// other. Work is cut into pieces by the data alone and sums are added in the order of the pieces, so the trained weights do
/// not depend on how many threads the host brings. `body` does not throw except for exhausted memory.
using parallel_for = std::function<void(std::size_t count, const std::function<void(std::size_t)>& body)>;

}  // namespace opspilot
