// One decision by every path: prepared or not, alone or among others, many candidates or few. Overlaps against plain sets.
#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "allocation_count.hpp"
#include "feature_world.hpp"
#include "opspilot/features/text.hpp"

namespace {

const char* const everything = R"([
    {"name":"amount","op":"number","input":"task.amount"},
    {"name":"log","op":"log","input":"task.amount","missing":-1},
    {"name":"inside","op":"between","input":"task.count","min":1,"max":3},
    {"name":"cost","op":"clip","input":"action.cost","max":6},
    {"name":"cost_bin","op":"bucket","input":"cost","edges":[1,5]},
    {"name":"gap","op":"difference","a":"task.amount","b":"cost"},
    {"name":"gap_std","op":"standardise","input":"gap","state":{"mean":0.25,"scale":3.5}},
    {"name":"position","op":"number","input":"candidate.position"},
    {"name":"position_gap","op":"ratio","a":"candidate.position","b":"action.cost"},
    {"name":"age","op":"age","input":"task.opened","unit":"1h"},
    {"name":"action_age","op":"age","input":"action.since","unit":"1d"},
    {"name":"stale","op":"stale","input":"task.score"},
    {"name":"score","op":"number","input":"task.score"},
    {"name":"same","op":"equal","a":"task.kind","b":"action.kind"},
    {"name":"kind","op":"dictionary","input":"action.kind","state":{"values":["money","talk"]}},
    {"name":"is","op":"one_hot","input":"action.tags","values":["a","b"]},
    {"name":"again","op":"last_equals","history":"task.history"},
    {"name":"times","op":"count_in_history","history":"task.history"},
    {"name":"ago","op":"recency_in_history","history":"task.history"},
    {"name":"tagged","op":"overlap","a":"task.tags","b":"action.tags","measure":"count"},
    {"name":"text","op":"overlap","a":{"input":"task.text","kind":"words"},"b":{"input":"action.template","kind":"words"}},
    {"name":"text_b","op":"overlap","a":{"input":"action.template","kind":"words"},"b":{"input":"task.text","kind":"words"},"measure":"of_a"},
    {"name":"text_idf","op":"overlap","a":{"input":"task.text","kind":"words"},"b":{"input":"action.template","kind":"words"},"idf":true,
     "state":{"documents":9,"counts":""}},
    {"name":"chars","op":"overlap","a":{"input":"task.text","kind":"chars","ngrams":[3,4]},"b":{"input":"action.template","kind":"chars","ngrams":[3,4]},"measure":"of_b"},
    {"name":"charted","op":"overlap","a":{"tokens":["task.kind","task.previous"],"separator":"/"},"b":"action.after","measure":"any"},
    {"name":"note","op":"overlap","a":{"input":"candidate.note","kind":"words"},"b":{"input":"task.text","kind":"words"},"measure":"count"},
    {"name":"own","op":"overlap","a":{"input":"action.template","kind":"words"},"b":"action.tags","measure":"of_b"},
    {"name":"words","op":"count","tokens":{"input":"task.text","kind":"words"}},
    {"name":"template_words","op":"count","tokens":{"input":"action.template","kind":"words"}},
    {"name":"x","op":"text_hash","bits":14,"sources":[
        {"tokens":{"input":"task.text","kind":"words","ngrams":[1,2]},"norm":"l2"},
        {"name":"c","tokens":{"input":"task.text","kind":"chars"},"tf":"log","norm":"l2","weight":0.5},
        {"name":"p","tokens":["task.previous",{"input":"task.text","kind":"words"}]},
        {"name":"h","tokens":["task.history",{"input":"task.count","edges":[2]}],"when":"inside"},
        {"name":"s","tokens":[{"input":"task.tags","kind":"set"},{"input":"task.history","last":1,"missing":"<none>"}]}]}])";

