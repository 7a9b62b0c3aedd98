#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "opspilot/base/hash.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/policy/detail/cel/checker.hpp"
#include "opspilot/policy/detail/cel/condition.hpp"
#include "opspilot/policy/detail/document_tables.hpp"
#include "opspilot/policy/detail/effects.hpp"
#include "opspilot/policy/detail/rules.hpp"

namespace opspilot::detail {

inline constexpr std::array<std::string_view, 4> layer_names{"mandatory", "compliance", "client", "business"};
inline constexpr std::array<std::string_view, 4> layer_choices{"compliance", "client", "business", "mandatory"};
inline constexpr std::array<std::string_view, 2> kill_scopes{"auto", "all"};
inline constexpr std::array<std::string_view, 2> on_error_names{"abstain", "skip"};
inline constexpr std::array<std::string_view, 5> verdict_names{"abstain", "escalate", "suggest", "require_approval",
                                                               "auto_execute"};
inline constexpr std::array<std::string_view, 3> invariant_verdicts{"suggest", "require_approval", "auto_execute"};

inline constexpr std::array<document_field, 7> policy_fields{{
    {"layer", json_kind::text, true, "which layer the rules belong to: mandatory, compliance, client or business", layer_choices},
    {"version", json_kind::text, true, "version of this document, recorded with every decision", {}},
    {"name", json_kind::text, false, "what the document is called", {}},
    {"description", json_kind::text, false, "what the document is for", {}},
    {"rules", json_kind::array, true, "the rules, in order", {}},
    {"invariants", json_kind::array, false, "what no decision may ever do", {}},
    {"tests", json_kind::array, false, "examples that must hold", {}},
}};
inline constexpr std::array<document_field, 18> rule_fields{{
    {"id", json_kind::text, true, "name of the rule, unique over all layers", {}},
    {"when", json_kind::text, true, "condition in CEL over task, action, candidate and now", {}},
    {"effect", json_kind::text, true, "what happens when the condition holds", effect_names},
    {"because", json_kind::text, true, "the reason, as people will read it", {}},
    {"queue", json_kind::text, false, "of escalate and route: who gets the task", {}},
    {"by", json_kind::number, false, "of boost and penalise: how much the score changes", {}},
    {"locked", json_kind::boolean, false, "no lower layer may have a rule of this id", {}},
    {"on_error", json_kind::text, false, "when the condition cannot be evaluated: abstain, or skip where the effect allows it",
     on_error_names},
    {"key", json_kind::text, false, "of limit: an expression in CEL, whose values are counted each by itself", {}},
    {"count", json_kind::integer, false, "of limit: how many", {}},
    {"per", json_kind::text, false, "of limit: in which time, such as 1h or 30m", {}},
    {"value", json_kind::number, false, "of set_threshold: automation needs a probability above it", {}},
    {"field", json_kind::text, false, "of redact: what is left out of records; of diversify: whose values are counted", {}},
    {"at_most", json_kind::integer, false, "of diversify: how many per value", {}},
    {"scope", json_kind::text, false, "of kill: auto for automation, all for every machine answer", kill_scopes},
    {"valid_from", json_kind::text, false, "RFC 3339 time from which the rule acts", {}},
    {"valid_until", json_kind::text, false, "RFC 3339 time at which the rule stops acting", {}},
    {"description", json_kind::text, false, "notes for authors", {}},
}};
inline constexpr std::array<document_field, 4> invariant_fields{{
    {"id", json_kind::text, true, "name of the invariant", {}},
    {"when", json_kind::text, true, "condition in CEL; one that cannot be evaluated holds", {}},
    {"never", json_kind::text, true, "the verdict must be narrower than this", invariant_verdicts},
    {"because", json_kind::text, false, "why", {}},
}};
inline constexpr std::array<document_field, 5> test_fields{{
    {"task", json_kind::object, true, "fields of the task; those left out are missing", {}},
    {"candidate",
     json_kind::object,
     false,
     "fields of the action and the candidate; those left out are missing, but for the action's id, which is then empty",
     {}},
    {"now", json_kind::any, false, "time of the decision: RFC 3339 text or microseconds since 1970", {}},
    {"expect", json_kind::object, true, "what must come out", {}},
    {"description", json_kind::text, false, "what the test is about", {}},
}};
inline constexpr std::array<document_field, 6> expect_fields{{
    {"verdict", json_kind::text, false, "the widest verdict the rules leave", verdict_names},
    {"rule", json_kind::text, false, "a rule that must have acted", {}},
    {"allowed", json_kind::boolean, false, "whether the candidate is allowed", {}},
    {"queue", json_kind::text, false, "the queue it goes to", {}},
    {"boost", json_kind::number, false, "what is added to the score", {}},
    {"threshold", json_kind::number, false, "the threshold that the rules ask for", {}},
}};

OPSPILOT_INLINE policy_tables document_tables() noexcept {
    return {policy_fields, rule_fields, invariant_fields, test_fields, expect_fields};
}
OPSPILOT_INLINE std::string_view name(policy_layer layer) noexcept { return layer_names[static_cast<std::size_t>(layer)]; }

OPSPILOT_INLINE std::optional<verdict> verdict_named(std::string_view wanted) noexcept {
    const auto at = std::find(verdict_names.begin(), verdict_names.end(), wanted);
    if (at == verdict_names.end()) return {};
    return static_cast<verdict>(at - verdict_names.begin());
}

OPSPILOT_INLINE void finding_log::add(bool is_error, std::string_view code, std::string_view rule, std::string message,
                                      std::string where, std::string hint) {
    if (is_error && !first_) first_ = error{error_kind::policy, code, message, where, hint};
    if (out_ != nullptr)
        out_->push_back({is_error, std::string(code), std::string(rule), std::move(message), std::move(where), std::move(hint)});
}

/// Reads one document; knows where everything stands in its text.
class document_reader {
public:
    document_reader(const policy_set::document& given, const policy_sink& into)
        : given_(given),
          schema_(into.fields),
          strings_(into.strings),
          out_(into.out),
          columns_(into.columns),
          log_(into.log),
          places_(given.text) {}

