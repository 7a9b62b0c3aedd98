// The fast forms against the plain ones: buckets counted by a map, words split byte by byte, columns row by row.
#include <bit>
#include <map>
#include <random>
#include <set>

#include "feature_world.hpp"
#include "opspilot/features/detail/buckets.hpp"
#include "opspilot/features/detail/columns.hpp"
#include "opspilot/features/detail/normalise.hpp"

namespace detail = opspilot::detail;

namespace {

std::map<std::uint32_t, std::size_t> counted(detail::bucket_counter& counter, const std::vector<std::uint32_t>& buckets,
                                             unsigned bits) {
    std::uint32_t* const to = counter.start(buckets.size());
    counter.count(std::copy(buckets.begin(), buckets.end(), to), bits);
    std::map<std::uint32_t, std::size_t> out;
    for (std::size_t i = 0; i < counter.size(); ++i) {
        if (i > 0) CHECK(counter.buckets()[i - 1] < counter.buckets()[i]);
        out[counter.buckets()[i]] = counter.count_of(i);
    }
    CHECK(out.size() == counter.size());
    return out;
}

/// The steps as their documentation says, one number at a time.
double by_hand(const detail::step& s, double x, double y) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    switch (s.op) {
        case detail::opcode::clip: return std::isnan(x) ? x : std::max(s.p0, std::min(s.p1, x));
        case detail::opcode::between: return std::isnan(x) ? x : s.p0 <= x && x <= s.p1 ? 1 : 0;
        case detail::opcode::standardise: return (x - s.p0) / s.p1;
        case detail::opcode::bucket:
            if (std::isnan(x)) return x;
            return static_cast<double>(std::upper_bound(s.edges.begin(), s.edges.end(), x) - s.edges.begin());
        case detail::opcode::slot_missing: return std::isnan(x) ? 1 : 0;
        case detail::opcode::ratio: return y == 0 ? nan : x / y;
        case detail::opcode::difference: return x - y;
        case detail::opcode::product: return x * y;
        case detail::opcode::sum: return x + y;
        default: return std::copysign(std::log1p(std::min(std::fabs(x), std::numeric_limits<double>::max())), x);
    }
}

bool same(double a, double b) {
    return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

struct here {};  // loops with the instruction set of this file

std::vector<double> numbers(std::size_t n, std::mt19937& random) {
    constexpr double odd[] = {0.0,
                              -0.0,
                              1.0,
                              -1.0,
                              0.5,
                              2.0,
                              5e-324,
                              -1e-310,
                              1e308,
                              -1e308,
                              3.4028235677973366e38,
                              3.5e38,
                              -3.5e38,
                              std::numeric_limits<double>::infinity(),
                              -std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN()};
    std::vector<double> out(n);
    for (double& x : out)
        x = random() % 3 == 0 ? odd[random() % std::size(odd)]
                              : std::ldexp(static_cast<double>(random()) - 2147483648.0, static_cast<int>(random() % 80) - 60);
    return out;
}

}  // namespace

TEST_CASE("buckets are counted as a map counts them") {
    std::mt19937 random(3);
    detail::bucket_counter counter;
    for (const unsigned bits : {1U, 5U, 12U, 18U, 24U})
        for (const std::size_t n : {0UL, 1UL, 2UL, 3UL, 15UL, 16UL, 17UL, 200UL, 1999UL, 8192UL, 8193UL, 30000UL})
            for (int shape = 0; shape < 4; ++shape) {
                std::vector<std::uint32_t> buckets(n);
                for (std::size_t i = 0; i < n; ++i) {
                    const auto b = static_cast<std::uint32_t>(random() >> (32 - bits));
                    if (shape == 0) buckets[i] = b;                                                // hashes
                    if (shape == 1) buckets[i] = i > 0 && b % 2 == 0 ? buckets[random() % i] : b;  // often the same
                    if (shape == 2) buckets[i] = b >> std::min(bits, 10U);                         // all in one place
                    if (shape == 3) buckets[i] = ((1U << bits) - 1) - static_cast<std::uint32_t>(i) % (1U << bits);  // falling
                }
                std::map<std::uint32_t, std::size_t> expected;
                for (const std::uint32_t b : buckets) ++expected[b];
                INFO(bits << " bits, " << n << " buckets, shape " << shape);
                CHECK(counted(counter, buckets, bits) == expected);
            }
}

TEST_CASE("eight characters at a time are the words of one at a time") {
    std::mt19937 random(4);
    opspilot::word_text fast;
    opspilot::word_text plain;
    std::string folded;
    for (int round = 0; round < 4000; ++round) {
        const bool casefold = round % 2 == 0;
        std::string text(random() % 300, ' ');
        const auto gap = 1 + random() % 40;  // from all kinds of bytes to long words
        for (char& c : text) c = random() % gap == 0 ? static_cast<char>(random() % 128) : "aZ_q0M9zA"[random() % 9];
        detail::split_plain(text, casefold, folded, fast);
        detail::split_ascii(text, detail::table_of({.casefold = casefold, .strip_accents = false, .symbols = ""}), plain);
        INFO(text);
        REQUIRE(fast.bytes == plain.bytes);
        REQUIRE(fast.begin == plain.begin);
        REQUIRE(fast.end == plain.end);
        REQUIRE(fast.ascii);
    }
    for (int c = 0; c < 128; ++c) {  // every character at every place of its eight
        std::string text(8, static_cast<char>(c));
        for (std::size_t i = 0; i < 8; ++i) text += std::string(i, '.') + static_cast<char>(c) + std::string(8 - i, 'x');
        detail::split_plain(text, true, folded, fast);
        detail::split_ascii(text, detail::table_of({}), plain);
        CHECK(fast.bytes == plain.bytes);
    }
}

