/// \file
/// Internal: resolves what a feature document names (fields, earlier transforms, token parts) into a growing program.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "opspilot/base/text.hpp"
#include "opspilot/data/detail/field_checks.hpp"
#include "opspilot/features/detail/document.hpp"
#include "opspilot/features/detail/program.hpp"
#include "opspilot/features/detail/terms.hpp"

namespace opspilot::detail {

[[nodiscard]] inline error feature_error(std::string_view code, std::string message, std::string where, std::string hint = {}) {
    return error{error_kind::features, code, std::move(message), std::move(where), std::move(hint)};
}

[[nodiscard]] inline scope scope_of_role(role r) noexcept {
    return r == role::task ? scope::task : r == role::action ? scope::action : scope::pair;
}

[[nodiscard]] inline scope join_scopes(scope a, scope b) noexcept { return a == b ? a : scope::pair; }

/// A transform whose fitted values are still to be computed, with what its fitting reads.
struct pending_fit {
    std::size_t transform = 0;  // place in the document
    feature_op op = feature_op::number;
    std::uint32_t slot = no_slot;    // number input
    field_use field{};               // text input
    std::uint32_t sparse = no_slot;  // block
    std::array<std::uint32_t, 2> sources{no_slot, no_slot};
    std::shared_ptr<statistics_state> statistics;
};

/// Fold counts of fitted statistics, by place of the transform: what training keeps beside the document.
using fold_tables = std::map<std::size_t, std::vector<statistics_state::fold_counts>>;

/// Code of a text that a transform knows: inserted into a bundle's dictionary, or looked up among the strings of a training set.
using code_source = std::function<std::uint32_t(std::string_view)>;

class feature_builder {
public:
    feature_builder(const schema& s, const code_source& codes, feature_plan::impl& plan, bool fitting)
        : schema_(s), codes_(codes), plan_(plan), fitting_(fitting) {}

    [[nodiscard]] const schema& fields() const noexcept { return schema_; }
    [[nodiscard]] const code_source& codes() const noexcept { return codes_; }
    [[nodiscard]] feature_plan::impl& plan() noexcept { return plan_; }
    [[nodiscard]] bool fitting() const noexcept { return fitting_; }
    fold_tables* folds = nullptr;  ///< handed to the statistics they belong to
    /// True once an input of the present transform waits for another to be fitted.
    [[nodiscard]] bool deferred() const noexcept { return deferred_; }
    [[nodiscard]] bool from_labels() const noexcept { return from_labels_; }
    void begin_transform() noexcept {
        deferred_ = false;
        from_labels_ = false;
        personal_ = false;
    }

    /// A field by its dotted name; the error carries our kind and the nearest name.
    [[nodiscard]] result<field_use> field(std::string_view dotted, std::string_view where) {
        auto found = schema_.resolve(dotted, where);
        if (!found) {
            error problem = std::move(found).error();
            problem.kind = error_kind::features;
            problem.code = "features.unknown_input";
            problem.where = where;
            return problem;
        }
        if (const opspilot::field& f = schema_.at(*found); f.audit_only)
            return audit_only_error(error_kind::features, "features.audit_only", found->where, f, std::string(where));
        if (found->where == role::candidate) plan_.pairs_needed = true;
        if (schema_.at(*found).pii >= pii_class::personal) personal_ = true;
        return field_use{*found, schema_.at(*found).type};
    }

    /// The same, of one of the given types.
    [[nodiscard]] result<field_use> field_of(std::string_view dotted, std::string_view where,
                                             std::initializer_list<field_type> types) {
        OPSPILOT_TRY(const field_use use, field(dotted, where));
        if (std::find(types.begin(), types.end(), use.type) != types.end()) return use;
        std::string wanted;
        for (const field_type type : types) wanted += (wanted.empty() ? "" : " or ") + std::string(opspilot::name(type));
        return feature_error("features.wrong_type",
                             fmt::format("{} is a {}, not a {}", quote(dotted), opspilot::name(use.type), wanted),
                             std::string(where));
    }

    [[nodiscard]] static bool is_field_name(std::string_view text) noexcept {
        return text.starts_with("task.") || text.starts_with("action.") || text.starts_with("candidate.");
    }

