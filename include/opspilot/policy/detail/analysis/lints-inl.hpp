#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "opspilot/policy/detail/analysis/analysis.hpp"
#include "opspilot/policy/detail/analysis/decider.hpp"
#include "opspilot/policy/detail/analysis/places.hpp"
#include "opspilot/policy/detail/analysis/rule_facts.hpp"

namespace opspilot::detail::analysis {

/// Looks at the rules of all documents together.
class linter {
public:
    linter(const policy_set& set, dictionary& strings, std::vector<policy_finding>& out)
        : parts_(*set.state), out_(out), decider_(set.state->fields, strings, set.state->tables), places_(*set.state) {
        decider_.budget = 4'000'000;
        decider_.question_budget = 100'000;
        for (const policy_rule& r : parts_.rules) {
            const auto number = decider_.add(r.when);
            conditions_.push_back(number ? *number : nothing);
        }
    }

    void warnings() {
        always_.assign(rules().size(), 0);
        never_.assign(rules().size(), 0);
        for (std::size_t i = 0; i < rules().size(); ++i)
            if (conditions_[i] != nothing) constant(i);
        for (std::size_t i = 0; i < rules().size(); ++i) characters(i);
        appearances();
        for (std::size_t i = 0; i < rules().size(); ++i)
            if (conditions_[i] != nothing) others(i);
        for (std::size_t i = 0; i < rules().size(); ++i)
            if (rules()[i].effect == policy_effect::limit && rules()[i].key.code.empty())
                add(i, "effect", 0, "policy.limit_without_key", "the limit counts all decisions together",
                    "add \"key\": what is counted by itself, such as task.client");
    }

    void notes() {
        for (std::size_t i = 0; i < rules().size(); ++i) {
            if (conditions_[i] == nothing) continue;
            patterns(i);
            unguarded(i);
            for (std::size_t k = 0; k < i; ++k)
                if (conditions_[k] != nothing) overlap(k, i);
        }
    }

private:
    static constexpr std::uint32_t nothing = 0xFFFFFFFFU;

    [[nodiscard]] const std::vector<policy_rule>& rules() const noexcept { return parts_.rules; }
    [[nodiscard]] std::string_view effect(std::size_t i) const noexcept { return traits_of(rules()[i].effect).name; }

    void add(std::size_t i, std::string_view key, std::size_t offset, std::string_view code, std::string message,
             std::string hint) {
        out_.push_back(
            places_.make(rules()[i].document, "rules", rules()[i].id, key, offset, code, std::move(message), std::move(hint)));
    }

    // ---- one rule ----

    /// Conditions that read something and yet always come out the same; constant ones were reported when they were read.
    void constant(std::size_t i) {
        const policy_rule& r = rules()[i];
        if (r.condition.reads == cel::detail::reads_nothing) {
            always_[i] = decider_.valid(conditions_[i]).what == decision::kind::yes ? 1 : 0;
            return;
        }
        const decision possible = decider_.satisfiable(conditions_[i]);
        never_[i] = possible.what == decision::kind::no ? 1 : 0;
        if (never_[i] != 0) {
            // A value that is not declared was named already, and is mostly why.
            if (std::any_of(out_.begin(), out_.end(),
                            [&](const policy_finding& f) { return f.rule == r.id && f.code == "policy.value_not_declared"; }))
                return;
            const std::size_t part = impossible_part(conditions_[i]);
            add(i, "when", part, "policy.always_false", "the condition never holds",
                part == 0 ? "no values that the schema allows meet it"
                          : "this part never holds for values that the schema allows");
            return;
        }
        always_[i] = decider_.valid(conditions_[i]).what == decision::kind::yes ? 1 : 0;
        if (always_[i] != 0)
            add(i, "when", 0, "policy.always_true", "the condition always holds",
                "every row that the schema allows meets it; write true if that is meant");
    }
    /// Of a conjunction that never holds: where the first operand starts that never holds alone, or the whole.
    [[nodiscard]] std::size_t impossible_part(std::uint32_t number) {
        const condition& c = decider_.at(number);
        std::vector<std::size_t> open{c.parts.size() - 1}, operands;
        while (!open.empty()) {
            const std::size_t at = open.back();
            open.pop_back();
            if (c.parts[at].how != junction::both) {
                operands.push_back(at);
                continue;
            }
            open.push_back(c.parts[at].b);
            open.push_back(c.parts[at].a);
        }
        if (operands.size() < 2) return 0;
        for (const std::size_t part : operands) {
            // The operand's own text: from its start to its end.
            const cel::detail::node& n = c.tree.ast.nodes[c.nodes[part]];
            const auto alone = decider_.add(std::string_view(c.source).substr(n.start, n.stop - n.start));
            if (alone && decider_.satisfiable(*alone).what == decision::kind::no) return n.start;
        }
        return 0;
    }

