/// \file
/// Internal: loss and gradient of the softmax problem on prepared rows, for L-BFGS.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "opspilot/learn/detail/softmax_rows.hpp"
#include "opspilot/learn/parallel.hpp"

namespace opspilot::detail {

/// Loss and gradient. Rows are handled in pieces of fixed size and features in pieces of about equal work; within a piece the
/// order is fixed, and pieces are summed in order, so the numbers do not depend on the threads.
template <class Scalar>
class softmax_objective {
public:
    softmax_objective(const softmax_rows& rows, const softmax_options& options, const parallel_for& threads)
        : rows_(rows), options_(options), threads_(threads), width_(rows.in->slot_count) {
        // The sparse rows by feature: the gradient of a feature is summed by one piece alone.
        const std::size_t features = rows.bucket.size();
        column_start_.assign(features + 1, 0);
        for (std::size_t f = 0; f < features; ++f) column_start_[f + 1] = column_start_[f] + rows.count[f];
        column_row_.resize(column_start_.back());
        column_value_.resize(column_start_.back());
        std::vector<std::size_t> next(column_start_.begin(), column_start_.end() - 1);
        for (std::size_t i = 0; i < rows.size() && features > 0; ++i)
            rows.each_feature(i, [&](std::size_t f, float value) {
                if (f >= features) return;
                column_row_[next[f]] = static_cast<std::uint32_t>(i);
                column_value_[next[f]++] = value;
            });
        residual_start_.push_back(0);
        for (std::size_t i = 0; i < rows.size(); ++i) residual_start_.push_back(residual_start_.back() + rows.active(i).size());
        residual_.resize(residual_start_.back());
        piece_loss_.resize((rows.size() + rows_per_piece - 1) / rows_per_piece);
        piece_beta_.resize(piece_loss_.size() * rows.in->option_columns);
        // Pieces of features.
        feature_piece_.push_back(0);
        const std::size_t aim = column_start_.back() / 64 + 1;
        for (std::size_t f = 0; f < features; ++f)
            if (column_start_[f + 1] - column_start_[feature_piece_.back()] + (f + 1 - feature_piece_.back()) >= aim)
                feature_piece_.push_back(f + 1);
        for (std::size_t f = feature_piece_.back() < features ? features : features + 1; f <= rows.features(); ++f)
            feature_piece_.push_back(f);
        piece_penalty_.resize(feature_piece_.size());
    }

    [[nodiscard]] std::size_t parameters() const noexcept { return rows_.features() * width_ + rows_.in->option_columns; }

    double operator()(std::span<const Scalar> w, std::span<Scalar> gradient) {
        run_all(threads_, piece_loss_.size(), [&](std::size_t piece) { forward(piece, w); });
        run_all(threads_, feature_piece_.size() - 1, [&](std::size_t piece) { backward(piece, w, gradient); });
        double loss = std::accumulate(piece_loss_.begin(), piece_loss_.end(), 0.0);
        data_loss = loss;
        loss += std::accumulate(piece_penalty_.begin(), piece_penalty_.end(), 0.0);
        const std::size_t columns = rows_.in->option_columns;
        for (std::size_t j = 0; j < columns; ++j) {
            const std::size_t at = rows_.features() * width_ + j;
            const auto beta = static_cast<double>(w[at]);
            double slope = options_.l2 * beta;
            for (std::size_t piece = 0; piece < piece_loss_.size(); ++piece) slope += piece_beta_[piece * columns + j];
            gradient[at] = static_cast<Scalar>(slope);
            loss += 0.5 * options_.l2 * beta * beta;
        }
        return loss;
    }

    double data_loss = 0;  // of the last call, without the penalty

private:
    static constexpr std::size_t rows_per_piece = 512;

