// Text: words against Python's Unicode tables, weights against scikit-learn, buckets against golden vectors.
#include <fstream>
#include <map>
#include <sstream>

#include "feature_world.hpp"
#include "opspilot/base/detail/json.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/features/detail/terms.hpp"
#include "opspilot/features/text.hpp"

using opspilot::text_hash_options;
using opspilot::text_hasher;
using opspilot::detail::json;

namespace {

json oracle() {
    std::ifstream in(OPSPILOT_TEST_DATA "/features/fixtures/oracle.json");
    std::stringstream text;
    text << in.rdbuf();
    return json::parse(text.str());
}

std::vector<std::string> words_of(std::string_view text, const opspilot::text_options& options) {
    opspilot::text_workspace scratch;
    opspilot::word_text out;
    REQUIRE(opspilot::split_words(text, options, scratch, out).ok());
    std::vector<std::string> words;
    for (std::size_t i = 0; i < out.words(); ++i) words.emplace_back(out.word(i));
    std::string joined = " ";
    for (const std::string& w : words) joined += w + " ";
    CHECK(out.bytes == joined);
    return words;
}

using sparse = std::map<std::uint32_t, float>;

sparse hashed(const text_hash_options& options, std::string_view text) {
    auto hasher = text_hasher::make(options);
    REQUIRE(hasher.ok());
    opspilot::text_workspace scratch;
    std::vector<std::uint32_t> index;
    std::vector<float> value;
    REQUIRE(hasher->transform(text, scratch, index, value).ok());
    REQUIRE(index.size() == value.size());
    for (std::size_t i = 1; i < index.size(); ++i) CHECK(index[i - 1] < index[i]);
    sparse out;
    for (std::size_t i = 0; i < index.size(); ++i) out[index[i]] = value[i];
    return out;
}

/// The bucket of one n-gram of words.
std::uint32_t bucket(std::string_view term, unsigned bits) {
    const auto count = static_cast<unsigned>(std::count(term.begin(), term.end(), ' ') + 1);
    const auto one = hashed({bits, {}, count, count, 0, 0, false, opspilot::term_frequency::count, false}, term);
    REQUIRE(one.size() == 1);
    return one.begin()->first;
}

}  // namespace

TEST_CASE("words are those of Python's Unicode tables") {
    const json fixture = oracle();
    for (const json& c : fixture["texts"]) {
        const auto text = c["text"].get<std::string>();
        INFO(text);
        CHECK(words_of(text, {}) == c["folded"].get<std::vector<std::string>>());
        CHECK(words_of(text, {.casefold = false, .strip_accents = false, .symbols = ""}) ==
              c["plain"].get<std::vector<std::string>>());
    }
}

TEST_CASE("accents and symbols") {
    CHECK(words_of("Café naïve e\u0301 Ångström Привет", {.casefold = true, .strip_accents = true, .symbols = ""}) ==
          std::vector<std::string>{"cafe", "naive", "e", "angstrom", "привет"});
    CHECK(words_of("really?! no", {.casefold = true, .strip_accents = false, .symbols = "?!"}) ==
          std::vector<std::string>{"really", "?", "!", "no"});
    CHECK(words_of("çok mu? evet", {.casefold = true, .strip_accents = false, .symbols = "?"}) ==
          std::vector<std::string>{"çok", "mu", "?", "evet"});
}

TEST_CASE("ASCII text gives the same words on both paths") {
    // An "é" sends the same text down the Unicode path; everything before it must come out alike.
    std::string text;
    std::uint32_t state = 12345;
    for (int i = 0; i < 5000; ++i) {
        state = state * 1664525U + 1013904223U;
        text += static_cast<char>(state >> 25);
    }
    auto ascii = words_of(text, {.casefold = true, .strip_accents = false, .symbols = "?!"});
    auto unicode = words_of(text + " é", {.casefold = true, .strip_accents = false, .symbols = "?!"});
    ascii.emplace_back("é");
    CHECK(ascii == unicode);
}

