#include "opspilot/rank/pipeline.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "allocation_count.hpp"
#include "catch.hpp"
#include "opspilot/rank/choice_model.hpp"
#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/text_classifier.hpp"

using namespace opspilot;

namespace {

// Three actions for a task of one text and one amount; the models are small enough to be worked out by hand.
struct world {
    opspilot::schema fields;
    dictionary frozen;
    interner strings{frozen};
    feature_plan plan;
    table tasks, actions, pairs;
    std::vector<std::uint32_t> rows;
    feature_workspace features;
    feature_matrix matrix;
    std::map<std::string, std::string, std::less<>> parts;

    world() {
        auto parsed = opspilot::schema::parse(R"({
            "task":[{"name":"text","type":"string","optional":true},{"name":"amount","type":"double","optional":true}],
            "action":[{"name":"cost","type":"double","optional":true}],
            "candidate":[{"name":"score","type":"double","optional":true}]})");
        REQUIRE(parsed);
        fields = *parsed;
        auto compiled = feature_plan::parse(R"({"version":1,"transforms":[
            {"name":"amount","op":"number","input":"task.amount"},
            {"name":"cost","op":"number","input":"action.cost"},
            {"name":"amount: less cost","op":"difference","a":"task.amount","b":"action.cost"},
            {"name":"words","op":"text_hash","bits":10,"sources":[{"tokens":{"input":"task.text","kind":"words"}}]}]})",
                                            fields, frozen);
        INFO((compiled ? std::string() : compiled.error().text()));
        REQUIRE(compiled);
        plan = *compiled;
        parts["rank/intent.model"] = intent(plan.fingerprint());
        parts["rank/choice.model"] = choice();
        parts["rank/linear.json"] = linear(R"(["cost","stage.intent.probability"])", "[0.5,2]");
        parts["rank/model.txt"] = trees("cost amount%3A%20less%20cost stage.intent stage.choice.rank");
    }
    static sparse_block words() { return {"words", 1024}; }

    static std::string intent(const std::string& fingerprint, bool with_override = true) {
        text_classifier::parts p;
        p.classes = {"refund", "ask", "call"};
        p.bias = {1.0F, 0.0F, 2.0F};
        if (with_override) {
            p.classes.emplace_back(override_class);
            p.bias.push_back(-1.0F);
        }
        p.blocks = {words()};
        p.fingerprint = fingerprint;
        auto built = text_classifier::build(p);
        INFO((built ? std::string() : built.error().text()));
        REQUIRE(built);
        return built->to_bytes();
    }
    static std::string choice() {
        choice_model::parts p;
        p.columns = {"cost"};
        p.centre = {0.0F};
        p.column_weights = {-0.5F};
        p.keys = {{"id", {"refund"}}};
        p.outside = true;
        p.bias = {1.0F, 0.25F};
        p.blocks = {words()};
        auto built = choice_model::build(p);
        INFO((built ? std::string() : built.error().text()));
        REQUIRE(built);
        return built->to_bytes();
    }
    static std::string linear(const std::string& names, const std::string& weights) {
        return "{\"version\":1,\"features\":" + names + ",\"weights\":" + weights + "}";
    }
    // One tree on features 0 and 3, one on features 1 and 2.
    static std::string trees(const std::string& names, const std::string& counts = "") {
        const auto tree = [&](int index, const std::string& features, const std::string& thresholds, const std::string& leaves) {
            return "Tree=" + std::to_string(index) + "\nnum_leaves=3\nnum_cat=0\nsplit_feature=" + features +
                   "\nthreshold=" + thresholds +
                   "\ndecision_type=10 10\nleft_child=1 -1\nright_child=-3 -2\nleaf_value=" + leaves + counts +
                   "\nis_linear=0\nshrinkage=1\n\n\n";
        };
        const std::string first = tree(0, "0 3", "5 0.5", "1 2 3");
        const std::string second = tree(1, "1 2", "0.5 -1.5", "0.25 0.5 0.75");
        return "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=3\nobjective="
               "lambdarank\nfeature_names=" +
               names + "\nfeature_infos=none none none none\ntree_sizes=" + std::to_string(first.size()) + " " +
               std::to_string(second.size()) + "\n\n" + first + second + "end of trees\n\nfeature_importances:\n";
    }

    // The same trees as XGBoost writes them, whose names need no escapes.
    static std::string xgboost_trees() {
        const auto tree = [](int index, const std::string& features, const std::string& conditions) {
            return "{\"id\":" + std::to_string(index) +
                   R"(,"tree_param":{"num_nodes":"5","num_feature":"4","num_deleted":"0","size_leaf_vector":"1"},)"
                   R"("left_children":[1,3,-1,-1,-1],"right_children":[2,4,-1,-1,-1],"parents":[2147483647,0,0,1,1],)"
                   R"("default_left":[1,1,0,0,0],"base_weights":[0,0,0,0,0],"split_indices":)" +
                   features + ",\"split_conditions\":" + conditions + "}";
        };
        return R"({"version":[3,2,0],"learner":{"attributes":{},"objective":{"name":"rank:ndcg"},"feature_types":[],)"
               R"("feature_names":["cost","amount: less cost","stage.intent","stage.choice.rank"],)"
               R"("learner_model_param":{"base_score":"[0E0]","num_feature":"4","num_class":"0","num_target":"1"},)"
               R"("gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_trees":"2"},"tree_info":[0,0],"trees":[)" +
               tree(0, "[0,3,0,0,0]", "[5.5,0.5,3,1,2]") + "," + tree(1, "[1,2,0,0,0]", "[0.5,-1.5,0.75,0.25,0.5]") + "]}}}}";
    }

    result<pipeline> parse(const std::string& stages, const std::string& rest = "") {
        return pipeline::parse(
            "{\"version\":1,\"stages\":[" + stages + "]" + rest + "}",
            [this](std::string_view name) -> result<std::string_view> {
                const auto found = parts.find(name);
                if (found == parts.end())
                    return error{error_kind::bundle, "bundle.missing_part", "no part '" + std::string(name) + "'", {}, {}};
                return std::string_view(found->second);
            },
            fields, plan, frozen);
    }

    void fill(const std::string& task = R"([{"text":"please refund me","amount":4}])",
              const std::string& catalogue = R"([{"id":"refund","cost":3},{"id":"ask","cost":1},{"id":"close","cost":6}])",
              const std::string& scores = R"([{"score":0.5},{"score":-1},{}])") {
        const auto read = [&](table& t, role r, const std::string& json) {
            t.reset(fields, r);
            const status done = t.read_json(json, strings, 0);
            INFO((done ? std::string() : done.error().text()));
            REQUIRE(done);
        };
        read(tasks, role::task, task);
        read(actions, role::action, catalogue);
        read(pairs, role::candidate, scores);
        rows.resize(actions.rows());
        std::iota(rows.begin(), rows.end(), 0U);
        REQUIRE(plan.apply(view(), nullptr, features, matrix));
    }
    frame view() const {
        frame f;
        f.task = &tasks;
        f.actions = &actions;
        f.action_rows = rows;
        f.pairs = &pairs;
        f.strings = &strings;
        return f;
    }
};