    void characters(std::size_t i) {
        if (std::string odd = odd_characters(rules()[i].id); !odd.empty())
            add(i, "id", 0, "policy.odd_characters", "the id " + odd, "type it again");
        if (conditions_[i] == nothing) return;
        for (const cel::detail::node& n : decider_.at(conditions_[i]).tree.ast.nodes)
            if (n.kind == cel::detail::node_kind::text)
                if (std::string odd = odd_characters(n.name); !odd.empty())
                    add(i, "when", n.start, "policy.odd_characters", "the text " + odd,
                        "type it again, or write it with an escape");
    }
    /// Ids and texts that differ and look the same.
    [[nodiscard]] static bool is_ascii(std::string_view text) noexcept {
        return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    }
    void appearances() {
        std::map<std::string, std::string> seen;
        const auto clashes = [&](const std::string& text) -> const std::string* {
            const auto [at, fresh] = seen.emplace(appearance(text), text);
            // l, 1 and I look alike too, but whoever types ASCII sees ASCII.
            const bool plain = is_ascii(text) && is_ascii(at->second);
            return fresh || plain || at->second == text ? nullptr : &at->second;
        };
        const schema& fields = decider_.tests().fields();
        for (const role r : {role::task, role::action, role::candidate})
            for (const field& f : fields.fields(r))
                for (const std::string& value : f.values) static_cast<void>(clashes(value));
        for (std::size_t i = 0; i < rules().size(); ++i) {
            if (conditions_[i] == nothing) continue;
            for (const cel::detail::node& n : decider_.at(conditions_[i]).tree.ast.nodes)
                if (n.kind == cel::detail::node_kind::text)
                    if (const std::string* other = clashes(n.name))
                        add(i, "when", n.start, "policy.confusable",
                            fmt::format("{} looks like {}, which is another text", quote(n.name), quote(*other)),
                            "copy the one that is meant");
        }
        seen.clear();
        for (std::size_t i = 0; i < rules().size(); ++i)
            if (const std::string* other = clashes(rules()[i].id))
                add(i, "id", 0, "policy.confusable", fmt::format("the id looks like that of another rule, {}", quote(*other)),
                    "choose another id");
    }

    // ---- two rules ----

    [[nodiscard]] bool reads_within(std::size_t a, std::size_t b) const {
        const auto reads = [&](std::size_t i, field_id f) {
            const std::vector<std::uint32_t>& tests = decider_.at(conditions_[i]).tests;
            return std::any_of(tests.begin(), tests.end(),
                               [&](std::uint32_t t) { return decider_.tests()[t].position(f).has_value(); });
        };
        for (const std::uint32_t t : decider_.at(conditions_[a]).tests)
            for (const reading& r : decider_.tests()[t].reads)
                if (!reads(b, r.field)) return false;
        return true;
    }
    [[nodiscard]] bool same_parameters(const policy_rule& a, const policy_rule& b) const noexcept {
        const rule_times one = times_of(a), two = times_of(b);
        return a.effect == b.effect && a.queue == b.queue && a.by == b.by && a.failing == b.failing && one.from == two.from &&
               one.until == two.until && threshold_of(a) == threshold_of(b);
    }
    [[nodiscard]] bool same_condition(std::size_t a, std::size_t b) const {
        const condition &one = decider_.at(conditions_[a]), &two = decider_.at(conditions_[b]);
        return conditions_[a] == conditions_[b] ||
               (one.parts.size() == two.parts.size() &&
                key_of(one.tree, one.tree.ast.root()) == key_of(two.tree, two.tree.ast.root()));
    }

