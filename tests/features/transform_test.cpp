// Every fixed operation on hand-made rows, with values worked out by hand or by the standard library.
#include "feature_world.hpp"

using world::is_nan;
using world::setting;

namespace {
const char* const two_actions = R"([
    {"id":"refund","cost":10,"kind":"money","template":"We refund the full amount","since":1699996400000000,
     "tags":["a","b"],"after":["ask","check"]},
    {"id":"ask","cost":0,"kind":"talk","template":"Could you tell me more?","tags":[]},
    {"id":"close"}])";
}

TEST_CASE("numeric operations") {
    setting w;
    w.task(R"([{"amount":-3.5,"count":4,"urgent":true}, {}])");
    w.action(two_actions);
    const auto p = w.plan(R"([
        {"name":"amount","op":"number","input":"task.amount"},
        {"name":"urgent","op":"number","input":"task.urgent"},
        {"name":"clipped","op":"clip","input":"task.amount","min":-1,"max":1},
        {"name":"log","op":"log","input":"task.amount"},
        {"name":"std","op":"standardise","input":"task.count","state":{"mean":1,"scale":2}},
        {"name":"bucket","op":"bucket","input":"task.count","edges":[1,4,9]},
        {"name":"gone","op":"missing","input":"task.amount"},
        {"name":"filled","op":"number","input":"task.amount","missing":-1},
        {"name":"cost","op":"number","input":"action.cost"},
        {"name":"ratio","op":"ratio","a":"task.amount","b":"action.cost"},
        {"name":"gap","op":"difference","a":"task.amount","b":"action.cost"},
        {"name":"product","op":"product","a":"gap","b":"task.count"},
        {"name":"sum","op":"sum","a":"gap","b":"product","missing":0},
        {"name":"no_cost","op":"missing","input":"gap"}])");
    REQUIRE(p.scopes()[0] == opspilot::scope::task);
    REQUIRE(p.scopes()[8] == opspilot::scope::action);
    REQUIRE(p.scopes()[9] == opspilot::scope::pair);
    w.apply(p);
    CHECK(w.column(p, "amount") == std::vector<float>{-3.5F, -3.5F, -3.5F});
    CHECK(w.column(p, "urgent")[0] == 1.0F);
    CHECK(w.column(p, "clipped")[1] == -1.0F);
    CHECK(w.column(p, "log")[0] == static_cast<float>(-std::log1p(3.5)));
    CHECK(w.column(p, "std")[0] == 1.5F);
    CHECK(w.column(p, "bucket")[0] == 2.0F);
    CHECK(w.column(p, "gone")[0] == 0.0F);
    CHECK(w.column(p, "cost")[0] == 10.0F);
    CHECK(is_nan(w.column(p, "cost")[2]));
    CHECK(w.column(p, "ratio")[0] == -0.35F);
    CHECK(is_nan(w.column(p, "ratio")[1]));
    CHECK(w.column(p, "gap")[0] == -13.5F);
    CHECK(w.column(p, "product")[0] == -54.0F);
    CHECK(w.column(p, "sum")[0] == -67.5F);
    CHECK(w.column(p, "sum")[2] == 0.0F);
    CHECK(w.column(p, "no_cost") == std::vector<float>{0, 0, 1});
    w.apply(p, 1);
    CHECK(is_nan(w.column(p, "amount")[0]));
    CHECK(is_nan(w.column(p, "log")[0]));
    CHECK(is_nan(w.column(p, "bucket")[0]));
    CHECK(w.column(p, "gone")[0] == 1.0F);
    CHECK(w.column(p, "filled")[0] == -1.0F);
}