const char* const intent_stage =
    R"({"name":"intent","kind":"text_classifier","model":"rank/intent.model","classes_from":"action.id"})";
const char* const choice_stage = R"({"name":"choice","kind":"choice","model":"rank/choice.model","block":"words"})";
const char* const trees_stage = R"({"name":"rank","kind":"trees","model":"rank/model.txt"})";
const char* const linear_stage = R"({"name":"linear","kind":"linear","model":"rank/linear.json"})";
const char* const host_stage = R"({"name":"host","kind":"host","field":"candidate.score"})";

std::string list(std::initializer_list<const char*> stages) {
    std::string out;
    for (const char* stage : stages) {
        if (!out.empty()) out += ',';
        out += stage;
    }
    return out;
}

std::string all_stages() { return list({intent_stage, choice_stage, linear_stage, host_stage, trees_stage}); }
const char* const roles = R"(,"rank_by":"rank","linear":"choice","override":"intent")";

std::string refusal(const result<pipeline>& parsed) {
    return parsed ? "" : std::string(parsed.error().code) + " " + parsed.error().where;
}

}  // namespace

TEST_CASE("stages read the plan and each other by name") {
    world w;
    auto parsed = w.parse(all_stages(), roles);
    INFO((parsed ? std::string() : parsed.error().text()));
    REQUIRE(parsed);
    CHECK(std::vector<std::string>(parsed->stage_names().begin(), parsed->stage_names().end()) ==
          std::vector<std::string>{"intent", "choice", "linear", "host", "rank"});
    CHECK(parsed->ranking_stage() == 4);
    CHECK(parsed->linear_stage() == 1);
    w.fill();
    rank_workspace ws;
    const status done = parsed->score(w.view(), w.matrix, ws);
    INFO((done ? std::string() : done.error().text()));
    REQUIRE(done);

    // "call" is no candidate and "close" no class: refund, ask and override share the probability.
    const double total = std::log(std::exp(1.0) + std::exp(0.0) + std::exp(-1.0));
    const auto intent = parsed->stage_scores(ws, 0);
    REQUIRE(intent.size() == 3);
    CHECK(intent[0] == Approx(1.0 - total).epsilon(1e-6));
    CHECK(intent[1] == Approx(0.0 - total).epsilon(1e-6));
    CHECK(intent[2] == no_class_log_probability);
    CHECK(parsed->override_probability(ws) == Approx(std::exp(-1.0 - total)).epsilon(1e-6));

    // -cost/2, +1 for refund, 0.25 outside.
    const double utilities = std::log(std::exp(-0.5) + std::exp(-0.5) + std::exp(-3.0) + std::exp(0.25));
    const auto choice = parsed->stage_scores(ws, 1);
    CHECK(choice[0] == Approx(-0.5 - utilities).epsilon(1e-6));
    CHECK(choice[1] == Approx(-0.5 - utilities).epsilon(1e-6));
    CHECK(choice[2] == Approx(-3.0 - utilities).epsilon(1e-6));

    const auto linear = parsed->stage_scores(ws, 2);
    CHECK(linear[0] == Approx(0.5 * 3 + 2 * std::exp(1.0 - total)).epsilon(1e-6));
    CHECK(linear[2] == Approx(0.5 * 6 + 2 * std::exp(no_class_log_probability)).epsilon(1e-6));

    const auto host = parsed->stage_scores(ws, 3);
    CHECK(host[0] == 0.5);
    CHECK(std::isnan(host[2]));

    // cost <= 5: rank of choice <= 0.5 -> 1 (refund and ask tie at rank 0), otherwise 3; amount less cost is 1, 3, -2.
    const auto rank = parsed->stage_scores(ws, 4);
    CHECK(rank[0] == 1 + 0.75);
    CHECK(rank[1] == 1 + 0.75);
    CHECK(rank[2] == 3 + 0.25);
}

