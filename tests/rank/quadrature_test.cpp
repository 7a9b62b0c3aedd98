#include "opspilot/rank/detail/quadrature.hpp"

#include <boost/math/special_functions/legendre.hpp>
#include <boost/multiprecision/cpp_bin_float.hpp>

#include "catch.hpp"

using opspilot::detail::gauss_legendre;
using opspilot::detail::quadrature;
using exact = boost::multiprecision::cpp_bin_float_100;

TEST_CASE("points and weights are rounded once, from Boost's roots of 100 digits") {
    for (const unsigned n : {1U, 2U, 4U, 7U, 16U, 52U, 64U}) {
        INFO(n);
        const std::vector<exact> roots = boost::math::legendre_p_zeros<exact>(static_cast<int>(n));  // of [0, 1), ascending
        const quadrature q = gauss_legendre(n);
        REQUIRE(q.points.size() == n);
        REQUIRE(q.weights.size() == n);
        for (unsigned i = 0; i < n; ++i) {
            INFO(i);
            const std::size_t above = roots.size();
            const exact x = i < above ? roots[above - 1 - i] : exact(-roots[i - above + n % 2]);
            const exact slope = boost::math::legendre_p_prime(static_cast<int>(n), x);
            CHECK(q.points[i] == static_cast<double>(exact((1 - x) / 2)));
            CHECK(q.weights[i] == static_cast<double>(exact(1 / ((1 - x * x) * slope * slope))));
        }
    }
}