TEST_CASE("the logarithm is the library's, to the last float, and odd") {
    setting w;
    w.action(two_actions);
    const auto p = w.plan(R"([{"name":"log","op":"log","input":"task.amount"}])");
    std::vector<double> values;
    for (double x = 1e-12; x < 1e300; x *= 1.37) values.push_back(x);
    values.push_back(0.0);
    w.tasks.reset(w.fields, opspilot::role::task);
    const auto amount = *w.fields.find(opspilot::role::task, "amount");
    for (const double x : values) {
        w.tasks.begin_row();
        REQUIRE(w.tasks.set_number(amount, x).ok());
        REQUIRE(w.tasks.end_row(w.strings, world::now).ok());
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        w.apply(p, i);
        const float expected = static_cast<float>(std::log1p(values[i]));
        INFO(values[i]);
        CHECK(w.column(p, "log")[0] == expected);
    }
}

TEST_CASE("what exceeds a float becomes the largest float") {
    setting w;
    w.task(R"([{"amount":1e300}])");
    w.action(two_actions);
    const auto p = w.plan(R"([{"name":"x","op":"number","input":"task.amount"},
        {"name":"y","op":"product","a":"x","b":"x"},{"name":"z","op":"difference","a":"y","b":"y"}])");
    w.apply(p);
    CHECK(w.column(p, "x")[0] == std::numeric_limits<float>::max());
    CHECK(w.column(p, "y")[0] == std::numeric_limits<float>::max());
    CHECK(is_nan(w.column(p, "z")[0]));  // infinity minus infinity has no value
}

TEST_CASE("categories") {
    setting w;
    const auto p = w.plan(R"([
        {"name":"kind","op":"dictionary","input":"task.kind","state":{"values":["talk","money"]}},
        {"name":"kind2","op":"dictionary","input":"task.kind","unseen":-1,"state":{"values":["talk","money"]}},
        {"name":"is","op":"one_hot","input":"action.kind","values":["talk","money"]},
        {"name":"tag","op":"one_hot","input":"task.tags","values":["x","y","z"]},
        {"name":"hash","op":"hashed","input":"task.kind","buckets":1000}])");
    REQUIRE(p.names().size() == 8);
    // Strings after the plan, as in a bundle: it inserts what it knows into the dictionary that workspaces extend.
    w.task(R"([{"kind":"money","tags":["x","z"]},{"kind":"unheard"},{}])");
    w.action(two_actions);
    w.apply(p);
    CHECK(w.column(p, "kind")[0] == 1.0F);
    CHECK(w.column(p, "is=talk")[0] == 0.0F);
    CHECK(w.column(p, "is=money")[0] == 1.0F);
    CHECK(is_nan(w.column(p, "is=money")[2]));
    CHECK(w.column(p, "tag=x")[0] == 1.0F);
    CHECK(w.column(p, "tag=y")[0] == 0.0F);
    CHECK(w.column(p, "tag=z")[0] == 1.0F);
    CHECK(w.column(p, "hash")[0] >= 0.0F);
    CHECK(w.column(p, "hash")[0] < 1000.0F);
    w.apply(p, 1);
    CHECK(is_nan(w.column(p, "kind")[0]));
    CHECK(w.column(p, "kind2")[0] == -1.0F);
    w.apply(p, 2);
    CHECK(is_nan(w.column(p, "kind2")[0]));
    CHECK(is_nan(w.column(p, "hash")[0]));
}

