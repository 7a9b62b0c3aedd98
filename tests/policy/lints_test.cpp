// What the rules of a document say about each other, word for word, and where.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "catch.hpp"
#include "opspilot/policy/detail/analysis/analysis.hpp"
#include "opspilot/policy/policy.hpp"

using namespace opspilot;

namespace {

schema fields() {
    return schema::parse(R"({
      "task": [{"name": "intent", "type": "string", "values": ["refund", "fraud", "legal"]}, {"name": "amount", "type": "double"},
               {"name": "count", "type": "int", "min": 0}, {"name": "note", "type": "string", "optional": true},
               {"name": "text", "type": "string"}, {"name": "due", "type": "timestamp", "optional": true}],
      "action": [{"name": "kind", "type": "string"}, {"name": "cost", "type": "double", "optional": true}]})")
        .value();
}

struct rule {
    std::string id, when, effect, more = "";
    std::string layer = "client";
};

/// A document per layer, a rule per line, so that rule i of its layer stands at line i + 2.
struct compiled {
    std::vector<std::string> texts;
    dictionary strings;
    std::vector<policy_finding> findings;
    policy_set set;

    explicit compiled(const std::vector<rule>& rules, const std::string& invariants = "[]") {
        for (const char* layer : {"compliance", "client", "business"}) {
            std::string lines;
            for (const rule& r : rules) {
                if (r.layer != layer) continue;
                lines += fmt::format("{}\n{{\"id\": \"{}\", \"when\": \"{}\", \"effect\": \"{}\"{}, \"because\": \"b\"}}",
                                     lines.empty() ? "" : ",", r.id, r.when, r.effect, r.more);
            }
            texts.push_back(fmt::format(R"({{"layer": "{}", "version": "1", "invariants": {}, "rules": [{}]}})", layer,
                                        std::string(layer) == "compliance" ? invariants : "[]", lines));
        }
        std::vector<policy_set::document> documents;
        for (const std::string& text : texts) documents.push_back({"p.json", text});
        auto made = policy_set::compile(documents, fields(), strings, &findings);
        if (!made) FAIL(made.error().text());
        set = std::move(*made);
    }
};

std::string text_of(const std::vector<policy_finding>& findings) {
    std::string out;
    for (const policy_finding& f : findings) {
        CHECK(!f.is_error);
        if (!out.empty()) out += '\n';
        out += fmt::format("{} | {}: {}; {}", f.code, f.where, f.message, f.hint);
    }
    return out;
}
std::string warnings(const std::vector<rule>& rules) { return text_of(compiled(rules).findings); }
std::string notes(const std::vector<rule>& rules) { return text_of(compiled(rules).set.notes()); }

}  // namespace

TEST_CASE("conditions that read something and always come out the same") {
    CHECK(warnings({{"r", "task.count >= 0", "escalate"}}) ==
          "policy.always_true | policy 'r' line 2 column 22: the condition always holds; every row that the schema allows meets "
          "it; write true if that is meant");
    CHECK(warnings({{"r", "action.kind == 'a' && task.count < 0", "forbid"}}) ==
          "policy.always_false | policy 'r' line 2 column 44: the condition never holds; this part never holds for values that "
          "the schema allows");
    CHECK(
        warnings({{"r", "task.amount > 5.0 && task.amount < 5.0", "escalate"}}) ==
        "policy.always_false | policy 'r' line 2 column 22: the condition never holds; no values that the schema allows meet it");
    CHECK(warnings({{"r", "task.note == 'a' || task.note != 'a'", "escalate"}}).empty());  // it may be missing
}

TEST_CASE("a finding shows its line with a mark under the place") {
    const compiled c({{"r", "action.kind == 'a' && task.count < 0", "forbid"}});
    REQUIRE(c.findings.size() == 1);
    CHECK(c.findings[0].excerpt ==
          "{\"id\": \"r\", \"when\": \"action.kind == 'a' && task.count < 0\", \"effect\": \"forbid\", \"because\": \"b\"}]}\n"
          "                                           ^~~~~~~~~~");
}