std::string random_tasks(std::mt19937& random, std::size_t n) {
    const auto draw = [&](unsigned k) { return static_cast<unsigned>(random() % k); };
    const char* const words[] = {"pay", "bill", "card", "Close", "the", "more", "Größe", "naïve", "now", "me"};
    std::string out = "[";
    for (std::size_t i = 0; i < n; ++i) {
        out.append(i > 0 ? ",{" : "{").append("\"count\":").append(std::to_string(draw(5)));
        if (draw(4) > 0) out.append(",\"amount\":").append(std::to_string(draw(1000))).append(".125");
        if (draw(4) > 0) out.append(",\"kind\":\"").append(draw(2) > 0 ? "money" : "talk").append("\"");
        if (draw(4) > 0) out.append(",\"previous\":\"").append(draw(2) > 0 ? "ask" : "check").append("\"");
        if (draw(4) > 0) out.append(",\"opened\":").append(std::to_string(world::now - draw(1'000'000) * 1'000LL));
        out.append(",\"score\":").append(std::to_string(draw(9))).append(",\"score_at\":");
        out.append(std::to_string(world::now - draw(2) * 3 * world::hour));
        if (draw(5) > 0) {
            out.append(",\"text\":\"");
            for (unsigned k = draw(30); k > 0; --k) out.append(words[draw(10)]).append(draw(6) > 0 ? " " : "! ");
            out.append("\"");
        }
        for (const char* list : {"history", "tags"}) {
            if (draw(4) == 0) continue;
            out.append(",\"").append(list).append("\":[");
            for (unsigned k = draw(6), first = 1; k > 0; --k, first = 0)
                out.append(first != 0 ? "\"" : ",\"").append(draw(2) > 0 ? "ask" : draw(2) > 0 ? "a" : "refund").append("\"");
            out.append("]");
        }
        out.append("}");
    }
    return out + "]";
}

const char* const catalogue = R"([
    {"id":"refund","cost":10,"kind":"money","template":"We pay the bill","since":1699996400000000,"tags":["a","b"],"after":["money/ask","talk/check"]},
    {"id":"ask","cost":0,"kind":"talk","template":"Could you tell me more, more?","tags":[],"after":["money/check"]},
    {"id":"close"},
    {"id":"card","cost":2.5,"kind":"money","template":"Close the card now; naïve Größe","tags":["ask"]}])";

void fill(world::setting& w, std::size_t tasks) {
    std::mt19937 random(5);
    w.task(random_tasks(random, tasks));
    w.action(catalogue);
    std::string pairs = R"([{"position":1,"note":"pay me"},{"position":2},{"note":"the the"},{"position":4,"note":"card"})";
    for (int i = 4; i < 40; ++i) pairs.append(",{\"position\":").append(std::to_string(i % 7)).append("}");
    w.pair(pairs + "]");
}

}  // namespace

TEST_CASE("prepared, unprepared and single-candidate decisions have the same bits") {
    world::setting w;
    const auto p = w.plan(everything);
    fill(w, 200);
    auto prepared = p.prepare(w.actions, w.strings);
    REQUIRE(prepared.ok());
    opspilot::feature_matrix whole;
    for (std::size_t t = 0; t < 200; ++t) {
        // Many candidates take the vectorised loops and their remainders, one candidate the plain ones.
        w.rows = {0, 1, 2, 3};
        for (std::uint32_t i = 4; i < 37 && t < 20; ++i) w.rows.push_back((i * 7 + static_cast<std::uint32_t>(t)) % 4);
        const std::vector<std::uint32_t> rows = w.rows;
        w.apply(p, t, prepared->get());
        whole = w.matrix;
        w.apply(p, t);
        REQUIRE(world::same_bits(whole, w.matrix));
        opspilot::feature_workspace fresh;
        REQUIRE(p.apply(w.frame(t), prepared->get(), fresh, w.matrix).ok());
        REQUIRE(world::same_bits(whole, w.matrix));
        for (std::uint32_t a = 0; a < rows.size(); ++a) {
            auto f = w.frame(t);
            const std::uint32_t row[] = {rows[a]};
            f.action_rows = row;
            f.pair_begin = a;
            for (const opspilot::prepared_actions* way :
                 {prepared->get(), static_cast<const opspilot::prepared_actions*>(nullptr)}) {
                REQUIRE(p.apply(f, way, w.scratch, w.matrix).ok());
                for (std::size_t j = 0; j < p.names().size(); ++j) {
                    const float x = whole.at(a, j);
                    const float y = w.matrix.at(0, j);
                    INFO(p.names()[j] << " task " << t);
                    REQUIRE(std::memcmp(&x, &y, sizeof x) == 0);
                }
            }
        }
    }
}

