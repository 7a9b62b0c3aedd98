#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/evaluate/gap_alarm.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<document_field, 11> gap_alarm_table{{
    {"version", json_kind::integer, true, "1"},
    {"tolerance", json_kind::number, true, "difference that is allowed"},
    {"alpha", json_kind::number, true, "probability of a false alarm"},
    {"queue", json_kind::integer, true, "most items that wait"},
    {"above", json_kind::object, true, "bet that A's mean is above B's"},
    {"below", json_kind::object, true, "bet that it is below"},
    {"waiting", json_kind::array, true, "values that wait, oldest first"},
    {"second_waits", json_kind::boolean, true, "whose they are"},
    {"pairs", json_kind::integer, true, "that were settled"},
    {"dropped", json_kind::integer, true, "items that waited too long"},
    {"peak", json_kind::number, true, "the most evidence there was, as a logarithm"},
}};
inline constexpr std::array<document_field, 3> gap_bet_table{{
    {"log_wealth", json_kind::number, true, "its logarithm"},
    {"stake", json_kind::number, true, "of the next pair, from 0 to 1/2"},
    {"curvature", json_kind::number, true, "sum of squared gradients, 1 or more"},
}};

inline error gap_alarm_error(std::string message, std::string where = {}, std::string hint = {}) {
    return error{error_kind::usage, "usage.gap_alarm", std::move(message), std::move(where), std::move(hint)};
}
inline error gap_alarm_document_error(std::string_view where) {
    return gap_alarm_error("the state of an alarm cannot be this", std::string(where), "give what to_json wrote");
}

}  // namespace detail

/// Pays out at the present stake, then moves the stake by the gradient of the log wealth. The Newton step's constant is that of
/// exp-concave losses on [0, 1/2].
OPSPILOT_INLINE void gap_alarm::bet::settle(double gain) noexcept {
    const double factor = 1.0 + stake * gain;  // gain >= -1 and stake <= 1/2: at least 1/2
    log_wealth += std::log1p(stake * gain);
    const double gradient = -gain / factor;
    curvature += gradient * gradient;
    const double step = 2.0 / (2.0 - std::log(3.0));
    stake = std::clamp(stake - step * gradient / curvature, 0.0, 0.5);
}

OPSPILOT_INLINE result<gap_alarm> gap_alarm::make(const gap_alarm_options& options) {
    if (!(options.tolerance >= 0.0 && options.tolerance < 1.0))
        return detail::gap_alarm_error(fmt::format("a tolerance of {}", options.tolerance), "tolerance", "from 0 to below 1");
    if (!(options.alpha > 0.0 && options.alpha < 1.0))
        return detail::gap_alarm_error(fmt::format("an alpha of {}", options.alpha), "alpha", "strictly between 0 and 1");
    if (options.queue < 1 || options.queue > std::size_t{1} << 24)
        return detail::gap_alarm_error(fmt::format("a queue of {} items", options.queue), "queue", "from 1 to 2^24");
    gap_alarm made;
    made.options_ = options;
    return made;
}

OPSPILOT_INLINE status gap_alarm::add(bool second, double value) {
    if (!(value >= 0.0 && value <= 1.0))
        return detail::gap_alarm_error(fmt::format("a value of {}", value), "value", "rescale values to [0, 1]");
    if (waiting() == 0 || second_waits_ == second) {
        if (waiting() == options_.queue) {
            ++head_;
            ++dropped_;
        }
        // Used-up items leave when they are half of it all, so that each is moved once on average.
        if (head_ > 0 && 2 * head_ >= waiting_.size()) {
            waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(head_));
            head_ = 0;
        }
        second_waits_ = second;
        waiting_.push_back(value);
        return {};
    }
    const double other = waiting_[head_++];
    const double difference = second ? other - value : value - other;  // a - b
    const double scale = 1.0 + options_.tolerance;
    above_.settle((difference - options_.tolerance) / scale);
    below_.settle((-difference - options_.tolerance) / scale);
    ++pairs_;
    peak_ = std::max(peak_, log_evidence());
    return {};
}