TEST_CASE("term weights are scikit-learn's TfidfVectorizer") {
    world::setting w(R"({"task":[{"name":"text","type":"string","optional":true}]})");
    const json expected = oracle()["tfidf"];
    json rows = json::array();
    for (const json& d : expected) rows.push_back({{"text", d["text"]}});
    w.task(rows.dump());
    w.action(R"([{"id":"x"}])");
    const std::size_t n = w.tasks.rows();
    std::vector<std::uint32_t> offsets(n + 1);
    std::iota(offsets.begin(), offsets.end(), 0U);
    const std::vector<std::uint32_t> action_rows(n, 0);
    const std::vector<std::int32_t> chosen(n, 0);
    const std::vector<std::uint32_t> fold(n, 0);
    const std::vector<std::int64_t> times(n, world::now);
    const opspilot::training_set data{&w.tasks, &w.actions, nullptr, offsets, action_rows, chosen, fold, times, &w.strings};
    auto fitted = opspilot::fit_features(R"({"version":1,"transforms":[{"name":"t","op":"text_hash","bits":24,"min_count":1,
        "sources":[{"tokens":{"input":"task.text","kind":"words","ngrams":[1,2]},"tf":"log","idf":true,"norm":"l2"}]}]})",
                                         w.fields, data);
    INFO((fitted.ok() ? std::string() : fitted.error().text()));
    REQUIRE(fitted.ok());
    std::size_t compared = 0;
    for (std::size_t i = 0; i < n; ++i) {
        auto f = w.frame(i);
        REQUIRE(fitted->apply(f, nullptr, w.scratch, w.matrix).ok());
        const auto got = w.matrix.sparse(0);
        const json& terms = expected[i]["terms"];
        REQUIRE(got.index.size() == terms.size());
        for (const auto& [term, value] : terms.items()) {
            const std::uint32_t at = bucket(term, 24);
            const auto found = std::lower_bound(got.index.begin(), got.index.end(), at);
            INFO(term);
            REQUIRE(found != got.index.end());
            REQUIRE(*found == at);
            CHECK(got.value[static_cast<std::size_t>(found - got.index.begin())] == Approx(value.get<double>()).epsilon(1e-6));
            ++compared;
        }
    }
    CHECK(compared > 100);
}

TEST_CASE("character n-grams are scikit-learn's char and char_wb") {
    const json fixture = oracle();
    for (const bool within : {true, false}) {
        std::size_t i = 0;
        for (const json& c : fixture["texts"]) {
            if (c["folded"].empty()) continue;
            const json& grams = fixture[within ? "char_wb" : "char"][i++];
            text_hash_options options;
            options.bits = 24;
            options.word_max = 0;
            options.char_min = 3;
            options.char_max = 5;
            options.within_words = within;
            options.l2 = false;
            // scikit-learn gives a word shorter than the smallest n-gram whole; we leave it out.
            sparse expected;
            for (const json& g : grams) {
                const auto text = g.get<std::string>();
                if (opspilot::code_points(text) >= 3)
                    expected[opspilot::detail::bucket_of(opspilot::detail::short_hash(text.data(), text.size()), 0, 24)] += 1.0F;
            }
            INFO(c["text"].get<std::string>());
            CHECK(hashed(options, c["text"].get<std::string>()) == expected);
        }
    }
}

TEST_CASE("golden buckets never change") {
    const auto vector = hashed({.bits = 18, .text = {}, .word_min = 1, .word_max = 2}, "Block my card, my card!");
    const sparse expected{{953, 0.516397774F},    {133075, 0.258198887F}, {171944, 0.516397774F},
                          {224633, 0.258198887F}, {227913, 0.258198887F}, {242258, 0.516397774F}};
    CHECK(vector == expected);
    text_hash_options chars;
    chars.bits = 12;
    chars.word_max = 0;
    chars.char_min = 3;
    chars.char_max = 4;
    chars.l2 = false;
    const sparse expected_chars{{1071, 1.0F}, {1124, 1.0F}, {1636, 1.0F}, {2381, 1.0F}, {2621, 1.0F}, {2855, 1.0F},
                                {2966, 1.0F}, {3471, 1.0F}, {3561, 1.0F}, {4021, 1.0F}, {4024, 1.0F}};
    CHECK(hashed(chars, "Größe") == expected_chars);
    CHECK(hashed({.bits = 1}, "").empty());
}

