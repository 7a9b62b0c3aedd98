#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "opspilot/learn/detail/cross_fit.hpp"
#include "opspilot/learn/detail/inputs.hpp"
#include "opspilot/learn/detail/softmax_problem.hpp"
#include "opspilot/learn/text_classifier.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::size_t rows_per_prediction = 512;

inline std::size_t bucket_count(std::span<const sparse_block> blocks) {
    std::size_t sum = 0;
    for (const sparse_block& b : blocks) sum += b.dimension;
    return sum;
}

inline result<std::size_t> check_dimension(std::span<const sparse_block> blocks) {
    const std::size_t sum = bucket_count(blocks);
    constexpr std::size_t most = std::size_t{1} << 26;
    if (sum > most)
        return error{error_kind::limit, "limit.buckets", fmt::format("{} buckets, at most {}", sum, most), "/blocks", ""};
    return sum;
}

OPSPILOT_INLINE result<softmax_input> classifier_input(const classifier_data& data) {
    const auto problem = [](std::string_view code, std::string message, std::string where = {}) {
        return error{error_kind::usage, code, std::move(message), std::move(where), ""};
    };
    softmax_input in;
    in.row_count = data.labels.size();
    in.slot_count = data.classes.size();
    OPSPILOT_TRY(in.dimension, check_dimension(data.blocks));
    if (data.classes.empty() || data.classes.size() > 65535)
        return problem("learn.shape", fmt::format("{} classes, 1 to 65535 are possible", data.classes.size()));
    if (in.row_count >= nothing) return problem("learn.shape", "too many rows");
    if (in.dimension > 0 || data.x.rows() > 0) {
        OPSPILOT_CHECK(check_csr(data.x, in.row_count, in.dimension));
        in.x = data.x;
    }
    if (data.dense.size() != in.row_count * data.columns.size())
        return problem("learn.shape",
                       fmt::format("{} dense values for {} rows of {}", data.dense.size(), in.row_count, data.columns.size()));
    in.row_dense = data.dense;
    in.row_columns = data.columns.size();
    OPSPILOT_CHECK(check_row_weights(data.weights, in.row_count));
    in.weights = data.weights;
    for (std::size_t i = 0; i < in.row_count; ++i)
        if (data.labels[i] >= data.classes.size())
            return problem("learn.label", fmt::format("label {} of {} classes", data.labels[i], data.classes.size()),
                           fmt::format("row {}", i));
    in.chosen.assign(data.labels.begin(), data.labels.end());
    if (data.allowed_offsets.empty() && data.allowed.empty()) return in;

    OPSPILOT_CHECK(check_offsets(data.allowed_offsets, in.row_count, data.allowed.size(), "allowed classes"));
    in.option_offsets = data.allowed_offsets;
    in.slots = data.allowed;
    std::vector<std::uint32_t> last_seen(data.classes.size(), nothing);
    for (std::size_t i = 0; i < in.row_count; ++i) {
        const auto first = static_cast<std::size_t>(data.allowed_offsets[i]),
                   last = static_cast<std::size_t>(data.allowed_offsets[i + 1]);
        in.chosen[i] = nothing;
        for (std::size_t o = first; o < last; ++o) {
            const std::uint32_t c = data.allowed[o];
            if (c >= data.classes.size() || last_seen[c] == i)
                return problem("learn.label",
                               fmt::format("allowed class {}: there twice, or beyond {} classes", c, data.classes.size()),
                               fmt::format("row {}", i));
            last_seen[c] = static_cast<std::uint32_t>(i);
            if (c == data.labels[i]) in.chosen[i] = static_cast<std::uint32_t>(o - first);
        }
        if (in.chosen[i] == nothing)
            return problem("learn.label", fmt::format("class \"{}\" is chosen but not allowed", data.classes[data.labels[i]]),
                           fmt::format("row {}", i));
    }
    return in;
}

inline result<text_classifier> make_classifier(const classifier_data& data, const standardisation& dense,
                                               const softmax_options& options, softmax_weights weights) {
    prune(weights, options.max_entries);
    text_classifier::parts parts;
    parts.classes.assign(data.classes.begin(), data.classes.end());
    parts.blocks.assign(data.blocks.begin(), data.blocks.end());
    parts.columns.assign(data.columns.begin(), data.columns.end());
    parts.centre = dense.centre;
    parts.bias = std::move(weights.bias);
    parts.column_weights = std::move(weights.row_columns);
    parts.rows = std::move(weights.rows);
    parts.fingerprint = data.fingerprint;
    parts.training = training_note(options, weights.report);
    return text_classifier::build(parts);
}

/// One row: log-probabilities of its allowed classes, or of all.
struct row_predictor {
    const text_classifier& model;
    const classifier_data& data;
    classifier_scratch scratch;
    std::vector<double> all;
    std::vector<std::uint8_t> mask;

