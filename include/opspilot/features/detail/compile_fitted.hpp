/// \file
/// Internal: fitted values of a feature document, checked as they are read.
#pragma once

#include <memory>
#include <set>

#include "opspilot/features/detail/builder.hpp"

namespace opspilot::detail {

inline constexpr double not_fitted_value = std::numeric_limits<double>::quiet_NaN();

inline constexpr document_field standard_state_fields[] = {{"mean", json_kind::number, true, "mean", {}},
                                                           {"scale", json_kind::number, true, "standard deviation, or 1", {}}};
inline constexpr document_field bucket_state_fields[] = {{"edges", json_kind::array, true, "inner edges", {}}};
inline constexpr document_field values_state_fields[] = {{"values", json_kind::array, true, "texts in order", {}}};
inline constexpr document_field idf_state_fields[] = {
    {"documents", json_kind::integer, true, "number of tasks (and actions) counted", {}},
    {"counts", json_kind::text, true, "base64 of varints: per token its distance from the one before and its documents", {}}};
inline constexpr document_field target_state_fields[] = {
    {"rows", json_kind::integer, true, "candidate rows counted", {}},
    {"choices", json_kind::integer, true, "rows that were chosen", {}},
    {"counts", json_kind::text, true, "base64 of varints: per key its distance from the one before, rows and choices", {}}};
inline constexpr document_field transition_state_fields[] = {
    {"decisions", json_kind::integer, true, "decisions counted", {}},
    {"actions", json_kind::integer, true, "distinct actions known", {}},
    {"counts", json_kind::text, true, "base64 of varints: per key its distance from the one before and its decisions", {}}};

[[nodiscard]] inline error bad_state(const std::string& where, std::string message) {
    return feature_error("features.bad_state", std::move(message), where, "fit the document again");
}

inline status read_standard(const json& state, const std::string& where, step& s) {
    OPSPILOT_CHECK(check_object(state, standard_state_fields, where, error_kind::features));
    s.p0 = state["mean"].get<double>();
    s.p1 = state["scale"].get<double>();
    if (!std::isfinite(s.p0) || !std::isfinite(s.p1) || s.p1 <= 0)
        return bad_state(where, "mean and scale must be finite, scale positive");
    return {};
}

inline result<std::vector<std::uint32_t>> read_values(const json& values, const std::string& where, const code_source& codes) {
    std::vector<std::uint32_t> out;
    std::set<std::string_view> known;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!values[i].is_string())
            return feature_error("features.bad_value", fmt::format("a value must be a string, found {}", kind_name(values[i])),
                                 pointer(where, i));
        const auto& text = values[i].get_ref<const std::string&>();
        if (!known.insert(text).second)
            return feature_error("features.bad_value", fmt::format("value {} stands twice", quote(text)), pointer(where, i));
        out.push_back(codes(text));
    }
    return out;
}

inline result<std::uint64_t> read_count(const json& state, std::string_view key, const std::string& where) {
    const std::int64_t value = integer_or(state, key, -1);
    constexpr std::int64_t most = std::int64_t{1} << 40;
    if (value < 0 || value > most) return bad_state(pointer(where, key), fmt::format("{} = {}", key, value));
    return static_cast<std::uint64_t>(value);
}

/// Counts in the order of their keys.
inline result<count_table> read_count_list(const json& state, const std::string& where, bool choices) {
    auto table = unpack_counts(state["counts"].get_ref<const std::string&>(), choices);
    if (!table) return bad_state(pointer(where, "counts"), "counts cannot be read");
    return *std::move(table);
}

/// Counts that are looked up by key.
inline result<count_table> read_counts(const json& state, const std::string& where, bool choices) {
    OPSPILOT_TRY(count_table table, read_count_list(state, where, choices));
    table.index.rebuild(table.keys);
    return table;
}

[[nodiscard]] inline double inverse_frequency(std::uint64_t documents, std::uint64_t with) noexcept {
    return portable_log((1.0 + static_cast<double>(documents)) / (1.0 + static_cast<double>(with))) + 1.0;
}

/// Tokens seen once are not stored: they weigh the same as unknown ones.
inline constexpr std::uint32_t stored_token_documents = 2;

inline result<std::shared_ptr<const token_weights>> read_token_weights(const json& state, const std::string& where) {
    OPSPILOT_CHECK(check_object(state, idf_state_fields, where, error_kind::features));
    auto out = std::make_shared<token_weights>();
    OPSPILOT_TRY(out->documents, read_count(state, "documents", where));
    OPSPILOT_TRY(out->table, read_counts(state, where, false));
    out->unseen = inverse_frequency(out->documents, stored_token_documents - 1);
    for (const std::uint32_t with : out->table.seen) {
        if (with > out->documents) return bad_state(where, "a token is in more documents than there are");
        out->weight.push_back(inverse_frequency(out->documents, with));
    }
    return std::shared_ptr<const token_weights>(std::move(out));
}