TEST_CASE("a score is explained by the features of its stage") {
    world w;
    w.fill();
    rank_workspace ws;
    score_explanation why;
    const auto refused = [&](const pipeline& p, std::size_t stage, std::size_t candidate) {
        const status done = p.explain(w.matrix, ws, stage, candidate, 2, why);
        return done ? "" : std::string(done.error().code);
    };
    const auto bare = w.parse(all_stages(), roles);
    REQUIRE(bare);
    REQUIRE(bare->score(w.view(), w.matrix, ws));
    CHECK(refused(*bare, 4, 0) == "model.no_covers");  // which is no reason not to score

    w.parts["rank/model.txt"] =
        world::trees("cost amount%3A%20less%20cost stage.intent stage.choice.rank", "\nleaf_count=2 1 1\ninternal_count=4 3");
    const auto parsed = w.parse(all_stages(), roles);
    REQUIRE(parsed);
    REQUIRE(parsed->score(w.view(), w.matrix, ws));
    // Candidate 2 by Shapley's formula. First tree: 7/4 on average, 3 with the cost, 9/4 with the rank, 3 with both.
    // Second: 7/16 on average, 1/3 with the difference, 3/8 with the intent, 1/4 with both.
    REQUIRE(parsed->explain(w.matrix, ws, 4, 2, 2, why));
    CHECK(why.stage == "rank");
    CHECK(why.method == "tree_shap");
    CHECK(why.score == 3.25);
    CHECK(why.base == Approx(7.0 / 4 + 7.0 / 16));
    REQUIRE(why.parts.size() == 2);
    CHECK(why.parts[0].feature == "cost");
    CHECK(why.parts[0].contribution == Approx(1.0));
    CHECK(why.parts[1].feature == "stage.choice.rank");
    CHECK(why.parts[1].contribution == Approx(0.25));
    CHECK(why.others == Approx(1.0 / 4 - 7.0 / 16));

    REQUIRE(parsed->explain(w.matrix, ws, 2, 0, 9, why));
    CHECK(why.method == "linear");
    REQUIRE(why.parts.size() == 2);
    CHECK(why.parts[0].feature == "cost");
    CHECK(why.parts[0].contribution == 1.5);
    CHECK(why.base + why.parts[0].contribution + why.parts[1].contribution + why.others == Approx(why.score));

    for (const std::size_t stage : {0U, 1U, 3U}) CHECK(refused(*parsed, stage, 0) == "model.no_contributions");
    CHECK(refused(*parsed, 4, 3) == "usage.stage");
    REQUIRE(parsed->score(w.view(), w.matrix, ws, 3));
    CHECK(refused(*parsed, 4, 0) == "usage.stage");
}

