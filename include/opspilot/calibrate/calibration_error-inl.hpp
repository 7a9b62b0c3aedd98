#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>

#include "opspilot/calibrate/calibration_error.hpp"
#include "opspilot/calibrate/detail/checks.hpp"
#include "opspilot/calibrate/detail/pool.hpp"
#include "opspilot/calibrate/detail/score_order.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<std::string_view, 4> calibration_measures{"debiased", "smooth", "corp", "binned"};

using counted_blocks = std::vector<score_block<std::int64_t>>;

/// Where bins end: block i belongs to the bin of the first edge that is not below it. Edges lie between the rows that equal
/// masses part, so that bins of one probability fall together.
inline std::vector<std::size_t> bin_of_blocks(const counted_blocks& blocks, std::size_t rows, std::size_t asked) {
    std::vector<std::size_t> bin(blocks.size(), 0);
    const bool discrete = asked == 0 && blocks.size() * 4 < rows;
    if (discrete) {
        for (std::size_t i = 0; i < blocks.size(); ++i) bin[i] = i;
        return bin;
    }
    const std::size_t bins = std::min(asked == 0 ? 15 : asked, rows), small = rows / bins, larger = rows % bins;
    std::size_t edge = 0, current = 0, below = 0;  // rows before the edge of the current bin, rows before this block
    const auto next_edge = [&] { edge += small + (current < larger ? 1 : 0); };
    next_edge();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const std::size_t through = below + static_cast<std::size_t>(blocks[i].weight);
        bin[i] = current;
        // A block that reaches the edge closes the bin, and all further ones whose edge lies within it.
        while (through >= edge && edge < rows) {
            ++current;
            next_edge();
        }
        below = through;
    }
    // Numbers without gaps.
    std::size_t used = 0;
    for (std::size_t i = 0, last = 0; i < bin.size(); ++i) {
        if (i > 0 && bin[i] != last) ++used;
        last = bin[i];
        bin[i] = used;
    }
    return bin;
}

/// Sums of one bin.
struct bin_sums {
    double weight = 0, probability = 0, positive = 0;
};

inline std::vector<bin_sums> sums_of_bins(const counted_blocks& blocks, std::span<const std::size_t> bin) {
    std::vector<bin_sums> out(bin.empty() ? 0 : bin.back() + 1);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const auto weight = static_cast<double>(blocks[i].weight);
        out[bin[i]].weight += weight;
        out[bin[i]].probability += weight * blocks[i].score;
        out[bin[i]].positive += static_cast<double>(blocks[i].sum);
    }
    return out;
}

/// Squared error over bins; `debias` takes away what chance adds. Bins of one row say nothing then.
inline double squared_bin_error(const counted_blocks& blocks, std::span<const std::size_t> bin, bool debias) {
    double sum = 0, total = 0;
    for (const bin_sums& b : sums_of_bins(blocks, bin)) {
        total += b.weight;
        if (b.weight < (debias ? 2.0 : 1.0)) continue;
        const double share = b.positive / b.weight, gap = share - b.probability / b.weight;
        sum += b.weight * (gap * gap - (debias ? share * (1.0 - share) / (b.weight - 1.0) : 0.0));
    }
    return sum / total;
}

inline double absolute_bin_error(const counted_blocks& blocks, std::span<const std::size_t> bin) {
    double sum = 0, total = 0;
    for (const bin_sums& b : sums_of_bins(blocks, bin)) {
        total += b.weight;
        sum += std::fabs(b.positive - b.probability);
    }
    return sum / total;
}

/// Residuals on a grid over [0, 1], each shared between its two neighbours, as a sum of cosines: those are what a Gaussian that
/// is reflected at 0 and at 1 only damps, cos(pi k t) by exp(-(pi k h)^2 / 2), so that wide kernels cost least.
class smoothed_residuals {
public:
    static constexpr std::size_t cells = 1024;

