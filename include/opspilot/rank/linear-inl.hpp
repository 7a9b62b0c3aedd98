#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/rank/detail/document_tables.hpp"
#include "opspilot/rank/linear.hpp"

namespace opspilot {

namespace detail {

inline constexpr std::array<document_field, 6> linear_fields{{
    {"version", json_kind::integer, true, "1", {}},
    {"features", json_kind::array, true, "names of the dense columns", {}},
    {"weights", json_kind::array, true, "one number per feature", {}},
    {"intercept", json_kind::number, false, "added to every score; 0", {}},
    {"sparse", json_kind::array, false, "weights of hashed blocks", {}},
    {"fingerprint", json_kind::text, false, "of the feature plan the model was trained with", {}},
}};

inline constexpr std::array<document_field, 4> linear_sparse_fields{{
    {"block", json_kind::text, true, "name of the sparse block", {}},
    {"dimension", json_kind::integer, true, "buckets of the block", {}},
    {"index", json_kind::array, true, "buckets with a weight, strictly ascending", {}},
    {"weights", json_kind::array, true, "one number per index", {}},
}};

OPSPILOT_INLINE linear_tables linear_document_tables() noexcept { return {linear_fields, linear_sparse_fields}; }

inline constexpr std::size_t linear_feature_limit = 100'000;
inline constexpr std::size_t linear_bucket_limit = std::size_t{1} << 24;

inline opspilot::error linear_problem(std::string_view code, std::string message, std::string where = {}) {
    return {
        code.starts_with("model.limit_") ? error_kind::limit : error_kind::model, code, std::move(message), std::move(where), {}};
}

inline bool finite_as_float(double value) noexcept {
    // The largest double that still rounds to a finite float.
    constexpr double edge = 0x1.fffffefffffffp+127;
    return std::fabs(value) <= edge;
}

inline float reduce_partials(const float* p) noexcept {
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
}

inline status linear_numbers(const json& list, std::string_view where, std::vector<double>& out) {
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (!list[i].is_number())
            return linear_problem("model.wrong_kind", fmt::format("{} where a number is expected", kind_name(list[i])),
                                  pointer(where, i));
        out.push_back(list[i].get<double>());
    }
    return {};
}

inline result<hashed_weights> parse_hashed_weights(const json& node, std::string_view where) {
    OPSPILOT_CHECK(check_object(node, linear_sparse_fields, where, error_kind::model));
    hashed_weights out;
    out.block.name = node.at("block").get<std::string>();
    const std::int64_t dimension = integer_or(node, "dimension", 0);
    if (dimension <= 0 || dimension > static_cast<std::int64_t>(linear_bucket_limit))
        return linear_problem("model.limit_dimension",
                              fmt::format("a block of {} buckets, 1 to {} are allowed", dimension, linear_bucket_limit),
                              pointer(where, "dimension"));
    out.block.dimension = static_cast<std::uint32_t>(dimension);
    const std::string index_where = pointer(where, "index");
    const json& index = node.at("index");
    for (std::size_t i = 0; i < index.size(); ++i) {
        if (!index[i].is_number_unsigned() || index[i].get<std::uint64_t>() >= out.block.dimension)
            return linear_problem("model.hashed_index",
                                  fmt::format("{} is no bucket of {}",
                                              quote(index[i].dump(-1, ' ', true, json::error_handler_t::replace)), dimension),
                                  pointer(index_where, i));
        out.index.push_back(index[i].get<std::uint32_t>());
    }
    OPSPILOT_CHECK(linear_numbers(node.at("weights"), pointer(where, "weights"), out.weight));
    return out;
}

}  // namespace detail