TEST_CASE("time, staleness and defaults") {
    setting w;
    // 1699996400 is one hour before now; values of that age are fresh for balance and score, older ones are stale.
    w.task(R"([{"opened":1699996400000000,"balance":5,"balance_at":1699998200000000,"score":3,"score_at":1699998200000000},
               {"balance":5,"balance_at":1699990000000000,"score":3,"score_at":1699990000000000},
               {}])");
    w.action(two_actions);
    const auto p = w.plan(R"([
        {"name":"age_h","op":"age","input":"task.opened","unit":"1h"},
        {"name":"age_s","op":"age","input":"action.since"},
        {"name":"hour","op":"calendar","part":"hour"},
        {"name":"hour_east","op":"calendar","part":"hour","offset":"2h"},
        {"name":"weekday","op":"calendar","part":"weekday"},
        {"name":"weekday_east","op":"calendar","part":"weekday","offset":"2h"},
        {"name":"day","op":"calendar","part":"day"},
        {"name":"month","op":"calendar","part":"month","offset":"-90m"},
        {"name":"opened_hour","op":"calendar","input":"task.opened","part":"hour"},
        {"name":"fraction","op":"staleness","input":"task.balance"},
        {"name":"stale","op":"stale","input":"task.balance"},
        {"name":"balance","op":"number","input":"task.balance"},
        {"name":"score","op":"number","input":"task.score"},
        {"name":"no_balance","op":"missing","input":"task.balance"},
        {"name":"no_score","op":"missing","input":"task.score"}])");
    w.apply(p);
    CHECK(w.column(p, "age_h")[0] == 1.0F);
    CHECK(w.column(p, "age_s")[0] == 3600.0F);
    CHECK(is_nan(w.column(p, "age_s")[1]));
    CHECK(w.column(p, "hour")[0] == 22.0F);
    CHECK(w.column(p, "hour_east")[0] == 0.0F);
    CHECK(w.column(p, "weekday")[0] == 1.0F);
    CHECK(w.column(p, "weekday_east")[0] == 2.0F);
    CHECK(w.column(p, "day")[0] == 14.0F);
    CHECK(w.column(p, "month")[0] == 11.0F);
    CHECK(w.column(p, "opened_hour")[0] == 21.0F);
    CHECK(w.column(p, "fraction")[0] == 0.5F);
    CHECK(w.column(p, "stale")[0] == 0.0F);
    CHECK(w.column(p, "balance")[0] == 5.0F);
    w.apply(p, 1);
    CHECK(w.column(p, "stale")[0] == 1.0F);
    CHECK(is_nan(w.column(p, "balance")[0]));
    CHECK(w.column(p, "score")[0] == 7.5F);
    CHECK(w.column(p, "no_balance")[0] == 1.0F);
    CHECK(w.column(p, "no_score")[0] == 0.0F);
    CHECK(w.column(p, "fraction")[0] == static_cast<float>(10000.0 / 3600.0));
    w.apply(p, 2);
    CHECK(is_nan(w.column(p, "age_h")[0]));
    CHECK(w.column(p, "stale")[0] == 0.0F);
    CHECK(w.column(p, "score")[0] == 7.5F);
}

TEST_CASE("calendar dates agree with the C library") {
    setting w;
    w.action(two_actions);
    const auto p = w.plan(R"([{"name":"day","op":"calendar","input":"task.opened","part":"day"},
        {"name":"month","op":"calendar","input":"task.opened","part":"month"},
        {"name":"hour","op":"calendar","input":"task.opened","part":"hour"},
        {"name":"weekday","op":"calendar","input":"task.opened","part":"weekday"}])");
    w.tasks.reset(w.fields, opspilot::role::task);
    const auto opened = *w.fields.find(opspilot::role::task, "opened");
    std::vector<std::time_t> times;
    for (std::time_t t = -5'000'000'000; t < 5'000'000'000; t += 61'234'567) times.push_back(t);
    for (const std::time_t t : times) {
        w.tasks.begin_row();
        REQUIRE(w.tasks.set_integer(opened, std::int64_t{t} * 1'000'000).ok());
        REQUIRE(w.tasks.end_row(w.strings, world::now).ok());
    }
    for (std::size_t i = 0; i < times.size(); ++i) {
        w.apply(p, i);
        std::tm expected{};
        gmtime_r(&times[i], &expected);
        CHECK(w.column(p, "day")[0] == static_cast<float>(expected.tm_mday));
        CHECK(w.column(p, "month")[0] == static_cast<float>(expected.tm_mon + 1));
        CHECK(w.column(p, "hour")[0] == static_cast<float>(expected.tm_hour));
        CHECK(w.column(p, "weekday")[0] == static_cast<float>((expected.tm_wday + 6) % 7));
    }
}