    explicit smoothed_residuals(const counted_blocks& blocks) : mass_(cells + 1, 0.0), cosine_(2 * cells) {
        double total = 0;
        for (const score_block<std::int64_t>& b : blocks) {
            const auto weight = static_cast<double>(b.weight);
            const double residual = weight * b.score - static_cast<double>(b.sum);
            const double at = b.score * cells;
            const auto cell = std::min(static_cast<std::size_t>(at), cells - 1);
            const double share = at - static_cast<double>(cell);
            mass_[cell] += (1.0 - share) * residual;
            mass_[cell + 1] += share * residual;
            total += weight;
        }
        for (double& m : mass_) m /= total;
        for (std::size_t i = 0; i < cosine_.size(); ++i) cosine_[i] = std::cos(std::numbers::pi * static_cast<double>(i) / cells);
    }

    /// The integral of |residuals smoothed with width h|.
    [[nodiscard]] double error(double h) {
        std::vector<double> smoothed(cells + 1, coefficient(0));
        for (std::size_t k = 1; k < cells; ++k) {
            const double x = std::numbers::pi * static_cast<double>(k) * h;
            if (x > 8.0) break;
            const double factor = 2.0 * coefficient(k) * std::exp(-0.5 * x * x);
            for (std::size_t t = 0, at = 0; t <= cells; ++t, at = (at + k) % (2 * cells)) smoothed[t] += factor * cosine_[at];
        }
        double sum = 0;
        for (std::size_t t = 0; t <= cells; ++t) sum += (t == 0 || t == cells ? 0.5 : 1.0) * std::fabs(smoothed[t]);
        return sum / cells;
    }

    /// The width that equals its own error, from a guess on. The error falls with the width, so there is one.
    [[nodiscard]] double fixed_point(double guess, double tolerance) {
        if (std::all_of(mass_.begin(), mass_.end(), [](double m) { return m == 0.0; })) return 0.0;
        double low = std::clamp(guess, 1e-3, 0.5) / 1.25, high = 1.5625 * low;
        while (high < 1.0 && error(high) > high) {
            low = high;
            high *= 1.5;
        }
        while (low > tolerance && error(low) <= low) {
            high = low;
            low /= 1.5;
        }
        while (high - low > tolerance) {
            const double middle = 0.5 * (low + high);
            (error(middle) > middle ? low : high) = middle;
        }
        return 0.5 * (low + high);
    }

private:
    [[nodiscard]] double coefficient(std::size_t k) {
        while (known_.size() <= k) {
            double sum = 0;
            for (std::size_t j = 0, at = 0; j <= cells; ++j, at = (at + known_.size()) % (2 * cells))
                sum += mass_[j] * cosine_[at];
            known_.push_back(sum);
        }
        return known_[k];
    }

    std::vector<double> mass_, cosine_, known_;
};

inline score_decomposition decompose_blocks(const counted_blocks& blocks) {
    double n = 0, positives = 0, stated = 0, fitted = 0;
    for (const score_block<std::int64_t>& b : blocks) {
        const auto weight = static_cast<double>(b.weight), sum = static_cast<double>(b.sum);
        n += weight;
        positives += sum;
        stated += sum * (1.0 - b.score) * (1.0 - b.score) + (weight - sum) * b.score * b.score;
    }
    for (const pooled_run<std::int64_t>& run : pool_adjacent<std::int64_t>(blocks)) {
        const auto weight = static_cast<double>(run.weight), sum = static_cast<double>(run.sum);
        fitted += sum * (weight - sum) / weight;
    }
    score_decomposition out;
    out.score = stated / n;
    out.uncertainty = positives / n * (1.0 - positives / n);
    out.miscalibration = (stated - fitted) / n;
    out.discrimination = out.uncertainty - fitted / n;
    return out;
}

/// One measure on the scale on which it adds up: `debiased` before the root, which `shown` takes.
struct calibration_statistic {
    calibration_measure measure;
    std::vector<std::size_t> bin;
    double guess, tolerance;  // of the smooth error