OPSPILOT_INLINE result<linear_ranker> linear_ranker::build(parts content, std::string_view kernel) {
    using detail::linear_problem;
    const std::size_t n = content.features.size();
    if (n == 0 && content.sparse.empty())
        return linear_problem("model.linear_empty", "the model has neither features nor blocks");
    if (n > detail::linear_feature_limit)
        return linear_problem("model.limit_features",
                              fmt::format("{} features, at most {} are allowed", n, detail::linear_feature_limit));
    if (content.weights.size() != n)
        return linear_problem("model.shape", fmt::format("{} weights for {} features", content.weights.size(), n), "/weights");
    std::vector<std::string_view> sorted(content.features.begin(), content.features.end());
    std::sort(sorted.begin(), sorted.end());
    if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
        return linear_problem("model.feature_name_twice", fmt::format("two features are called {}", quote(*twice)), "/features");
    if (!detail::finite_as_float(content.intercept))
        return linear_problem("model.not_finite", fmt::format("the intercept {} is no finite float", content.intercept),
                              "/intercept");
    linear_ranker out;
    OPSPILOT_TRY(out.kernel_, find_linear_kernel(kernel));
    for (std::size_t j = 0; j < n; ++j) {
        if (!detail::finite_as_float(content.weights[j]))
            return linear_problem("model.not_finite", fmt::format("the weight {} is no finite float", content.weights[j]),
                                  fmt::format("/weights/{}", j));
        out.weights_.push_back(static_cast<float>(content.weights[j]));
    }
    out.intercept_ = static_cast<float>(content.intercept);
    std::size_t buckets = 0;
    for (std::size_t b = 0; b < content.sparse.size(); ++b) {
        const hashed_weights& h = content.sparse[b];
        const std::string where = fmt::format("/sparse/{}", b);
        for (std::size_t a = 0; a < b; ++a)
            if (content.sparse[a].block.name == h.block.name)
                return linear_problem("model.feature_name_twice", fmt::format("two blocks are called {}", quote(h.block.name)),
                                      where);
        if (h.index.size() != h.weight.size())
            return linear_problem("model.shape", fmt::format("{} weights for {} buckets", h.weight.size(), h.index.size()),
                                  where);
        buckets += h.block.dimension;
        if (buckets > detail::linear_bucket_limit)
            return linear_problem("model.limit_dimension",
                                  fmt::format("{} buckets, at most {} are allowed", buckets, detail::linear_bucket_limit), where);
        std::vector<float> table(h.block.dimension, 0.0F);
        for (std::size_t i = 0; i < h.index.size(); ++i) {
            if (h.index[i] >= h.block.dimension || (i > 0 && h.index[i] <= h.index[i - 1]))
                return linear_problem(
                    "model.hashed_index",
                    fmt::format("bucket {} after {} of {}", h.index[i], i > 0 ? h.index[i - 1] : 0, h.block.dimension),
                    fmt::format("{}/index/{}", where, i));
            if (!detail::finite_as_float(h.weight[i]))
                return linear_problem("model.not_finite", fmt::format("the weight {} is no finite float", h.weight[i]),
                                      fmt::format("{}/weights/{}", where, i));
            table[h.index[i]] = static_cast<float>(h.weight[i]);
        }
        out.tables_.push_back(std::move(table));
    }
    out.content_ = std::move(content);
    return out;
}

OPSPILOT_INLINE result<linear_ranker> linear_ranker::parse(std::string_view json, std::string_view kernel) {
    OPSPILOT_TRY(const detail::json document, detail::parse_json(json, error_kind::model));
    OPSPILOT_CHECK(detail::check_object(document, detail::linear_fields, "", error_kind::model));
    if (document.at("version") != 1)
        return detail::linear_problem("model.version",
                                      fmt::format("version {}, this library reads 1", detail::integer_or(document, "version", 0)),
                                      "/version");
    parts content;
    const detail::json& names = document.at("features");
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (!names[i].is_string())
            return detail::linear_problem("model.wrong_kind",
                                          fmt::format("{} where a name is expected", detail::kind_name(names[i])),
                                          detail::pointer("/features", i));
        content.features.push_back(names[i].get<std::string>());
    }
    OPSPILOT_CHECK(detail::linear_numbers(document.at("weights"), "/weights", content.weights));
    content.intercept = detail::number_or(document, "intercept", 0);
    content.fingerprint = detail::text_or(document, "fingerprint", "");
    if (document.contains("sparse"))
        for (std::size_t b = 0; b < document.at("sparse").size(); ++b) {
            OPSPILOT_TRY(hashed_weights h, detail::parse_hashed_weights(document.at("sparse")[b], detail::pointer("/sparse", b)));
            content.sparse.push_back(std::move(h));
        }
    return build(std::move(content), kernel);
}

