#include "opspilot/calibrate/recall.hpp"

#include <algorithm>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>
#include <random>

#include "catch.hpp"
#include "worlds.hpp"

using namespace opspilot;

namespace {

/// Positives' flag scores ~ Beta(5, 2), the others' ~ Beta(2, 5); 10 % positives.
struct drawn_flags {
    std::vector<double> score, inclusion;
    std::vector<std::uint8_t> label;
};

drawn_flags draw_flags(std::size_t n, double low_rate, std::mt19937_64& random) {
    std::uniform_real_distribution<double> uniform;
    drawn_flags out;
    for (std::size_t i = 0; i < n; ++i) {
        const bool positive = uniform(random) < 0.1;
        const double score = positive ? worlds::beta_draw(random, 5, 2) : worlds::beta_draw(random, 2, 5);
        const double q = score < 0.4 ? low_rate : 1.0;
        if (uniform(random) >= q) continue;
        out.score.push_back(score);
        out.inclusion.push_back(q);
        out.label.push_back(positive ? 1 : 0);
    }
    return out;
}

double true_recall(double value) { return boost::math::ibetac(5.0, 2.0, value); }

}  // namespace

TEST_CASE("even inclusion is the exact limit, whatever its level") {
    std::mt19937_64 random(1);
    const auto set = draw_flags(3000, 1.0, random);
    const auto plain = *recall_floor(set.score, set.label, 0.95);
    for (const double q : {1.0, 0.01}) {
        const std::vector<double> even(set.score.size(), q);
        const auto made = *weighted_recall_floor(set.score, set.label, even, 0.95);
        CHECK(made.value == plain.value);
        CHECK(made.misses_allowed == plain.misses_allowed);
    }
    CHECK(weighted_recall_floor(set.score, set.label, {}, 0.95)->value == plain.value);
}

TEST_CASE("floors from uneven samples are false no more often than stated, and those that ignore it are") {
    std::mt19937_64 random(2);
    int broken = 0, shown = 0, ignored = 0;
    constexpr int sets = 300;
    for (int run = 0; run < sets; ++run) {
        const auto set = draw_flags(8000, 0.1, random);
        const auto made =
            *weighted_recall_floor(set.score, set.label, set.inclusion, 0.95, 0.95, static_cast<std::uint64_t>(run));
        shown += made.value ? 1 : 0;
        broken += made.value && true_recall(*made.value) < 0.95 ? 1 : 0;
        const auto naive = *recall_floor(set.score, set.label, 0.95);
        ignored += naive.value && true_recall(*naive.value) < 0.95 ? 1 : 0;
    }
    CHECK(shown > sets / 2);
    CHECK(broken <= 0.05 * sets + 3 * std::sqrt(0.05 * 0.95 * sets));
    CHECK(ignored > sets / 2);
}

TEST_CASE("uneven samples: refusals, order and what is missing") {
    std::mt19937_64 random(3);
    auto set = draw_flags(4000, 0.2, random);
    const auto first = *weighted_recall_floor(set.score, set.label, set.inclusion, 0.9);
    REQUIRE(first.value);
    CHECK(first.flagged > 0.0);
    CHECK(first.flagged < 1.0);
    std::vector<std::size_t> order(set.score.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    drawn_flags other;
    for (const std::size_t i : order) {
        other.score.push_back(set.score[i]);
        other.inclusion.push_back(set.inclusion[i]);
        other.label.push_back(set.label[i]);
    }
    CHECK(weighted_recall_floor(other.score, other.label, other.inclusion, 0.9)->value == first.value);

    const auto few = *weighted_recall_floor(std::span(set.score).first(200), std::span(set.label).first(200),
                                            std::span(set.inclusion).first(200), 0.97);
    CHECK_FALSE(few.sufficient);
    CHECK(few.needed > 99);
    CHECK(statement(few).starts_with("Insufficient: "));

    const auto code = [&](double q) {
        set.inclusion[5] = q;
        return weighted_recall_floor(set.score, set.label, set.inclusion, 0.9).error().code;
    };
    for (const double bad : {0.0, 0.049, 1.5, -1.0, std::nan("")}) CHECK(code(bad) == "calibration.bad_inclusion");
    CHECK(weighted_recall_floor(set.score, set.label, std::vector<double>{1.0}, 0.9).error().code ==
          "calibration.length_mismatch");
}

TEST_CASE("recall and risk hold at half the failure probability each, and the curve shows the price") {
    std::mt19937_64 random(4);
    const auto flags = draw_flags(12'000, 1.0, random);
    const auto w = worlds::case_b();
    const auto set = worlds::draw(w, 4000, random);
    std::vector<double> flag;
    for (std::size_t i = 0; i < set.score.size(); ++i)
        flag.push_back(set.error[i] != 0 ? worlds::beta_draw(random, 5, 2) : worlds::beta_draw(random, 2, 5));
    const recall_sample recall{.flag = flags.score, .label = flags.label};
    risk_sample risk{.score = set.score, .flag = flag, .error = set.error, .start_probability = set.belief};
    const std::vector<double> wanted{0.91, 0.95, 0.97};
    const auto curve = *recall_and_risk(recall, risk, wanted, 0.02);
    REQUIRE(curve.size() == 3);
    CHECK(curve[0].extra_flagged == 0.0);
    CHECK(curve[2].extra_flagged > curve[1].extra_flagged);
    for (const recall_price& point : curve) {
        CHECK(point.floor.confidence == Approx(0.975));
        REQUIRE(point.floor.value);
        REQUIRE(point.automation.value);
        CHECK(point.automation.delta == Approx(0.025));
        std::uint64_t automated = 0, flagged = 0;
        for (std::size_t i = 0; i < flag.size(); ++i) {
            if (flag[i] >= *point.floor.value)
                ++flagged;
            else
                automated += set.score[i] > *point.automation.value ? 1U : 0U;
        }
        CHECK(point.automation.automated == automated);
        CHECK(point.automation.coverage == Approx(static_cast<double>(automated) / 4000));
        CHECK(point.flagged == Approx(static_cast<double>(flagged) / 4000));
    }
    // Without a floor nothing is automated.
    const recall_sample few{.flag = std::span(flags.score).first(50), .label = std::span(flags.label).first(50)};
    const auto none = *recall_and_risk(few, risk, wanted, 0.02);
    CHECK_FALSE(none[0].automation.sufficient);
    CHECK(none[0].flagged == 1.0);
    CHECK(recall_and_risk(recall, risk, {}, 0.02).error().code == "calibration.empty");
    risk.flag = risk.flag.first(5);
    CHECK(recall_and_risk(recall, risk, wanted, 0.02).error().code == "calibration.length_mismatch");
}
