#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "opspilot/base/math.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/rank/choice_model.hpp"
#include "opspilot/rank/detail/weight_file.hpp"

namespace opspilot {

namespace detail {
struct choice_content {
    std::vector<choice_model::key> keys;
    std::vector<std::uint32_t> first_slot;  // of each key
    std::size_t slots = 0;                  // the outside option included
    bool outside = false;
    weight_file file;
};

/// Counts slots and checks names. `where` of errors is the JSON pointer "/keys/…".
inline result<choice_content> number_slots(std::vector<choice_model::key> keys, bool outside) {
    choice_content out;
    std::vector<std::string> fields;
    for (std::size_t k = 0; k < keys.size(); ++k) {
        out.first_slot.push_back(static_cast<std::uint32_t>(out.slots));
        out.slots += keys[k].values.size();
        if (out.slots >= most_outputs)
            return error{error_kind::limit, "limit.outputs", fmt::format("more than {} key values", most_outputs), "/keys", ""};
        OPSPILOT_CHECK(check_names(keys[k].values, pointer(pointer("/keys", k), "values")));
        fields.push_back(keys[k].field);
    }
    OPSPILOT_CHECK(check_names(fields, "/keys"));
    out.slots += outside ? 1 : 0;
    out.outside = outside;
    out.keys = std::move(keys);
    return out;
}

/// Where a bound key finds its values.
struct bound_key {
    std::uint32_t field = 0;
    bool list = false;
    std::vector<std::uint32_t> slot_of_code;
    [[nodiscard]] std::uint32_t slot(std::uint32_t code) const noexcept {
        return code < slot_of_code.size() ? slot_of_code[code] : choice_model::no_slot;
    }
};
}  // namespace detail

struct choice_model::impl {
    std::shared_ptr<const detail::choice_content> content;
    feature_binding binding;
    std::vector<detail::bound_key> keys;
    bool bound = false;