    void read() {
        auto parsed = parse_json(given_.text, error_kind::policy);
        if (!parsed) return syntax(parsed.error());
        json node = std::move(*parsed);
        if (!node.is_object()) {
            report("policy.wrong_kind", "", "", fmt::format("a policy document is an object, found {}", kind_name(node)));
            return;
        }
        structure(node, policy_fields, "", "");
        policy_document d;
        d.name = given_.name;
        d.text = given_.text;
        d.sha256 = sha256_hex(given_.text);
        d.version = text_or(node, "version", "");
        const std::string layer = text_or(node, "layer", "business");
        d.layer = static_cast<policy_layer>(std::find(layer_names.begin(), layer_names.end(), layer) - layer_names.begin());
        layer_ = d.layer;
        document_ = static_cast<std::uint32_t>(out_.documents.size());
        out_.documents.push_back(std::move(d));
        each(node, "rules", [&](json& item, const std::string& at) { rule(item, at); });
        each(node, "invariants", [&](json& item, const std::string& at) { invariant(item, at); });
        std::size_t index = 0;
        each(node, "tests", [&](json& item, const std::string& at) { test(item, at, index++); });
    }

private:
    template <class F>
    void each(json& node, const char* key, F&& f) {
        const auto list = node.find(key);
        if (list == node.end() || !list->is_array()) return;
        for (std::size_t i = 0; i < list->size(); ++i) f((*list)[i], fmt::format("/{}/{}", key, i));
    }

    [[nodiscard]] std::string where(std::string_view rule, std::size_t offset) const {
        return rule.empty() ? fmt::format("policy document {} {}", quote(given_.name), places_.line_and_column(offset))
                            : fmt::format("policy {} {}", quote(rule), places_.line_and_column(offset));
    }
    void report(std::string_view code, std::string_view rule, std::string_view pointer, std::string message,
                std::string hint = {}) {
        log_.add(true, code, rule, std::move(message), where(rule, places_.value(pointer)), std::move(hint));
    }
    void syntax(const error& wrong) {
        std::size_t offset = 0;
        std::string_view place = wrong.where;
        if (place.starts_with("byte ")) {
            place.remove_prefix(5);
            std::from_chars(place.data(), place.data() + place.size(), offset);
        } else {
            offset = places_.value(place);
        }
        log_.add(true, wrong.code, "", wrong.message, where("", offset), wrong.hint);
    }

