#pragma once

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <vector>

#include "opspilot/base/math.hpp"
#include "opspilot/learn/detail/softmax_problem.hpp"
#include "opspilot/learn/linear.hpp"

namespace opspilot {

namespace detail {

/// Loss and gradient of a linear score. Parameters: one per column in standardised units, then the intercept.
class linear_objective {
public:
    linear_objective(const linear_data& data, const linear_options& options, const parallel_for& threads)
        : data_(data), options_(options), threads_(threads), columns_(data.columns.size()) {
        const std::size_t rows = data.labels.size();
        scale_.resize(static_cast<Eigen::Index>(columns_));
        centre_.resize(static_cast<Eigen::Index>(columns_));
        for (std::size_t j = 0; j < columns_; ++j) {
            double sum = 0, square = 0;
            for (std::size_t i = 0; i < rows; ++i) sum += static_cast<double>(data.x[i * columns_ + j]);
            const double mean = rows > 0 ? sum / static_cast<double>(rows) : 0.0;
            for (std::size_t i = 0; i < rows; ++i) {
                const double d = static_cast<double>(data.x[i * columns_ + j]) - mean;
                square += d * d;
            }
            const double deviation = rows > 0 ? std::sqrt(square / static_cast<double>(rows)) : 0.0;
            const bool varies = deviation > 1e-12 * (1.0 + std::abs(mean));
            centre_[static_cast<Eigen::Index>(j)] = options.standardise ? mean : 0.0;
            scale_[static_cast<Eigen::Index>(j)] = options.standardise && varies ? 1.0 / deviation : 1.0;
        }
        // Pieces of about equal size that do not cut groups.
        piece_.push_back(0);
        for (std::size_t g = 0; g < units(); ++g)
            if (row_of(g + 1) - row_of(piece_.back()) >= rows_per_piece || g + 1 == units()) piece_.push_back(g + 1);
        partial_.assign((piece_.size() - 1) * (columns_ + 2), 0.0);
    }

    [[nodiscard]] std::size_t parameters() const noexcept { return columns_ + 1; }

    double operator()(std::span<const double> w, std::span<double> gradient) {
        const auto n = static_cast<Eigen::Index>(columns_);
        const Eigen::Map<const Eigen::VectorXd> weight(w.data(), n);
        const Eigen::VectorXd raw = weight.cwiseProduct(scale_);
        const double offset = w[columns_] - raw.dot(centre_);
        run_all(threads_, piece_.size() - 1, [&](std::size_t p) { piece(p, raw, offset); });
        Eigen::VectorXd slope = Eigen::VectorXd::Zero(n + 1);  // Σ residual · x, Σ residual
        double loss = 0;
        for (std::size_t p = 0; p + 1 < piece_.size(); ++p) {
            const double* from = partial_.data() + p * (columns_ + 2);
            slope += Eigen::Map<const Eigen::VectorXd>(from, n + 1);
            loss += from[columns_ + 1];
        }
        Eigen::Map<Eigen::VectorXd> out(gradient.data(), n + 1);
        out.head(n) = (slope.head(n) - slope[n] * centre_).cwiseProduct(scale_) + options_.l2 * weight;
        out[n] = options_.loss == linear_loss::listwise ? 0.0 : slope[n];
        return loss + 0.5 * options_.l2 * weight.squaredNorm();
    }

    /// Weights and intercept in the units of the columns.
    [[nodiscard]] linear_ranker::parts finish(std::span<const double> w) const {
        linear_ranker::parts out;
        out.features.assign(data_.columns.begin(), data_.columns.end());
        out.intercept = options_.loss == linear_loss::listwise ? 0.0 : w[columns_];
        for (std::size_t j = 0; j < columns_; ++j) {
            const auto at = static_cast<Eigen::Index>(j);
            out.weights.push_back(w[j] * scale_[at]);
            if (options_.loss != linear_loss::listwise) out.intercept -= out.weights.back() * centre_[at];
        }
        out.fingerprint = data_.fingerprint;
        return out;
    }

private:
    static constexpr std::size_t rows_per_piece = 1024;
    using rows_matrix = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

    /// Groups, or rows where there are none.
    [[nodiscard]] std::size_t units() const noexcept {
        return options_.loss == linear_loss::listwise ? data_.groups.size() - 1 : data_.labels.size();
    }
    [[nodiscard]] std::size_t row_of(std::size_t unit) const noexcept {
        return options_.loss == linear_loss::listwise ? static_cast<std::size_t>(data_.groups[unit]) : unit;
    }
    [[nodiscard]] double row_weight(std::size_t i) const noexcept {
        return data_.weights.empty() ? 1.0 : static_cast<double>(data_.weights[i]);
    }

