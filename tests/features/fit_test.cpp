// Fitting: scikit-learn's numbers, counts recomputed by brute force, and no look at a fold's own labels.
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "feature_world.hpp"
#include "opspilot/base/detail/json.hpp"

using opspilot::detail::json;

namespace {

// Pieces are appended: GCC 12 warns without cause about "literal" + std::string&&.
std::string joined(std::initializer_list<std::string_view> pieces) {
    std::string out;
    for (const std::string_view piece : pieces) out.append(piece);
    return out;
}
std::string document_of(std::string_view transforms) { return joined({"{\"version\":1,\"transforms\":", transforms, "}"}); }

/// Random tasks with candidates and choices.
struct training : world::setting {
    std::vector<std::uint32_t> offsets, action_rows, fold;
    std::vector<std::int32_t> chosen;
    std::vector<std::int64_t> times;
    json task_rows = json::array();

    explicit training(std::size_t n, unsigned seed = 1) {
        action(
            R"([{"id":"a0","cost":1,"kind":"x","template":"pay the bill now"},{"id":"a1","cost":5,"kind":"y","template":"close the card"},
                   {"id":"a2","kind":"x","template":"the answer to everything"},{"id":"a3","cost":2,"template":"pay"},
                   {"id":"a4","cost":9,"kind":"z","template":"never shown"}])");
        std::mt19937 random(seed);
        const auto draw = [&](unsigned k) { return static_cast<unsigned>(random() % k); };
        const char* const kinds[] = {"k0", "k1", "k2"};
        const char* const texts[] = {"please pay the bill", "close my card", "what now", "card card pay"};
        offsets.push_back(0);
        for (std::size_t t = 0; t < n; ++t) {
            json row = json::object();
            if (draw(10) > 0) row["kind"] = kinds[draw(3)];
            if (draw(10) > 0) row["previous"] = id(draw(4));
            if (draw(10) > 0) row["amount"] = static_cast<double>(draw(1000)) / 7.0;
            row["text"] = texts[draw(4)];
            row["count"] = draw(5);
            json history = json::array();
            for (unsigned k = draw(4); k > 0; --k) history.push_back(id(draw(4)));
            row["history"] = history;
            task_rows.push_back(row);
            std::vector<std::uint32_t> candidates;
            for (std::uint32_t a = 0; a < 4; ++a)
                if (draw(4) > 0) candidates.push_back(a);
            action_rows.insert(action_rows.end(), candidates.begin(), candidates.end());
            offsets.push_back(static_cast<std::uint32_t>(action_rows.size()));
            chosen.push_back(candidates.empty() || draw(8) == 0
                                 ? -1
                                 : static_cast<std::int32_t>(draw(static_cast<unsigned>(candidates.size()))));
            fold.push_back(draw(3));
            times.push_back(world::now);
        }
        task(task_rows.dump());
    }
    opspilot::training_set data() const {
        return {&tasks, &actions, nullptr, offsets, action_rows, chosen, fold, times, &strings};
    }
    opspilot::feature_plan fit(const std::string& transforms) const {
        auto fitted = opspilot::fit_features(document_of(transforms), fields, data());
        INFO((fitted.ok() ? std::string() : fitted.error().text()));
        REQUIRE(fitted.ok());
        return std::move(*fitted);
    }
    opspilot::frame frame_at(std::size_t t) const {
        opspilot::frame f = frame(t);
        f.action_rows = std::span(action_rows).subspan(offsets[t], offsets[t + 1] - offsets[t]);
        return f;
    }
    std::string id(std::uint32_t row) const { return joined({"a", std::to_string(row)}); }
    std::string key(std::size_t t, const char* field) const {
        return task_rows[t].contains(field)
                   ? task_rows[t][field].is_string() ? task_rows[t][field].get<std::string>() : task_rows[t][field].dump()
                   : std::string("<none>");
    }
};