TEST_CASE("hostile text: combining marks, large input, invalid bytes") {
    std::string marks = "a";
    for (int i = 0; i < 400'000; ++i) marks += i % 2 == 0 ? "\u0316" : "\u0301";  // classes 220 and 230, out of order
    CHECK(words_of(marks, {}).size() == 1);
    const std::string large(10'000'000, 'x');
    CHECK(words_of(large, {}).front().size() == large.size());
    std::string cyrillic;
    for (int i = 0; i < 300'000; ++i) cyrillic += "Ж";
    CHECK(words_of(cyrillic, {}).size() == 1);
    auto hasher = text_hasher::make({});
    opspilot::text_workspace scratch;
    std::vector<std::uint32_t> index;
    std::vector<float> value;
    const auto bad = hasher->transform("caf\xE9 now", scratch, index, value);
    REQUIRE(!bad.ok());
    CHECK(bad.error().code == "features.utf8");
    CHECK(bad.error().where == "byte 3");
}

TEST_CASE("hasher options are checked") {
    CHECK(!text_hasher::make({.bits = 0}).ok());
    CHECK(!text_hasher::make({.bits = 25}).ok());
    CHECK(!text_hasher::make({.word_min = 3, .word_max = 2}).ok());
    CHECK(!text_hasher::make({.word_max = 0}).ok());
    CHECK(!text_hasher::make({.char_min = 1, .char_max = 17}).ok());
    CHECK(!text_hasher::make({.text = {.symbols = "é"}}).ok());
}

TEST_CASE("a plan's words fall where the hasher's do") {
    world::setting w;
    const auto p = w.plan(R"([{"name":"t","op":"text_hash","bits":18,
        "sources":[{"tokens":{"input":"task.text","kind":"words","ngrams":[1,2]},"norm":"l2"}]}])");
    REQUIRE(p.sparse_blocks().size() == 1);
    CHECK(p.sparse_blocks()[0].dimension == 1U << 18);
    w.task(R"([{"text":"Block my card, my card!"},{}])");
    w.action(R"([{"id":"x"}])");
    w.apply(p);
    sparse got;
    for (std::size_t i = 0; i < w.matrix.sparse(0).index.size(); ++i)
        got[w.matrix.sparse(0).index[i]] = w.matrix.sparse(0).value[i];
    CHECK(got == hashed({.bits = 18, .text = {}, .word_min = 1, .word_max = 2}, "Block my card, my card!"));
    w.apply(p, 1);
    CHECK(w.matrix.sparse(0).index.empty());
}

TEST_CASE("long texts are counted like short ones") {
    std::string text;
    std::vector<std::string> words;
    std::uint32_t state = 7;
    for (int i = 0; i < 3000; ++i) {
        state = state * 1664525U + 1013904223U;
        words.push_back(std::to_string(state >> 22));
        text.append(words.back()).append(" ");
    }
    for (const unsigned bits : {1U, 9U, 18U, 24U}) {
        sparse expected;
        for (std::size_t i = 0; i < words.size(); ++i) {
            expected[opspilot::detail::bucket_of(opspilot::detail::term_hash(words[i]), 0, bits)] += 1.0F;
            if (i + 1 == words.size()) continue;
            const std::string pair = words[i] + " " + words[i + 1];
            expected[opspilot::detail::bucket_of(opspilot::detail::term_hash(pair), 0, bits)] += 1.0F;
        }
        text_hash_options options;
        options.bits = bits;
        options.l2 = false;
        CHECK(hashed(options, text) == expected);
    }
    // At most 2^20 terms, from the beginning.
    std::string many;
    for (int i = 0; i < 700'000; ++i) many += "a ";
    text_hash_options options;
    options.l2 = false;
    float total = 0;
    for (const auto& [b, v] : hashed(options, many)) total += v;
    CHECK(total == 1048576.0F);
}
