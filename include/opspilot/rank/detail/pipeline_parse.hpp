/// \file
/// Internal: stages.json and the models it names, compiled against schema and plan.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/data/detail/field_checks.hpp"
#include "opspilot/rank/detail/document_tables.hpp"
#include "opspilot/rank/detail/pipeline_state.hpp"
#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/tree_formats.hpp"

namespace opspilot::detail {

inline constexpr std::array<document_field, 5> pipeline_fields{{
    {"version", json_kind::integer, true, "1", {}},
    {"stages", json_kind::array, true, "in the order they run", {}},
    {"rank_by", json_kind::text, false, "stage whose scores order the candidates; the last one", {}},
    {"linear", json_kind::text, false, "stage that takes over when the ranking one fails; none", {}},
    {"override", json_kind::text, false, "stage that gives the probability of none of the candidates; none", {}},
}};

inline constexpr std::array<document_field, 2> rerank_fields{{
    {"stage", json_kind::text, true, "earlier stage whose best candidates are scored", {}},
    {"count", json_kind::integer, true, "how many of them", {}},
}};

inline constexpr std::array<document_field, 10> stage_fields{{
    {"name", json_kind::text, true, "letters, digits, '_' and '-'", {}},
    {"kind", json_kind::text, true, "what computes the score", stage_kind_names},
    {"model", json_kind::text, false, "part of the bundle that holds the model", {}},
    {"classes_from", json_kind::text, false, "text_classifier: text field whose value is a candidate's class", {}},
    {"block", json_kind::text, false, "text_classifier and choice: the one sparse block that the model must read", {}},
    {"field", json_kind::text, false, "host: number field that holds the score", {}},
    {"features", json_kind::array, false, "trees: names that stand in for those of the model", {}},
    {"fingerprint", json_kind::text, false, "of the feature plan the model was trained with", {}},
    {"output", json_kind::integer, false, "trees: which of several outputs; 0", {}},
    {"rerank", json_kind::object, false, "trees and linear: score the best of an earlier stage alone; all", {}},
}};

constexpr std::uint32_t kind_bit(stage_kind kind) noexcept { return std::uint32_t{1} << static_cast<unsigned>(kind); }
inline constexpr std::uint32_t any_model = kind_bit(stage_kind::text_classifier) | kind_bit(stage_kind::choice) |
                                           kind_bit(stage_kind::linear) | kind_bit(stage_kind::trees);
inline constexpr std::uint32_t text_blocks = kind_bit(stage_kind::text_classifier) | kind_bit(stage_kind::choice);
inline constexpr std::uint32_t rerankers = kind_bit(stage_kind::trees) | kind_bit(stage_kind::linear);

/// Keys that a kind needs, and none that it does not know.
inline constexpr std::array<stage_key, 7> stage_keys{{
    {"model", any_model, any_model},
    {"classes_from", kind_bit(stage_kind::text_classifier), kind_bit(stage_kind::text_classifier)},
    {"block", 0, text_blocks},
    {"field", kind_bit(stage_kind::host), kind_bit(stage_kind::host)},
    {"features", 0, kind_bit(stage_kind::trees)},
    {"output", 0, kind_bit(stage_kind::trees)},
    {"rerank", 0, rerankers},
}};

inline constexpr std::size_t stage_limit = 64;

class pipeline_parser {
public:
    using loader = std::function<result<std::string_view>(std::string_view)>;

    pipeline_parser(const loader& load, const schema& s, const feature_plan& plan, dictionary& strings)
        : load_(load), schema_(s), plan_(plan), strings_(strings) {
        for (const std::string& name : plan.names()) escaped_.push_back(lightgbm_feature_name(name));
    }