const char* const label_transforms = R"([
    {"name":"p_action","op":"target_statistics","key":"action.id","smoothing":2},
    {"name":"p_pair","op":"target_statistics","key":["task.kind","action.id"],"smoothing":3,"min_count":4},
    {"name":"n_pair","op":"target_statistics","key":["task.kind","action.id"],"value":"count"},
    {"name":"p_task","op":"target_statistics","key":"task.kind"},
    {"name":"t1","op":"transition","context":["task.previous"],"smoothing":2,"value":"probability"},
    {"name":"t2","op":"transition","context":["task.previous",{"input":"task.count","edges":[2]}],"smoothing":1.5,"backoff":"drop_last","min_count":3},
    {"name":"n2","op":"transition","context":["task.previous",{"input":"task.count","edges":[2]}],"value":"count"},
    {"name":"last","op":"transition","context":{"input":"task.history","last":1},"value":"probability"}])";

/// The features above by plain counting, with one fold left out (or none, -1).
std::map<std::string, std::vector<double>> brute_force(const training& w, std::size_t t, int left_out) {
    std::map<std::string, std::pair<double, double>> rates;
    std::map<std::string, double> counts;
    double rows = 0;
    double choices = 0;
    double decisions = 0;
    const auto last = [&](std::size_t k) {
        const json& h = w.task_rows[k]["history"];
        return h.empty() ? std::string("<none>") : h.back().get<std::string>();
    };
    const auto bin = [&](std::size_t k) { return w.task_rows[k]["count"].get<int>() >= 2 ? "1" : "0"; };
    const auto contexts = [&](std::size_t k) {
        const std::string p = w.key(k, "previous");
        return std::vector<std::string>{"prev " + p, "both " + p + " " + bin(k), joined({"last ", last(k)})};
    };
    for (std::size_t k = 0; k < w.chosen.size(); ++k) {
        if (static_cast<int>(w.fold[k]) == left_out) continue;
        for (std::uint32_t i = w.offsets[k]; i < w.offsets[k + 1]; ++i) {
            const bool hit = w.chosen[k] >= 0 && i - w.offsets[k] == static_cast<std::uint32_t>(w.chosen[k]);
            for (const std::string& key :
                 {joined({"a ", w.id(w.action_rows[i])}), joined({"p ", w.key(k, "kind"), w.id(w.action_rows[i])}),
                  joined({"k ", w.key(k, "kind")})}) {
                rates[key].first += 1;
                rates[key].second += hit ? 1 : 0;
            }
            rows += 1;
            choices += hit ? 1 : 0;
        }
        decisions += 1;
        for (const std::string& c : contexts(k)) counts[c] += 1;
        if (w.chosen[k] < 0) continue;
        const std::string id = w.id(w.action_rows[w.offsets[k] + static_cast<std::uint32_t>(w.chosen[k])]);
        counts["all " + id] += 1;
        for (const std::string& c : contexts(k)) counts[c + " -> " + id] += 1;
    }
    const double prior = choices / rows;
    const auto rate = [&](const std::string& key, double smoothing, double least) {
        auto [n, hits] = rates[key];
        if (n < least) n = hits = 0;
        return (hits + smoothing * prior) / (n + smoothing);
    };
    std::map<std::string, std::vector<double>> out;
    const auto c = contexts(t);
    for (std::uint32_t i = w.offsets[t]; i < w.offsets[t + 1]; ++i) {
        const std::string id = w.id(w.action_rows[i]);
        out["p_action"].push_back(rate("a " + id, 2, 1));
        out["p_pair"].push_back(rate(joined({"p ", w.key(t, "kind"), id}), 3, 4));
        out["n_pair"].push_back(rates[joined({"p ", w.key(t, "kind"), id})].first);
        out["p_task"].push_back(rate(joined({"k ", w.key(t, "kind")}), 1, 1));
        const double base = (counts["all " + id] + 1) / (decisions + 5 + 1);  // five actions in the catalogue
        const auto smooth = [&](const std::string& context, double p, double s, double least) {
            const double n = counts[context];
            return n < std::max(1.0, least) ? p : (counts[context + " -> " + id] + s * p) / (n + s);
        };
        out["t1"].push_back(smooth(c[0], base, 2, 1));
        out["t2"].push_back(std::log(smooth(c[1], smooth(c[0], base, 1.5, 3), 1.5, 3)));
        out["n2"].push_back(counts[c[1]]);
        out["last"].push_back(smooth(c[2], base, 1, 1));
    }
    return out;
}

