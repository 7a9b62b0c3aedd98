#include "opspilot/base/math.hpp"

#include <algorithm>
#include <random>

#include "catch.hpp"

using namespace opspilot;

namespace {
/// Distance in units in the last place, against long double arithmetic of the C library.
double ulps(double ours, long double exact) {
    const double rounded = static_cast<double>(exact);
    if (ours == rounded) return 0;
    const double unit = std::nextafter(std::abs(rounded), INFINITY) - std::abs(rounded);
    return static_cast<double>(std::abs(static_cast<long double>(ours) - exact)) / unit;
}
}  // namespace

TEST_CASE("exp and log stay within two units of the last place") {
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> exponent(-700, 700);
    double worst_exp = 0;
    double worst_log = 0;
    double worst_log1p = 0;
    for (int i = 0; i < 200'000; ++i) {
        const double x = exponent(random);
        worst_exp = std::max(worst_exp, ulps(portable_exp(x), std::exp(static_cast<long double>(x))));
        const double y = std::exp(x);
        worst_log = std::max(worst_log, ulps(portable_log(y), std::log(static_cast<long double>(y))));
        const double near_one = 1.0 + x / 7000;
        worst_log = std::max(worst_log, ulps(portable_log(near_one), std::log(static_cast<long double>(near_one))));
        const double tiny = x * 1e-9;
        worst_log1p = std::max(worst_log1p, ulps(portable_log1p(tiny), std::log1p(static_cast<long double>(tiny))));
    }
    CHECK(worst_exp <= 2);
    CHECK(worst_log <= 2);
    CHECK(worst_log1p <= 4);
}

TEST_CASE("exp and log at the edges") {
    CHECK(portable_exp(0) == 1);
    CHECK(portable_exp(710) == INFINITY);
    CHECK(portable_exp(-746) == 0);
    CHECK(portable_exp(-INFINITY) == 0);
    CHECK(std::isnan(portable_exp(NAN)));
    CHECK(portable_exp(-745) == Approx(std::exp(-745.0)));
    CHECK(portable_log(1) == 0);
    CHECK(portable_log(0) == -INFINITY);
    CHECK(std::isnan(portable_log(-1)));
    CHECK(portable_log(5e-324) == Approx(std::log(5e-324)));
    CHECK(portable_log1p(0) == 0);
    CHECK(portable_logistic(-1000) == 0);
    CHECK(portable_logistic(1000) == 1);
    CHECK(portable_logistic(0) == 0.5);
}