    /// Reports everything wrong with the keys of an object, and mends the copy so that reading can go on: unknown keys are
    /// taken out, missing and wrong ones get a harmless value. False when something was wrong.
    bool structure(json& node, std::span<const document_field> table, const std::string& at, std::string_view rule) {
        bool fine = true;
        if (!node.is_object()) {
            report("policy.wrong_kind", rule, at, fmt::format("expected an object, found {}", kind_name(node)));
            node = json::object();
            while (true) {
                const status checked = check_object(node, table, at, error_kind::policy);
                if (checked) return false;
                mend(node, table, checked.error());
            }
        }
        for (std::size_t round = 0; round < 64; ++round) {
            const status checked = check_object(node, table, at, error_kind::policy);
            if (checked) return fine;
            const error& wrong = checked.error();
            log_.add(true, wrong.code, rule, wrong.message, where(rule, places_.key(wrong.where)), wrong.hint);
            fine = false;
            mend(node, table, checked.error());
        }
        return fine;
    }
    static void mend(json& node, std::span<const document_field> table, const error& wrong) {
        static constexpr std::array<const char*, 7> harmless{"null", "false", "0", "0", "\"\"", "[]", "{}"};
        const auto fill = [&](const document_field& f) {
            node[std::string(f.name)] = f.choices.empty() ? json::parse(harmless[static_cast<std::size_t>(f.kind)])
                                                          : json(std::string(f.choices.front()));
        };
        if (wrong.code.ends_with(".missing_field")) {
            for (const document_field& f : table)
                if (f.required && !node.contains(std::string(f.name))) return fill(f);
        }
        for (auto item = node.begin(); item != node.end(); ++item) {
            if (!wrong.where.ends_with(pointer("", item.key()))) continue;
            const auto f =
                std::find_if(table.begin(), table.end(), [&](const document_field& t) { return t.name == item.key(); });
            if (f == table.end())
                node.erase(item);
            else
                fill(*f);
            return;
        }
    }

    /// Parses, checks and compiles a condition; `part`, unless null, becomes its part of the graph. Findings point into the
    /// JSON text.
    bool condition(const std::string& source, const std::string& at, std::string_view id, cel::detail::program& out,
                   std::uint32_t* part) {
        cel::detail::checked c;
        const std::string pointer = at + "/when";
        if (!expression(source, pointer, id, c, out)) return false;
        bool fine = true;
        const auto place = [&](const cel::detail::problem& p, bool is_error) {
            log_.add(is_error, p.code, id, p.message, where(id, places_.inside(pointer, p.offset)), p.hint);
            fine = fine && !is_error;
        };
        const cel::detail::type_id type = c.types.back();
        if (type != cel::detail::types::boolean && type != cel::detail::types::dyn) {
            place({"policy.condition_type", fmt::format("a condition is a bool, this is {}", c.pool.text(type)),
                   "compare it with something", c.ast.nodes.back().start, 1},
                  true);
            return false;
        }
        if (out.reads == cel::detail::reads_nothing) constant_condition(out, c.ast.source, place);
        if (fine && part != nullptr) *part = columns_.add(c);
        return fine;
    }

    /// Parses, checks and compiles what stands at `pointer`.
    bool expression(const std::string& source, const std::string& pointer, std::string_view id, cel::detail::checked& c,
                    cel::detail::program& out) {
        bool fine = true;
        const auto place = [&](const cel::detail::problem& p, bool is_error) {
            log_.add(is_error, p.code, id, p.message, where(id, places_.inside(pointer, p.offset)), p.hint);
            fine = fine && !is_error;
        };
        if (const auto wrong = cel::detail::parse(source, cel::detail::condition_limits, c.ast)) {
            place(*wrong, true);
            return false;
        }
        cel::detail::environment env;
        env.records = &schema_;
        env.tables = out_.tables.state;
        cel::detail::check(c, env);
        for (const cel::detail::meaning& m : c.meanings)
            if (m.what == cel::detail::reference::lookup) out_.looked_into[m.index] = true;
        if (c.ok()) out = cel::detail::lower(c, {}, &strings_, true);
        for (const cel::detail::remark& r : c.remarks) place(r.what, r.is_error);
        return fine;
    }

    /// What a limit counts by.
    void key(const std::string& source, const std::string& at, policy_rule& r, bool& fine) {
        cel::detail::checked c;
        if (!expression(source, at + "/key", r.id, c, r.key)) {
            fine = false;
            return;
        }
        namespace t = cel::detail::types;
        const cel::detail::type_id type = c.types.back();
        if (type == t::text || type == t::integer || type == t::uinteger || type == t::boolean || type == t::dyn) return;
        report("policy.key_type", r.id, at + "/key",
               fmt::format("a key is a string, an int or a bool, this is {}", c.pool.text(type)),
               "name the field whose values are counted, such as task.customer");
        fine = false;
    }