void compare(const training& w, const opspilot::feature_plan& p, const opspilot::feature_matrix& m, std::size_t t, int left_out) {
    const auto expected = brute_force(w, t, left_out);
    for (std::size_t j = 0; j < p.names().size(); ++j) {
        if (m.rows() == 0) continue;
        const auto& values = expected.at(p.names()[j]);
        for (std::size_t i = 0; i < m.rows(); ++i) {
            INFO(p.names()[j] << " task " << t << " candidate " << i);
            REQUIRE(m.at(i, j) == Approx(values[i]).epsilon(1e-6));
        }
    }
}

}  // namespace

TEST_CASE("standardise and quantile bins are scikit-learn's") {
    std::ifstream in(OPSPILOT_TEST_DATA "/features/fixtures/oracle.json");
    std::stringstream text;
    text << in.rdbuf();
    const json numbers = json::parse(text.str())["numbers"];
    for (const bool few : {false, true}) {
        const auto values = numbers[few ? "few" : "values"].get<std::vector<double>>();
        world::setting w;
        json rows = json::array();
        for (const double v : values) rows.push_back({{"amount", v}});
        w.task(rows.dump());
        w.action(R"([{"id":"x"}])");
        const std::size_t n = values.size();
        std::vector<std::uint32_t> offsets(n + 1);
        std::iota(offsets.begin(), offsets.end(), 0U);
        const std::vector<std::uint32_t> action_rows(n, 0);
        const std::vector<std::int32_t> chosen(n, -1);
        const std::vector<std::uint32_t> fold(n, 0);
        const std::vector<std::int64_t> times(n, world::now);
        const opspilot::training_set data{&w.tasks, &w.actions, nullptr, offsets, action_rows, chosen, fold, times, &w.strings};
        auto fitted = opspilot::fit_features(
            few ? R"({"version":1,"transforms":[{"name":"b","op":"bucket","input":"task.amount","bins":4}]})"
                : R"({"version":1,"transforms":[{"name":"b","op":"bucket","input":"task.amount","bins":8},
            {"name":"s","op":"standardise","input":"task.amount"},{"name":"twice","op":"standardise","input":"s"}]})",
            w.fields, data);
        REQUIRE(fitted.ok());
        const json document = json::parse(fitted->to_json());
        for (std::size_t i = 0; i < n; ++i) {
            w.apply(*fitted, i);
            CHECK(w.column(*fitted, "b")[0] == numbers[few ? "few_bins" : "bins"][i].get<float>());
            if (few) continue;
            CHECK(w.column(*fitted, "s")[0] == Approx(numbers["standardised"][i].get<double>()).epsilon(1e-6));
        }
        if (few) continue;
        const json& state = document["transforms"][1]["state"];
        CHECK(state["mean"].get<double>() == Approx(numbers["mean"].get<double>()).epsilon(1e-14));
        CHECK(state["scale"].get<double>() == Approx(numbers["scale"].get<double>()).epsilon(1e-12));
        const json& edges = document["transforms"][0]["state"]["edges"];
        for (std::size_t k = 0; k < edges.size(); ++k) CHECK(edges[k] == numbers["edges"][k + 1]);
        // A second pass saw what the first had fitted: already standard, so it stays as it is.
        CHECK(document["transforms"][2]["state"]["mean"].get<double>() == Approx(0).margin(1e-9));
        CHECK(document["transforms"][2]["state"]["scale"].get<double>() == Approx(1));
    }
}