    [[nodiscard]] result<std::shared_ptr<const pipeline::impl>> parse(std::string_view text) {
        OPSPILOT_TRY(const json document, parse_json(text, error_kind::model));
        OPSPILOT_CHECK(check_object(document, pipeline_fields, "", error_kind::model));
        if (document.at("version") != 1)
            return problem("model.version", fmt::format("version {}, this library reads 1", integer_or(document, "version", 0)),
                           "/version");
        const json& stages = document.at("stages");
        if (stages.empty()) return problem("model.no_stages", "no stage is declared", "/stages");
        if (stages.size() > stage_limit)
            return error{error_kind::limit,
                         "model.limit_stages",
                         fmt::format("{} stages, at most {} are allowed", stages.size(), stage_limit),
                         "/stages",
                         {}};
        out_.plan_columns = plan_.names().size();
        out_.plan_blocks = plan_.sparse_blocks().size();
        for (std::size_t k = 0; k < stages.size(); ++k) OPSPILOT_CHECK(parse_stage(stages[k], pointer("/stages", k)));
        out_.rank_by = out_.stages.size() - 1;
        if (document.contains("rank_by")) {
            OPSPILOT_TRY(out_.rank_by, stage_called(document, "rank_by"));
        }
        std::size_t first = out_.rank_by;
        if (document.contains("linear")) {
            OPSPILOT_TRY(const std::size_t k, stage_called(document, "linear"));
            out_.linear = static_cast<int>(k);
            first = std::min(first, k);
        }
        if (document.contains("override")) {
            OPSPILOT_TRY(const std::size_t k, stage_called(document, "override"));
            if (!out_.stages[k].has_override)
                return problem("model.no_override",
                               fmt::format("stage '{}' has neither an override class nor an outside option", out_.names[k]),
                               "/override");
            if (k > first)
                return problem("model.stage_order",
                               fmt::format("stage '{}' runs after '{}', which needs its probability of override", out_.names[k],
                                           out_.names[first]),
                               "/override");
            out_.override_stage = static_cast<int>(k);
        }
        return std::make_shared<const pipeline::impl>(std::move(out_));
    }

private:
    static error problem(std::string_view code, std::string message, std::string where, std::string hint = {}) {
        return {error_kind::model, code, std::move(message), std::move(where), std::move(hint)};
    }
    /// An error of a model, with the stage's place in front of its own.
    static error within(error inner, const std::string& where, std::string_view model) {
        const std::string shown = quote(model);
        const std::string_view bare(shown.data() + 1, shown.size() - 2);
        inner.where = fmt::format("{} ({}){}{}", where, bare, inner.where.empty() ? "" : ": ", inner.where);
        return inner;
    }

    static error within(error inner, const std::string& where) {
        inner.where = where + inner.where;
        return inner;
    }

    result<std::size_t> stage_called(const json& document, std::string_view key) const {
        const std::string name = text_or(document, key, "");
        const auto found = std::find(out_.names.begin(), out_.names.end(), name);
        if (found != out_.names.end()) return static_cast<std::size_t>(found - out_.names.begin());
        const std::vector<std::string_view> known(out_.names.begin(), out_.names.end());
        return problem("model.stage_unknown", fmt::format("no stage is called {}", quote(name)), pointer("", key),
                       did_you_mean(name, known));
    }

    status parse_stage(const json& node, const std::string& where) {
        OPSPILOT_CHECK(check_object(node, stage_fields, where, error_kind::model));
        stage s;
        s.name = node.at("name").get<std::string>();
        const auto plain = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        };
        if (s.name.empty() || s.name.size() > 64 || !std::all_of(s.name.begin(), s.name.end(), plain))
            return problem("model.stage_name", fmt::format("{} is no name of a stage", quote(s.name)), pointer(where, "name"),
                           "1 to 64 letters, digits, '_' and '-'");
        if (std::find(out_.names.begin(), out_.names.end(), s.name) != out_.names.end())
            return problem("model.stage_twice", fmt::format("two stages are called '{}'", s.name), pointer(where, "name"));
        const std::string kind = node.at("kind").get<std::string>();
        s.kind =
            static_cast<stage_kind>(std::find(stage_kind_names.begin(), stage_kind_names.end(), kind) - stage_kind_names.begin());
        OPSPILOT_CHECK(check_keys(node, s.kind, where));
        const std::string fingerprint = text_or(node, "fingerprint", "");
        if (!fingerprint.empty() && fingerprint != plan_.fingerprint())
            return error{
                error_kind::features, "features.fingerprint",
                fmt::format("the model was trained with features {}, the plan is {}", quote(fingerprint), plan_.fingerprint()),
                pointer(where, "fingerprint"), "train the model again with this plan, or restore the plan it was trained with"};
        if (s.kind == stage_kind::host) {
            OPSPILOT_TRY(s.field, schema_.resolve(text_or(node, "field", ""), pointer(where, "field")));
            const field& f = schema_.at(s.field);
            if (f.audit_only)
                return audit_only_error(error_kind::model, "model.audit_only", s.field.where, f, pointer(where, "field"));
            if (f.type != field_type::number && f.type != field_type::integer && f.type != field_type::boolean)
                return error{error_kind::schema,
                             "schema.type",
                             fmt::format("'{}' holds {}, a number is needed", f.name, opspilot::name(f.type)),
                             pointer(where, "field"),
                             {}};
        } else {
            const std::string model = node.at("model").get<std::string>();
            auto bytes = load_(model);
            if (!bytes) return within(std::move(bytes).error(), where, model);
            auto done = parse_model(s, node, *bytes, where);
            if (!done) return within(std::move(done).error(), where, model);
        }
        if (node.contains("rerank")) OPSPILOT_CHECK(parse_rerank(s, node.at("rerank"), pointer(where, "rerank")));
        out_.names.push_back(s.name);
        out_.stages.push_back(std::move(s));
        return {};
    }