    void forward(std::size_t piece, std::span<const Scalar> w) {
        std::vector<Scalar> sums(rows_.most_active);
        std::vector<double> utility(rows_.most_options);
        const std::size_t columns = rows_.in->option_columns;
        const Scalar* beta = w.data() + rows_.features() * width_;
        double* slope = piece_beta_.data() + piece * columns;
        std::fill(slope, slope + columns, 0.0);
        double loss = 0;
        const std::size_t last = std::min(rows_.size(), (piece + 1) * rows_per_piece);
        for (std::size_t i = piece * rows_per_piece; i < last; ++i) {
            const std::span<const std::uint32_t> active = rows_.active(i);
            const std::size_t n = active.size();
            std::fill(sums.begin(), sums.end(), Scalar{0});
            rows_.each_feature(i, [&](std::size_t f, float value) {
                const Scalar* from = w.data() + f * width_;
                const auto x = static_cast<Scalar>(value);
                if (n == width_)
                    for (std::size_t a = 0; a < n; ++a) sums[a] += x * from[a];
                else
                    for (std::size_t a = 0; a < n; ++a) sums[a] += x * from[active[a]];
            });
            rows_.utilities(i, sums.data(), beta, utility.data());
            const std::span<double> own(utility.data(), rows_.options(i));
            loss += softmax_residual(own, rows_.in->chosen[rows_.row[i]], static_cast<double>(rows_.weight(i)));
            for (std::size_t o = 0; o < own.size() && columns > 0; ++o)
                if (rows_.inside(i, o))
                    for (std::size_t j = 0; j < columns; ++j)
                        slope[j] += own[o] * static_cast<double>(rows_.option_dense(i, o, j));
            Scalar* residual = residual_.data() + residual_start_[i];
            std::fill(residual, residual + n, Scalar{0});
            rows_.to_slots(i, own.data(), residual);
        }
        piece_loss_[piece] = loss;
    }

    void add_residual(std::size_t i, float value, Scalar* to) const {
        const std::span<const std::uint32_t> active = rows_.active(i);
        const Scalar* residual = residual_.data() + residual_start_[i];
        const auto x = static_cast<Scalar>(value);
        if (active.size() == width_)
            for (std::size_t a = 0; a < width_; ++a) to[a] += x * residual[a];
        else
            for (std::size_t a = 0; a < active.size(); ++a) to[active[a]] += x * residual[a];
    }

    void backward(std::size_t piece, std::span<const Scalar> w, std::span<Scalar> gradient) {
        double penalty = 0;
        for (std::size_t f = feature_piece_[piece]; f < feature_piece_[piece + 1]; ++f) {
            const Scalar* from = w.data() + f * width_;
            Scalar* to = gradient.data() + f * width_;
            const double l2 = f == rows_.bias_feature() ? options_.bias_l2 : options_.l2;
            double square = 0;
            for (std::size_t s = 0; s < width_; ++s) {
                to[s] = static_cast<Scalar>(l2) * from[s];
                square += static_cast<double>(from[s]) * static_cast<double>(from[s]);
            }
            penalty += 0.5 * l2 * square;
            if (f < rows_.bucket.size())
                for (std::size_t e = column_start_[f]; e < column_start_[f + 1]; ++e)
                    add_residual(column_row_[e], column_value_[e], to);
            else
                for (std::size_t i = 0; i < rows_.size(); ++i)
                    add_residual(i, f == rows_.bias_feature() ? 1.0F : rows_.dense(i, f - rows_.bucket.size()), to);
        }
        piece_penalty_[piece] = penalty;
    }

    const softmax_rows& rows_;
    const softmax_options& options_;
    const parallel_for& threads_;
    std::size_t width_;
    std::vector<std::size_t> column_start_;
    std::vector<std::uint32_t> column_row_;
    std::vector<float> column_value_;
    std::vector<std::size_t> residual_start_;
    std::vector<Scalar> residual_;  // per row and active slot
    std::vector<double> piece_loss_, piece_penalty_, piece_beta_;
    std::vector<std::size_t> feature_piece_;
};

}  // namespace opspilot::detail