/// Key parts by scope: of the task, of the action (a prepared column), of the pair.
template <class Reader>
inline status split_key(Reader& reader, std::string_view key, statistics_state& out) {
    OPSPILOT_TRY(const auto parts, reader.to.parts(reader.node[std::string(key)], reader.at(key)));
    feature_plan::impl& plan = reader.to.plan();
    action_key of_action;
    for (const std::uint32_t index : parts) {
        const token_part& p = plan.parts[index];
        if (p.many())
            return feature_error("features.bad_value",
                                 "a key is made of parts with one token each: value, set, or 'last' of a list", reader.at(key));
        if (p.where == scope::task) out.parts.push_back(index);
        if (p.where == scope::action) of_action.parts.push_back(index);
        if (p.where == scope::pair) out.pair_parts.push_back(index);
    }
    if (of_action.parts.empty()) return {};
    out.action_key = static_cast<std::uint32_t>(plan.keys.size());
    plan.keys.push_back(std::move(of_action));
    plan.actions_needed = true;
    return {};
}

template <class Reader>
inline result<std::shared_ptr<statistics_state>> new_statistics(const Reader& reader, std::string_view output) {
    auto out = std::make_shared<statistics_state>();
    out->smoothing = number_or(reader.node, "smoothing", 1.0);
    if (!(out->smoothing > 0) || out->smoothing > 1e9)
        return feature_error("features.bad_value", fmt::format("smoothing = {}", out->smoothing), reader.at("smoothing"),
                             "a positive number");
    OPSPILOT_TRY(out->min_count, feature_builder::whole(reader.node, "min_count", 1, 1, 1U << 30, reader.where));
    const std::string value = reader.text("value", output);
    out->output = static_cast<statistics_output>(std::find(statistics_outputs.begin(), statistics_outputs.end(), value) -
                                                 statistics_outputs.begin());
    return out;
}

template <class Reader>
inline status statistics_column(Reader& reader, std::shared_ptr<statistics_state> state, opcode op, scope where) {
    if (reader.to.folds != nullptr) {
        const auto own = reader.to.folds->find(reader.place);
        if (own != reader.to.folds->end()) state->folds = own->second;
    }
    step s;
    s.op = op;
    s.where = where;
    s.statistics = std::move(state);
    if (reader.to.deferred()) return reader.wait(where);
    s.missing = reader.missing;
    const std::uint32_t slot = reader.to.add(std::move(s));
    reader.to.plan().slots[slot].from_labels = true;
    reader.to.name_column(reader.name, slot);
    if (reader.output) reader.to.output(reader.name, slot);
    return {};
}

template <class Reader>
inline status compile_target(Reader& reader) {
    OPSPILOT_TRY(auto state, new_statistics(reader, "probability"));
    OPSPILOT_CHECK(split_key(reader, "key", *state));
    // A statistic of actions alone is still computed per decision: in training it depends on the task's fold.
    const scope where = state->action_key == no_slot && state->pair_parts.empty() ? scope::task : scope::pair;
    const json* const fitted = reader.find("state");
    if (fitted == nullptr) {
        pending_fit fit;
        fit.statistics = state;
        return reader.unfitted(std::move(fit), where);
    }
    OPSPILOT_CHECK(check_object(*fitted, target_state_fields, reader.at("state"), error_kind::features));
    OPSPILOT_TRY(state->total, read_count(*fitted, "rows", reader.at("state")));
    OPSPILOT_TRY(state->positive, read_count(*fitted, "choices", reader.at("state")));
    OPSPILOT_TRY(state->table, read_counts(*fitted, reader.at("state"), true));
    if (state->positive > state->total) return bad_state(reader.at("state"), "more choices than rows");
    return statistics_column(reader, std::move(state), opcode::statistics, where);
}

template <class Reader>
inline status compile_transition(Reader& reader) {
    OPSPILOT_TRY(auto state, new_statistics(reader, "log"));
    OPSPILOT_CHECK(split_key(reader, "context", *state));
    if (state->action_key != no_slot || !state->pair_parts.empty())
        return feature_error("features.bad_value", "a context is made of task fields", reader.at("context"));
    state->labels_of_tasks = true;
    const auto all = static_cast<std::uint32_t>(state->parts.size());
    const std::uint32_t shortest = reader.text("backoff", "prior") == "prior" ? all : 1;
    for (std::uint32_t level = all; level >= shortest && level > 0; --level) state->levels.push_back(level);
    const std::string target = reader.text("target", "action.id");
    OPSPILOT_TRY(const field_use use, reader.to.field_of(target, reader.at("target"), {field_type::text}));
    if (use.path.where != role::action)
        return feature_error("features.bad_value", fmt::format("{} is not a field of the action", quote(target)),
                             reader.at("target"));
    OPSPILOT_TRY(auto parts, reader.to.parts(json(target), reader.at("target")));
    state->action_key = static_cast<std::uint32_t>(reader.to.plan().keys.size());
    reader.to.plan().keys.push_back({std::move(parts)});
    reader.to.plan().actions_needed = true;
    const scope where = state->output == statistics_output::count ? scope::task : scope::pair;
    const json* const fitted = reader.find("state");
    if (fitted == nullptr) {
        pending_fit fit;
        fit.statistics = state;
        return reader.unfitted(std::move(fit), where);
    }
    OPSPILOT_CHECK(check_object(*fitted, transition_state_fields, reader.at("state"), error_kind::features));
    OPSPILOT_TRY(state->total, read_count(*fitted, "decisions", reader.at("state")));
    OPSPILOT_TRY(state->classes, read_count(*fitted, "actions", reader.at("state")));
    OPSPILOT_TRY(state->table, read_counts(*fitted, reader.at("state"), false));
    return statistics_column(reader, std::move(state), opcode::transition, where);
}