    void piece(std::size_t p, const Eigen::VectorXd& raw, double offset) {
        const std::size_t first = row_of(piece_[p]), last = row_of(piece_[p + 1]);
        const auto n = static_cast<Eigen::Index>(columns_), m = static_cast<Eigen::Index>(last - first);
        const rows_matrix x(data_.x.data() + first * columns_, m, n);
        Eigen::VectorXd score = (x.cast<double>() * raw).array() + offset;
        double loss = 0;
        if (options_.loss == linear_loss::listwise) {
            for (std::size_t g = piece_[p]; g < piece_[p + 1]; ++g) loss += group(row_of(g), row_of(g + 1), score.data() - first);
        } else {
            for (std::size_t i = first; i < last; ++i) loss += row(i, score[static_cast<Eigen::Index>(i - first)]);
        }
        double* out = partial_.data() + p * (columns_ + 2);
        Eigen::Map<Eigen::VectorXd>(out, n) = x.cast<double>().transpose() * score;
        out[columns_] = score.sum();
        out[columns_ + 1] = loss;
    }

    /// Turns a score into weight · d loss / d score; returns weight · loss.
    double row(std::size_t i, double& score) const {
        const double weight = row_weight(i), label = static_cast<double>(data_.labels[i]), z = score;
        if (options_.loss == linear_loss::squared) {
            score = weight * (z - label);
            return 0.5 * weight * (z - label) * (z - label);
        }
        score = weight * (portable_logistic(z) - label);
        return weight * ((z > 0 ? z : 0.0) - label * z + portable_log1p(portable_exp(-std::abs(z))));
    }

    double group(std::size_t first, std::size_t last, double* score) const {
        if (first == last) return 0;
        const double weight = row_weight(first);
        double largest = score[first], sum = 0, target = 0, fit = 0;
        for (std::size_t i = first; i < last; ++i) largest = std::max(largest, score[i]);
        for (std::size_t i = first; i < last; ++i) {
            const auto label = static_cast<double>(data_.labels[i]);
            sum += portable_exp(score[i] - largest);
            target += label;
            fit += label * (score[i] - largest);
        }
        for (std::size_t i = first; i < last; ++i)
            score[i] = weight * (target * portable_exp(score[i] - largest) / sum - static_cast<double>(data_.labels[i]));
        return weight * (target * portable_log(sum) - fit);
    }

    const linear_data& data_;
    const linear_options& options_;
    const parallel_for& threads_;
    std::size_t columns_;
    Eigen::VectorXd centre_, scale_;
    std::vector<std::size_t> piece_;  // units where pieces begin, and the end
    std::vector<double> partial_;     // per piece: Σ residual · x, Σ residual, loss
};

inline status check_linear(const linear_data& data, const linear_options& options) {
    const auto problem = [](std::string_view code, std::string message, std::string where = {}) {
        return error{error_kind::usage, code, std::move(message), std::move(where), ""};
    };
    const std::size_t rows = data.labels.size(), columns = data.columns.size();
    if (!(options.l2 >= 0) || !std::isfinite(options.l2))
        return problem("learn.options", fmt::format("l2 {} must not be negative", options.l2));
    if (rows == 0 || columns == 0) return problem("learn.shape", "no rows or no columns to learn from");
    if (data.x.size() != rows * columns)
        return problem("learn.shape", fmt::format("{} values for {} rows of {}", data.x.size(), rows, columns));
    OPSPILOT_CHECK(check_row_weights(data.weights, rows));
    if (options.loss == linear_loss::listwise) {
        if (data.groups.empty()) return problem("learn.shape", "listwise loss needs groups");
        OPSPILOT_CHECK(check_offsets(data.groups, data.groups.size() - 1, rows, "groups"));
    }
    for (std::size_t i = 0; i < rows; ++i) {
        const float label = data.labels[i];
        const bool fits = options.loss == linear_loss::squared    ? std::isfinite(label)
                          : options.loss == linear_loss::logistic ? label == 0.0F || label == 1.0F
                                                                  : std::isfinite(label) && label >= 0.0F;
        if (!fits)
            return problem("learn.label", fmt::format("label {} does not fit {} loss", label, name(options.loss)),
                           fmt::format("row {}", i));
        for (std::size_t j = 0; j < columns; ++j)
            if (!std::isfinite(data.x[i * columns + j]))
                return error{error_kind::usage, "learn.value",
                             fmt::format("column \"{}\" is not a finite number", data.columns[j]), fmt::format("row {}", i),
                             "give the transform a default and a missing flag"};
    }
    return {};
}

}  // namespace detail

OPSPILOT_INLINE std::string_view name(linear_loss loss) noexcept {
    switch (loss) {
        case linear_loss::squared: return "squared";
        case linear_loss::logistic: return "logistic";
        case linear_loss::listwise: return "listwise";
    }
    return "";
}

OPSPILOT_INLINE result<trained_linear> fit_linear(const linear_data& data, const linear_options& options,
                                                  const parallel_for& threads) {
    OPSPILOT_CHECK(detail::check_linear(data, options));
    detail::linear_objective objective(data, options, threads);
    std::vector<double> w(objective.parameters(), 0.0);
    const std::function<double(std::span<const double>, std::span<double>)> call = std::ref(objective);
    trained_linear out;
    OPSPILOT_TRY(out.report, minimise(call, std::span<double>(w), options.solver));
    OPSPILOT_TRY(out.model, linear_ranker::build(objective.finish(w)));
    return out;
}

}  // namespace opspilot
