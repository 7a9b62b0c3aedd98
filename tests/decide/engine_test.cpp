#include "opspilot/decide/engine.hpp"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>
#include <set>
#include <thread>

#include "catch.hpp"
#include "opspilot/audit/record.hpp"
#include "world.hpp"

using namespace opspilot;
using world::now_us;

namespace {

decision decided(const engine& e, std::string_view task, std::string_view candidates = {}, const decide_options& options = {}) {
    workspace ws;
    decision d;
    const status done = e.decide(task, candidates, now_us, ws, d, options);
    INFO((done ? std::string() : done.error().text()));
    REQUIRE(done.ok());
    return d;
}

error refused(const engine& e, std::string_view task, std::string_view candidates = {}) {
    workspace ws;
    decision d;
    d.id = "untouched";
    const status done = e.decide(task, candidates, now_us, ws, d);
    REQUIRE_FALSE(done.ok());
    CHECK(d.id == "untouched");
    CHECK_FALSE(done.error().message.empty());
    return done.error();
}

bool has_reason(const decision& d, std::string_view code) {
    for (const reason& r : d.reasons)
        if (r.code == code) return true;
    return false;
}

constexpr std::string_view clear_case = R"([{"id": "refund_full", "match": 3}, {"id": "ask_receipt", "match": 0.1}])";

}  // namespace

TEST_CASE("each verdict is reached for its reason") {
    const engine e(world::load());
    const decision automated = decided(e, R"({"intent": "refund", "amount": 100})", clear_case);
    CHECK(automated.verdict == verdict::auto_execute);
    CHECK(automated.action == "refund_full");
    CHECK(automated.probability > automated.threshold);
    CHECK(automated.threshold == 0.9);
    CHECK(automated.rung == rung::full);

    const decision approved = decided(e, R"({"intent": "refund", "amount": 501})", clear_case);
    CHECK(approved.verdict == verdict::require_approval);
    CHECK(approved.reasons_of(approved.ranked[0])[0].rule == "big-refund");

    const decision suggested =
        decided(e, R"({"intent": "billing"})", R"([{"id": "explain_bill", "match": 0.9}, {"id": "ask_receipt", "match": 0.5}])");
    CHECK(suggested.verdict == verdict::suggest);
    CHECK(has_reason(suggested, "confidence.below_threshold"));

    const decision escalated = decided(e, R"({"intent": "fraud"})");
    CHECK(escalated.verdict == verdict::escalate);
    CHECK(escalated.queue == "trust");

    const decision abstained = decided(e, R"({"intent": "billing"})");
    CHECK(abstained.verdict == verdict::abstain);
    CHECK(has_reason(abstained, "confidence.abstain"));

    const decision nothing = decided(e, R"({"intent": "other"})");
    CHECK(nothing.verdict == verdict::escalate);
    CHECK(nothing.ranked.empty());
    CHECK(has_reason(nothing, "candidates.none"));
}

TEST_CASE("candidates are ranked by score and boosts, forbidden ones last") {
    const engine e(world::load());
    const decision d = decided(e, R"({"intent": "billing", "amount": 10})");
    REQUIRE(d.ranked.size() == 5);
    CHECK(d.ranked.back().action == "close");
    CHECK_FALSE(d.ranked.back().allowed);
    CHECK(d.reasons_of(d.ranked.back())[0].rule == "no-close-with-amount");
    for (std::size_t i = 1; i + 1 < d.ranked.size(); ++i) CHECK(d.ranked[i - 1].score >= d.ranked[i].score);
    double total = 0;
    for (const ranked_candidate& c : d.ranked) total += c.probability;
    CHECK(total == Approx(1));  // forbidden ones keep the share that the models gave them
    // The linear stage and the boost, by hand, for explain_bill: cost 0.2, per_cost 50, amount log1p(10).
    for (const ranked_candidate& c : d.ranked)
        if (c.action == "explain_bill") CHECK(c.score == Approx(-0.1 + 0.005 + 0.25 * std::log1p(10.0) + 0.125 + 0.25));
}

