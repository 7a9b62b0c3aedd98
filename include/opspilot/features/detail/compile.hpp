/// \file
/// Internal: a feature document to a program, transform by transform.
#pragma once

#include <limits>
#include <set>

#include "opspilot/features/detail/builder.hpp"
#include "opspilot/features/detail/compile_fitted.hpp"

namespace opspilot::detail {

/// One transform while it is read.
struct transform_reader {
    feature_builder& to;
    const json& node;
    std::string where;
    std::string name;
    feature_op op;
    std::size_t place;
    double missing = std::numeric_limits<double>::quiet_NaN();
    bool output = true;
    std::vector<pending_fit>* pending;

    [[nodiscard]] std::string at(std::string_view key) const { return pointer(where, key); }
    [[nodiscard]] std::string text(std::string_view key, std::string_view otherwise = "") const {
        return text_or(node, key, otherwise);
    }
    [[nodiscard]] const json* find(std::string_view key) const {
        const auto found = node.find(key);
        return found == node.end() ? nullptr : &*found;
    }

    /// Ends with a column.
    status column(step s) {
        s.missing = missing;
        const std::uint32_t slot = to.add(std::move(s));
        to.plan().slots[slot].from_labels = to.from_labels();
        to.name_column(name, slot);
        if (output) to.output(name, slot);
        return {};
    }
    /// Ends with a column that cannot be computed yet, because it or an input is not fitted.
    status wait(scope where_) {
        const std::uint32_t slot = to.reserve(where_);
        to.plan().slots[slot].fitted = false;
        to.plan().slots[slot].from_labels = to.from_labels();
        to.name_column(name, slot);
        return {};
    }
    /// Ends without fitted values: an error when reading a bundle, work to do when fitting.
    status unfitted(pending_fit what, scope where_) {
        if (!to.fitting())
            return feature_error("features.not_fitted", fmt::format("transform {} has no fitted state", quote(name)), where,
                                 "fit the document first");
        if (to.from_labels())
            return feature_error("features.leak",
                                 fmt::format("{} is fitted on values that depend on what was chosen", quote(name)), where,
                                 "only clip, log and other fixed operations may follow label statistics");
        if (!to.deferred()) {
            what.transform = place;
            what.op = op;
            pending->push_back(std::move(what));
        }
        return wait(where_);
    }