TEST_CASE("overlaps equal plain set arithmetic") {
    world::setting w;
    const auto p = w.plan(everything);
    fill(w, 150);
    opspilot::text_workspace scratch;
    const auto words = [&](const opspilot::table& t, opspilot::role r, const char* field, std::size_t row) {
        std::set<std::string> out;
        const auto cell = t.get(*w.fields.find(r, field), row);
        if (!cell.has_value()) return std::pair{false, out};
        opspilot::word_text split;
        REQUIRE(opspilot::split_words(w.strings.text(cell.code), {}, scratch, split).ok());
        for (std::size_t i = 0; i < split.words(); ++i) out.emplace(split.word(i));
        return std::pair{true, out};
    };
    std::size_t shared_somewhere = 0;
    for (std::size_t t = 0; t < 150; ++t) {
        w.apply(p, t);
        const auto jaccard = w.column(p, "text");
        const auto of_a = w.column(p, "text_b");
        const auto count = w.column(p, "note");
        const auto [has_text, a] = words(w.tasks, opspilot::role::task, "text", t);
        for (std::size_t i = 0; i < 4; ++i) {
            const auto [has_template, b] = words(w.actions, opspilot::role::action, "template", i);
            const auto [has_note, c] = words(w.pairs, opspilot::role::candidate, "note", i);
            std::vector<std::string> both;
            std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
            if (has_text && has_template) {
                const double shared = static_cast<double>(both.size());
                const double all = static_cast<double>(a.size() + b.size()) - shared;
                CHECK(jaccard[i] == static_cast<float>(all > 0 ? shared / all : 0.0));
                CHECK(of_a[i] == static_cast<float>(b.empty() ? 0.0 : shared / static_cast<double>(b.size())));
                shared_somewhere += both.empty() ? 0U : 1U;
            } else {
                CHECK(world::is_nan(jaccard[i]));
                CHECK(world::is_nan(of_a[i]));
            }
            both.clear();
            std::set_intersection(a.begin(), a.end(), c.begin(), c.end(), std::back_inserter(both));
            if (has_text && has_note)
                CHECK(count[i] == static_cast<float>(both.size()));
            else
                CHECK(world::is_nan(count[i]));
        }
        const auto kind = w.tasks.get(*w.fields.find(opspilot::role::task, "kind"), t);
        const auto previous = w.tasks.get(*w.fields.find(opspilot::role::task, "previous"), t);
        const auto charted = w.column(p, "charted");
        if (kind.has_value() && previous.has_value()) {
            const bool first = (w.strings.text(kind.code) == "money") == (w.strings.text(previous.code) == "ask");
            CHECK(charted[0] == (first ? 1.0F : 0.0F));
        } else {
            CHECK(world::is_nan(charted[0]));
        }
    }
    CHECK(shared_somewhere > 50);
}

TEST_CASE("idf weights rare tokens more") {
    world::setting w;
    const auto p = w.plan(everything);
    w.task(R"([{"text":"pay the bill"}])");
    w.action(catalogue);
    w.pair(R"([{},{},{},{}])");
    w.apply(p);
    // With no stored tokens all weigh the same, so weighted and plain overlap agree.
    CHECK(w.column(p, "text_idf")[0] == Approx(w.column(p, "text")[0]));
    CHECK(w.column(p, "text")[0] == 0.75F);
}

TEST_CASE("a source is left out where its condition does not hold, and crossed tokens differ from plain ones") {
    world::setting w;
    const auto p = w.plan(R"([{"name":"inside","op":"between","input":"task.count","min":1,"max":3,"output":false},
        {"name":"x","op":"text_hash","bits":20,"sources":[{"tokens":"task.kind","when":"inside"}]},
        {"name":"y","op":"text_hash","bits":20,"sources":[{"tokens":["task.kind","task.previous"]},{"name":"swap","tokens":["task.previous","task.kind"]}]},
        {"name":"z","op":"text_hash","bits":20,"sources":[{"tokens":{"input":"task.history","counts":2}}]},
        {"name":"head","op":"text_hash","bits":20,"sources":[{"tokens":{"input":"task.text","kind":"phrase","head":2}}]}])");
    CHECK(p.names().empty());
    w.task(
        R"([{"count":2,"kind":"a","previous":"a","history":["q","q","q","r"],"text":"Please PAY now"},{"count":9,"kind":"a"},{"kind":"a"},
               {"history":["r","q","q"],"text":"please, pay later"}])");
    w.action(R"([{"id":"x"}])");
    w.apply(p);
    CHECK(w.matrix.columns() == 0);
    CHECK(w.matrix.sparse(0).index.size() == 1);
    CHECK(w.matrix.sparse(1).index.size() == 2);
    CHECK(w.matrix.sparse(2).index.size() == 2);
    const std::vector<std::uint32_t> counted(w.matrix.sparse(2).index.begin(), w.matrix.sparse(2).index.end());
    const std::uint32_t phrase = w.matrix.sparse(3).index[0];
    w.apply(p, 1);
    CHECK(w.matrix.sparse(0).index.empty());
    CHECK(w.matrix.sparse(1).index.empty());
    w.apply(p, 2);
    CHECK(w.matrix.sparse(0).index.empty());
    w.apply(p, 3);
    CHECK(std::equal(counted.begin(), counted.end(),
                     w.matrix.sparse(2).index.begin()));  // two or three times is the same, in any order
    CHECK(w.matrix.sparse(3).index[0] == phrase);
}

