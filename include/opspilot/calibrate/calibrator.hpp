/// \file
/// Any of the calibrators for one score, as a bundle's calibration.json holds them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "opspilot/base/document.hpp"
#include "opspilot/base/result.hpp"
#include "opspilot/calibrate/beta.hpp"
#include "opspilot/calibrate/hierarchical.hpp"
#include "opspilot/calibrate/isotonic.hpp"
#include "opspilot/calibrate/platt.hpp"
#include "opspilot/calibrate/temperature.hpp"
#include "opspilot/calibrate/venn_abers.hpp"

namespace opspilot {

/// How raw scores become probabilities.
enum class calibrator_kind : std::uint8_t { none, platt, beta, temperature, isotonic, venn_abers, hierarchical_platt };
[[nodiscard]] OPSPILOT_API std::string_view name(calibrator_kind kind) noexcept;

/// What the scores are. Curves over margins take the logit of a probability, beta calibration the logistic value of a margin;
/// isotonic curves and Venn-Abers tables read scores as they were fitted.
enum class calibrator_input : std::uint8_t { margin, probability };

/// A curve with what it reads. A plain value; reading is thread-safe.
class OPSPILOT_API score_calibrator {
public:
    /// In the order of `calibrator_kind`; the first: no calibrator.
    using any_curve =
        std::variant<std::monostate, platt, beta_curve, temperature_curve, isotonic, venn_abers, hierarchical_platt>;

    calibrator_input input = calibrator_input::margin;
    any_curve curve;
    std::vector<std::string> clients;  ///< ascending names of a hierarchical curve's clients, in the order of their numbers

    [[nodiscard]] calibrator_kind kind() const noexcept { return static_cast<calibrator_kind>(curve.index()); }

    /// Probability of a score. Without a curve: the score itself for input "probability", else its logistic value. `client`: a
    /// number from `client_number`; only hierarchical curves read it.
    [[nodiscard]] double probability(double score, std::uint32_t client = hierarchical_platt::new_client) const noexcept;

    /// The number of a client's name, `hierarchical_platt::new_client` where it had no labels. O(log clients).
    [[nodiscard]] std::uint32_t client_number(std::string_view name) const noexcept;

    /// Reads the value of "calibrator" in calibration.json by itself. Keys of another kind, tables that do not ascend, values
    /// outside [0, 1] and pairs with p0 > p1 are refused with their JSON pointer. Errors: kind calibration.
    [[nodiscard]] static result<score_calibrator> parse(std::string_view json);
    /// The canonical document: `parse(to_json())` gives an equal value, numbers bit for bit.
    [[nodiscard]] std::string to_json() const;

    /// Keys of the document, those of an entry of "clients", and what a kind asks for, for the JSON Schema.
    [[nodiscard]] static std::span<const document_field> fields() noexcept;
    [[nodiscard]] static std::span<const document_field> client_fields() noexcept;
    [[nodiscard]] static std::span<const std::string_view> fields_of(calibrator_kind kind) noexcept;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/calibrator-inl.hpp"
#endif
