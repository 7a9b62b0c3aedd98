/// \file
/// Internal: what an engine keeps between decisions.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "opspilot/decide/detail/shadow_state.hpp"
#include "opspilot/decide/detail/tally.hpp"
#include "opspilot/decide/engine.hpp"

namespace opspilot {

/// Readers take the published bundle by a copy they keep in their workspace and look at one counter per decision; only the
/// first decision after a swap takes the lock.
struct engine::impl {
    mutable std::mutex lock;
    std::shared_ptr<const bundle> live;
    std::shared_ptr<const bundle> before;
    std::uint64_t swaps = 0, rollbacks = 0;
    std::shared_ptr<detail::shadow_state> shadow;  ///< the last one; running while it has a candidate
    std::vector<public_key> trusted;               ///< not empty: only signed releases
    std::int64_t policy_sequence = 0, bundle_sequence = 0;
    std::mutex publishing;                                       ///< one after the other, so that none is lost
    std::map<std::string, std::int64_t, std::less<>> published;  ///< by client and hash of a document: since when it decides
    std::atomic<std::uint64_t> generation{0};
    std::atomic<kill_scope> killed{kill_scope::none};
    mutable limit_counters limits;  ///< outlive swaps, so that a new policy is no fresh start
    std::shared_ptr<detail::tally_board> tallies = std::make_shared<detail::tally_board>();
    std::array<std::atomic<std::uint64_t>, 5> outcomes{};  ///< by kind; outcomes are rare, so they share
};

}  // namespace opspilot