TEST_CASE("rules that another rule leaves nothing to do") {
    CHECK(
        warnings({{"wide", "task.amount > 100.0", "escalate"}, {"narrow", "task.amount > 500.0", "require_approval"}}) ==
        "policy.shadowed | policy 'narrow' line 3 column 27: rule 'wide' (escalate) covers every case of this one; take it out, "
        "or narrow the other");
    CHECK(
        warnings({{"narrow", "task.amount > 500.0", "require_approval"}, {"wide", "task.amount > 100.0", "require_approval"}}) ==
        "policy.shadowed | policy 'narrow' line 2 column 27: rule 'wide' (require_approval) covers every case of this one; take "
        "it out, or narrow the other");
    // A lower layer may change any day; what a higher one says is not told off for it.
    CHECK(warnings({{"narrow", "task.amount > 500.0", "require_approval", "", "compliance"},
                    {"wide", "task.amount > 100.0", "require_approval", "", "business"}})
              .empty());
    CHECK(warnings({{"wide", "task.amount > 100.0", "require_approval", "", "compliance"},
                    {"narrow", "task.amount > 500.0", "require_approval", "", "business"}})
              .starts_with("policy.shadowed | policy 'narrow'"));
    // Weaker, or with something of its own: a queue that is not the first's.
    CHECK(warnings({{"wide", "task.amount > 100.0", "require_approval"}, {"narrow", "task.amount > 500.0", "escalate"}}).empty());
    CHECK(warnings({{"some", "task.amount > 100.0", "escalate"}, {"few", "task.amount > 500.0", "escalate", R"(, "queue": "q")"}})
              .empty());
    CHECK(warnings({{"some", "task.amount > 100.0", "escalate", R"(, "queue": "p")"},
                    {"few", "task.amount > 500.0", "escalate", R"(, "queue": "q")"}})
              .starts_with("policy.shadowed | policy 'few'"));
    // A missing cost makes both act, and a condition that fails where the other does not is no cover.
    CHECK(warnings({{"wide", "action.cost > 1.0", "forbid"}, {"narrow", "action.cost > 2.0", "forbid"}})
              .starts_with("policy.shadowed | policy 'narrow'"));
    CHECK(warnings({{"wide", "has(action.cost) && action.cost > 1.0", "forbid"}, {"narrow", "action.cost > 2.0", "forbid"}})
              .empty());
}

TEST_CASE("the same said twice, and opposites") {
    CHECK(warnings({{"a", "action.kind == 'x'", "boost", R"(, "by": 0.5)"},
                    {"b", "action.kind  ==  'x'", "boost", R"(, "by": 0.5)"}}) ==
          "policy.repeated_rule | policy 'b' line 3 column 22: rule 'a' says the same; take one of them out, or say both amounts "
          "in one rule");
    CHECK(warnings(
              {{"a", "action.kind == 'x'", "boost", R"(, "by": 0.5)"}, {"b", "action.kind == 'x'", "boost", R"(, "by": 0.25)"}})
              .empty());
    CHECK(warnings(
              {{"a", "action.kind == 'x'", "boost", R"(, "by": 0.5)"}, {"b", "action.kind == 'x'", "penalise", R"(, "by": 0.5)"}})
              .starts_with("policy.contradiction | policy 'b' line 3 column 22: rule 'a' does the opposite"));
    CHECK(
        warnings({{"ban", "action.kind.startsWith('x')", "forbid"}, {"pin", "action.kind == 'xy'", "pin"}}) ==
        "policy.contradiction | policy 'pin' line 3 column 24: rule 'ban' forbids every candidate that this one would pin; take "
        "it out, or narrow the ban");
    CHECK(warnings({{"list", "action.kind in ['a', 'b']", "allow_only"}, {"pin", "action.kind == 'c'", "pin"}})
              .starts_with("policy.contradiction | policy 'pin'"));
    CHECK(warnings({{"list", "action.kind in ['a', 'b']", "allow_only"}, {"pin", "action.kind == 'a'", "pin"}}).empty());
}

TEST_CASE("after a ban of everything nothing else matters") {
    const std::string found = warnings({{"ban", "true", "forbid"}, {"boost", "action.kind == 'x'", "boost", R"(, "by": 0.5)"}});
    CHECK(found.find("policy.always_true | policy 'ban'") != std::string::npos);
    CHECK(found.find("policy.never_reached | policy 'boost' line 3 column 26: rule 'ban' forbids every candidate, so this one "
                     "changes nothing") != std::string::npos);
}

TEST_CASE("characters that are not what they seem") {
    CHECK(warnings({{"r",
                     "task.text == 'r\xD0\xB5"
                     "fund'",
                     "escalate"}})
              .starts_with(
                  "policy.odd_characters | policy 'r' line 2 column 35: the text mixes Latin and Cyrillic letters in one word"));
    CHECK(warnings({{"r",
                     "task.text == 'a\xE2\x80\xAE"
                     "b'",
                     "escalate"}})
              .find("U+202E, which turns the direction") != std::string::npos);
    CHECK(warnings({{"r",
                     "task.text == 'a\xE2\x80\x8B"
                     "b'",
                     "escalate"}})
              .find("U+200B, which nobody sees") != std::string::npos);
    CHECK(warnings({{"r\xD0\xB5"
                     "fund",
                     "task.amount > 1.0", "escalate"}})
              .find("the id mixes Latin and Cyrillic") != std::string::npos);
    // Whole words in one script are words; beside a Latin text that looks the same they are a trap.
    CHECK(warnings({{"r", "task.text == 'возврат'", "escalate"}}).empty());
    CHECK(warnings({{"r", "task.text == '\xD0\xBE\xD1\x80\xD0\xB0' || action.kind == 'opa'", "escalate"}})
              .find("policy.confusable") != std::string::npos);
    CHECK(warnings({{"r", "task.text == 'Straße' && action.kind == 'Strasse'", "escalate"}}).empty());
    CHECK(detail::analysis::odd_characters("नमस्ते क्‍ष").empty());  // a joiner where the script needs it
    CHECK(detail::analysis::appearance("ｒｅｆｕｎｄ") == "refund");
}