    [[nodiscard]] double of(const counted_blocks& blocks) const {
        switch (measure) {
            case calibration_measure::debiased: return squared_bin_error(blocks, bin, true);
            case calibration_measure::binned: return absolute_bin_error(blocks, bin);
            case calibration_measure::corp: return decompose_blocks(blocks).miscalibration;
            case calibration_measure::smooth: break;
        }
        return smoothed_residuals(blocks).fixed_point(guess, tolerance);
    }
    /// What resamples scatter about: the measure as chance distorts it.
    [[nodiscard]] double centre(const counted_blocks& blocks, double value) const {
        return measure == calibration_measure::debiased ? squared_bin_error(blocks, bin, false) : value;
    }
    [[nodiscard]] double shown(double value) const noexcept {
        return measure == calibration_measure::debiased ? std::sqrt(std::max(0.0, value)) : std::max(0.0, value);
    }
};

/// Numbers in [0, 1) and below a bound, the same on every machine.
class resampler {
public:
    explicit resampler(std::uint64_t seed) : engine_(seed) {}
    [[nodiscard]] double unit() noexcept { return static_cast<double>(engine_() >> 11U) * 0x1p-53; }
    [[nodiscard]] std::uint32_t below(std::uint32_t bound) noexcept {
        return static_cast<std::uint32_t>(((engine_() >> 32U) * bound) >> 32U);
    }

private:
    std::mt19937_64 engine_;
};

/// Rows drawn with replacement, as counts of the blocks.
inline void resample_rows(const counted_blocks& blocks, std::span<const std::uint32_t> block_of_row, resampler& random,
                          counted_blocks& out) {
    for (std::size_t i = 0; i < blocks.size(); ++i) out[i] = {blocks[i].score, 0, 0};
    const auto rows = static_cast<std::uint32_t>(block_of_row.size());
    for (std::uint32_t i = 0; i < rows; ++i) {
        const std::uint32_t entry = block_of_row[random.below(rows)];
        ++out[entry >> 1U].weight;
        out[entry >> 1U].sum += entry & 1U;
    }
}

/// Labels as a calibrated model would meet them.
inline void redraw_labels(const counted_blocks& blocks, resampler& random, counted_blocks& out) {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        out[i] = {blocks[i].score, blocks[i].weight, 0};
        for (std::int64_t row = 0; row < blocks[i].weight; ++row) out[i].sum += random.unit() < blocks[i].score ? 1 : 0;
    }
}

/// The quantile of sorted values, linear between them.
inline double quantile_of_sorted(std::span<const double> sorted, double q) noexcept {
    const double at = q * static_cast<double>(sorted.size() - 1);
    const auto i = std::min(static_cast<std::size_t>(at), sorted.size() - 1);
    if (i + 1 == sorted.size()) return sorted[i];
    return sorted[i] + (at - static_cast<double>(i)) * (sorted[i + 1] - sorted[i]);
}

inline status check_measured(std::span<const double> p, std::span<const std::uint8_t> label, std::size_t bins) {
    OPSPILOT_CHECK(check_labelled(p, label));
    OPSPILOT_CHECK(check_probabilities(p, "probability"));
    if (p.size() > calibration_most_rows)
        return calibration_error_at("calibration.too_many", fmt::format("{} labelled probabilities", p.size()), "",
                                    "give a random sample");
    if (bins > p.size())
        return calibration_error_at("calibration.bad_bins", fmt::format("{} bins for {} rows", bins, p.size()), "bins",
                                    "give fewer bins than rows, or 0 for the usual number");
    return {};
}

}  // namespace detail

OPSPILOT_INLINE std::string_view name(calibration_measure measure) noexcept {
    return detail::calibration_measures[static_cast<std::size_t>(measure)];
}