TEST_CASE("no allocation once warm") {
    world::setting w;
    const auto p = w.plan(everything);
    fill(w, 50);
    auto prepared = p.prepare(w.actions, w.strings);
    REQUIRE(prepared.ok());
    const std::size_t at_first = allocations_so_far();
    const std::vector<std::size_t> more(at_first % 7 + 1);
    CHECK(!more.empty());
    if (counts_allocations) CHECK(allocations_so_far() > at_first);  // the counter counts
    for (const opspilot::prepared_actions* way : {prepared->get(), static_cast<const opspilot::prepared_actions*>(nullptr)}) {
        std::size_t in_a_row = 0;
        bool ok = true;
        for (int round = 0; round < 3; ++round) {
            const std::size_t before = allocations_so_far();
            for (std::size_t t = 0; t < 50; ++t) ok = p.apply(w.frame(t), way, w.scratch, w.matrix).ok() && ok;
            in_a_row = allocations_so_far() - before;
        }
        CHECK(ok);
        CHECK(in_a_row == 0);
    }
}

TEST_CASE("threads share a plan") {
    world::setting w;
    const auto p = w.plan(everything);
    fill(w, 60);
    auto prepared = p.prepare(w.actions, w.strings);
    REQUIRE(prepared.ok());
    std::vector<opspilot::feature_matrix> expected(60);
    for (std::size_t t = 0; t < 60; ++t) REQUIRE(p.apply(w.frame(t), prepared->get(), w.scratch, expected[t]).ok());
    std::atomic<std::size_t> different{0};
    std::vector<std::thread> threads;
    for (int k = 0; k < 4; ++k)
        threads.emplace_back([&] {
            opspilot::feature_workspace own;
            opspilot::feature_matrix m;
            for (std::size_t t = 0; t < 60; ++t)
                if (!p.apply(w.frame(t), prepared->get(), own, m).ok() || !world::same_bits(m, expected[t])) ++different;
        });
    for (std::thread& t : threads) t.join();
    CHECK(different == 0);
}

TEST_CASE("a few words against a long text, and one hundred thousand candidates") {
    world::setting w;
    const auto p = w.plan(
        R"([{"name":"note","op":"overlap","a":{"input":"candidate.note","kind":"words"},"b":{"input":"task.text","kind":"words"},"measure":"count"},
        {"name":"gap","op":"difference","a":"candidate.position","b":"action.cost"},
        {"name":"text","op":"overlap","a":{"input":"task.text","kind":"words"},"b":{"input":"action.template","kind":"words"},"measure":"of_b"}])");
    std::string text;
    for (int i = 0; i < 5000; ++i) text.append("w").append(std::to_string(i)).append(" ");
    std::string task = "[{\"text\":\"";
    w.task(task.append(text).append("\"}]"));
    w.action(R"([{"id":"x","cost":3,"template":"w1 other"},{"id":"y"}])");
    w.pairs.reset(w.fields, opspilot::role::candidate);
    const auto position = *w.fields.find(opspilot::role::candidate, "position");
    const auto note = *w.fields.find(opspilot::role::candidate, "note");
    w.rows.clear();
    for (int i = 0; i < 100'000; ++i) {
        w.pairs.begin_row();
        REQUIRE(w.pairs.set_integer(position, i).ok());
        if (i < 300) REQUIRE(w.pairs.set_text(note, "w" + std::to_string(i * 50) + " none w7", w.strings).ok());
        REQUIRE(w.pairs.end_row(w.strings, world::now).ok());
        w.rows.push_back(static_cast<std::uint32_t>(i % 2));
    }
    w.apply(p);
    const auto count = w.column(p, "note");
    const auto gap = w.column(p, "gap");
    for (std::size_t i = 0; i < 300; ++i) CHECK(count[i] == (i * 50 < 5000 ? 2.0F : 1.0F));
    CHECK(world::is_nan(count[300]));
    CHECK(gap[99'998] == 99'995.0F);
    CHECK(world::is_nan(gap[99'999]));
    CHECK(w.column(p, "text")[0] == 0.5F);
}