    /// What the other rules leave of rule i: the first thing that is wrong with it.
    void others(std::size_t i) {
        const policy_rule& r = rules()[i];
        if (never_[i] != 0 && acting(r) == holds) return;  // said already
        for (std::size_t k = 0; k < rules().size(); ++k) {
            if (k == i || conditions_[k] == nothing || rules()[k].layer > r.layer) continue;
            const policy_rule& other = rules()[k];
            const bool before = k < i;
            if (!times_of(r).within(times_of(other))) continue;
            // Effects with parameters that are not compared here count and choose by themselves.
            const bool plain = cap_of(r) || r.effect == policy_effect::route || r.effect == policy_effect::pin ||
                               r.effect == policy_effect::boost || r.effect == policy_effect::penalise;
            if (before && plain && r.effect != policy_effect::kill && same_parameters(other, r) && same_condition(k, i)) {
                add(i, "when", 0, "policy.repeated_rule", fmt::format("rule {} says the same", quote(other.id)),
                    r.effect == policy_effect::boost || r.effect == policy_effect::penalise
                        ? "take one of them out, or say both amounts in one rule"
                        : "take one of them out");
                return;
            }
            if (!before && other.layer != r.layer) continue;
            if (opposed(k, i, before)) return;
            if (r.failing != on_error::by_effect || !leaves_nothing(other, r, before)) continue;
            if (always_[k] == 0 && !reads_within(k, i)) continue;
            if (covered(k, i)) {
                // Of two that cover each other the later one is named.
                if (!before && leaves_nothing(r, other, true) && covered(i, k)) continue;
                shadowed(k, i);
                return;
            }
        }
    }
    /// boost and penalise on the same condition.
    [[nodiscard]] bool opposed(std::size_t k, std::size_t i, bool before) {
        const policy_effect a = rules()[k].effect, b = rules()[i].effect;
        const bool both = (a == policy_effect::boost && b == policy_effect::penalise) ||
                          (a == policy_effect::penalise && b == policy_effect::boost);
        if (!before || !both || !same_condition(k, i)) return false;
        add(i, "when", 0, "policy.contradiction",
            fmt::format("rule {} does the opposite where the same holds", quote(rules()[k].id)),
            "say the difference in one rule");
        return true;
    }
    /// Whether rule k acts wherever rule i does.
    [[nodiscard]] bool covered(std::size_t k, std::size_t i) {
        outcomes there = acting(rules()[k]);
        // An escalation with a queue is not replaced by one that abstains.
        if (rules()[k].failing == on_error::abstain && cap_of(rules()[i]) && rules()[i].queue.empty()) there |= fails;
        const std::array<demand, 2> wanted{
            {{conditions_[i], acting(rules()[i])}, {conditions_[k], static_cast<outcomes>(anything & ~there)}}};
        return decider_.find(wanted).what == finding::kind::none;
    }
    void shadowed(std::size_t k, std::size_t i) {
        const policy_rule &r = rules()[i], &other = rules()[k];
        const bool bans = other.effect == policy_effect::forbid || other.effect == policy_effect::allow_only;
        const bool moves =
            r.effect == policy_effect::boost || r.effect == policy_effect::penalise || r.effect == policy_effect::pin;
        if (bans && always_[k] != 0 && other.effect == policy_effect::forbid) {
            add(i, "when", 0, "policy.never_reached",
                fmt::format("rule {} forbids every candidate, so this one changes nothing", quote(other.id)),
                fmt::format("give {} a condition", quote(other.id)));
        } else if (bans && moves) {
            add(i, "when", 0, "policy.contradiction",
                fmt::format("rule {} forbids every candidate that this one would {}", quote(other.id),
                            r.effect == policy_effect::pin ? "pin" : effect(i)),
                "take it out, or narrow the ban");
        } else {
            add(i, "when", 0, "policy.shadowed",
                fmt::format("rule {} ({}) covers every case of this one", quote(other.id), effect(k)),
                "take it out, or narrow the other");
        }
    }

    // ---- notes ----

    /// Both rules at once, where one of them cannot have its way.
    void overlap(std::size_t k, std::size_t i) {
        const policy_rule &a = rules()[k], &b = rules()[i];
        const auto is_ban = [](const policy_rule& r) {
            return r.effect == policy_effect::forbid || r.effect == policy_effect::allow_only;
        };
        std::string what;
        if ((is_ban(a) && b.effect == policy_effect::pin) || (a.effect == policy_effect::pin && is_ban(b)))
            what = "one rule pins what the other forbids; it stays forbidden";
        else if (!a.queue.empty() && !b.queue.empty() && a.effect == b.effect && a.queue != b.queue)
            what = fmt::format("two queues for one task; it goes to {}", quote(a.queue));
        else if (threshold_of(a) && threshold_of(b) && *threshold_of(a) != *threshold_of(b))
            what = "two thresholds for one decision";
        else
            return;
        const std::array<demand, 2> wanted{{{conditions_[k], acting(a)}, {conditions_[i], acting(b)}}};
        const finding f = decider_.find(wanted);
        if (f.what != finding::kind::row) return;
        add(i, "when", 0, "policy.overlap",
            fmt::format("{}: this one and {} act together on {}", what, quote(a.id), f.row.text()), "see that this is meant");
    }