TEST_CASE("dictionaries are fitted by frequency, then by text") {
    training w(300);
    const auto p =
        w.fit(R"([{"name":"d","op":"dictionary","input":"task.kind","limit":2},{"name":"h","op":"one_hot","input":"action.kind"},
        {"name":"items","op":"one_hot","input":"task.history","limit":3,"min_count":2}])");
    const json document = json::parse(p.to_json());
    std::map<std::string, int> counts;
    for (const json& row : w.task_rows)
        if (row.contains("kind")) ++counts[row["kind"].get<std::string>()];
    const auto values = document["transforms"][0]["state"]["values"].get<std::vector<std::string>>();
    REQUIRE(values.size() == 2);
    CHECK(counts[values[0]] >= counts[values[1]]);
    CHECK(document["transforms"][1]["state"]["values"] == json({"x", "y", "z"}));
    CHECK(document["transforms"][2]["state"]["values"].size() == 3);
    for (std::size_t t = 0; t < 20; ++t) {
        REQUIRE(p.apply(w.frame_at(t), nullptr, w.scratch, w.matrix).ok());
        if (w.matrix.rows() == 0) continue;
        const float got = w.column(p, "d")[0];
        if (w.key(t, "kind") == values[0]) CHECK(got == 0.0F);
        if (w.key(t, "kind") == values[1]) CHECK(got == 1.0F);
    }
}

TEST_CASE("label statistics equal plain counting, with and without the own fold") {
    training w(400);
    const auto p = w.fit(label_transforms);
    for (std::size_t t = 0; t < w.chosen.size(); t += 7) {
        REQUIRE(p.apply(w.frame_at(t), nullptr, w.scratch, w.matrix).ok());
        compare(w, p, w.matrix, t, -1);
        REQUIRE(opspilot::apply_out_of_fold(p, w.data(), t, w.scratch, w.matrix).ok());
        compare(w, p, w.matrix, t, static_cast<int>(w.fold[t]));
    }
}

TEST_CASE("labels of a fold never reach its own features") {
    training w(300);
    const auto before = w.fit(label_transforms);
    std::vector<std::int32_t> other = w.chosen;
    std::mt19937 random(99);
    std::size_t changed = 0;
    for (std::size_t t = 0; t < other.size(); ++t) {
        const auto size = static_cast<std::int32_t>(w.offsets[t + 1] - w.offsets[t]);
        if (w.fold[t] != 1 || size == 0) continue;
        other[t] = static_cast<std::int32_t>(random() % static_cast<unsigned>(size + 1)) - 1;
        changed += other[t] != w.chosen[t] ? 1U : 0U;
    }
    REQUIRE(changed > 20);
    std::swap(w.chosen, other);
    const auto after = w.fit(label_transforms);
    opspilot::feature_matrix a;
    opspilot::feature_matrix b;
    std::size_t different = 0;
    for (std::size_t t = 0; t < w.chosen.size(); ++t) {
        REQUIRE(opspilot::apply_out_of_fold(before, w.data(), t, w.scratch, a).ok());
        REQUIRE(opspilot::apply_out_of_fold(after, w.data(), t, w.scratch, b).ok());
        if (w.fold[t] == 1)
            CHECK(world::same_bits(a, b));
        else
            different += world::same_bits(a, b) ? 0U : 1U;
    }
    CHECK(different > 50);  // the labels do matter to the others, so the comparison above can fail
}