OPSPILOT_INLINE std::string linear_ranker::to_json() const {
    detail::json out{
        {"version", 1}, {"features", content_.features}, {"weights", content_.weights}, {"intercept", content_.intercept}};
    if (!content_.fingerprint.empty()) out["fingerprint"] = content_.fingerprint;
    for (const hashed_weights& h : content_.sparse)
        out["sparse"].push_back(
            {{"block", h.block.name}, {"dimension", h.block.dimension}, {"index", h.index}, {"weights", h.weight}});
    return out.dump();
}

OPSPILOT_INLINE status linear_ranker::score_rows(std::span<const float> rows, std::size_t n, std::span<float> out) const {
    const std::size_t width = weights_.size();
    if (rows.size() != n * width || out.size() != n)
        return error{error_kind::usage,
                     "usage.length",
                     fmt::format("{} values and {} scores for {} rows of {} features", rows.size(), out.size(), n, width),
                     {},
                     {}};
    kernel_->rows(rows.data(), n, width, weights_.data(), intercept_, out.data());
    for (float& score : out) score = score != score ? std::numeric_limits<float>::quiet_NaN() : score;
    return {};
}

OPSPILOT_INLINE status linear_ranker::score_rows(std::span<const double> rows, std::size_t n, std::span<double> out) const {
    const std::size_t width = weights_.size();
    if (rows.size() != n * width || out.size() != n)
        return error{error_kind::usage,
                     "usage.length",
                     fmt::format("{} values and {} scores for {} rows of {} features", rows.size(), out.size(), n, width),
                     {},
                     {}};
    for (std::size_t i = 0; i < n; ++i) {
        const double* row = rows.data() + i * width;
        double p[8] = {};
        for (std::size_t j = 0; j < width; ++j) p[j % 8] = p[j % 8] + row[j] * content_.weights[j];
        const double score = (((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))) + content_.intercept;
        out[i] = score != score ? std::numeric_limits<double>::quiet_NaN() : score;
    }
    return {};
}

OPSPILOT_INLINE status linear_ranker::score_columns(std::span<const float* const> columns, std::size_t n, std::span<float> out,
                                                    float sparse_score) const {
    if (columns.size() != weights_.size() || out.size() != n)
        return error{
            error_kind::usage,
            "usage.length",
            fmt::format("{} columns and {} scores for {} rows of {} features", columns.size(), out.size(), n, weights_.size()),
            {},
            {}};
    kernel_->columns(columns.data(), n, weights_.size(), weights_.data(), intercept_, out.data());
    for (float& score : out) {
        score = score + sparse_score;
        score = score != score ? std::numeric_limits<float>::quiet_NaN() : score;
    }
    return {};
}

OPSPILOT_INLINE status linear_ranker::sparse_score(std::span<const sparse_view> views, float& out) const {
    if (views.size() != tables_.size())
        return error{error_kind::usage,
                     "usage.length",
                     fmt::format("{} sparse vectors for {} blocks", views.size(), tables_.size()),
                     {},
                     {}};
    out = 0.0F;
    for (std::size_t b = 0; b < tables_.size(); ++b) {
        const std::vector<float>& table = tables_[b];
        float p[8] = {};
        for (std::size_t k = 0; k < views[b].index.size(); ++k) {
            const std::uint32_t bucket = views[b].index[k];
            if (bucket < table.size()) p[k % 8] = p[k % 8] + views[b].value[k] * table[bucket];
        }
        out = out + detail::reduce_partials(p);
    }
    return {};
}

}  // namespace opspilot