TEST_CASE("columns are the same bits on every instruction set") {
    std::mt19937 random(5);
    constexpr detail::column_kernel plain = detail::make_column_kernel<here>("here");
    const detail::column_kernel& fastest = detail::columns();
    std::vector<detail::step> steps;
    for (const auto op : {detail::opcode::clip, detail::opcode::between, detail::opcode::log, detail::opcode::standardise,
                          detail::opcode::bucket, detail::opcode::slot_missing, detail::opcode::ratio, detail::opcode::difference,
                          detail::opcode::product, detail::opcode::sum}) {
        REQUIRE(detail::of_columns(op));
        detail::step s;
        s.op = op;
        s.p0 = -1.5;
        s.p1 = 2.25;
        s.edges = {-4, -1, -0.5, 0, 0.5, 1, 4};
        steps.push_back(s);
        if (op != detail::opcode::bucket) continue;
        for (int i = 5; i < 40; ++i) s.edges.push_back(i);
        steps.push_back(s);
    }
    for (const detail::step& s : steps)
        for (std::size_t n = 1; n < 70; ++n) {
            const auto x = numbers(n, random);
            const auto y = numbers(n, random);
            for (const auto& [a, b] : {std::pair<detail::operand, detail::operand>{{x.data(), 0}, {y.data(), 0}},
                                       {{x.data(), 0}, {nullptr, -0.75}},
                                       {{x.data(), 0}, {nullptr, 0.0}},
                                       {{nullptr, 3.0}, {y.data(), 0}}}) {
                if (a.values == nullptr && s.op < detail::opcode::ratio) continue;  // one operand
                std::vector<double> out(n, -7);
                std::vector<double> expected(n, -7);
                fastest.run(s, a, b, out.data(), n);
                plain.run(s, a, b, expected.data(), n);
                for (std::size_t i = 0; i < n; ++i) {
                    INFO(fastest.name << " step " << static_cast<int>(s.op) << " of " << a.at(i) << " and " << b.at(i));
                    CHECK(same(out[i], expected[i]));
                    if (s.op == detail::opcode::log)
                        CHECK((same(out[i], by_hand(s, a.at(i), b.at(i))) ||
                               std::fabs(out[i] / by_hand(s, a.at(i), b.at(i)) - 1) < 1e-15));
                    else
                        CHECK(same(out[i], by_hand(s, a.at(i), b.at(i))));
                }
            }
            std::vector<float> rounded(n);
            fastest.round(x.data(), rounded.data(), n);
            for (std::size_t i = 0; i < n; ++i) {
                constexpr double most = std::numeric_limits<float>::max();
                const double in = std::isnan(x[i]) ? x[i] : std::clamp(x[i], -most, most);
                CHECK(same(rounded[i], static_cast<float>(in)));
            }
        }
}

TEST_CASE("overlaps of long and short texts are counted like sets") {
    world::setting w;
    std::mt19937 random(6);
    const auto text = [&](std::set<unsigned>& words) {
        std::string out;
        for (std::size_t n = random() % 40; n > 0; --n) {
            const auto word = static_cast<unsigned>(random() % 60);
            words.insert(word);
            out.append("w").append(std::to_string(word)).append(" ");
        }
        return out;
    };
    std::set<unsigned> of_task;
    w.task(std::string(R"([{"text":")").append(text(of_task)).append(text(of_task)).append("\"}]"));
    std::vector<std::set<unsigned>> of_actions(100);
    std::string catalogue;
    for (std::size_t i = 0; i < of_actions.size(); ++i)
        catalogue.append(i > 0 ? "," : "[")
            .append(R"({"id":"a)" + std::to_string(i) + R"(","template":")")
            .append(text(of_actions[i]))
            .append("\"}");
    w.action(catalogue.append("]"));
    const auto p = w.plan(R"([{"name":"n","op":"overlap","a":{"input":"task.text","kind":"words"},
        "b":{"input":"action.template","kind":"words"},"measure":"count"},
        {"name":"any","op":"overlap","a":{"input":"task.text","kind":"words"},
        "b":{"input":"action.template","kind":"words"},"measure":"any"}])");
    std::shuffle(w.rows.begin(), w.rows.end(), random);
    auto f = w.frame(0);
    const auto prepared = p.prepare(w.actions, w.strings);
    REQUIRE(prepared.ok());
    for (const opspilot::prepared_actions* way : {prepared->get(), static_cast<const opspilot::prepared_actions*>(nullptr)}) {
        REQUIRE(p.apply(f, way, w.scratch, w.matrix).ok());
        for (std::size_t i = 0; i < w.rows.size(); ++i) {
            const auto& words = of_actions[w.rows[i]];
            const auto shared = std::count_if(words.begin(), words.end(), [&](unsigned word) { return of_task.count(word) > 0; });
            CHECK(w.matrix.at(i, 0) == static_cast<float>(shared));
            CHECK(w.matrix.at(i, 1) == (shared > 0 ? 1.0F : 0.0F));
        }
    }
}
