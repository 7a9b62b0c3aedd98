// Documents that are refused: code, place and cure.
#include <nlohmann/json.hpp>

#include "feature_world.hpp"
#include "opspilot/features/detail/document.hpp"

namespace {

struct refusal {
    const char* transforms;
    const char* code;
    const char* where;
    const char* says;  // part of message and hint
};

const refusal refusals[] = {
    {R"([{"name":"a","op":"clamp","input":"task.amount"}])", "features.unknown_op", "/transforms/0/op", "clip"},
    {R"([{"name":"a","input":"task.amount"}])", "features.unknown_op", "/transforms/0/op", "without 'op'"},
    {R"([{"name":"a","op":"clip","imput":"task.amount"}])", "features.unknown_field", "/transforms/0/imput", "input"},
    {R"([{"name":"a","op":"clip","input":"task.amout"}])", "features.unknown_input", "/transforms/0/input", "amount"},
    {R"([{"name":"a","op":"clip","input":"tusk.amount"}])", "features.unknown_input", "/transforms/0/input", "unknown input"},
    {R"([{"name":"abc","op":"log","input":"task.amount"},{"name":"b","op":"clip","input":"abd"}])", "features.unknown_input",
     "/transforms/1/input", "abc"},
    {R"([{"name":"a","op":"log","input":"task.kind"}])", "features.wrong_type", "/transforms/0/input", "string"},
    {R"([{"name":"a","op":"clip","input":"task.amount","min":2,"max":1}])", "features.bad_value", "/transforms/0/min", "exceeds"},
    {R"([{"name":"a","op":"log","input":"task.amount"},{"name":"a","op":"log","input":"task.count"}])", "features.duplicate_name",
     "/transforms/1/name", "'a'"},
    {R"([{"name":"a=b","op":"log","input":"task.amount"},{"name":"a","op":"one_hot","input":"task.kind","values":["b"]}])",
     "features.duplicate_name", "/transforms", "a=b"},
    {R"([{"name":"a","op":"bucket","input":"task.amount","edges":[1,1]}])", "features.bad_value", "/transforms/0/edges/1",
     "ascend"},
    {R"([{"name":"a","op":"bucket","input":"task.amount"}])", "features.bad_value", "/transforms/0", "edges"},
    {R"([{"name":"a","op":"standardise","input":"task.amount"}])", "features.not_fitted", "/transforms/0", "fit"},
    {R"([{"name":"a","op":"standardise","input":"task.amount","state":{"mean":0,"scale":0}}])", "features.bad_state",
     "/transforms/0/state", "positive"},
    {R"([{"name":"a","op":"staleness","input":"task.amount"}])", "features.bad_value", "/transforms/0/input", "max_age"},
    {R"([{"name":"a","op":"age","input":"task.opened","unit":"1 parsec"}])", "features.bad_value", "/transforms/0/unit",
     "duration"},
    {R"([{"name":"a","op":"calendar","part":"fortnight"}])", "features.bad_choice", "/transforms/0/part", "hour"},
    {R"([{"name":"a","op":"equal","a":"task.kind","b":"action.cost"}])", "features.wrong_type", "/transforms/0", "never equals"},
    {R"([{"name":"a","op":"equal","a":"task.tags","b":"action.kind"}])", "features.wrong_type", "/transforms/0/a", "contains"},
    {R"([{"name":"a","op":"contains","list":"task.kind","item":"action.id"}])", "features.wrong_type", "/transforms/0/list",
     "list<string>"},
    {R"([{"name":"a","op":"last_equals","history":"task.history","last":0}])", "features.bad_value", "/transforms/0/last",
     "1 to"},
    {R"([{"name":"a","op":"overlap","a":{"input":"task.text","kind":"word"},"b":"action.tags"}])", "features.bad_choice",
     "/transforms/0/a/kind", "words"},
    {R"([{"name":"a","op":"overlap","a":{"input":"task.amount","kind":"words"},"b":"action.tags"}])", "features.bad_value",
     "/transforms/0/a/kind", "text"},
    {R"([{"name":"a","op":"count","tokens":[{"input":"task.text","kind":"words"},{"input":"task.previous","kind":"chars"}]}])",
     "features.bad_value", "/transforms/0/tokens", "at most one"},
    {R"([{"name":"a","op":"text_hash","sources":[]}])", "features.bad_value", "/transforms/0/sources", "1 to"},
    {R"([{"name":"a","op":"text_hash","bits":30,"sources":[{"tokens":"task.kind"}]}])", "features.bad_value",
     "/transforms/0/bits", "8 to 24"},
    {R"([{"name":"a","op":"text_hash","sources":[{"tokens":"action.kind"}]}])", "features.bad_value",
     "/transforms/0/sources/0/tokens", "task"},
    {R"([{"name":"a","op":"text_hash","sources":[{"tokens":{"input":"task.text","kind":"words","ngrams":[2,1]}}]}])",
     "features.bad_value", "/transforms/0/sources/0/tokens/ngrams", "min"},
    {R"([{"name":"a","op":"text_hash","sources":[{"tokens":"task.kind","idf":true}],"state":{"documents":1,"counts":"!"}}])",
     "features.bad_state", "/transforms/0/state/counts", "read"},
    {R"([{"name":"a","op":"target_statistics","key":"task.history"}])", "features.bad_value", "/transforms/0/key", "one token"},
    {R"([{"name":"a","op":"transition","context":"action.kind"}])", "features.bad_value", "/transforms/0/context", "task"},
    {R"([{"name":"a","op":"transition","context":"task.kind","smoothing":0}])", "features.bad_value", "/transforms/0/smoothing",
     "positive"},
    {R"([{"name":"task.x","op":"log","input":"task.amount"}])", "features.bad_value", "/transforms/0/name", "field name"},
    {R"([3])", "features.wrong_kind", "/transforms/0", "object"},
    {R"({})", "features.wrong_kind", "/transforms", "array"},
};

}  // namespace