TEST_CASE("limits count by themselves, kill switches stay, and times bound what covers what") {
    const std::string limit = R"(, "count": 5, "per": "1h", "key": "task.intent")";
    const std::string from = R"(, "valid_from": "2026-03-01T00:00:00Z")", until = R"(, "valid_until": "2026-04-01T00:00:00Z")";
    // Two limits take two tokens, two kill switches are turned off one by one.
    CHECK(warnings({{"a", "action.kind == 'x'", "limit", limit}, {"b", "action.kind == 'x'", "limit", limit}}).empty());
    CHECK(warnings({{"a", "action.kind == 'x'", "limit", R"(, "count": 5, "per": "1h")"}}) ==
          "policy.limit_without_key | policy 'a' line 2 column 54: the limit counts all decisions together; add \"key\": what is "
          "counted by itself, such as task.client");
    CHECK(warnings({{"a", "task.amount > 1.0", "kill"}, {"b", "task.amount > 1.0", "kill"}}).empty());
    CHECK(warnings({{"ban", "task.amount > 1.0", "forbid"}, {"off", "task.amount > 1.0", "kill", R"(, "scope": "all")"}})
              .find("'off'") == std::string::npos);
    // A rule covers another only for as long as it acts.
    const rule wide{"wide", "task.amount > 100.0", "escalate"}, narrow{"narrow", "task.amount > 500.0", "require_approval"};
    const auto with = [](rule r, const std::string& more) {
        r.more = more;
        return r;
    };
    CHECK(warnings({with(wide, from), narrow}).empty());
    CHECK(warnings({with(wide, until), narrow}).empty());
    CHECK(warnings({with(wide, from), with(narrow, from + until)}).starts_with("policy.shadowed | policy 'narrow'"));
    CHECK(warnings({wide, with(narrow, until)}).starts_with("policy.shadowed | policy 'narrow'"));
    CHECK(warnings({with(wide, until), with(narrow, from)}).empty());
    const rule other{"other", "task.amount > 500.0", "require_approval"};
    CHECK(warnings({with(narrow, from), with(other, from)}).starts_with("policy.repeated_rule | policy 'other'"));
    CHECK(warnings({with(narrow, from), with(other, until)}).empty());
    // What is over is said with the time at hand.
    const compiled timed({with(narrow, until)});
    constexpr std::int64_t end = 1'775'001'600'000'000;  // 2026-04-01
    CHECK(timed.set.findings_at(end - 1).empty());
    const auto over = timed.set.findings_at(end);
    REQUIRE(over.size() == 1);
    CHECK(over[0].code == "policy.expired");
    CHECK(over[0].rule == "narrow");
}

TEST_CASE("notes: what may be meant and may be not") {
    CHECK(notes({{"a", "task.intent == 'fraud'", "escalate", R"(, "queue": "trust")"},
                 {"b", "task.amount > 5.0", "escalate", R"(, "queue": "desk")"}})
              .starts_with(
                  "policy.overlap | policy 'b' line 3 column 22: two queues for one task; it goes to 'trust': this one and "
                  "'a' act together on {\"task\":{"));
    CHECK(notes({{"a", "task.intent == 'fraud'", "escalate", R"(, "queue": "trust")"},
                 {"b", "task.intent == 'legal'", "escalate", R"(, "queue": "desk")"}})
              .empty());
    CHECK(notes({{"a", "action.kind == 'x' && task.amount > 5.0", "forbid"}, {"b", "action.kind == 'x'", "pin"}})
              .starts_with(
                  "policy.overlap | policy 'b' line 3 column 22: one rule pins what the other forbids; it stays forbidden"));
    CHECK(
        notes({{"r", "action.cost > 5.0", "forbid"}}) ==
        "policy.unguarded_field | policy 'r' line 2 column 22: action.cost may be missing; the rule acts as if it held (forbid); "
        "test has(action.cost) if that is not meant");
    CHECK(notes({{"r", "action.cost > 5.0", "boost", R"(, "by": 1.0)"}}).find("the rule does nothing (boost)") !=
          std::string::npos);
    CHECK(notes({{"r", "has(action.cost) && action.cost > 5.0", "forbid"}}).empty());
    CHECK(notes({{"r", "action.cost > 5.0 && has(action.cost)", "forbid"}}).empty());  // && absorbs
    CHECK(notes({{"r", "task.text.matches('agent|human')", "escalate"}}) ==
          "policy.regex_unanchored | policy 'r' line 2 column 40: the pattern is found anywhere in the text, in the middle of "
          "words "
          "too; write ^…$ for the whole text or \\b…\\b for words, if that is meant");
    CHECK(notes({{"r", "task.text.matches('^(agent|human)$')", "escalate"}}).empty());
}