OPSPILOT_INLINE double gap_alarm::log_evidence() const noexcept {
    const double most = std::max(above_.log_wealth, below_.log_wealth);
    const double least = std::min(above_.log_wealth, below_.log_wealth);
    return most + std::log1p(std::exp(least - most)) - std::log(2.0);
}

OPSPILOT_INLINE bool gap_alarm::raised() const noexcept { return peak_ >= -std::log(options_.alpha); }

OPSPILOT_INLINE int gap_alarm::direction() const noexcept {
    if (above_.log_wealth == below_.log_wealth) return 0;
    return above_.log_wealth > below_.log_wealth ? 1 : -1;
}

OPSPILOT_INLINE std::string gap_alarm::to_json() const {
    const auto written = [](const bet& b) {
        return detail::json{{"log_wealth", b.log_wealth}, {"stake", b.stake}, {"curvature", b.curvature}};
    };
    detail::json out{{"version", 1},
                     {"tolerance", options_.tolerance},
                     {"alpha", options_.alpha},
                     {"queue", options_.queue},
                     {"above", written(above_)},
                     {"below", written(below_)},
                     {"second_waits", second_waits_},
                     {"pairs", pairs_},
                     {"dropped", dropped_},
                     {"peak", peak_}};
    out["waiting"] = std::vector<double>(waiting_.begin() + static_cast<std::ptrdiff_t>(head_), waiting_.end());
    return out.dump();
}

OPSPILOT_INLINE result<gap_alarm> gap_alarm::parse(std::string_view text) {
    OPSPILOT_TRY(const detail::json root, detail::parse_json(text, error_kind::usage));
    OPSPILOT_CHECK(detail::check_object(root, detail::gap_alarm_table, "", error_kind::usage));
    if (root.at("version") != 1) return detail::gap_alarm_document_error("/version");
    gap_alarm_options options;
    options.tolerance = root.at("tolerance").get<double>();
    options.alpha = root.at("alpha").get<double>();
    for (const char* key : {"queue", "pairs", "dropped"})
        if (!root.at(key).is_number_unsigned()) return detail::gap_alarm_document_error(detail::pointer("", key));
    options.queue = root.at("queue").get<std::size_t>();
    OPSPILOT_TRY(gap_alarm made, make(options));
    made.pairs_ = root.at("pairs").get<std::uint64_t>();
    made.dropped_ = root.at("dropped").get<std::uint64_t>();
    made.second_waits_ = root.at("second_waits").get<bool>();
    made.peak_ = root.at("peak").get<double>();
    if (!(made.peak_ >= 0.0)) return detail::gap_alarm_document_error("/peak");
    for (const auto& [key, b] : {std::pair<const char*, bet*>{"above", &made.above_}, {"below", &made.below_}}) {
        const detail::json& node = root.at(key);
        const std::string where = detail::pointer("", key);
        OPSPILOT_CHECK(detail::check_object(node, detail::gap_bet_table, where, error_kind::usage));
        b->log_wealth = node.at("log_wealth").get<double>();
        b->stake = node.at("stake").get<double>();
        b->curvature = node.at("curvature").get<double>();
        if (!(b->stake >= 0.0 && b->stake <= 0.5 && b->curvature >= 1.0)) return detail::gap_alarm_document_error(where);
    }
    const detail::json& waiting = root.at("waiting");
    if (waiting.size() > options.queue) return detail::gap_alarm_document_error("/waiting");
    for (const detail::json& value : waiting) {
        if (!value.is_number() || !(value.get<double>() >= 0.0 && value.get<double>() <= 1.0))
            return detail::gap_alarm_document_error("/waiting");
        made.waiting_.push_back(value.get<double>());
    }
    return made;
}

}  // namespace opspilot