    /// A number: a field, loaded once however often it is used, or the column of an earlier transform.
    [[nodiscard]] result<std::uint32_t> number(std::string_view text, std::string_view where) {
        if (is_field_name(text)) {
            OPSPILOT_TRY(
                const field_use use,
                field_of(text, where, {field_type::number, field_type::integer, field_type::boolean, field_type::timestamp}));
            const auto known = loaded_.find({use.path.where, use.path.index});
            if (known != loaded_.end()) return known->second;
            step load;
            load.op = opcode::load_number;
            load.where = scope_of_role(use.path.where);
            load.fields[0] = use;
            const std::uint32_t slot = add(std::move(load));
            loaded_[{use.path.where, use.path.index}] = slot;
            return slot;
        }
        const auto found = columns_.find(text);
        if (found == columns_.end()) {
            std::vector<std::string_view> names;
            for (const auto& [name, slot] : columns_) names.push_back(name);
            std::string hint = did_you_mean(text, names);
            if (hint.empty()) hint = "name a field as task.FIELD, action.FIELD or candidate.FIELD, or an earlier transform";
            return feature_error("features.unknown_input", fmt::format("unknown input {}", quote(text)), std::string(where),
                                 hint);
        }
        if (!plan_.slots[found->second].fitted) deferred_ = true;
        if (plan_.slots[found->second].from_labels) from_labels_ = true;
        if (plan_.slots[found->second].personal) personal_ = true;
        return found->second;
    }

    /// Adds a step at its place in the program and returns its column.
    std::uint32_t add(step s) {
        const std::uint32_t index = reserve(s.where);
        s.out = index;
        if (s.where == scope::pair)
            for (const std::uint32_t in : s.in)
                if (in != no_slot) need_gathered(in);
        if (s.where == scope::action) plan_.actions_needed = true;
        std::vector<step>& steps = s.where == scope::task     ? plan_.task_steps
                                   : s.where == scope::action ? plan_.action_steps
                                                              : plan_.pair_steps;
        steps.push_back(std::move(s));
        return index;
    }

    /// A column without a step, for a transform that is not fitted yet.
    std::uint32_t reserve(scope where) {
        slot s;
        s.where = where;
        s.personal = personal_;
        s.place = plan_.slots_of[static_cast<std::size_t>(where)]++;
        plan_.slots.push_back(s);
        return static_cast<std::uint32_t>(plan_.slots.size() - 1);
    }
    void need_gathered(std::uint32_t index) {
        if (plan_.slots[index].where == scope::action) plan_.slots[index].gathered = true;
    }

    void name_column(const std::string& name, std::uint32_t slot) { columns_[name] = slot; }
    void output(std::string name, std::uint32_t slot) {
        plan_.names.push_back(name);
        plan_.scopes.push_back(plan_.slots[slot].where);
        plan_.personal.push_back(static_cast<std::uint8_t>(plan_.slots[slot].personal));
        plan_.outputs.push_back({std::move(name), slot});
    }

    /// "task.x", one part, or a list of parts.
    [[nodiscard]] result<std::vector<std::uint32_t>> parts(const json& node, const std::string& where) {
        std::vector<std::uint32_t> out;
        if (!node.is_array()) {
            OPSPILOT_TRY(const std::uint32_t one, part(node, where));
            out.push_back(one);
            return out;
        }
        if (node.empty() || node.size() > 8)
            return feature_error("features.bad_value", fmt::format("{} parts; 1 to 8", node.size()), where);
        for (std::size_t i = 0; i < node.size(); ++i) {
            OPSPILOT_TRY(const std::uint32_t one, part(node[i], pointer(where, i)));
            out.push_back(one);
        }
        return out;
    }