TEST_CASE("the order of a model's features does not matter, and names can be lent") {
    world w;
    const auto scores = [&](const std::string& stage) {
        auto parsed = w.parse(list({intent_stage, choice_stage, stage.c_str()}));
        INFO((parsed ? std::string() : parsed.error().text()));
        REQUIRE(parsed);
        w.fill();
        rank_workspace ws;
        REQUIRE(parsed->score(w.view(), w.matrix, ws));
        const auto s = parsed->stage_scores(ws, 2);
        return std::vector<double>(s.begin(), s.end());
    };
    const std::vector<double> expected = scores(trees_stage);
    // Column_0 … are names of nothing; the stage lends the right ones.
    w.parts["rank/model.txt"] = world::trees("Column_0 Column_1 Column_2 Column_3");
    CHECK(refusal(w.parse(list({intent_stage, choice_stage, trees_stage}))) ==
          "features.unknown_column /stages/2 (rank/model.txt)");
    CHECK(scores(R"({"name":"rank","kind":"trees","model":"rank/model.txt",
                     "features":["cost","amount: less cost","stage.intent","stage.choice.rank"]})") == expected);
    CHECK(refusal(w.parse(list(
              {intent_stage, choice_stage, R"({"name":"rank","kind":"trees","model":"rank/model.txt","features":["cost"]})"}))) ==
          "model.feature_count /stages/2 (rank/model.txt): /stages/2/features");

    w.parts["rank/model.txt"] = world::xgboost_trees();
    CHECK(scores(trees_stage) == expected);
    w.parts["rank/model.txt"] = "no model";
    CHECK(refusal(w.parse(list({intent_stage, choice_stage, trees_stage})))
              .starts_with("model.unknown_format /stages/2 (rank/model.txt)"));

    w.parts["rank/linear.json"] = world::linear(R"(["amount","cost"])", "[1,10]");
    const std::vector<double> one = scores(linear_stage);
    w.parts["rank/linear.json"] = world::linear(R"(["cost","amount"])", "[10,1]");
    CHECK(scores(linear_stage) == one);
}