    status parse_rerank(stage& s, const json& node, const std::string& where) const {
        OPSPILOT_CHECK(check_object(node, rerank_fields, where, error_kind::model));
        const std::int64_t count = integer_or(node, "count", 0);
        if (count < 1)
            return problem("model.rerank_count", fmt::format("the best {} candidates", count), pointer(where, "count"),
                           "1 or more; leave \"rerank\" out to score all");
        auto earlier = stage_called(node, "stage");
        if (!earlier) return within(std::move(earlier).error(), where);
        s.reranks = static_cast<int>(*earlier);
        s.rerank_count = static_cast<std::size_t>(count);
        return {};
    }

    static status check_keys(const json& node, stage_kind kind, const std::string& where) {
        for (const stage_key& r : stage_keys) {
            const bool given = node.contains(r.key);
            if (given && (r.allowed & kind_bit(kind)) != 0) continue;
            if (given)
                return problem("model.stage_key", fmt::format("'{}' means nothing on this kind of stage", r.key),
                               pointer(where, r.key));
            if ((r.needed & kind_bit(kind)) != 0)
                return problem("model.missing_field", fmt::format("'{}' is missing", r.key), where);
        }
        return {};
    }

    status parse_model(stage& s, const json& node, std::string_view bytes, const std::string& where) {
        const feature_names offered{plan_.names(), plan_.scopes(), plan_.sparse_blocks(), plan_.fingerprint()};
        switch (s.kind) {
            case stage_kind::text_classifier: {
                OPSPILOT_TRY(const text_classifier model, text_classifier::parse(bytes));
                OPSPILOT_CHECK(check_block(node, model.blocks(), where));
                OPSPILOT_TRY(s.classifier, model.bound_to(offered));
                s.has_override = model.override_index().has_value();
                OPSPILOT_TRY(s.field, schema_.resolve(text_or(node, "classes_from", ""), pointer(where, "classes_from")));
                const field& f = schema_.at(s.field);
                if (f.audit_only)
                    return audit_only_error(error_kind::model, "model.audit_only", s.field.where, f,
                                            pointer(where, "classes_from"));
                if (f.type != field_type::text)
                    return error{error_kind::schema,
                                 "schema.type",
                                 fmt::format("'{}' holds {}, a string is needed", f.name, opspilot::name(f.type)),
                                 pointer(where, "classes_from"),
                                 {}};
                for (std::uint32_t c = 0; c < model.classes().size(); ++c) {
                    if (c == model.override_index()) continue;  // no action may claim it
                    const std::uint32_t code = strings_.insert(model.classes()[c]);
                    if (code >= s.class_of.size()) s.class_of.resize(code + std::size_t{1}, no_code);
                    s.class_of[code] = c;
                }
                return {};
            }
            case stage_kind::choice: {
                OPSPILOT_TRY(const choice_model model, choice_model::parse(bytes));
                OPSPILOT_CHECK(check_block(node, model.blocks(), where));
                OPSPILOT_TRY(s.choice, model.bound_to(offered, schema_, strings_));
                s.has_override = model.has_outside();
                return {};
            }
            case stage_kind::linear: {
                OPSPILOT_TRY(s.linear, linear_ranker::parse(bytes));
                std::vector<sparse_block> blocks;
                for (const hashed_weights& h : s.linear->sparse()) blocks.push_back(h.block);
                OPSPILOT_TRY(const feature_binding bound, bind_features(offered, {}, blocks, s.linear->fingerprint()));
                s.blocks = bound.blocks;
                return bind_columns(s, s.linear->feature_names(), false);
            }
            case stage_kind::trees: return parse_trees(s, node, bytes, where);
            case stage_kind::host: break;
        }
        return {};
    }

    status parse_trees(stage& s, const json& node, std::string_view bytes, const std::string& where) {
        OPSPILOT_TRY(const tree_format format, find_tree_format(bytes));
        OPSPILOT_TRY(tree_ensemble model, read_trees(bytes));
        const std::int64_t output = integer_or(node, "output", 0);
        if (output < 0 || static_cast<std::uint64_t>(output) >= model.outputs() ||
            (model.outputs() > 1 && !node.contains("output")))
            return problem("model.outputs", fmt::format("output {} of a model with {}", output, model.outputs()),
                           pointer(where, "output"), model.outputs() > 1 ? "say which output is the score" : "");
        s.output = static_cast<std::size_t>(output);
        OPSPILOT_TRY(s.trees, tree_scorer::compile(model));
        std::vector<std::string> names;
        if (!node.contains("features")) {
            names.assign(model.feature_names().begin(), model.feature_names().end());
            s.explainer = std::make_shared<const lazy_explainer>(std::move(model));
            return bind_columns(s, names, format == tree_format::lightgbm);
        }
        for (const json& name : node.at("features")) {
            if (!name.is_string())
                return problem("model.wrong_kind", fmt::format("{} where a name is expected", kind_name(name)),
                               pointer(pointer(where, "features"), names.size()));
            names.push_back(name.get<std::string>());
        }
        if (names.size() != model.features())
            return problem("model.feature_count",
                           fmt::format("{} names for a model of {} features", names.size(), model.features()),
                           pointer(where, "features"));
        s.explainer = std::make_shared<const lazy_explainer>(std::move(model));
        return bind_columns(s, names, false);
    }