    [[nodiscard]] result<std::uint32_t> source(const json& tokens, const std::string& where, const json* separator) {
        token_source out;
        OPSPILOT_TRY(out.parts, parts(tokens, where));
        out.where = plan_.parts[out.parts[0]].where;
        std::size_t texts = 0;
        for (const std::uint32_t index : out.parts) {
            const token_part& p = plan_.parts[index];
            out.where = join_scopes(out.where, p.where);
            if (p.how >= token_part::kind::words) ++texts;
            if (separator != nullptr && (p.how > token_part::kind::items || p.counts > 0))
                return feature_error("features.bad_value", "a separator joins values and items only", where);
        }
        if (texts > 1)
            return feature_error("features.bad_value", "at most one part of crossed tokens may be words or characters", where,
                                 "the product of two texts has no bound");
        if (separator != nullptr) {
            out.joined = true;
            out.separator = separator->get<std::string>();
        }
        plan_.sources.push_back(std::move(out));
        return static_cast<std::uint32_t>(plan_.sources.size() - 1);
    }

    /// Ascending finite numbers.
    [[nodiscard]] static result<std::vector<double>> edges(const json& node, const std::string& where) {
        std::vector<double> out;
        for (std::size_t i = 0; i < node.size(); ++i) {
            if (!node[i].is_number() || !std::isfinite(node[i].get<double>()))
                return feature_error("features.bad_value", "an edge must be a number", pointer(where, i));
            out.push_back(node[i].get<double>());
            if (i > 0 && !(out[i] > out[i - 1]))
                return feature_error("features.bad_value", fmt::format("edge {} does not exceed the one before", out[i]),
                                     pointer(where, i), "edges ascend");
        }
        if (out.empty() || out.size() > 65536)
            return feature_error("features.bad_value", fmt::format("{} edges; 1 to 65536", out.size()), where);
        return out;
    }

    /// A whole number between bounds, or the default.
    [[nodiscard]] static result<std::uint32_t> whole(const json& node, std::string_view key, std::uint32_t otherwise,
                                                     std::uint32_t least, std::uint32_t most, const std::string& where) {
        const std::int64_t value = integer_or(node, key, otherwise);
        if (value < least || value > most)
            return feature_error("features.bad_value", fmt::format("{} = {}; {} to {}", key, value, least, most),
                                 pointer(where, key));
        return static_cast<std::uint32_t>(value);
    }

private:
    [[nodiscard]] result<std::uint32_t> part(const json& node, const std::string& where) {
        json object = node;
        if (node.is_string()) object = json{{"input", node}};
        OPSPILOT_CHECK(check_object(object, part_fields, where, error_kind::features));
        const auto bad = [&](std::string_view key, std::string message) {
            return feature_error("features.bad_value", std::move(message), pointer(where, key));
        };
        token_part out;
        const auto input = object["input"].get<std::string>();
        bool list = false;
        bool text = false;
        if (is_field_name(input)) {
            OPSPILOT_TRY(out.field, field(input, pointer(where, "input")));
            out.where = scope_of_role(out.field.path.where);
            list = out.field.type == field_type::text_list;
            text = out.field.type == field_type::text;
        } else {
            OPSPILOT_TRY(out.slot, number(input, pointer(where, "input")));
            out.from_slot = true;
            out.where = plan_.slots[out.slot].where;
            need_gathered(out.slot);
            if (plan_.slots[out.slot].from_labels)
                return feature_error("features.leak", fmt::format("{} depends on what was chosen", quote(input)),
                                     pointer(where, "input"), "a token cannot be made of it: its buckets would leak the labels");
        }
        const std::string kind = text_or(object, "kind", list && !object.contains("last") ? "items" : "value");
        out.how = static_cast<token_part::kind>(std::find(part_kinds.begin(), part_kinds.end(), kind) - part_kinds.begin());
        const bool words = out.how >= token_part::kind::phrase;
        if (out.how == token_part::kind::phrase && !text) return bad("kind", "a phrase is made of one text");
        if (words && !list && !text) return bad("kind", fmt::format("{} needs text; {} is a number", kind, quote(input)));
        if (out.how == token_part::kind::set && !list) return bad("kind", "set needs a list");
        OPSPILOT_TRY(out.last, whole(object, "last", 0, 0, 4096, where));
        if (object.contains("last") && (!list || out.last == 0 || out.how != token_part::kind::value))
            return bad("last", "'last' takes one item of a list: kind value, 1 = the last item");
        if (out.how == token_part::kind::value && list && out.last == 0)
            return bad("kind", "a list has no single value; use items, set or last");
        if (out.how == token_part::kind::items && !list && !text) return bad("kind", "items need a list or a text");
        OPSPILOT_TRY(out.head, whole(object, "head", 0, 0, 1U << 20, where));
        OPSPILOT_TRY(out.tail, whole(object, "tail", 0, 0, 1U << 20, where));
        OPSPILOT_TRY(out.counts, whole(object, "counts", 0, 0, 1000, where));
        if (out.counts > 0 && out.how != token_part::kind::items) return bad("counts", "'counts' goes with kind items");
        if (const auto found = object.find("edges"); found != object.end()) {
            if (list || text) return bad("edges", "'edges' go with a number");
            OPSPILOT_TRY(out.edges, edges(*found, pointer(where, "edges")));
            out.binned = true;
        }
        OPSPILOT_CHECK(ngrams(object, where, words, out));
        if (const auto found = object.find("missing"); found != object.end()) {
            out.has_missing = true;
            out.missing = found->get<std::string>();
        }
        if (!words && (object.contains("casefold") || object.contains("strip_accents") || object.contains("symbols")))
            return bad("kind", "casefold, strip_accents and symbols go with words and characters");
        out.text.casefold = boolean_or(object, "casefold", true);
        out.text.strip_accents = boolean_or(object, "strip_accents", false);
        out.text.symbols = text_or(object, "symbols", "");
        for (const char c : out.text.symbols)
            if (static_cast<std::uint8_t>(c) >= 128 || static_cast<std::uint8_t>(c) <= 32)
                return bad("symbols", "symbols are visible ASCII characters");
        if (words && text && out.where == scope::task) out.cache = cache_of(out);
        const auto known = std::find(plan_.parts.begin(), plan_.parts.end(), out);
        if (known != plan_.parts.end()) return static_cast<std::uint32_t>(known - plan_.parts.begin());
        plan_.parts.push_back(std::move(out));
        return static_cast<std::uint32_t>(plan_.parts.size() - 1);
    }