    void patterns(std::size_t i) {
        const condition& c = decider_.at(conditions_[i]);
        for (const cel::detail::node& n : c.tree.ast.nodes) {
            if (n.kind != cel::detail::node_kind::call || n.name != "matches" || n.count != 2) continue;
            const cel::detail::node& pattern = c.tree.ast.nodes[c.tree.ast.children[n.first + 1]];
            const std::string& text = pattern.name;
            if (pattern.kind != cel::detail::node_kind::text || text.find_first_of("^$") != std::string::npos ||
                text.find("\\b") != std::string::npos || text.find("\\A") != std::string::npos ||
                !cel::detail::simpler_than_regex(text).empty())
                continue;
            add(i, "when", pattern.start, "policy.regex_unanchored",
                "the pattern is found anywhere in the text, in the middle of words too",
                "write ^…$ for the whole text or \\b…\\b for words, if that is meant");
        }
    }

    /// Fields that may be missing and are read all the same: what the rule then does.
    void unguarded(std::size_t i) {
        const condition& c = decider_.at(conditions_[i]);
        std::vector<field_id> fields;
        for (const std::uint32_t t : c.tests)
            for (const reading& r : decider_.tests()[t].reads)
                if (decider_.tests().may_be_missing(r.field) && std::find(fields.begin(), fields.end(), r.field) == fields.end())
                    fields.push_back(r.field);
        const schema& s = decider_.tests().fields();
        const auto named = [&](field_id f) {
            return fmt::format("{}.{}", opspilot::name(path_of(f).where), s.at(path_of(f)).name);
        };
        const std::uint32_t number = conditions_[i];
        for (const field_id f : fields) {
            std::vector<demand> wanted{{number, fails}};
            for (const field_id other : fields) {
                const auto there = decider_.add(fmt::format("has({})", named(other)));
                if (there) wanted.push_back({*there, other == f ? lapses : holds});
            }
            if (decider_.find(wanted).what != finding::kind::row) continue;
            const policy_rule& r = rules()[i];
            const std::string then = r.failing == on_error::abstain ? "the candidate is left to people"
                                     : (acting(r) & fails) != 0     ? fmt::format("the rule acts as if it held ({})", effect(i))
                                                                    : fmt::format("the rule does nothing ({})", effect(i));
            add(i, "when", place_of(decider_.at(number), f), "policy.unguarded_field",
                fmt::format("{} may be missing; {}", named(f), then), fmt::format("test has({}) if that is not meant", named(f)));
        }
    }
    [[nodiscard]] static std::size_t place_of(const condition& c, field_id f) {
        for (std::size_t n = 0; n < c.tree.ast.nodes.size(); ++n)
            if (c.tree.meanings[n].what == cel::detail::reference::field && id_of(c.tree.meanings[n].where) == f &&
                c.tree.ast.nodes[n].kind == cel::detail::node_kind::select)
                return c.tree.ast.nodes[n].start;
        return 0;
    }

    const policy_parts& parts_;
    std::vector<policy_finding>& out_;
    decider decider_;
    document_places places_;
    std::vector<std::uint32_t> conditions_;
    std::vector<char> always_, never_;
};

OPSPILOT_INLINE void add_notes(const policy_set& set, dictionary& strings, std::vector<policy_finding>& out) {
    linter(set, strings, out).notes();
}

OPSPILOT_INLINE void add_expired(const policy_set& set, std::int64_t now_us, std::vector<policy_finding>& out) {
    std::optional<document_places> places;
    for (const policy_rule& r : set.state->rules) {
        if (times_of(r).until > now_us) continue;
        if (!places) places.emplace(*set.state);
        out.push_back(places->make(r.document, "rules", r.id, "valid_until", 1, "policy.expired", "the time of this rule is over",
                                   "take it out, or give it another end"));
    }
}

OPSPILOT_INLINE void add_warnings(const policy_set& set, dictionary& strings, std::vector<policy_finding>& out) {
    linter(set, strings, out).warnings();
    const document_places places(*set.state);
    const std::vector<policy_set::proof> proofs = prove(set, strings);
    for (std::size_t i = 0; i < proofs.size(); ++i) {
        if (proofs[i].what != policy_set::proof::kind::refuted) continue;
        const policy_invariant& v = set.state->invariants[i];
        out.push_back(places.make(v.document, "invariants", v.id, "when", 0, "policy.invariant_refuted",
                                  fmt::format("the rules leave {} for {}", proofs[i].verdict, proofs[i].row),
                                  "add a rule that narrows this case, or the engine refuses such decisions one by one"));
    }
}

}  // namespace opspilot::detail::analysis