TEST_CASE("pairs: equality, membership, history") {
    setting w;
    w.task(R"([{"kind":"talk","count":1,"previous":"check","history":["ask","close","ask","check"],"tags":["refund","close"]},
               {"history":[]}, {}])");
    w.action(two_actions);
    w.pair(R"([{"position":1,"note":"talk"},{"position":2},{"note":"x"}])");
    const auto p = w.plan(R"([
        {"name":"same_kind","op":"equal","a":"task.kind","b":"action.kind"},
        {"name":"same_note","op":"equal","a":"candidate.note","b":"action.kind"},
        {"name":"first","op":"equal","a":"candidate.position","b":"task.count"},
        {"name":"first_cost","op":"equal","a":"action.cost","b":"candidate.position"},
        {"name":"tagged","op":"contains","list":"task.tags","item":"action.id"},
        {"name":"follows","op":"contains","list":"action.after","item":"task.previous"},
        {"name":"again","op":"last_equals","history":"task.history"},
        {"name":"again2","op":"last_equals","history":"task.history","last":2},
        {"name":"charted","op":"last_equals","history":"task.history","equals":"action.after"},
        {"name":"times","op":"count_in_history","history":"task.history"},
        {"name":"ago","op":"recency_in_history","history":"task.history","missing":99}])");
    w.apply(p);
    const auto first_and = [&](std::string_view name, float a, float b) {
        const auto c = w.column(p, name);
        INFO(name);
        CHECK(c[0] == a);
        CHECK(c[1] == b);
        return c[2];
    };
    CHECK(is_nan(first_and("same_kind", 0, 1)));
    const auto note = w.column(p, "same_note");
    CHECK(note[0] == 0.0F);
    CHECK(is_nan(note[1]));
    CHECK(is_nan(first_and("first", 1, 0)));
    CHECK(w.column(p, "first_cost")[1] == 0.0F);
    CHECK(first_and("tagged", 1, 0) == 1.0F);
    const auto follows = w.column(p, "follows");
    CHECK(follows[0] == 1.0F);
    CHECK(is_nan(follows[1]));
    CHECK(first_and("again", 0, 0) == 0.0F);
    CHECK(first_and("again2", 0, 1) == 0.0F);
    CHECK(w.column(p, "charted")[0] == 1.0F);
    CHECK(first_and("times", 0, 2) == 1.0F);
    CHECK(first_and("ago", 99, 1) == 2.0F);
    w.apply(p, 1);
    CHECK(first_and("times", 0, 0) == 0.0F);
    CHECK(first_and("again", 0, 0) == 0.0F);
    w.apply(p, 2);
    CHECK(is_nan(w.column(p, "times")[0]));
    CHECK(is_nan(w.column(p, "again")[0]));
    CHECK(w.column(p, "ago")[0] == 99.0F);
    // One candidate takes another way through the same operation.
    w.rows = {1};
    w.apply(p);
    CHECK(w.column(p, "times")[0] == 2.0F);
    CHECK(w.column(p, "ago")[0] == 1.0F);
}

TEST_CASE("no candidates and repeated candidates") {
    setting w;
    w.task(R"([{"amount":1,"kind":"talk","text":"refund please"}])");
    w.action(two_actions);
    const auto p = w.plan(R"([{"name":"a","op":"number","input":"task.amount"},{"name":"c","op":"number","input":"action.cost"},
        {"name":"e","op":"equal","a":"task.kind","b":"action.kind"},
        {"name":"o","op":"overlap","a":{"tokens":{"input":"task.text","kind":"words"}},"b":{"input":"action.template","kind":"words"}}])");
    w.rows.clear();
    w.apply(p);
    CHECK(w.matrix.rows() == 0);
    w.rows = {1, 1, 0, 1};
    w.apply(p);
    CHECK(w.column(p, "c") == std::vector<float>{0, 0, 10, 0});
    CHECK(w.column(p, "e") == std::vector<float>{1, 1, 0, 1});
    w.rows = {3};
    CHECK(p.apply(w.frame(), nullptr, w.scratch, w.matrix).error().code == "usage.frame");
}