    [[nodiscard]] static status ngrams(const json& object, const std::string& where, bool words, token_part& out) {
        const bool chars = out.how >= token_part::kind::chars;
        if (chars) {
            out.low = 3;
            out.high = 5;
        }
        const auto found = object.find("ngrams");
        if (found == object.end()) return {};
        const std::int64_t most = chars ? 16 : 8;
        const json& n = *found;
        if (!words || out.how == token_part::kind::phrase)
            return feature_error("features.bad_value", "'ngrams' go with words and characters", pointer(where, "ngrams"));
        if (n.size() != 2 || !n[0].is_number_integer() || !n[1].is_number_integer() || n[0].get<std::int64_t>() < 1 ||
            n[1].get<std::int64_t>() < n[0].get<std::int64_t>() || n[1].get<std::int64_t>() > most)
            return feature_error("features.bad_value", fmt::format("ngrams must be [min, max], 1 <= min <= max <= {}", most),
                                 pointer(where, "ngrams"));
        out.low = static_cast<std::uint32_t>(n[0].get<std::int64_t>());
        out.high = static_cast<std::uint32_t>(n[1].get<std::int64_t>());
        return {};
    }

    std::uint32_t cache_of(const token_part& p) {
        for (std::uint32_t i = 0; i < plan_.caches.size(); ++i)
            if (plan_.caches[i].path.index == p.field.path.index && plan_.caches[i].text == p.text) return i;
        plan_.caches.push_back({p.field.path, p.text});
        return static_cast<std::uint32_t>(plan_.caches.size() - 1);
    }

    const schema& schema_;
    const code_source& codes_;
    feature_plan::impl& plan_;
    bool fitting_;
    bool deferred_ = false;
    bool from_labels_ = false;
    bool personal_ = false;  // an input of the present transform is a personal or sensitive field, or made from one
    std::map<std::pair<role, std::uint32_t>, std::uint32_t> loaded_;
    std::map<std::string, std::uint32_t, std::less<>> columns_;
};

}  // namespace opspilot::detail