    status predict(std::size_t r, std::span<double> out) {
        const std::size_t classes = data.classes.size();
        const sparse_view row = data.x.rows() > 0 ? data.x.row(r) : sparse_view{};
        const std::span<const float> dense = data.dense.subspan(r * data.columns.size(), data.columns.size());
        if (data.allowed_offsets.empty())
            return model.log_probabilities(row, dense, {}, out.subspan(r * classes, classes), scratch);
        const auto first = static_cast<std::size_t>(data.allowed_offsets[r]),
                   last = static_cast<std::size_t>(data.allowed_offsets[r + 1]);
        all.resize(classes);
        mask.assign(classes, 0);
        for (std::size_t o = first; o < last; ++o) mask[data.allowed[o]] = 1;
        OPSPILOT_CHECK(model.log_probabilities(row, dense, mask, all, scratch));
        for (std::size_t o = first; o < last; ++o) out[o] = all[data.allowed[o]];
        return {};
    }
};

inline status predict_checked(const text_classifier& model, const classifier_data& data, std::span<const std::uint32_t> rows,
                              std::span<double> out, const parallel_for& threads) {
    const std::size_t pieces = (rows.size() + rows_per_prediction - 1) / rows_per_prediction;
    std::vector<status> states(pieces);
    run_all(threads, pieces, [&](std::size_t p) {
        row_predictor one{model, data, {}, {}, {}};
        for (std::size_t i = p * rows_per_prediction; i < std::min(rows.size(), (p + 1) * rows_per_prediction) && states[p].ok();
             ++i)
            states[p] = one.predict(rows[i], out);
    });
    for (status& s : states) OPSPILOT_CHECK(std::move(s));
    return {};
}

}  // namespace detail

OPSPILOT_INLINE result<trained_classifier> fit_text_classifier(const classifier_data& data, const softmax_options& options,
                                                               std::span<const std::uint32_t> rows, const parallel_for& threads) {
    OPSPILOT_TRY(const detail::softmax_input in, detail::classifier_input(data));
    OPSPILOT_CHECK(detail::check_subset(rows, in.row_count));
    const std::vector<std::uint32_t> chosen_rows = detail::rows_or_all(rows, in.row_count);
    const detail::standardisation dense = detail::standardise_rows(in, chosen_rows, options.standardise);
    OPSPILOT_TRY(detail::softmax_weights weights, detail::train_softmax(in, chosen_rows, dense, {}, options, threads));
    trained_classifier out;
    out.report = weights.report;
    OPSPILOT_TRY(out.model, detail::make_classifier(data, dense, options, std::move(weights)));
    return out;
}

OPSPILOT_INLINE status predict_rows(const text_classifier& model, const classifier_data& data,
                                    std::span<const std::uint32_t> rows, std::span<double> out, const parallel_for& threads) {
    OPSPILOT_TRY(const detail::softmax_input in, detail::classifier_input(data));
    OPSPILOT_CHECK(detail::check_subset(rows, in.row_count));
    const std::size_t places = data.allowed_offsets.empty() ? in.row_count * in.slot_count : data.allowed.size();
    if (out.size() != places)
        return error{error_kind::usage, "usage.length", fmt::format("{} places for {} log-probabilities", out.size(), places), "",
                     ""};
    if (!std::equal(model.classes().begin(), model.classes().end(), data.classes.begin(), data.classes.end()) ||
        model.columns().size() != data.columns.size() || model.weights().dimension() != in.dimension)
        return error{error_kind::usage, "learn.shape", "the model has other classes, columns or buckets than the data", "", ""};
    return detail::predict_checked(model, data, detail::rows_or_all(rows, in.row_count), out, threads);
}

OPSPILOT_INLINE result<cross_fitted_classifier> cross_fit(const classifier_data& data, std::span<const std::uint32_t> fold,
                                                          const softmax_options& options, const parallel_for& threads) {
    OPSPILOT_TRY(const detail::softmax_input in, detail::classifier_input(data));
    OPSPILOT_TRY(const detail::fold_rows folds, detail::split_folds(fold, in.row_count));
    const detail::standardisation dense = detail::standardise_rows(in, folds.training, options.standardise);
    OPSPILOT_TRY(std::vector<detail::softmax_weights> weights, detail::train_folds(in, folds, dense, {}, options, threads));
    cross_fitted_classifier out;
    detail::softmax_weights mean = detail::average(weights);
    mean.report = weights.front().report;
    mean.report.rows = folds.training.size();
    OPSPILOT_TRY(out.average, detail::make_classifier(data, dense, options, std::move(mean)));
    out.log_probabilities.resize(data.allowed_offsets.empty() ? in.row_count * in.slot_count : data.allowed.size());
    for (std::size_t k = 0; k < weights.size(); ++k) {
        out.reports.push_back(weights[k].report);
        OPSPILOT_TRY(text_classifier model, detail::make_classifier(data, dense, options, std::move(weights[k])));
        OPSPILOT_CHECK(detail::predict_checked(model, data, folds.inside[k], out.log_probabilities, threads));
        out.models.push_back(std::move(model));
    }
    if (!folds.rest.empty())
        OPSPILOT_CHECK(detail::predict_checked(out.average, data, folds.rest, out.log_probabilities, threads));
    return out;
}

}  // namespace opspilot