template <class Reader>
inline status compile_text_hash(Reader& reader) {
    feature_plan::impl& plan = reader.to.plan();
    sparse_program block;
    block.name = reader.name;
    OPSPILOT_TRY(block.bits, feature_builder::whole(reader.node, "bits", 18, 8, 24, reader.where));
    OPSPILOT_TRY(const auto least, feature_builder::whole(reader.node, "min_count", 0, 0, 1U << 30, reader.where));
    const json& sources = reader.node["sources"];
    if (sources.empty() || sources.size() > 256)
        return feature_error("features.bad_value", fmt::format("{} sources; 1 to 256", sources.size()), reader.at("sources"));
    bool needs_state = least > 0;
    std::set<std::string> names;
    for (std::size_t i = 0; i < sources.size(); ++i) {
        const json& node = sources[i];
        const std::string where = pointer(reader.at("sources"), i);
        OPSPILOT_CHECK(check_object(node, source_fields, where, error_kind::features));
        const auto separator = node.find("separator");
        sparse_source one;
        OPSPILOT_TRY(one.source,
                     reader.to.source(node["tokens"], pointer(where, "tokens"), separator == node.end() ? nullptr : &*separator));
        if (plan.sources[one.source].where != scope::task)
            return feature_error("features.bad_value", "a sparse block is made of task fields", pointer(where, "tokens"));
        const std::string label = text_or(node, "name", i == 0 ? "" : fmt::format("#{}", i));
        if (!names.insert(label).second)
            return feature_error("features.duplicate_name", fmt::format("two sources are named {}", quote(label)),
                                 pointer(where, "name"));
        one.seed = label.empty() ? 0 : term_hash(label);
        one.weight = number_or(node, "weight", 1.0);
        if (!std::isfinite(one.weight) || std::fabs(one.weight) > 1e6)
            return feature_error("features.bad_value", fmt::format("weight = {}", one.weight), pointer(where, "weight"));
        if (const auto when = node.find("when"); when != node.end()) {
            OPSPILOT_TRY(one.when, reader.to.number(when->get<std::string>(), pointer(where, "when")));
            if (plan.slots[one.when].where != scope::task || plan.slots[one.when].from_labels)
                return feature_error("features.bad_value", fmt::format("{} is not a number of the task", when->dump()),
                                     pointer(where, "when"));
        }
        one.idf = boolean_or(node, "idf", false);
        one.l2 = text_or(node, "norm", "none") == "l2";
        const std::string tf = text_or(node, "tf", "count");
        one.tf = static_cast<term_frequency>(std::find(term_frequencies.begin(), term_frequencies.end(), tf) -
                                             term_frequencies.begin());
        needs_state = needs_state || one.idf;
        block.sources.push_back(one);
    }
    const json* const state = reader.find("state");
    if (needs_state && state == nullptr) {
        pending_fit fit;
        fit.sparse = static_cast<std::uint32_t>(plan.sparse.size());
        OPSPILOT_CHECK(reader.unfitted(std::move(fit), scope::task));
        plan.sparse.push_back(std::move(block));  // its sources are read while fitting
        plan.blocks.push_back({reader.name, std::uint32_t{1} << plan.sparse.back().bits});
        return {};
    }
    if (needs_state) {
        OPSPILOT_CHECK(check_object(*state, idf_state_fields, reader.at("state"), error_kind::features));
        OPSPILOT_TRY(const auto documents, read_count(*state, "documents", reader.at("state")));
        OPSPILOT_TRY(const count_table table, read_count_list(*state, reader.at("state"), false));
        const auto unseen = static_cast<float>(inverse_frequency(documents, 0));
        block.idf.assign(std::size_t{1} << block.bits, least > 0 ? 0.0F : unseen);
        std::vector<float> known(1024, 0.0F);  // of common counts: most buckets share one
        for (std::size_t i = 0; i < table.keys.size(); ++i) {
            if (table.keys[i] >= block.idf.size()) return bad_state(reader.at("state"), "a bucket lies beyond the block");
            const std::uint32_t seen = table.seen[i];
            if (seen > documents) return bad_state(reader.at("state"), "a bucket is in more documents than there are");
            float weight = seen < known.size() ? known[seen] : 0.0F;
            if (weight == 0.0F) weight = static_cast<float>(inverse_frequency(documents, seen));
            if (seen < known.size()) known[seen] = weight;
            block.idf[table.keys[i]] = seen < least ? 0.0F : weight;
        }
    }
    plan.blocks.push_back({reader.name, std::uint32_t{1} << block.bits});
    plan.sparse.push_back(std::move(block));
    return {};
}

}  // namespace opspilot::detail