TEST_CASE("a second phase scores the best of the first alone") {
    world w;
    const std::string several =
        R"([{"id":"refund","cost":3},{"id":"ask","cost":1},{"id":"close","cost":6},{"id":"call","cost":7}])";
    const auto fill = [&] { w.fill(R"([{"amount":4}])", several, R"([{"score":2},{"score":5},{"score":5},{}])"); };
    const auto reranking = [&](int count) {
        return R"({"name":"rank","kind":"trees","model":"rank/model.txt","rerank":{"stage":"host","count":)" +
               std::to_string(count) + "}}";
    };
    rank_workspace ws;
    const auto scores = [&](const pipeline& p, std::size_t k) {
        fill();
        const status done = p.score(w.view(), w.matrix, ws);
        INFO((done ? std::string() : done.error().text()));
        REQUIRE(done);
        const auto s = p.stage_scores(ws, k);
        return std::vector<double>(s.begin(), s.end());
    };
    const auto all = w.parse(all_stages());
    REQUIRE(all);
    const std::vector<double> expected = scores(*all, 4);
    const auto same = [&](const std::vector<double>& got, const std::vector<bool>& kept) {
        for (std::size_t i = 0; i < kept.size(); ++i)
            if (kept[i] ? got[i] != expected[i] : !std::isnan(got[i])) return false;
        return got.size() == kept.size();
    };
    for (const auto& [count, kept] : std::vector<std::pair<int, std::vector<bool>>>{{1, {false, true, false, false}},
                                                                                    {2, {false, true, true, false}},
                                                                                    {3, {true, true, true, false}},
                                                                                    {9, {true, true, true, false}}}) {
        const std::string trees = reranking(count);
        const auto parsed = w.parse(list({intent_stage, choice_stage, linear_stage, host_stage, trees.c_str()}));
        INFO((parsed ? std::string() : parsed.error().text()));
        REQUIRE(parsed);
        CHECK(parsed->stage(4).reranks == 3);
        CHECK(parsed->stage(4).rerank_count == static_cast<std::size_t>(count));
        CHECK(parsed->stage(3).reranks == -1);
        CAPTURE(count);
        CHECK(same(scores(*parsed, 4), kept));
        score_explanation why;
        const status dropped = parsed->explain(w.matrix, ws, 4, 3, 2, why);
        REQUIRE_FALSE(dropped);
        CHECK(dropped.error().code == "model.not_scored");
    }

    // A linear stage, after it one that reads what it left out, and one that scores the best of the best.
    w.parts["rank/linear.json"] = world::linear(R"(["cost"])", "[-1]");
    const std::string linear =
        R"({"name":"linear","kind":"linear","model":"rank/linear.json","rerank":{"stage":"host","count":3}})";
    const std::string last =
        R"({"name":"last","kind":"linear","model":"rank/linear.json","rerank":{"stage":"linear","count":2}})";
    const auto chained = w.parse(list({host_stage, linear.c_str(), last.c_str()}));
    REQUIRE(chained);
    const double none = std::numeric_limits<double>::quiet_NaN();
    const auto alike = [](const std::vector<double>& a, const std::vector<double>& b) {
        return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                          [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
    };
    CHECK(alike(scores(*chained, 1), {-3, -1, -6, none}));
    CHECK(alike(scores(*chained, 2), {-3, -1, none, none}));

    w.fill(R"([{"amount":4}])", several, "[{},{},{},{}]");
    const status lost = chained->score(w.view(), w.matrix, ws);
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code == "model.score_missing");

    const auto with = [&](const std::string& stage) { return refusal(w.parse(list({host_stage, stage.c_str()}))); };
    const std::string start = R"({"name":"linear","kind":"linear","model":"rank/linear.json","rerank":)";
    CHECK(with(start + R"({"stage":"host","count":0}})") == "model.rerank_count /stages/1/rerank/count");
    CHECK(with(start + R"({"stage":"linear","count":1}})") == "model.stage_unknown /stages/1/rerank/stage");
    CHECK(with(start + R"({"stage":"host"}})") == "model.missing_field /stages/1/rerank");
    CHECK(with(R"({"name":"c","kind":"choice","model":"rank/choice.model","rerank":{"stage":"host","count":1}})") ==
          "model.stage_key /stages/1/rerank");
}

TEST_CASE("everything a stage gives") {
    world w;
    const auto given = [&](const std::string& name) {
        w.parts["rank/linear.json"] = world::linear("[\"" + name + "\"]", "[1]");
        auto parsed = w.parse(list({intent_stage, choice_stage, host_stage, linear_stage}));
        INFO((parsed ? std::string() : parsed.error().text()));
        REQUIRE(parsed);
        w.fill(R"([{"amount":4}])",
               R"([{"id":"refund","cost":3},{"id":"ask","cost":1},{"id":"close","cost":6},{"id":"call","cost":0}])",
               R"([{"score":2},{"score":5},{"score":5},{}])");
        rank_workspace ws;
        REQUIRE(parsed->score(w.view(), w.matrix, ws));
        const auto s = parsed->stage_scores(ws, 3);
        return std::vector<double>(s.begin(), s.end());
    };
    const double total = std::log(std::exp(1.0) + std::exp(0.0) + std::exp(2.0) + std::exp(-1.0));
    CHECK(given("stage.intent.rank") == std::vector<double>{1, 2, 3, 0});
    const auto margin = given("stage.intent.margin");
    CHECK(margin[0] == Approx(-1.0));
    CHECK(margin[1] == Approx(-2.0));
    CHECK(margin[3] == Approx(1.0));
    CHECK(given("stage.intent.probability")[3] == Approx(std::exp(2.0 - total)).epsilon(1e-6));
    CHECK(given("stage.intent.log_probability") == given("stage.intent"));
    const auto none = given("stage.intent.override");
    CHECK(none[0] == Approx(std::exp(-1.0 - total)).epsilon(1e-6));
    CHECK(none == std::vector<double>(4, none[0]));
    CHECK(given("stage.choice.override")[0] > 0);
    CHECK(given("stage.host.rank") == std::vector<double>{2, 0, 0, 3});
}

