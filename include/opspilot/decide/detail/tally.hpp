/// \file
/// Internal: what an engine counts. One tally per workspace that decides with it, so that counting on many cores touches no
/// shared cache line and needs no locked instruction; totals are exact, because a tally is lent, never dropped.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/decide/decision.hpp"
#include "opspilot/decide/detail/bundle_state.hpp"

namespace opspilot::detail {

/// Codes of the reasons of a decision as a whole, as `add_reason` writes them. One that is missing here counts as "other".
inline constexpr std::array<std::string_view, 21> counted_reasons{"candidates.none",
                                                                  "confidence.abstain",
                                                                  "confidence.below_policy_threshold",
                                                                  "confidence.below_threshold",
                                                                  "confidence.expired",
                                                                  "confidence.foreign_calibrator",
                                                                  "confidence.foreign_model",
                                                                  "confidence.none",
                                                                  "confidence.no_threshold",
                                                                  "confidence.not_certified",
                                                                  "kill.automation",
                                                                  "kill.everything",
                                                                  "policy.all_forbidden",
                                                                  "policy.invariant",
                                                                  "policy.mandatory",
                                                                  "rung.human",
                                                                  "rung.models_failed",
                                                                  "rung.no_automation",
                                                                  "stage.cap",
                                                                  "stage.shadow",
                                                                  "throttled"};

template <class Names>
inline std::size_t position_of(const Names& names, std::string_view name) noexcept {
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

/// Counts of everything; also the sum over tallies, with plain numbers.
template <class Number>
struct counts {
    std::array<Number, 5> verdict{}, proposed{};
    std::array<Number, 5> rung{};
    std::array<Number, stage_names.size()> stage{};
    std::array<Number, counted_reasons.size() + 1> reason{};  ///< the last one: any other
    std::array<Number, 10> refused{};                         ///< by error kind, from 0
    Number candidates{};

    /// Calls `visit` with every number of this and the one of `other` in the same place.
    template <class Other, class Visitor>
    void zip(const counts<Other>& other, Visitor&& visit) {
        const auto each = [&](auto& mine, const auto& theirs) {
            for (std::size_t i = 0; i < mine.size(); ++i) visit(mine[i], theirs[i]);
        };
        each(verdict, other.verdict);
        each(proposed, other.proposed);
        each(rung, other.rung);
        each(stage, other.stage);
        each(reason, other.reason);
        each(refused, other.refused);
        visit(candidates, other.candidates);
    }
};

/// The counts of one workspace: written by the thread that has the workspace, read by any.
struct alignas(64) tally {
    counts<std::atomic<std::uint64_t>> all;
    tally* next_free = nullptr;

    void count(const decision& d) noexcept {
        add(all.verdict[static_cast<std::size_t>(d.verdict)]);
        add(all.proposed[static_cast<std::size_t>(d.proposed)]);
        add(all.rung[static_cast<std::size_t>(d.rung)]);
        add(all.stage[std::min(position_of(stage_names, d.stage), stage_names.size() - 1)]);
        for (const reason& r : d.reasons) add(all.reason[position_of(counted_reasons, r.code)]);
        add(all.candidates, d.ranked.size());
    }
    void refuse(error_kind kind) noexcept { add(all.refused[static_cast<std::size_t>(kind) - 1]); }

private:
    /// There is one writer, so nothing can come between the load and the store.
    static void add(std::atomic<std::uint64_t>& number, std::uint64_t by = 1) noexcept {
        number.store(number.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }
};

/// The tallies of one engine. Thread-safe.
class tally_board {
public:
    /// A tally that nobody writes now, with what it has counted already.
    [[nodiscard]] tally* lend() {
        const std::lock_guard hold(lock_);
        if (free_ != nullptr) return std::exchange(free_, free_->next_free);
        all_.push_back(std::make_unique<tally>());
        return all_.back().get();
    }
    void take_back(tally* lent) noexcept {
        const std::lock_guard hold(lock_);
        lent->next_free = std::exchange(free_, lent);
    }
    [[nodiscard]] counts<std::uint64_t> sum() const {
        const std::lock_guard hold(lock_);
        counts<std::uint64_t> out;
        for (const auto& one : all_)
            out.zip(one->all, [](std::uint64_t& total, const std::atomic<std::uint64_t>& number) {
                total += number.load(std::memory_order_relaxed);
            });
        return out;
    }

private:
    mutable std::mutex lock_;
    std::vector<std::unique_ptr<tally>> all_;
    tally* free_ = nullptr;
};

/// A tally in the hands of a workspace, given back when the workspace goes or turns to another engine.
class tally_lease {
public:
    tally_lease() = default;
    tally_lease(const tally_lease&) = delete;
    tally_lease& operator=(const tally_lease&) = delete;
    ~tally_lease() {
        if (board_) board_->take_back(lent_);
    }

    void from(const std::shared_ptr<tally_board>& board) {
        if (board_ == board) return;
        tally* lent = board->lend();
        if (board_) board_->take_back(lent_);
        board_ = board;
        lent_ = lent;
    }
    tally* operator->() const noexcept { return lent_; }

private:
    std::shared_ptr<tally_board> board_;  // lives on when the engine goes before the workspace
    tally* lent_ = nullptr;
};

}  // namespace opspilot::detail