    /// The sum of every slot: bias, then the sparse blocks.
    void sum_slots(std::span<const sparse_view> views, choice_scratch& scratch) const {
        scratch.sums.assign(content->file.bias.begin(), content->file.bias.end());
        content->file.table.add(views, scratch.sums);
    }
    /// Column j for all candidates; what is missing counts as the centre.
    void add_column(std::size_t j, const float* values, std::span<double> out) const noexcept {
        const double weight = static_cast<double>(content->file.column_weights[j]);
        const double centre = static_cast<double>(content->file.centre[j]);
        for (std::size_t i = 0; i < out.size(); ++i) {
            const double x = static_cast<double>(values[i]);
            const double term = weight * (x - centre);
            out[i] += std::abs(x) <= std::numeric_limits<float>::max() ? term : 0.0;
        }
    }
    [[nodiscard]] status check(std::span<const double> out, const choice_scratch& scratch) const {
        if (content->outside && !std::isfinite(scratch.sums.back()))
            return error{error_kind::model, "model.overflow", "the utility of the outside option is not finite", "",
                         "an input is far beyond what the model was trained on"};
        for (std::size_t i = 0; i < out.size(); ++i)
            if (!std::isfinite(out[i]))
                return error{error_kind::model, "model.overflow", fmt::format("the utility of candidate {} is not finite", i), "",
                             "an input is far beyond what the model was trained on"};
        return {};
    }
};

OPSPILOT_INLINE result<choice_model> choice_model::build(const parts& content) {
    OPSPILOT_TRY(detail::choice_content made, detail::number_slots(content.keys, content.outside));
    made.file = {content.blocks,         content.columns,     content.bias, content.centre,
                 content.column_weights, content.fingerprint, {},           {}};
    OPSPILOT_CHECK(detail::fill_weight_file(made.slots, 1, content.rows, content.training, made.file));
    choice_model out;
    out.state = std::make_shared<impl>(impl{std::make_shared<detail::choice_content>(std::move(made)), {}, {}, false});
    return out;
}

OPSPILOT_INLINE result<choice_model> choice_model::parse(std::string_view bytes) {
    detail::choice_content made;
    const auto shape = [&made](const detail::json& header) -> result<detail::weight_shape> {
        std::vector<key> keys;
        const detail::json& list = header.at("keys");
        for (std::size_t k = 0; k < list.size(); ++k) {
            const std::string where = detail::pointer("/keys", k);
            OPSPILOT_CHECK(detail::check_object(list[k], detail::choice_key_fields, where, error_kind::model));
            key one{list[k].at("field").get<std::string>(), {}};
            OPSPILOT_TRY(one.values, detail::read_names(list[k].at("values"), detail::pointer(where, "values")));
            keys.push_back(std::move(one));
        }
        OPSPILOT_TRY(made, detail::number_slots(std::move(keys), header.at("outside").get<bool>()));
        return detail::weight_shape{made.slots, 1};
    };
    OPSPILOT_TRY(detail::weight_file file, detail::read_weight_file(bytes, "choice_model", detail::choice_fields, shape));
    made.file = std::move(file);
    choice_model out;
    out.state = std::make_shared<impl>(impl{std::make_shared<detail::choice_content>(std::move(made)), {}, {}, false});
    return out;
}

OPSPILOT_INLINE std::string choice_model::to_bytes() const {
    detail::json list = detail::json::array();
    for (const key& k : keys()) list.push_back({{"field", k.field}, {"values", k.values}});
    return detail::write_weight_file({{"kind", "choice_model"}, {"keys", std::move(list)}, {"outside", has_outside()}},
                                     state->content->file);
}

OPSPILOT_INLINE std::span<const std::string> choice_model::columns() const noexcept { return state->content->file.columns; }
OPSPILOT_INLINE std::span<const choice_model::key> choice_model::keys() const noexcept { return state->content->keys; }
OPSPILOT_INLINE std::span<const sparse_block> choice_model::blocks() const noexcept { return state->content->file.blocks; }
OPSPILOT_INLINE const std::string& choice_model::fingerprint() const noexcept { return state->content->file.fingerprint; }
OPSPILOT_INLINE const std::string& choice_model::training() const noexcept { return state->content->file.training; }
OPSPILOT_INLINE bool choice_model::has_outside() const noexcept { return state->content->outside; }
OPSPILOT_INLINE std::size_t choice_model::slots() const noexcept { return state->content->slots; }
OPSPILOT_INLINE const sparse_weights& choice_model::weights() const noexcept { return state->content->file.table; }
OPSPILOT_INLINE std::span<const float> choice_model::column_weights() const noexcept {
    return state->content->file.column_weights;
}

OPSPILOT_INLINE result<choice_model> choice_model::bound_to(const feature_names& offered, const schema& s,
                                                            dictionary& strings) const {
    impl bound{state->content, {}, {}, true};
    OPSPILOT_TRY(bound.binding, bind_features(offered, columns(), blocks(), fingerprint()));
    for (std::size_t k = 0; k < keys().size(); ++k) {
        const key& wanted = keys()[k];
        detail::bound_key made;
        OPSPILOT_TRY(made.field, s.require(role::action, wanted.field, detail::pointer(detail::pointer("/keys", k), "field")));
        const field_type type = s.fields(role::action)[made.field].type;
        if (type != field_type::text && type != field_type::text_list)
            return error{error_kind::schema, "schema.type",
                         fmt::format("a choice model crosses texts, action field \"{}\" is {}", quote(wanted.field), name(type)),
                         detail::pointer(detail::pointer("/keys", k), "field"), ""};
        made.list = type == field_type::text_list;
        for (std::size_t v = 0; v < wanted.values.size(); ++v) {
            const std::uint32_t code = strings.insert(wanted.values[v]);
            if (code >= made.slot_of_code.size()) made.slot_of_code.resize(std::size_t{code} + 1, no_slot);
            made.slot_of_code[code] = state->content->first_slot[k] + static_cast<std::uint32_t>(v);
        }
        bound.keys.push_back(std::move(made));
    }
    choice_model out;
    out.state = std::make_shared<impl>(std::move(bound));
    return out;
}

OPSPILOT_INLINE status choice_model::utilities(const frame& f, const feature_matrix& features, std::span<double> out,
                                               choice_scratch& scratch) const {
    if (!state->bound)
        return error{error_kind::usage, "usage.unbound", "the choice model was not bound to a feature plan", "", "call bound_to"};
    if (out.size() != f.size() || features.rows() != f.size())
        return error{
            error_kind::usage, "usage.length",
            fmt::format("{} candidates, {} rows of features, {} places for utilities", f.size(), features.rows(), out.size()), "",
            ""};
    scratch.views.clear();
    for (const std::uint32_t b : state->binding.blocks) {
        if (b >= features.sparse_blocks())
            return error{error_kind::usage, "usage.length",
                         fmt::format("{} sparse blocks, the model reads number {}", features.sparse_blocks(), b), "", ""};
        scratch.views.push_back(features.sparse(b));
    }
    state->sum_slots(scratch.views, scratch);
    std::fill(out.begin(), out.end(), 0.0);
    for (std::size_t j = 0; j < state->binding.columns.size(); ++j) {
        if (state->binding.columns[j] >= features.columns())
            return error{error_kind::usage, "usage.length",
                         fmt::format("{} columns, the model reads number {}", features.columns(), state->binding.columns[j]), "",
                         ""};
        state->add_column(j, features.column(state->binding.columns[j]), out);
    }
    for (const detail::bound_key& crossed : state->keys) {
        const column& cells = f.actions->at(crossed.field);
        for (std::size_t i = 0; i < out.size(); ++i) {
            const std::uint32_t row = f.action_rows[i];
            const std::uint32_t first = crossed.list ? cells.offsets[row] : row;
            const std::uint32_t last = crossed.list ? cells.offsets[row + 1] : row + 1;
            for (std::uint32_t c = first; c < last; ++c)
                if (const std::uint32_t slot = crossed.slot(cells.codes[c]); slot != no_slot)
                    out[i] += static_cast<double>(scratch.sums[slot]);
        }
    }
    return state->check(out, scratch);
}

OPSPILOT_INLINE status choice_model::utilities(std::span<const float* const> columns_of, std::span<const std::uint32_t> slots_of,
                                               std::span<const sparse_view> views, std::span<double> out,
                                               choice_scratch& scratch) const {
    const std::size_t width = keys().size();
    if (columns_of.size() != columns().size() || slots_of.size() != out.size() * width || views.size() != blocks().size())
        return error{
            error_kind::usage, "usage.length",
            fmt::format("{} columns, {} slots and {} blocks for {} candidates, the model needs {}, {} and {}", columns_of.size(),
                        slots_of.size(), views.size(), out.size(), columns().size(), out.size() * width, blocks().size()),
            "", ""};
    state->sum_slots(views, scratch);
    std::fill(out.begin(), out.end(), 0.0);
    for (std::size_t j = 0; j < columns_of.size(); ++j) state->add_column(j, columns_of[j], out);
    for (std::size_t k = 0; k < width; ++k)
        for (std::size_t i = 0; i < out.size(); ++i)
            if (const std::uint32_t slot = slots_of[i * width + k]; slot < slots())
                out[i] += static_cast<double>(scratch.sums[slot]);
    return state->check(out, scratch);
}

OPSPILOT_INLINE double choice_model::outside_utility(const choice_scratch& scratch) const noexcept {
    if (!has_outside() || scratch.sums.size() != slots()) return 0.0;
    return static_cast<double>(scratch.sums.back());
}

OPSPILOT_INLINE double log_softmax(std::span<double> utilities, std::optional<double> outside) noexcept {
    double largest = outside.value_or(-std::numeric_limits<double>::infinity());
    for (const double u : utilities) largest = u > largest ? u : largest;
    double sum = 0.0;
    for (const double u : utilities) sum += portable_exp(u - largest);
    if (outside) sum += portable_exp(*outside - largest);
    const double total = largest + portable_log(sum);
    for (double& u : utilities) u -= total;
    return outside ? *outside - total : -std::numeric_limits<double>::infinity();
}

}  // namespace opspilot
