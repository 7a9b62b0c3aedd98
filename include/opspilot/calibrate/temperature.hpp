/// \file
/// Temperature and vector scaling: from logits to probabilities without a change of their order, or with one factor per class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "opspilot/base/result.hpp"

namespace opspilot {

/// softmax(z / t). It keeps the order of the classes within a row; the order of rows by their largest probability it may change.
/// Source: Guo et al. 2017, "On calibration of modern neural networks".
struct temperature_curve {
    double t = 1;

    /// Two classes with logits 0 and `score`: 1 / (1 + exp(-score / t)). The same bits on every machine.
    [[nodiscard]] OPSPILOT_API double probability(double score) const noexcept;
    /// Rows of `classes` logits, one after the other; `out` is as long as `logits`.
    OPSPILOT_API void probabilities(std::span<const double> logits, std::size_t classes, std::span<double> out) const noexcept;
};

/// One convex problem in b = 1 / t, solved between e^-10 and e^10 over the largest logit: t comes out at an end of that range
/// where every row puts its label first (t -> 0), and where logits and labels have nothing in common (t -> infinity). `label` is
/// below `classes`. Errors: calibration.length_mismatch, .empty, .not_finite, .bad_class, .one_class, .all_ties (logits alike
/// within every row).
[[nodiscard]] OPSPILOT_API result<temperature_curve> fit_temperature(std::span<const double> logits, std::size_t classes,
                                                                     std::span<const std::uint32_t> label);
/// Two classes with logits 0 and `score`. Errors: as `check_labelled`; calibration.one_class, .all_ties (all scores 0).
[[nodiscard]] OPSPILOT_API result<temperature_curve> fit_temperature(std::span<const double> score,
                                                                     std::span<const std::uint8_t> label);

/// softmax(scale * z + shift), class by class.
struct vector_scaling {
    std::vector<double> scale;
    std::vector<double> shift;

    OPSPILOT_API void probabilities(std::span<const double> logits, std::span<double> out) const noexcept;
};

/// Newton on the cross-entropy plus ridge / 2 (|scale - 1|^2 + |shift|^2); ridge > 0 makes the answer unique and finite.
/// Errors: as `fit_temperature`; calibration.bad_ridge, .too_many_classes (256).
[[nodiscard]] OPSPILOT_API result<vector_scaling> fit_vector_scaling(std::span<const double> logits, std::size_t classes,
                                                                     std::span<const std::uint32_t> label, double ridge = 1.0);

/// The binary task of whether the most probable class (ties: the first) is the right one: what is calibrated and certified of a
/// model with many classes. `score` holds that class's probability or logit, `label` 1 where it is right.
struct top_class_task {
    std::vector<double> score;
    std::vector<std::uint8_t> label;
};
/// Errors: as `fit_temperature`, except .all_ties and .one_class.
[[nodiscard]] OPSPILOT_API result<top_class_task> top_class(std::span<const double> rows, std::size_t classes,
                                                            std::span<const std::uint32_t> label);

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/temperature-inl.hpp"
#endif