    template <class F>
    static void constant_condition(const cel::detail::program& p, const std::string& source, F&& place) {
        const cel::value& v = p.constants[p.code[p.result].a];
        if (v.failed()) {
            place({"policy.condition_fails", fmt::format("the condition always fails: {}", cel::text_of(v.why())), "",
                   static_cast<std::uint32_t>(std::min(v.error_offset(), source.size())), 1},
                  true);
        } else {
            place({v.is_true() ? "policy.always_true" : "policy.always_false",
                   fmt::format("the condition is always {}", v.is_true() ? "true" : "false"),
                   "test a field of the task or the action", 0, 1},
                  false);
        }
    }

    void rule(json& node, const std::string& at) {
        const std::string id = node.is_object() ? text_or(node, "id", "") : std::string{};
        bool fine = structure(node, rule_fields, at, id);
        policy_rule r;
        r.id = text_or(node, "id", "");
        r.when = text_or(node, "when", "");
        r.because = text_or(node, "because", "");
        r.queue = text_or(node, "queue", "");
        r.locked = boolean_or(node, "locked", false);
        r.by = number_or(node, "by", 0);
        r.layer = layer_;
        r.document = document_;
        const std::string effect = text_or(node, "effect", "forbid");
        r.effect = static_cast<policy_effect>(std::find(effect_names.begin(), effect_names.end(), effect) - effect_names.begin());
        const std::string failing = text_or(node, "on_error", "");
        r.failing = failing == "abstain" ? on_error::abstain : failing == "skip" ? on_error::skip : on_error::by_effect;
        const auto wrong = [&](std::string_view code, std::string_view key, std::string message, std::string hint) {
            report(code, id, fmt::format("{}/{}", at, key), std::move(message), std::move(hint));
            fine = false;
        };
        if (fine) {
            if (r.id.empty()) wrong("policy.empty_id", "id", "a rule needs an id", "name it, such as 'refund-cap'");
            if (r.because.find_first_not_of(" \t\n") == std::string::npos)
                wrong("policy.no_reason", "because", "a rule needs a reason", "say why, for the person who reads the decision");
            duplicate(r, at, fine);
            parameter_reader(r, node, schema_, wrong).read();
            if (r.effect == policy_effect::limit && node.contains("key")) key(text_or(node, "key", ""), at, r, fine);
        }
        if (node.contains("when") && node["when"].is_string() && !r.when.empty()) {
            fine = condition(r.when, at, id, r.condition, &r.part) && fine;
            if (fine && layer_ == policy_layer::mandatory) mandatory(r, at, fine);
            if (fine) lint(r, at);
        } else if (fine) {
            wrong("policy.empty_condition", "when", "the condition is empty", "write when the rule applies");
        }
        if (fine) out_.rules.push_back(std::move(r));
        if (!fine && !id.empty()) ids_refused_.push_back(id);
    }

    void duplicate(const policy_rule& r, const std::string& at, bool& fine) {
        const auto same = [&](const policy_rule& other) { return other.id == r.id; };
        const auto known = std::find_if(out_.rules.begin(), out_.rules.end(), same);
        if (known == out_.rules.end() && std::find(ids_refused_.begin(), ids_refused_.end(), r.id) == ids_refused_.end()) return;
        fine = false;
        if (known != out_.rules.end() && known->layer != r.layer && known->locked) {
            report("policy.locked", r.id, at + "/id",
                   fmt::format("rule {} is locked by the {} layer", quote(r.id), name(known->layer)), "choose another id");
            return;
        }
        report("policy.duplicate_rule", r.id, at + "/id", fmt::format("rule {} stands twice", quote(r.id)),
               "give one of them another id");
    }