TEST_CASE("alone a candidate has no margin, and no candidates have no scores") {
    world w;
    auto parsed = w.parse(all_stages(), roles);
    REQUIRE(parsed);
    rank_workspace ws;
    w.fill("[{}]", "[]", "[]");
    REQUIRE(parsed->score(w.view(), w.matrix, ws));
    CHECK(parsed->stage_scores(ws, 4).empty());
    CHECK(parsed->override_probability(ws) == Approx(1.0));
    w.parts["rank/linear.json"] = world::linear(R"(["stage.intent.margin"])", "[1]");
    parsed = w.parse(list({intent_stage, linear_stage}));
    REQUIRE(parsed);
    w.fill("[{}]", R"([{"id":"ask"}])", "[{}]");
    REQUIRE(parsed->score(w.view(), w.matrix, ws));
    CHECK(parsed->stage_scores(ws, 1)[0] == 0.0);
    CHECK(parsed->override_probability(ws) == 0.0);  // no stage was named for it
}

TEST_CASE("stages after the last one asked for are not run") {
    world w;
    auto parsed = w.parse(all_stages(), roles);
    REQUIRE(parsed);
    w.fill();
    rank_workspace ws;
    REQUIRE(parsed->score(w.view(), w.matrix, ws));
    REQUIRE(parsed->score(w.view(), w.matrix, ws, static_cast<std::size_t>(parsed->linear_stage())));
    CHECK(parsed->stage_scores(ws, 1).size() == 3);
    CHECK(parsed->stage_scores(ws, 2).empty());
    CHECK(parsed->override_probability(ws) > 0);
}

TEST_CASE("scores that are no numbers are errors, not scores") {
    world w;
    rank_workspace ws;
    auto parsed = w.parse(list({intent_stage, linear_stage}));
    REQUIRE(parsed);
    w.fill(R"([{"amount":4}])", R"([{"id":"ask","cost":1},{"id":"refund"}])", R"([{"score":1},{}])");
    const status missing = parsed->score(w.view(), w.matrix, ws);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == "model.score_not_finite");
    CHECK(missing.error().where == "candidate 1");
    CHECK(missing.error().hint == "'cost' is nan");
    CHECK(parsed->stage_scores(ws, 1).empty());
    parsed = w.parse(list({host_stage}));
    REQUIRE(parsed);
    CHECK(parsed->score(w.view(), w.matrix, ws).error().code == "model.score_missing");
    feature_matrix other;
    other.resize(2, std::vector<scope>(2, scope::pair), 1);
    CHECK(parsed->score(w.view(), other, ws).error().code == "usage.length");
}

TEST_CASE("a warm workspace allocates nothing") {
    world w;
    const std::string second = R"({"name":"second","kind":"trees","model":"rank/model.txt","rerank":{"stage":"rank","count":2}})";
    auto parsed = w.parse(all_stages() + "," + second, roles);
    REQUIRE(parsed);
    w.fill();
    rank_workspace ws;
    const frame f = w.view();
    REQUIRE(parsed->score(f, w.matrix, ws));
    REQUIRE(parsed->score(f, w.matrix, ws));
    const std::size_t before = allocations_so_far();
    bool fine = true;
    for (int i = 0; i < 50; ++i) fine = parsed->score(f, w.matrix, ws).ok() && fine;
    const std::size_t after = allocations_so_far();
    CHECK(fine);
    CHECK(after == before);
    REQUIRE(w.parse(all_stages(), roles));
    if (counts_allocations) CHECK(allocations_so_far() > after);  // the counter counts
}