TEST_CASE("what a second phase leaves out comes after it, in the order of the first") {
    part_map parts = world::parts();
    parts["rank/stages.json"] = R"({"version": 1, "stages": [
        {"name": "match", "kind": "host", "field": "candidate.match"},
        {"name": "score", "kind": "linear", "model": "rank/linear.json", "rerank": {"stage": "match", "count": 2}}]})";
    parts["rank/linear.json"] = R"({"version": 1, "features": ["cost"], "weights": [-1]})";
    const auto draft = bundle::draft(parts);
    INFO((draft ? std::string() : draft.error().text()));
    REQUIRE(draft);
    const engine e(*draft);
    // The best two by match are refund_full and ask_receipt, and the cheaper of them is the best. Boosts of what was left out
    // (close can be undone) change nothing; forbidden ones stay last.
    const decision d =
        decided(e, R"({"intent": "billing"})", R"([{"id": "close", "match": 0.25}, {"id": "refund_full", "match": 3},
        {"id": "refund_half", "match": 0.5}, {"id": "ask_receipt", "match": 0.75}, {"id": "explain_bill"}])");
    std::vector<std::string_view> order;
    for (const ranked_candidate& c : d.ranked) order.push_back(c.action);
    CHECK(order == std::vector<std::string_view>{"ask_receipt", "refund_full", "refund_half", "close", "explain_bill"});
    CHECK(std::isinf(d.ranked[2].score));  // it has none
    CHECK(d.ranked[1].score == -3);
    std::string line;
    d.write_record(line);
    REQUIRE(read_record(line));

    // Where rules forbid all that was scored, the first of the others is no surer for it, by whatever curve.
    parts["rank/stages.json"].replace(parts["rank/stages.json"].find("\"count\": 2"), 10, "\"count\": 1");
    const auto counted = bundle::draft(parts);
    REQUIRE(counted);
    calibration falling = world::calibration_for((*counted)->versions().model);
    falling.curve = {.a = 1, .b = 9};
    falling.abstain_below = 0;
    parts["calibration.json"] = falling.to_json();
    const auto calibrated = bundle::draft(parts);
    INFO((calibrated ? std::string() : calibrated.error().text()));
    REQUIRE(calibrated);
    const decision left = decided(engine(*calibrated), R"({"intent": "billing", "amount": 5})",
                                  R"([{"id": "close", "match": 3}, {"id": "ask_receipt", "match": 1}])");
    CHECK(left.action == "ask_receipt");
    CHECK(left.ranked[0].probability == 0.0);
    CHECK(left.verdict != verdict::auto_execute);
}

TEST_CASE("a policy cannot make the models surer") {
    const auto with_rules = [](const std::string& rules) {
        part_map parts = world::complete_parts();
        parts["policy/client.json"] = R"({"layer": "client", "version": "1", "rules": [)" + rules + "]}";
        return bundle::draft(parts).value();
    };
    // Two candidates close to each other: neither is certain.
    const std::string_view close_call = R"([{"id": "refund_full", "match": 1}, {"id": "refund_half", "match": 1}])";
    const std::string_view task = R"({"intent": "refund", "amount": 100})";
    const engine plain(world::load());
    const double belief = decided(plain, task, close_call, {.staged = false}).ranked[1].probability;
    CHECK(decided(plain, task, close_call, {.staged = false}).proposed == verdict::suggest);
    for (const char* rule :
         {R"({"id": "x", "when": "action.id == 'refund_full'", "effect": "boost", "by": 100.0, "because": "y"})",
          R"({"id": "x", "when": "action.id == 'refund_full'", "effect": "pin", "because": "y"})",
          R"({"id": "x", "when": "action.id == 'refund_half'", "effect": "forbid", "because": "y"})"}) {
        const engine e(with_rules(rule));
        const decision d = decided(e, task, close_call, {.staged = false});
        INFO(rule);
        CHECK(d.action == "refund_full");
        CHECK(d.probability == belief);
        CHECK(d.proposed <= verdict::suggest);
    }
}

TEST_CASE("shadow decides and records but caps at suggest") {
    part_map parts = world::complete_parts();
    parts["rollout.json"] = R"({"stage": "shadow"})";
    const std::string packed = bundle::build(parts).value();
    const engine e(bundle::load(packed).value());
    const decision d = decided(e, R"({"intent": "refund", "amount": 100})", clear_case);
    CHECK(d.verdict == verdict::suggest);
    CHECK(d.proposed == verdict::auto_execute);
    CHECK(has_reason(d, "stage.shadow"));
    std::string line;
    d.write_record(line);
    const auto read = read_record(line);
    REQUIRE(read.ok());
    CHECK(read->shadow);
    CHECK(read->proposed == "auto_execute");
    CHECK(decided(e, R"({"intent": "fraud"})").verdict == verdict::escalate);  // narrower than suggest: stays
}