TEST_CASE("documents that cannot be right are refused with place and cure") {
    world::setting w;
    for (const refusal& r : refusals) {
        INFO(r.transforms);
        const auto problem = w.refused(r.transforms);
        CHECK(problem.kind == opspilot::error_kind::features);
        CHECK(problem.code == r.code);
        CHECK(problem.where == r.where);
        INFO(problem.text());
        CHECK((problem.message + " " + problem.hint).find(r.says) != std::string::npos);
    }
}

TEST_CASE("other versions and broken JSON are refused") {
    world::setting w;
    CHECK(opspilot::feature_plan::parse(R"({"version":2,"transforms":[]})", w.fields, w.frozen).error().code ==
          "features.version");
    CHECK(opspilot::feature_plan::parse(R"({"version":1,"transforms":[)", w.fields, w.frozen).error().code ==
          "features.json_syntax");
    CHECK(opspilot::feature_plan::parse("", w.fields, w.frozen).error().code == "features.json_syntax");
    CHECK(opspilot::feature_plan::parse(R"({"version":1,"transforms":[]})", w.fields, w.frozen).ok());
}

TEST_CASE("a document cut or changed anywhere is read or refused, never worse") {
    world::setting w;
    const std::string text = world::document(R"([{"name":"b","op":"bucket","input":"task.amount","edges":[1,2.5e3]},
        {"name":"x","op":"text_hash","bits":10,"min_count":1,"sources":[{"tokens":["task.kind",{"input":"task.text","kind":"words"}]}],
         "state":{"documents":3,"counts":"AQIDAQ=="}},
        {"name":"t","op":"transition","context":{"input":"task.history","last":1},"state":{"decisions":9,"actions":2,"counts":"AQIDAQ=="}}])");
    REQUIRE(opspilot::feature_plan::parse(text, w.fields, w.frozen).ok());
    std::size_t read = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        opspilot::dictionary strings;
        if (opspilot::feature_plan::parse(text.substr(0, i), w.fields, strings).ok()) FAIL("a cut document was read");
        for (const char c : {'\0', '9', '"', '{', 'A', '\x80'}) {
            std::string changed = text;
            changed[i] = c;
            read += opspilot::feature_plan::parse(changed, w.fields, strings).ok() ? 1U : 0U;
        }
    }
    CHECK(read > 0);
}

TEST_CASE("frames that do not fit are refused") {
    world::setting w;
    const auto p =
        w.plan(R"([{"name":"p","op":"number","input":"candidate.position"},{"name":"c","op":"number","input":"action.cost"}])");
    w.task(R"([{}])");
    w.action(R"([{"id":"x"},{"id":"y"}])");
    const auto code = [&](const opspilot::frame& f, const opspilot::prepared_actions* prepared = nullptr) {
        const auto done = p.apply(f, prepared, w.scratch, w.matrix);
        return done.ok() ? std::string("ok") : std::string(done.error().code);
    };
    CHECK(code(w.frame()) == "usage.frame");  // candidate fields are read, and there are none
    w.pair(R"([{"position":1}])");
    CHECK(code(w.frame()) == "usage.frame");
    w.pair(R"([{"position":1},{"position":2}])");
    CHECK(code(w.frame()) == "ok");
    auto f = w.frame();
    f.pair_begin = 1;
    CHECK(code(f) == "usage.frame");
    f = w.frame();
    f.task_row = 1;
    CHECK(code(f) == "usage.frame");
    f = w.frame();
    f.strings = nullptr;
    CHECK(code(f) == "usage.frame");
    auto prepared = p.prepare(w.actions, w.strings);
    REQUIRE(prepared.ok());
    world::setting other;
    other.task(R"([{}])");
    other.action(R"([{"id":"x"}])");
    other.pair(R"([{"position":1}])");
    CHECK(code(other.frame(), prepared->get()) == "usage.frame");
    CHECK(p.prepare(w.tasks, w.strings).error().code == "usage.role");
}

TEST_CASE("reference and JSON Schema name every operation and key") {
    const std::string text = opspilot::feature_reference();
    const auto tree = nlohmann::json::parse(opspilot::feature_json_schema());
    const auto& branches = tree["properties"]["transforms"]["items"]["oneOf"];
    CHECK(branches.size() == std::size(opspilot::detail::feature_ops));
    std::size_t at = 0;
    for (const opspilot::detail::feature_op_info& info : opspilot::detail::feature_ops) {
        CHECK(text.find("### " + std::string(info.name) + "\n") != std::string::npos);
        CHECK(branches[at]["properties"]["op"]["const"] == info.name);
        for (const opspilot::document_field& f : info.fields) CHECK(branches[at]["properties"].contains(std::string(f.name)));
        CHECK(branches[at]["additionalProperties"] == false);
        ++at;
    }
}