TEST_CASE("what disagrees is refused by name") {
    world w;
    CHECK(refusal(w.parse("")) == "model.no_stages /stages");
    CHECK(refusal(w.parse(R"({"name":"a","kind":"tree","model":"x"})")) == "model.bad_choice /stages/0/kind");
    CHECK(refusal(w.parse(R"({"name":"a.b","kind":"trees","model":"x"})")) == "model.stage_name /stages/0/name");
    CHECK(refusal(w.parse(list({intent_stage, intent_stage}))) == "model.stage_twice /stages/1/name");
    CHECK(refusal(w.parse(R"({"name":"a","kind":"trees"})")) == "model.missing_field /stages/0");
    CHECK(refusal(w.parse(R"({"name":"a","kind":"host","field":"candidate.score","model":"x"})")) ==
          "model.stage_key /stages/0/model");
    CHECK(refusal(w.parse(R"({"name":"a","kind":"trees","model":"x"})")) == "bundle.missing_part /stages/0 (x)");
    CHECK(refusal(w.parse(R"({"name":"a","kind":"host","field":"candidate.scor"})")) == "schema.unknown_field /stages/0/field");
    CHECK(refusal(w.parse(R"({"name":"a","kind":"host","field":"task.text"})")) == "schema.type /stages/0/field");
    CHECK(refusal(w.parse(R"({"name":"a","kind":"choice","model":"rank/choice.model","block":"chars"})")) ==
          "model.block /stages/0 (rank/choice.model): /stages/0/block");
    CHECK(refusal(w.parse(intent_stage, R"(,"rank_by":"rank")")) == "model.stage_unknown /rank_by");
    CHECK(refusal(w.parse(list({intent_stage, linear_stage}), R"(,"override":"linear")")) == "model.no_override /override");
    CHECK(refusal(w.parse(list({intent_stage, choice_stage}), R"(,"linear":"intent","override":"choice")")) ==
          "model.stage_order /override");
    CHECK(refusal(w.parse(R"({"name":"a","kind":"trees","model":"rank/model.txt","output":1})")) ==
          "model.outputs /stages/0 (rank/model.txt): /stages/0/output");

    // A stage is not there before it has run.
    const auto early = w.parse(list({linear_stage, intent_stage}));
    REQUIRE_FALSE(early);
    CHECK(early.error().code == "features.unknown_column");
    w.parts["rank/linear.json"] = world::linear(R"(["cots"])", "[1]");
    const auto near = w.parse(linear_stage);
    REQUIRE_FALSE(near);
    CHECK(near.error().hint == "did you mean 'cost'?");
    w.parts["rank/linear.json"] = world::linear(R"(["stage.intent.overide"])", "[1]");
    CHECK(w.parse(list({intent_stage, linear_stage})).error().hint == "did you mean 'stage.intent.override'?");
    w.parts["rank/linear.json"] = world::linear(R"(["stage.host.probability"])", "[1]");
    CHECK(refusal(w.parse(list({host_stage, linear_stage}))) == "features.unknown_column /stages/1 (rank/linear.json)");

    // A model inside is refused with both places.
    w.parts["rank/model.txt"] = "tree\nversion=v9\n";
    CHECK(refusal(w.parse(trees_stage)).starts_with("model.truncated /stages/0 (rank/model.txt): byte "));
}

TEST_CASE("models of another plan are refused") {
    world w;
    const std::string other(64, 'a');
    w.parts["rank/intent.model"] = world::intent(other);
    CHECK(refusal(w.parse(intent_stage)) == "features.fingerprint /stages/0 (rank/intent.model)");
    w.parts["rank/linear.json"] = "{\"version\":1,\"features\":[\"cost\"],\"weights\":[1],\"fingerprint\":\"" + other + "\"}";
    CHECK(refusal(w.parse(linear_stage)) == "features.fingerprint /stages/0 (rank/linear.json)");
    const std::string trees =
        R"({"name":"rank","kind":"trees","model":"rank/model.txt","features":["cost","cost","cost","cost"],"fingerprint":")";
    CHECK(refusal(w.parse(trees + other + "\"}")) == "features.fingerprint /stages/0/fingerprint");
    CHECK(refusal(w.parse(trees + w.plan.fingerprint() + "\"}")).empty());
}