    /// The mandatory layer holds without models, candidates and catalogue, so it reads the task alone and sends it to people.
    void mandatory(const policy_rule& r, const std::string& at, bool& fine) {
        const auto wrong = [&](const char* key, std::string message, std::string hint) {
            report("policy.mandatory", r.id, fmt::format("{}/{}", at, key), std::move(message), std::move(hint));
            fine = false;
        };
        if (r.effect != policy_effect::escalate || r.queue.empty())
            wrong("effect", "a rule of the mandatory layer escalates to a queue",
                  "use \"effect\": \"escalate\" with a queue, or put the rule into the compliance layer");
        if (!r.of_task())
            wrong("when", "a rule of the mandatory layer reads the task alone: it must hold where there is no candidate",
                  "test fields of the task, or put the rule into the compliance layer");
        if (r.failing != on_error::by_effect)
            wrong("on_error", "a rule of the mandatory layer that fails escalates, and nothing else", "leave on_error out");
        if (r.valid_until_us != std::numeric_limits<std::int64_t>::max())
            wrong("valid_until", "a rule of the mandatory layer does not end by itself", "take the rule out when it is over");
    }

    void lint(const policy_rule& r, const std::string& at) {
        const std::uint32_t reads = r.condition.reads;
        const effect_traits& t = traits_of(r.effect);
        const bool task_only =
            (reads & cel::detail::reads_task) != 0 && (reads & (cel::detail::reads_action | cel::detail::reads_candidate)) == 0;
        if (task_only && t.per_candidate)
            log_.add(false, "policy.task_only", r.id,
                     fmt::format("the condition reads only the task, so '{}' treats every candidate alike", t.name),
                     where(r.id, places_.inside(at + "/when", 0)),
                     t.narrowing ? "test a field of the action, or escalate the task" : "test a field of the action");
    }

    void invariant(json& node, const std::string& at) {
        const std::string id = node.is_object() ? text_or(node, "id", "") : std::string{};
        const bool fine = structure(node, invariant_fields, at, id);
        policy_invariant v;
        v.id = text_or(node, "id", "");
        v.when = text_or(node, "when", "");
        v.never = verdict_named(text_or(node, "never", "auto_execute")).value_or(verdict::auto_execute);
        v.document = document_;
        if (fine && v.id.empty())
            return report("policy.empty_id", id, at + "/id", "an invariant needs an id", "name it, such as 'never-auto-fraud'");
        for (const policy_invariant& other : out_.invariants)
            if (fine && other.id == v.id)
                return report("policy.duplicate_rule", id, at + "/id", fmt::format("invariant {} stands twice", quote(v.id)),
                              "give one of them another id");
        if (condition(v.when, at, id, v.condition, nullptr) && fine) out_.invariants.push_back(std::move(v));
    }

    void test(json& node, const std::string& at, std::size_t index) {
        if (!structure(node, test_fields, at, "")) return;
        if (!structure(node["expect"], expect_fields, at + "/expect", "")) return;
        policy_test t;
        t.document = document_;
        t.index = index;
        t.task = node["task"];
        t.candidate = node.value("candidate", json::object());
        const json& expect = node["expect"];
        if (expect.empty())
            return report("policy.empty_test", "", at + "/expect", "the test expects nothing", "add \"verdict\" or \"rule\"");
        if (expect.contains("verdict")) t.verdict = verdict_named(expect["verdict"].get<std::string>());
        if (expect.contains("allowed")) t.allowed = expect["allowed"].get<bool>();
        if (expect.contains("boost")) t.boost = expect["boost"].get<double>();
        if (expect.contains("threshold")) t.threshold = expect["threshold"].get<double>();
        if (expect.contains("rule")) t.rule = expect["rule"].get<std::string>();
        if (expect.contains("queue")) t.queue = expect["queue"].get<std::string>();
        if (const auto now = node.find("now"); now != node.end()) {
            if (now->is_number_integer()) {
                t.now_us = now->get<std::int64_t>();
            } else if (const auto us = parse_timestamp(now->is_string() ? now->get<std::string>() : std::string{}); us) {
                t.now_us = *us;
            } else {
                return report("policy.bad_timestamp", "", at + "/now", "'now' is RFC 3339 text or microseconds since 1970", "");
            }
        }
        out_.tests.push_back(std::move(t));
    }

    const policy_set::document& given_;
    const schema& schema_;
    dictionary& strings_;
    policy_parts& out_;
    cel::detail::graph_builder& columns_;
    finding_log& log_;
    json_places places_;
    policy_layer layer_ = policy_layer::business;
    std::uint32_t document_ = 0;
    std::vector<std::string> ids_refused_;
};

OPSPILOT_INLINE void read_policy_document(const policy_set::document& given, const policy_sink& into) {
    document_reader(given, into).read();
}

}  // namespace opspilot::detail