OPSPILOT_INLINE result<measured_calibration> measure_calibration(std::span<const double> p, std::span<const std::uint8_t> label,
                                                                 calibration_measure measure,
                                                                 const calibration_error_options& options) {
    OPSPILOT_CHECK(detail::check_measured(p, label, options.bins));
    OPSPILOT_CHECK(check_open_unit(options.confidence, "confidence"));
    if (options.resamples < 20 || options.resamples > 100000)
        return detail::calibration_error_at("calibration.bad_resamples", fmt::format("{} resamples", options.resamples),
                                            "resamples", "give a number from 20 to 100000");
    const detail::counted_blocks blocks = detail::score_blocks<std::int64_t>(p, label);
    detail::calibration_statistic statistic{measure, {}, 0.05, 1e-6};
    if (measure == calibration_measure::debiased || measure == calibration_measure::binned)
        statistic.bin = detail::bin_of_blocks(blocks, p.size(), options.bins);

    measured_calibration out;
    const double value = statistic.of(blocks), centre = statistic.centre(blocks, value);
    out.value = statistic.shown(value);
    out.confidence = options.confidence;
    out.n = p.size();
    out.bins = statistic.bin.empty() ? 0 : statistic.bin.back() + 1;

    std::vector<std::uint32_t> block_of_row;
    block_of_row.reserve(p.size());
    for (std::size_t i = 0; i < blocks.size(); ++i)
        for (std::int64_t row = 0; row < blocks[i].weight; ++row)
            block_of_row.push_back(static_cast<std::uint32_t>(2 * i) + (row < blocks[i].sum ? 1U : 0U));
    detail::resampler random(options.seed);
    detail::counted_blocks drawn(blocks.size());
    std::vector<double> about(options.resamples), calibrated(options.resamples);
    statistic.guess = value;
    statistic.tolerance = 1e-4;
    for (std::size_t i = 0; i < options.resamples; ++i) {
        detail::resample_rows(blocks, block_of_row, random, drawn);
        about[i] = statistic.of(drawn);
        detail::redraw_labels(blocks, random, drawn);
        calibrated[i] = statistic.of(drawn);
    }
    std::sort(about.begin(), about.end());
    std::sort(calibrated.begin(), calibrated.end());
    const double tail = 0.5 * (1.0 - options.confidence);
    out.low = statistic.shown(value + centre - detail::quantile_of_sorted(about, 1.0 - tail));
    out.high = statistic.shown(value + centre - detail::quantile_of_sorted(about, tail));
    out.calibrated_high = statistic.shown(detail::quantile_of_sorted(calibrated, options.confidence));
    return out;
}

OPSPILOT_INLINE result<score_decomposition> decompose_score(std::span<const double> p, std::span<const std::uint8_t> label) {
    OPSPILOT_CHECK(detail::check_measured(p, label, 0));
    return detail::decompose_blocks(detail::score_blocks<std::int64_t>(p, label));
}

OPSPILOT_INLINE result<reliability> reliability_diagram(std::span<const double> p, std::span<const std::uint8_t> label,
                                                        std::size_t bins) {
    OPSPILOT_CHECK(detail::check_measured(p, label, bins));
    const detail::counted_blocks blocks = detail::score_blocks<std::int64_t>(p, label);
    reliability out;
    const auto collect = [&blocks](std::size_t first, std::size_t last) {
        double weight = 0, sum = 0, probability = 0;
        for (std::size_t i = first; i <= last; ++i) {
            weight += static_cast<double>(blocks[i].weight);
            sum += static_cast<double>(blocks[i].sum);
            probability += static_cast<double>(blocks[i].weight) * blocks[i].score;
        }
        return reliability_bin{blocks[first].score, blocks[last].score, probability / weight, sum / weight,
                               static_cast<std::uint64_t>(weight)};
    };
    const std::vector<std::size_t> bin = detail::bin_of_blocks(blocks, p.size(), bins);
    for (std::size_t first = 0; first < bin.size();) {
        std::size_t last = first;
        while (last + 1 < bin.size() && bin[last + 1] == bin[first]) ++last;
        out.bins.push_back(collect(first, last));
        first = last + 1;
    }
    for (const detail::pooled_run<std::int64_t>& run : detail::pool_adjacent<std::int64_t>(blocks))
        out.curve.push_back(collect(run.first, run.last));
    return out;
}

}  // namespace opspilot