TEST_CASE("no lower rung, kill switch or lost certificate automates") {
    const engine e(world::load());
    const std::string_view task = R"({"intent": "refund", "amount": 100})";
    for (const rung r : {rung::linear, rung::baseline, rung::human}) {
        const decision d = decided(e, task, clear_case, {.widest = r});
        CHECK(d.rung == r);
        CHECK(d.verdict <= verdict::suggest);
    }
    CHECK(decided(e, task, clear_case, {.widest = rung::baseline}).action == "ask_receipt");
    CHECK(decided(e, R"({"intent": "fraud"})", {}, {.widest = rung::baseline}).verdict == verdict::escalate);
    CHECK(decided(e, R"({"intent": "fraud"})", {}, {.widest = rung::human}).verdict == verdict::escalate);

    engine killed(world::load());
    killed.kill(kill_scope::automation);
    CHECK(decided(killed, task, clear_case).verdict == verdict::suggest);
    killed.kill(kill_scope::everything);
    CHECK(decided(killed, task, clear_case).verdict == verdict::escalate);
    killed.kill(kill_scope::none);
    CHECK(decided(killed, task, clear_case).verdict == verdict::auto_execute);

    workspace ws;
    decision d;
    REQUIRE(e.decide(task, clear_case, now_us + 86'400'000'000, ws, d).ok());
    CHECK(d.verdict == verdict::suggest);
    CHECK(has_reason(d, "confidence.expired"));

    part_map foreign = world::complete_parts();
    foreign["calibration.json"] = world::calibration_for(std::string(64, 'a')).to_json();
    const engine other(bundle::draft(foreign).value());
    const decision unproven = decided(other, task, clear_case, {.staged = false});
    CHECK(unproven.proposed == verdict::suggest);
    CHECK(has_reason(unproven, "confidence.foreign_model"));

    // The same models behind a curve fitted anew, and behind a calibrator of another kind: the line is a number of another scale.
    calibration own = calibration::parse(world::complete_parts()["calibration.json"]).value();
    own.thresholds[0].certificate.calibrator_fingerprint = own.calibrator_fingerprint();
    const auto with = [&](const calibration& c) {
        part_map changed = world::complete_parts();
        changed["calibration.json"] = c.to_json();
        return decided(engine(bundle::draft(changed).value()), task, clear_case, {.staged = false});
    };
    CHECK(with(own).proposed == verdict::auto_execute);
    calibration refitted = own;
    refitted.curve.a *= 1.001;
    CHECK(with(refitted).proposed == verdict::suggest);
    CHECK(has_reason(with(refitted), "confidence.foreign_calibrator"));
    calibration bare = own;
    bare.kind = calibrator_kind::none;
    bare.thresholds[0].certificate.calibrator_fingerprint.clear();
    CHECK(with(bare).proposed == verdict::suggest);
    CHECK(has_reason(with(bare), "confidence.foreign_calibrator"));
    calibration short_of = own;
    short_of.thresholds[0].value.reset();
    CHECK(with(short_of).proposed == verdict::suggest);
    CHECK(has_reason(with(short_of), "confidence.not_certified"));

    // Certificates per kind of action: one that expired does not fall back to the one for any kind.
    calibration by_kind = own;
    by_kind.thresholds.push_back(own.thresholds[0]);
    by_kind.thresholds[1].kind = "refund";
    CHECK(with(by_kind).proposed == verdict::auto_execute);
    by_kind.thresholds[1].certificate.expires_at_us = now_us;
    CHECK(with(by_kind).proposed == verdict::suggest);
    CHECK(has_reason(with(by_kind), "confidence.expired"));
}

TEST_CASE("bad input is an error with place and cure, and the decision stays as it was") {
    const engine e(world::load());
    CHECK(refused(e, "{").code == "schema.json_syntax");
    CHECK(refused(e, "").where.starts_with("/task"));
    const error misspelt = refused(e, R"({"intent": "refund", "amout": 1})");
    CHECK(misspelt.code == "schema.unknown_field");
    CHECK(misspelt.text().find("did you mean 'amount'?") != std::string::npos);
    CHECK(refused(e, R"({"intent": "refund", "amount": "12"})").code == "schema.wrong_type");
    CHECK(refused(e, R"({"amount": 1})").code == "schema.missing_field");
    CHECK(refused(e, R"({"intent": "refnd"})").hint == "did you mean 'refund'?");
    CHECK_FALSE(refused(e, R"({"intent": "refund", "amount": NaN})").code.empty());
    CHECK_FALSE(refused(e, R"({"intent": "refund", "amount": 1e999})").code.empty());
    CHECK_FALSE(refused(e, "{\"intent\": \"refund\", \"text\": \"\xFF\"}").code.empty());
    CHECK(refused(e, "{\"intent\": \"refund\", \"text\": \"" + std::string(10'000'000, 'a') + "\"}").kind == error_kind::limit);
    CHECK(refused(e, R"([{"intent": "refund"}, {"intent": "refund"}])").where.starts_with("/task"));

    const std::string_view task = R"({"intent": "refund"})";
    CHECK(refused(e, task, "[]").code == "schema.no_candidates");
    CHECK(refused(e, task, "null").where.starts_with("/candidates"));
    const error twice = refused(e, task, R"([{"id": "close"}, {"id": "ask_receipt"}, {"id": "close"}])");
    CHECK(twice.code == "schema.duplicate_candidate");
    CHECK(twice.where == "/candidates/2/id");
    const error unknown = refused(e, task, R"([{"id": "refund_ful"}])");
    CHECK(unknown.code == "schema.unknown_action");
    CHECK(unknown.hint == "did you mean 'refund_full'?");
    CHECK_FALSE(refused(e, task, R"([{"id": "close", "mtch": 1}])").code.empty());
    CHECK_FALSE(refused(e, task, R"([{"match": 1}])").code.empty());
    std::string many = "[";
    for (int i = 0; i < 100'000; ++i) many += fmt::format(R"({}{{"id": "x{}"}})", i == 0 ? "" : ",", i);
    many += "]";
    const error crowd = refused(e, task, many);
    CHECK(crowd.where.starts_with("/candidates"));
    // The engine decides as before.
    CHECK(decided(e, R"({"intent": "refund", "amount": 100})", clear_case).verdict == verdict::auto_execute);
}

TEST_CASE("actions that the host describes itself need no catalogue") {
    const engine e(world::load());
    const decision d = decided(e, R"({"intent": "refund", "amount": 100})",
                               R"([{"id": "voucher", "kind": "gift", "cost": 1, "intents": [], "reversible": true, "match": 1},
                                   {"id": "call_back", "kind": "ask", "cost": 2, "intents": ["refund"], "reversible": true}])");
    CHECK(d.ranked.size() == 2);
    CHECK(d.action == "voucher");
    const error unknown = refused(e, R"({"intent": "refund"})", R"([{"id": "voucher", "kind": "gift", "cst": 1}])");
    CHECK(unknown.text().find("did you mean 'cost'?") != std::string::npos);
}

TEST_CASE("a batch gives the answers of single decisions, bit for bit") {
    const engine e(world::load());
    std::string tasks = "[";
    std::string candidates = "[";
    std::vector<std::string> single_tasks;
    std::vector<std::string> single_candidates;
    const char* ids[] = {"refund_full", "refund_half", "ask_receipt", "explain_bill", "close", "block_card"};
    for (int t = 0; t < 200; ++t) {
        const char* intents[] = {"refund", "billing", "fraud"};
        single_tasks.push_back(
            fmt::format(R"({{"id": "t{}", "client": "c{}", "intent": "{}", "amount": {}, "balance": {}, "balance_at": {}}})", t,
                        t % 7, intents[t % 3], 13.7 * t, 1.5 * t, now_us - 50'000'000LL * t));
        std::string offered;
        for (int i = 0; i < 1 + t % 6; ++i) {
            const std::string fields = t % 5 == 0 ? "" : fmt::format(R"(, "match": {})", 0.37 * ((t * 31 + i * 17) % 11));
            offered += fmt::format(R"({}{{"id": "{}"{}}})", i == 0 ? "" : ", ", ids[(i + t) % 6], fields);
            candidates += fmt::format(R"({}{{"task_index": {}, "id": "{}"{}}})", candidates.size() == 1 ? "" : ", ", t,
                                      ids[(i + t) % 6], fields);
        }
        single_candidates.push_back("[" + offered + "]");
        tasks += (t == 0 ? "" : ", ") + single_tasks.back();
    }
    tasks += "]";
    candidates += "]";
    workspace ws;
    std::size_t seen = 0;
    const auto compare = [&](bool generated, const decide_options& options = {}) {
        return [&, generated, options](std::size_t t, const decision& d) {
            const decision alone =
                decided(e, single_tasks[t], generated ? std::string_view{} : std::string_view(single_candidates[t]), options);
            std::string a;
            std::string b;
            d.write_record(a, 64);
            alone.write_record(b, 64);
            CHECK(a == b);
            CHECK(d.explanation.asked == options.explain);
            CHECK((a.find(R"("explanation":)") != std::string::npos) == options.explain);
            ++seen;
            return true;
        };
    };
    REQUIRE(e.decide_batch({.json = tasks}, {.json = candidates}, now_us, ws, compare(false)).ok());
    CHECK(seen == 200);
    REQUIRE(e.decide_batch({.json = tasks}, {}, now_us, ws, compare(true)).ok());
    CHECK(seen == 400);
    for (const rung widest : {rung::full, rung::baseline}) {
        const decide_options why{.widest = widest, .explain = true};
        REQUIRE(e.decide_batch({.json = tasks}, {.json = candidates}, now_us, ws, compare(false, why), why).ok());
    }
    CHECK(seen == 800);

    const auto ignore = [](std::size_t, const decision&) { return true; };
    CHECK(e.decide_batch({.json = tasks}, {.json = R"([{"task_index": 300, "id": "close"}])"}, now_us, ws, ignore).error().code ==
          "schema.out_of_range");
    CHECK(e.decide_batch({.json = tasks}, {.json = R"([{"task_index": 3, "id": "close"}, {"task_index": 2, "id": "close"}])"},
                         now_us, ws, ignore)
              .error()
              .code == "schema.order");
    CHECK(e.decide_batch({.json = tasks}, {.json = R"([{"task_index": 0, "id": "close"}])"}, now_us, ws, ignore).error().code ==
          "schema.no_candidates");
}

TEST_CASE("a task that no action fits shows nothing of the task before it") {
    const engine e(world::load());
    workspace ws;
    decision d;
    REQUIRE(e.decide(R"({"intent": "refund"})", {}, now_us, ws, d));
    REQUIRE(d.ranked.size() == 4);
    REQUIRE(e.decide(R"({"intent": "other"})", {}, now_us, ws, d));
    CHECK(d.ranked.empty());
    CHECK(d.action.empty());
    CHECK(d.verdict == verdict::escalate);
    CHECK(has_reason(d, "candidates.none"));
    std::vector<std::size_t> sizes;
    REQUIRE(e.decide_batch({.json = R"([{"intent": "refund"}, {"intent": "other"}, {"intent": "fraud"}])"}, {}, now_us, ws,
                           [&](std::size_t, const decision& each) {
                               sizes.push_back(each.ranked.size());
                               return true;
                           }));
    CHECK(sizes == std::vector<std::size_t>{4, 0, 2});
}

TEST_CASE("ids name their inputs") {
    const engine e(world::load());
    std::set<std::string> ids;
    const std::string_view task = R"({"intent": "refund", "amount": 100, "text": "hello"})";
    ids.insert(decided(e, task, clear_case).id);
    ids.insert(decided(e, task, clear_case).id);
    CHECK(ids.size() == 1);
    ids.insert(decided(e, R"({"intent": "refund", "amount": 100, "text": "hallo"})", clear_case).id);
    ids.insert(decided(e, R"({"intent": "refund", "amount": 100})", clear_case).id);
    ids.insert(decided(e, task, R"([{"id": "refund_full", "match": 2}, {"id": "ask_receipt", "match": 0.1}])").id);
    ids.insert(decided(e, task, R"([{"id": "ask_receipt", "match": 3}, {"id": "refund_full", "match": 0.1}])").id);
    ids.insert(decided(e, task).id);
    CHECK(ids.size() == 6);
    for (const std::string& id : ids) CHECK(id.size() == 32);
}

TEST_CASE("personal fields never reach the record") {
    const engine e(world::load());
    const decision d = decided(e, R"({"intent": "refund", "amount": 7, "text": "my name is Alexis"})", clear_case);
    std::string line;
    d.write_record(line);
    CHECK(line.find("Alexis") == std::string::npos);
    CHECK(line.find("\"amount\":7") != std::string::npos);
    CHECK(line.back() == '\n');
    const auto read = read_record(line);
    REQUIRE(read.ok());
    CHECK(read->id == d.id);
    CHECK(read->bundle == e.current()->fingerprint());
    CHECK(read->ranked.size() == 2);
}

TEST_CASE("an explanation is made on request, and adds up to the score") {
    const engine e(world::load());
    const std::string_view task = R"({"intent": "billing", "amount": 10})";
    workspace ws;
    decision d;
    REQUIRE(e.decide(task, {}, now_us, ws, d, {.explain = true}));
    const decision_explanation& why = d.explanation;
    REQUIRE(why.asked);
    CHECK(why.missing.empty());
    CHECK(why.action == d.ranked[0].action);
    CHECK(why.of_score.method == "linear");
    CHECK_FALSE(why.of_score.parts.empty());
    double sum = why.of_score.base + why.of_score.others;
    for (const score_part& part : why.of_score.parts) {
        CHECK_FALSE(part.personal);
        sum += part.contribution;
    }
    CHECK(sum == Approx(why.of_score.score));
    std::string line;
    d.write_record(line);
    const auto read = read_record(line);
    REQUIRE(read);
    REQUIRE(read->explained);
    CHECK(read->explained->contributions.size() == why.of_score.parts.size());
    CHECK(read->explained->contributions[0].feature == why.of_score.parts[0].feature);
    const std::string id = d.id;

    REQUIRE(e.decide(task, {}, now_us, ws, d));  // the same decision object, not asked this time
    CHECK_FALSE(d.explanation.asked);
    CHECK(d.id == id);
    line.clear();
    d.write_record(line);
    CHECK(line.find("explanation") == std::string::npos);

    CHECK(decided(e, task, {}, {.widest = rung::baseline, .explain = true}).explanation.missing == "explanation.rung");
    CHECK(decided(e, R"({"intent": "other"})", {}, {.explain = true}).explanation.missing == "explanation.no_candidate");
}

TEST_CASE("swap and rollback publish whole bundles") {
    engine e(world::load());
    const std::string first = e.current()->fingerprint();
    part_map parts = world::complete_parts();
    parts["rollout.json"] = R"({"stage": "suggest"})";
    const std::string packed = bundle::build(parts).value();
    CHECK_FALSE(e.rollback().ok());
    workspace ws;
    decision d;
    const auto once = [&] { REQUIRE(e.decide(R"({"intent": "refund", "amount": 100})", clear_case, now_us, ws, d).ok()); };
    once();
    CHECK(d.verdict == verdict::auto_execute);
    REQUIRE(e.swap(bundle::load(packed).value()).ok());
    const std::string_view before = d.action;  // the decision keeps its bundle
    CHECK(before == "refund_full");
    once();
    CHECK(d.verdict == verdict::suggest);
    CHECK(d.versions().bundle != first);
    REQUIRE(e.rollback().ok());
    once();
    CHECK(d.verdict == verdict::auto_execute);
    CHECK(d.versions().bundle == first);
}

TEST_CASE("threads decide alike while bundles are swapped") {
    engine e(world::load());
    part_map parts = world::complete_parts();
    parts["rollout.json"] = R"({"stage": "suggest"})";
    const auto other = bundle::load(bundle::build(parts).value()).value();
    const auto first = e.current();
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0};
    std::atomic<int> made{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            workspace ws;
            decision d;
            while (!stop) {
                if (!e.decide(R"({"intent": "refund", "amount": 100})", clear_case, now_us, ws, d).ok()) ++wrong;
                const bool live = d.versions().bundle == first->fingerprint();
                if (d.verdict != (live ? verdict::auto_execute : verdict::suggest)) ++wrong;
                ++made;
            }
        });
    for (int i = 0; i < 200 || made < 2000; ++i) wrong += e.swap(i % 2 == 0 ? other : first).ok() ? 0 : 1;
    stop = true;
    for (std::thread& t : threads) t.join();
    CHECK(wrong == 0);
    CHECK(made >= 2000);
}