    status numeric();
    status category();
    status time();
    status two_numbers();
    status equal();
    status membership();
    status tokens();
};

inline status transform_reader::numeric() {
    step s;
    if (op == feature_op::missing && feature_builder::is_field_name(text("input"))) {
        OPSPILOT_TRY(s.fields[0], to.field(text("input"), at("input")));
        s.op = opcode::is_missing;
        s.where = scope_of_role(s.fields[0].path.where);
        return column(std::move(s));
    }
    OPSPILOT_TRY(s.in[0], to.number(text("input"), at("input")));
    s.where = to.plan().slots[s.in[0]].where;
    const json* const state = find("state");
    switch (op) {
        case feature_op::number:
        case feature_op::clip:
        case feature_op::between:
            s.op = op == feature_op::between ? opcode::between : opcode::clip;
            s.p0 = number_or(node, "min", -std::numeric_limits<double>::infinity());
            s.p1 = number_or(node, "max", std::numeric_limits<double>::infinity());
            if (s.p0 > s.p1)
                return feature_error("features.bad_value", fmt::format("min {} exceeds max {}", s.p0, s.p1), at("min"));
            break;
        case feature_op::log: s.op = opcode::log; break;
        case feature_op::missing: s.op = opcode::slot_missing; break;
        case feature_op::standardise:
            s.op = opcode::standardise;
            if (state == nullptr) {
                pending_fit fit;
                fit.slot = s.in[0];
                return unfitted(std::move(fit), s.where);
            }
            OPSPILOT_CHECK(read_standard(*state, at("state"), s));
            break;
        default: {
            s.op = opcode::bucket;
            const json* edges = find("edges");
            std::string place_of_edges = at("edges");
            if ((edges != nullptr) == node.contains("bins"))
                return feature_error("features.bad_value", "give either 'edges' or 'bins'", where);
            if (edges == nullptr) {
                OPSPILOT_TRY([[maybe_unused]] const auto bins, feature_builder::whole(node, "bins", 10, 2, 65536, where));
                if (state == nullptr) {
                    pending_fit fit;
                    fit.slot = s.in[0];
                    return unfitted(std::move(fit), s.where);
                }
                OPSPILOT_CHECK(check_object(*state, bucket_state_fields, at("state"), error_kind::features));
                edges = &*state->find("edges");
                place_of_edges = pointer(at("state"), "edges");
            }
            OPSPILOT_TRY(s.edges, feature_builder::edges(*edges, place_of_edges));
        }
    }
    if (to.deferred()) return wait(s.where);
    return column(std::move(s));
}

inline status transform_reader::category() {
    step s;
    if (op == feature_op::one_hot) {
        OPSPILOT_TRY(s.fields[0], to.field_of(text("input"), at("input"), {field_type::text, field_type::text_list}));
    } else {
        OPSPILOT_TRY(s.fields[0], to.field_of(text("input"), at("input"), {field_type::text}));
    }
    s.where = scope_of_role(s.fields[0].path.where);
    if (op == feature_op::hashed) {
        OPSPILOT_TRY(const auto buckets, feature_builder::whole(node, "buckets", 0, 2, 1U << 24, where));
        s.op = opcode::hashed;
        s.k = static_cast<std::int32_t>(buckets);
        return column(std::move(s));
    }
    const json* values = find("values");
    std::string place_of_values = at("values");
    OPSPILOT_TRY([[maybe_unused]] const auto limit, feature_builder::whole(node, "limit", 64, 1, 1U << 20, where));
    OPSPILOT_TRY([[maybe_unused]] const auto least, feature_builder::whole(node, "min_count", 1, 1, 1U << 30, where));
    if (values == nullptr) {
        const json* const state = find("state");
        if (state == nullptr) {
            pending_fit fit;
            fit.field = s.fields[0];
            return unfitted(std::move(fit), s.where);
        }
        OPSPILOT_CHECK(check_object(*state, values_state_fields, at("state"), error_kind::features));
        values = &*state->find("values");
        place_of_values = pointer(at("state"), "values");
    }
    OPSPILOT_TRY(const auto codes, read_values(*values, place_of_values, to.codes()));
    if (op == feature_op::dictionary) {
        s.op = opcode::code_lookup;
        s.unseen = number_or(node, "unseen", not_fitted_value);
        for (std::size_t i = 0; i < codes.size(); ++i) {
            if (codes[i] == no_code) continue;  // no row of the training set holds it
            if (s.lookup.size() <= codes[i]) s.lookup.resize(std::size_t{codes[i]} + 1, -1.0F);
            s.lookup[codes[i]] = static_cast<float>(i);
        }
        return column(std::move(s));
    }
    for (std::size_t i = 0; i < codes.size(); ++i) {
        step one = s;
        one.op = opcode::code_equal;
        one.k = static_cast<std::int32_t>(codes[i]);
        one.missing = missing;
        const std::uint32_t slot = to.add(std::move(one));
        const std::string label = name + "=" + (*values)[i].get<std::string>();
        to.name_column(label, slot);
        if (output) to.output(label, slot);
    }
    return {};
}

inline status transform_reader::time() {
    step s;
    if (op == feature_op::calendar) {
        s.op = opcode::calendar;
        s.k = static_cast<std::int32_t>(std::find(calendar_parts.begin(), calendar_parts.end(), text("part")) -
                                        calendar_parts.begin());
        if (const std::string offset = text("offset"); !offset.empty()) {
            const bool west = offset.starts_with('-');
            auto length = parse_duration(std::string_view(offset).substr(west ? 1 : 0), at("offset"));
            if (!length || *length > 86'400'000'000)
                return feature_error("features.bad_value", fmt::format("offset {}", quote(offset)), at("offset"),
                                     "a duration of at most a day, such as 2h or -90m");
            s.p0 = static_cast<double>(west ? -*length : *length);
        }
        s.from_now = find("input") == nullptr;
        if (s.from_now) return column(std::move(s));
    }
    const std::string input = text("input");
    if (op == feature_op::stale || op == feature_op::staleness) {
        OPSPILOT_TRY(s.fields[0], to.field(input, at("input")));
        const opspilot::field& f = to.fields().at(s.fields[0].path);
        if (f.max_age_us <= 0)
            return feature_error("features.bad_value",
                                 fmt::format("{} declares no max_age, so it never gets stale", quote(input)), at("input"),
                                 "give the field 'max_age' and 'as_of' in the schema");
        s.where = scope_of_role(s.fields[0].path.where);
        s.op = opcode::is_stale;
        if (op == feature_op::stale) return column(std::move(s));
        OPSPILOT_TRY(s.fields[0].path.index, to.fields().require(s.fields[0].path.where, f.as_of, at("input")));
        s.op = opcode::staleness;
        s.p0 = static_cast<double>(f.max_age_us);
    } else {
        OPSPILOT_TRY(s.fields[0], to.field_of(input, at("input"), {field_type::timestamp}));
        s.where = scope_of_role(s.fields[0].path.where);
        if (op == feature_op::calendar) return column(std::move(s));
        s.op = opcode::age;
        auto unit = parse_duration(text("unit", "1s"), at("unit"));
        if (!unit || *unit <= 0)
            return feature_error("features.bad_value", fmt::format("unit {}", quote(text("unit", "1s"))), at("unit"),
                                 "a positive duration such as 1s, 1h or 1d");
        s.p0 = static_cast<double>(*unit);
    }
    if (s.where == scope::action) s.where = scope::pair;  // the time of decision is not known when actions are prepared
    return column(std::move(s));
}

inline status transform_reader::two_numbers() {
    step s;
    OPSPILOT_TRY(s.in[0], to.number(text("a"), at("a")));
    OPSPILOT_TRY(s.in[1], to.number(text("b"), at("b")));
    s.where = join_scopes(to.plan().slots[s.in[0]].where, to.plan().slots[s.in[1]].where);
    s.op = op == feature_op::ratio        ? opcode::ratio
           : op == feature_op::difference ? opcode::difference
           : op == feature_op::product    ? opcode::product
                                          : opcode::sum;
    if (to.deferred()) return wait(s.where);
    return column(std::move(s));
}

inline status transform_reader::equal() {
    step s;
    OPSPILOT_TRY(s.fields[0], to.field(text("a"), at("a")));
    OPSPILOT_TRY(s.fields[1], to.field(text("b"), at("b")));
    for (const std::size_t i : {std::size_t{0}, std::size_t{1}})
        if (s.fields[i].type == field_type::text_list)
            return feature_error("features.wrong_type", fmt::format("{} is a list", quote(text(i == 0 ? "a" : "b"))),
                                 at(i == 0 ? "a" : "b"), "use contains or overlap for lists");
    if ((s.fields[0].type == field_type::text) != (s.fields[1].type == field_type::text))
        return feature_error(
            "features.wrong_type",
            fmt::format("a {} never equals a {}", opspilot::name(s.fields[0].type), opspilot::name(s.fields[1].type)), where);
    s.op = opcode::equal;
    s.where = join_scopes(scope_of_role(s.fields[0].path.where), scope_of_role(s.fields[1].path.where));
    return column(std::move(s));
}

inline status transform_reader::membership() {
    step s;
    const std::string_view list = op == feature_op::contains ? "list" : "history";
    OPSPILOT_TRY(s.fields[0], to.field_of(text(list), at(list), {field_type::text_list}));
    if (op == feature_op::last_equals) {
        OPSPILOT_TRY(s.fields[1],
                     to.field_of(text("equals", "action.id"), at("equals"), {field_type::text, field_type::text_list}));
        OPSPILOT_TRY(const auto last, feature_builder::whole(node, "last", 1, 1, 4096, where));
        s.k = static_cast<std::int32_t>(last);
        s.op = opcode::last_equals;
    } else {
        OPSPILOT_TRY(s.fields[1], to.field_of(text("item", "action.id"), at("item"), {field_type::text}));
        s.op = op == feature_op::contains           ? opcode::contains
               : op == feature_op::count_in_history ? opcode::count_in
                                                    : opcode::recency_in;
    }
    s.where = join_scopes(scope_of_role(s.fields[0].path.where), scope_of_role(s.fields[1].path.where));
    return column(std::move(s));
}

inline status transform_reader::tokens() {
    step s;
    const auto one = [&](std::string_view key) -> result<std::uint32_t> {
        const json& tokens = node[std::string(key)];
        if (op == feature_op::overlap && tokens.is_object() && tokens.contains("tokens")) {
            OPSPILOT_CHECK(check_object(tokens, token_set_fields, at(key), error_kind::features));
            const auto separator = tokens.find("separator");
            return to.source(tokens["tokens"], pointer(at(key), "tokens"), separator == tokens.end() ? nullptr : &*separator);
        }
        return to.source(tokens, at(key), nullptr);
    };
    if (op == feature_op::count) {
        s.op = opcode::token_count;
        OPSPILOT_TRY(s.sources[0], one("tokens"));
        s.where = to.plan().sources[s.sources[0]].where;
        return to.deferred() ? wait(s.where) : column(std::move(s));
    }
    s.op = opcode::overlap;
    OPSPILOT_TRY(s.sources[0], one("a"));
    OPSPILOT_TRY(s.sources[1], one("b"));
    const scope a = to.plan().sources[s.sources[0]].where;
    const scope b = to.plan().sources[s.sources[1]].where;
    s.where = join_scopes(a, b);
    s.k = static_cast<std::int32_t>(std::find(overlap_measures.begin(), overlap_measures.end(), text("measure", "jaccard")) -
                                    overlap_measures.begin());
    if (boolean_or(node, "idf", false)) {
        const json* const state = find("state");
        if (state == nullptr) {
            pending_fit fit;
            fit.sources = s.sources;
            return unfitted(std::move(fit), s.where);
        }
        OPSPILOT_TRY(s.weights, read_token_weights(*state, at("state")));
    }
    if (to.deferred()) return wait(s.where);
    if ((a == scope::task && b == scope::action) || (a == scope::action && b == scope::task)) {
        s.swapped = a == scope::action;
        s.place = static_cast<std::uint32_t>(to.plan().action_sources.size());
        to.plan().action_sources.push_back({s.sources[s.swapped ? 0 : 1], s.weights});
        to.plan().actions_needed = true;
    }
    return column(std::move(s));
}

/// Reads one element of "transforms".
inline status compile_transform(feature_builder& to, const json& node, std::size_t place, std::set<std::string>& names,
                                std::vector<pending_fit>* pending) {
    const std::string where = pointer("/transforms", place);
    if (!node.is_object())
        return feature_error("features.wrong_kind", fmt::format("a transform must be an object, found {}", kind_name(node)),
                             where);
    std::vector<std::string_view> known;
    for (const feature_op_info& info : feature_ops) known.push_back(info.name);
    const std::string op = text_or(node, "op", "");
    const auto* const info =
        std::find_if(std::begin(feature_ops), std::end(feature_ops), [&](const auto& i) { return i.name == op; });
    if (info == std::end(feature_ops)) {
        std::string hint = did_you_mean(op, known);
        if (hint.empty()) hint = fmt::format("one of: {}", fmt::join(known, ", "));
        return feature_error("features.unknown_op",
                             op.empty() ? "transform without 'op'" : fmt::format("unknown operation {}", quote(op)),
                             pointer(where, "op"), hint);
    }
    OPSPILOT_CHECK(check_object(node, fields_of(*info), where, error_kind::features));
    transform_reader reader{to,
                            node,
                            where,
                            node["name"].get<std::string>(),
                            info->op,
                            place,
                            number_or(node, "missing", not_fitted_value),
                            boolean_or(node, "output", true),
                            pending};
    if (reader.name.empty() || reader.name.size() > 256 || feature_builder::is_field_name(reader.name))
        return feature_error("features.bad_value", fmt::format("name {}", quote(reader.name)), pointer(where, "name"),
                             "1 to 256 bytes, not starting like a field name");
    if (!names.insert(reader.name).second)
        return feature_error("features.duplicate_name", fmt::format("two transforms are named {}", quote(reader.name)),
                             pointer(where, "name"));
    to.begin_transform();
    switch (info->op) {
        case feature_op::number:
        case feature_op::clip:
        case feature_op::between:
        case feature_op::log:
        case feature_op::standardise:
        case feature_op::bucket:
        case feature_op::missing: return reader.numeric();
        case feature_op::dictionary:
        case feature_op::one_hot:
        case feature_op::hashed: return reader.category();
        case feature_op::age:
        case feature_op::calendar:
        case feature_op::staleness:
        case feature_op::stale: return reader.time();
        case feature_op::ratio:
        case feature_op::difference:
        case feature_op::product:
        case feature_op::sum: return reader.two_numbers();
        case feature_op::equal: return reader.equal();
        case feature_op::contains:
        case feature_op::last_equals:
        case feature_op::count_in_history:
        case feature_op::recency_in_history: return reader.membership();
        case feature_op::overlap:
        case feature_op::count: return reader.tokens();
        case feature_op::target_statistics: return compile_target(reader);
        case feature_op::transition: return compile_transition(reader);
        case feature_op::text_hash: return compile_text_hash(reader);
    }
    return {};
}

/// Compiles a document. With `pending`, transforms that are not fitted are listed there instead of refused.
inline status compile_features(const json& document, const schema& s, const code_source& codes, feature_plan::impl& plan,
                               std::vector<pending_fit>* pending, fold_tables* folds = nullptr) {
    constexpr std::size_t most_transforms = 4096;
    OPSPILOT_CHECK(check_object(document, feature_root_fields, "", error_kind::features));
    if (document["version"] != 1)
        return feature_error("features.version", fmt::format("version {}", document["version"].dump()), "/version",
                             "this library reads 1");
    const json& transforms = document["transforms"];
    if (transforms.size() > most_transforms)
        return feature_error("features.bad_value", fmt::format("{} transforms, at most {}", transforms.size(), most_transforms),
                             "/transforms");
    feature_builder to(s, codes, plan, pending != nullptr);
    to.folds = folds;
    std::set<std::string> names;
    for (std::size_t i = 0; i < transforms.size(); ++i) OPSPILOT_CHECK(compile_transform(to, transforms[i], i, names, pending));
    std::set<std::string_view> columns;
    for (const std::string& name : plan.names)
        if (!columns.insert(name).second)
            return feature_error("features.duplicate_name", fmt::format("two columns are named {}", quote(name)), "/transforms");
    return {};
}

}  // namespace opspilot::detail