TEST_CASE("invariants: proved by one rule or by several, refuted with a row, or left open") {
    const auto outcome = [](const std::vector<rule>& rules, const std::string& when, const std::string& never = "auto_execute") {
        const compiled c(rules, fmt::format(R"([{{"id": "i", "when": "{}", "never": "{}"}}])", when, never));
        const auto proofs = c.set.prove();
        REQUIRE(proofs.size() == 1);
        const auto& p = proofs[0];
        const bool warned = !c.findings.empty() && c.findings.back().code == "policy.invariant_refuted";
        CHECK(warned == (p.what == policy_set::proof::kind::refuted));
        return p.what == policy_set::proof::kind::proved    ? std::string("proved")
               : p.what == policy_set::proof::kind::refuted ? fmt::format("{} {}", p.verdict, p.row)
                                                            : std::string("not decided");
    };
    CHECK(outcome({{"r", "task.intent in ['fraud', 'legal']", "escalate"}}, "task.intent == 'fraud'") == "proved");
    CHECK(outcome({{"r", "task.intent == 'legal'", "escalate"}}, "task.intent == 'fraud'") ==
          R"(auto_execute {"task":{"amount":0.0,"count":0,"intent":"fraud","text":""},"candidate":{"id":"","kind":""}})");
    CHECK(outcome({{"a", "task.amount > 10.0", "require_approval"}, {"b", "task.amount < 20.0", "suggest_only"}},
                  "task.count > 3") == "proved");
    CHECK(
        outcome({{"a", "task.amount > 10.0", "require_approval"}, {"b", "task.amount < 10.0", "suggest_only"}}, "task.count > 3")
            .find("\"amount\":10.0") != std::string::npos);
    CHECK(outcome({{"a", "action.cost > 10.0", "require_approval"}}, "action.cost > 10.0") == "proved");  // both fail alike
    CHECK(outcome({{"a", "has(action.cost) && action.cost > 10.0", "require_approval"}}, "action.cost > 10.0")
              .find("auto_execute {\"task\"") == 0);  // an invariant that fails applies
    CHECK(outcome({{"a", "action.kind == 'x'", "allow_only"}}, "action.kind == 'y'") == "proved");
    CHECK(outcome({{"a", "true", "require_approval"}}, "task.amount > 5.0", "require_approval").find("require_approval {") == 0);
    CHECK(outcome({{"a", "action.cost > 1.0", "boost", R"(, "by": 1.0, "on_error": "abstain")"}}, "!has(action.cost)") ==
          "proved");
    CHECK(outcome({{"a", "task.text.contains('ab')", "escalate"}}, "task.text.endsWith('abc')") == "proved");
    // A kill switch guards; a limit does not, since it may have tokens left; nor does a rule that ends or has not begun.
    CHECK(outcome({{"k", "task.intent == 'fraud'", "kill"}}, "task.intent == 'fraud'") == "proved");
    CHECK(outcome({{"k", "task.intent == 'fraud'", "kill"}}, "task.intent == 'fraud'", "suggest").starts_with("suggest {"));
    CHECK(outcome({{"k", "task.intent == 'fraud'", "kill", R"(, "scope": "all")"}}, "task.intent == 'fraud'", "suggest") ==
          "proved");
    CHECK(outcome({{"l", "task.intent == 'fraud'", "limit", R"(, "count": 1, "per": "1h", "key": "task.intent")"}},
                  "task.intent == 'fraud'")
              .starts_with("auto_execute {"));
    for (const char* time : {R"(, "valid_from": "2026-03-01T00:00:00Z")", R"(, "valid_until": "2026-03-01T00:00:00Z")"})
        CHECK(outcome({{"e", "task.intent == 'fraud'", "escalate", time}}, "task.intent == 'fraud'") != "proved");
    CHECK(outcome({{"a", "task.text.matches('^a.*b$')", "escalate"}}, "task.text.matches('^ac*b$')") == "not decided");
}
