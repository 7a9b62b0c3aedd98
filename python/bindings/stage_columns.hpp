// The scores of every stage of many decisions, and where candidates ended up, as columns with a row per candidate.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "opspilot/decide/decision.hpp"

namespace opspilot::python {

/// Filled without the GIL, handed over with it.
class stage_columns {
public:
    void append(const decision& d, std::span<const std::span<const double>> stages) {
        const std::size_t first = place_.size();
        const std::size_t count = d.ranked.size();
        place_.resize(first + count);
        allowed_.resize(first + count);
        action_.resize(first + count);
        for (std::size_t p = 0; p < count; ++p) {
            const ranked_candidate& c = d.ranked[p];
            place_[first + c.candidate] = static_cast<std::int64_t>(p);
            allowed_[first + c.candidate] = c.allowed ? 1 : 0;
            action_[first + c.candidate] = code_of(c.action);
        }
        scores_.resize(stages.size());
        for (std::size_t k = 0; k < stages.size(); ++k) {
            scores_[k].resize(first + count, std::numeric_limits<double>::quiet_NaN());
            for (std::size_t i = 0; i < stages[k].size(); ++i) scores_[k][first + i] = stages[k][i];
        }
        offsets_.push_back(static_cast<std::int64_t>(place_.size()));
    }

    [[nodiscard]] pybind11::dict to_python() && {
        pybind11::dict out;
        pybind11::list scores;
        for (std::vector<double>& column : scores_) scores.append(array_of(std::move(column)));
        pybind11::list actions;
        for (const std::string& id : actions_) actions.append(pybind11::str(id));
        out["offsets"] = array_of(std::move(offsets_));
        out["scores"] = scores;
        out["action"] = array_of(std::move(action_));
        out["actions"] = actions;
        out["place"] = array_of(std::move(place_));
        out["allowed"] = array_of(std::move(allowed_));
        return out;
    }

private:
    std::int64_t code_of(std::string_view action) {
        const auto [found, fresh] = codes_.try_emplace(std::string(action), static_cast<std::int64_t>(actions_.size()));
        if (fresh) actions_.emplace_back(action);
        return found->second;
    }

    std::vector<std::int64_t> offsets_{0}, action_, place_;
    std::vector<std::uint8_t> allowed_;
    std::vector<std::vector<double>> scores_;
    std::vector<std::string> actions_;
    std::unordered_map<std::string, std::int64_t> codes_;
};

}  // namespace opspilot::python