TEST_CASE("a fitted document is the same plan after reading it back") {
    training w(200);
    const auto p = w.fit(R"([{"name":"s","op":"standardise","input":"task.amount"},
        {"name":"b","op":"bucket","input":"task.amount","bins":5},{"name":"d","op":"dictionary","input":"task.kind"},
        {"name":"t","op":"transition","context":["task.previous"]},{"name":"r","op":"target_statistics","key":["task.kind","action.id"]},
        {"name":"o","op":"overlap","a":{"input":"task.text","kind":"words"},"b":{"input":"action.template","kind":"words"},"idf":true},
        {"name":"x","op":"text_hash","bits":12,"min_count":2,"sources":[
            {"tokens":{"input":"task.text","kind":"words","ngrams":[1,2]},"idf":true,"norm":"l2","tf":"log"},
            {"name":"cross","tokens":["task.previous",{"input":"task.text","kind":"words"}],"weight":0.5},
            {"name":"history","tokens":{"input":"task.history","counts":3}}]}])");
    opspilot::dictionary other;  // never the one that live interners extend: it would shift their codes
    auto again = opspilot::feature_plan::parse(p.to_json(), w.fields, other);
    REQUIRE(again.ok());
    CHECK(again->to_json() == p.to_json());
    CHECK(again->fingerprint() == p.fingerprint());
    CHECK(again->fingerprint().size() == 64);
    // The same plan in another process: its own dictionary, its own tables.
    world::setting fresh;
    auto served = opspilot::feature_plan::parse(p.to_json(), fresh.fields, fresh.frozen);
    REQUIRE(served.ok());
    fresh.task(w.task_rows.dump());
    fresh.action(
        R"([{"id":"a0","cost":1,"kind":"x","template":"pay the bill now"},{"id":"a1","cost":5,"kind":"y","template":"close the card"},
        {"id":"a2","kind":"x","template":"the answer to everything"},{"id":"a3","cost":2,"template":"pay"},
        {"id":"a4","cost":9,"kind":"z","template":"never shown"}])");
    auto prepared = served->prepare(fresh.actions, fresh.strings);
    REQUIRE(prepared.ok());
    for (std::size_t t = 0; t < 200; ++t) {
        REQUIRE(p.apply(w.frame_at(t), nullptr, w.scratch, w.matrix).ok());
        const auto own = w.frame_at(t).action_rows;
        fresh.rows.assign(own.begin(), own.end());
        fresh.apply(*served, t, prepared->get());
        CHECK(world::same_bits(w.matrix, fresh.matrix));
    }
    CHECK(opspilot::apply_out_of_fold(*served, w.data(), 0, w.scratch, w.matrix).error().code == "features.no_folds");
}

TEST_CASE("fitting on values that depend on labels is refused") {
    training w(50);
    const auto refuse = [&](const std::string& transforms) {
        auto fitted = opspilot::fit_features(document_of(transforms), w.fields, w.data());
        REQUIRE(!fitted.ok());
        return std::string(fitted.error().code);
    };
    const std::string rate = R"({"name":"r","op":"target_statistics","key":"task.kind"})";
    CHECK(refuse(joined({"[", rate, R"(,{"name":"s","op":"standardise","input":"r"}])"})) == "features.leak");
    CHECK(
        refuse(joined({"[", rate, R"(,{"name":"l","op":"log","input":"r"},{"name":"s","op":"bucket","bins":3,"input":"l"}])"})) ==
        "features.leak");
    CHECK(refuse(joined({"[", rate, R"(,{"name":"x","op":"text_hash","sources":[{"tokens":{"input":"r","edges":[0.5]}}]}])"})) ==
          "features.leak");
    const auto p = w.fit(joined({"[", rate, R"(,{"name":"l","op":"log","input":"r"}])"}));
    CHECK(p.names().size() == 2);
}

TEST_CASE("training sets that do not fit together are refused") {
    training w(10);
    const std::string document = R"({"version":1,"transforms":[{"name":"s","op":"standardise","input":"task.amount"}]})";
    const auto refused = [&](const opspilot::training_set& data) {
        const auto fitted = opspilot::fit_features(document, w.fields, data);
        return !fitted.ok() && fitted.error().code == "usage.training_set";
    };
    CHECK(!refused(w.data()));
    auto data = w.data();
    data.candidate_offsets = data.candidate_offsets.first(3);
    CHECK(refused(data));
    data = w.data();
    std::vector<std::int32_t> chosen = w.chosen;
    chosen[4] = 9;
    data.chosen = chosen;
    CHECK(refused(data));
    data = w.data();
    std::vector<std::uint32_t> rows = w.action_rows;
    rows[0] = 77;
    data.action_rows = rows;
    CHECK(refused(data));
    data = w.data();
    data.tasks = nullptr;
    CHECK(refused(data));
}
