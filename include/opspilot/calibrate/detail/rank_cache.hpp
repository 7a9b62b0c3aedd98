/// \file
/// Internal: critical ranks that were found once are kept, for a few pairs of risk and failure probability.
#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "opspilot/calibrate/binomial.hpp"

namespace opspilot::detail {

/// The shelf of one process. Whoever needs ranks takes them off it and puts them back, so that nobody waits for another's search;
/// two at once for one pair search twice, and the longer list is kept. At most eight lists, and no list of more than a million.
class rank_shelf {
public:
    [[nodiscard]] critical_ranks take(double alpha, double delta) {
        const std::lock_guard lock(mutex_);
        const auto found = place_of(alpha, delta);
        if (found == kept_.end()) return {alpha, delta};
        critical_ranks out = std::move(*found);
        kept_.erase(found);
        return out;
    }

    void put(critical_ranks&& ranks) {
        constexpr std::size_t most_lists = 8, longest = 1'000'000;
        if (ranks.known() > longest) return;
        const std::lock_guard lock(mutex_);
        if (const auto found = place_of(ranks.alpha(), ranks.delta()); found != kept_.end()) {
            if (found->known() >= ranks.known()) return;
            kept_.erase(found);
        }
        if (kept_.size() == most_lists) kept_.erase(kept_.begin());  // the one that was not used for longest
        kept_.push_back(std::move(ranks));
    }

private:
    std::vector<critical_ranks>::iterator place_of(double alpha, double delta) {
        return std::find_if(kept_.begin(), kept_.end(),
                            [&](const critical_ranks& r) { return r.alpha() == alpha && r.delta() == delta; });
    }

    std::mutex mutex_;
    std::vector<critical_ranks> kept_;
};

inline rank_shelf& shared_ranks() {
    static rank_shelf shelf;
    return shelf;
}

/// Ranks off the shelf for as long as this lives.
class lent_ranks {
public:
    lent_ranks(double alpha, double delta) : ranks_(shared_ranks().take(alpha, delta)) {}
    ~lent_ranks() {
        try {
            shared_ranks().put(std::move(ranks_));
        } catch (...) {  // no room to keep them: they are found again
        }
    }
    lent_ranks(const lent_ranks&) = delete;
    lent_ranks& operator=(const lent_ranks&) = delete;
    [[nodiscard]] critical_ranks& ranks() noexcept { return ranks_; }

private:
    critical_ranks ranks_;
};

}  // namespace opspilot::detail
