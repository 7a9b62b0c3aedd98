/// \file
/// Internal: L-BFGS and AdaGrad on prepared rows. Parameters: features × slots, row-major, then one per option column.
#pragma once

#include <vector>

#include "opspilot/base/result.hpp"
#include "opspilot/learn/detail/softmax_rows.hpp"
#include "opspilot/learn/parallel.hpp"

namespace opspilot::detail {

/// Scalar is float or double.
template <class Scalar>
result<std::vector<Scalar>> train_lbfgs(const softmax_rows& rows, const softmax_options& options, const parallel_for& threads,
                                        softmax_report& report);

[[nodiscard]] std::vector<float> train_adagrad(const softmax_rows& rows, const softmax_options& options, softmax_report& report);

}  // namespace opspilot::detail

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/learn/detail/softmax_solvers-inl.hpp"
#endif
