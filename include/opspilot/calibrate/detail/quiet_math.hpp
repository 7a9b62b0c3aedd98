/// \file
/// Internal: how Boost's special functions are called in this room.
#pragma once

#include <boost/math/policies/policy.hpp>

namespace opspilot::detail {

namespace bmp = boost::math::policies;

/// Nothing throws, nothing touches errno, and double stays double: long double is another type on every platform.
using quiet_math =
    bmp::policy<bmp::domain_error<bmp::ignore_error>, bmp::pole_error<bmp::ignore_error>, bmp::overflow_error<bmp::ignore_error>,
                bmp::underflow_error<bmp::ignore_error>, bmp::denorm_error<bmp::ignore_error>,
                bmp::evaluation_error<bmp::ignore_error>, bmp::rounding_error<bmp::ignore_error>,
                bmp::indeterminate_result_error<bmp::ignore_error>, bmp::promote_float<false>, bmp::promote_double<false>>;

}  // namespace opspilot::detail