    static status check_block(const json& node, std::span<const sparse_block> blocks, const std::string& where) {
        const std::string wanted = text_or(node, "block", "");
        if (wanted.empty() || (blocks.size() == 1 && blocks.front().name == wanted)) return {};
        return problem("model.block",
                       fmt::format("the model reads {} blocks{}{}, not {} alone", blocks.size(), blocks.empty() ? "" : ", first ",
                                   blocks.empty() ? "" : quote(blocks.front().name), quote(wanted)),
                       pointer(where, "block"));
    }

    status bind_columns(stage& s, std::span<const std::string> names, bool lightgbm) {
        for (const std::string& name : names) {
            OPSPILOT_TRY(const stage_input input, find_column(name, lightgbm));
            s.inputs.push_back(input);
            s.personal.push_back(input.staged ? std::uint8_t{0} : plan_.personal()[input.index]);
            const bool constant = input.staged ? out_.columns[input.index].value == stage_value::override_probability
                                               : plan_.scopes()[input.index] == scope::task;
            s.constant.push_back(constant ? 1 : 0);
            s.input_names.push_back(name);
        }
        return {};
    }

    static bool offers(const stage& s, stage_value value) {
        switch (value) {
            case stage_value::score:
            case stage_value::rank:
            case stage_value::margin: return true;
            case stage_value::log_probability:
            case stage_value::probability: return s.kind == stage_kind::text_classifier || s.kind == stage_kind::choice;
            case stage_value::override_probability: return s.has_override;
        }
        return false;
    }

    result<stage_input> find_column(const std::string& name, bool lightgbm) {
        const auto planned = plan_.names();
        if (const auto at = std::find(planned.begin(), planned.end(), name); at != planned.end())
            return stage_input{false, static_cast<std::uint32_t>(at - planned.begin())};
        if (lightgbm)
            if (const auto at = std::find(escaped_.begin(), escaped_.end(), name); at != escaped_.end())
                return stage_input{false, static_cast<std::uint32_t>(at - escaped_.begin())};
        std::vector<std::string> staged;
        std::vector<stage_column> columns;
        for (std::uint32_t k = 0; k < out_.stages.size(); ++k)
            for (std::uint8_t v = 0; v < stage_value_names.size(); ++v) {
                if (!offers(out_.stages[k], static_cast<stage_value>(v))) continue;
                staged.push_back(fmt::format("stage.{}{}{}", out_.names[k], v == 0 ? "" : ".", stage_value_names[v]));
                columns.push_back({k, static_cast<stage_value>(v)});
            }
        if (const auto at = std::find(staged.begin(), staged.end(), name); at != staged.end()) {
            const stage_column wanted = columns[static_cast<std::size_t>(at - staged.begin())];
            for (std::uint32_t c = 0; c < out_.columns.size(); ++c)
                if (out_.columns[c].stage == wanted.stage && out_.columns[c].value == wanted.value) return stage_input{true, c};
            out_.columns.push_back(wanted);
            return stage_input{true, static_cast<std::uint32_t>(out_.columns.size() - 1)};
        }
        std::vector<std::string_view> known(planned.begin(), planned.end());
        known.insert(known.end(), staged.begin(), staged.end());
        std::string hint = did_you_mean(name, known);
        if (hint.empty() && name.starts_with("Column_"))
            hint = "the model has no names; list them under \"features\" of the stage";
        if (hint.empty()) hint = fmt::format("the plan has {} columns and earlier stages give {}", planned.size(), staged.size());
        return error{error_kind::features,
                     "features.unknown_column",
                     fmt::format("the model reads {}, which neither the plan nor an earlier stage gives", quote(name)),
                     {},
                     std::move(hint)};
    }

    const loader& load_;
    const schema& schema_;
    const feature_plan& plan_;
    dictionary& strings_;
    std::vector<std::string> escaped_;
    pipeline::impl out_;
};

}  // namespace opspilot::detail
