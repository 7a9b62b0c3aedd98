/// \file
/// calibration.json of a bundle: the calibrator, and thresholds with the certificates that carry them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opspilot/base/document.hpp"
#include "opspilot/base/result.hpp"
#include "opspilot/calibrate/calibrator.hpp"
#include "opspilot/calibrate/platt.hpp"
#include "opspilot/calibrate/threshold.hpp"

namespace opspilot {

/// What a certificate states. It holds for data exchangeable with its set, and for nothing else.
struct certificate {
    std::string model_fingerprint;  ///< of the model whose scores were certified; "" never matches
    std::string calibrator;         ///< kind of the calibrator in front of the threshold: "platt" or "none"
    /// `calibration::calibrator_fingerprint` of that calibrator; "": only its kind is known, and only the kind is compared.
    std::string calibrator_fingerprint = {};
    /// Whose risk is bounded: "" the whole set, else a group or a pool by name: "group de", "pool europe". Never more than that.
    std::string level = {};
    std::string sampling_unit;    ///< what one item is: "one seeded decision per dialogue"
    std::string not_covered;      ///< what the certificate does not speak of, for people; may be ""
    std::uint64_t n = 0;          ///< items of the certificate set
    std::uint64_t automated = 0;  ///< of which above the threshold
    std::uint64_t errors = 0;     ///< of which wrong
    std::uint64_t needed = 0;     ///< zero-error minimum
    double alpha = 0;             ///< tolerated risk
    double delta = 0;             ///< probability that the certificate is false
    double coverage = 0;
    double risk_upper = 1;
    std::int64_t data_from_us = 0;  ///< first and last moment of the set, microseconds since 1970 UTC
    std::int64_t data_to_us = 0;
    std::int64_t created_at_us = 0;
    std::int64_t expires_at_us = 0;  ///< not usable from this moment on

    /// What a certificate is held against before it is relied on.
    struct situation {
        std::int64_t now_us = 0;
        std::string_view model_fingerprint;
        std::string_view calibrator_fingerprint = {};  ///< "": not asked
        bool drifted = false;                          ///< the host's monitors say that traffic is not what it was
    };
    /// Whether the certificate may be relied on. Refusals, in this order: calibration.foreign_model, .foreign_calibrator,
    /// .not_yet_valid (before its creation), .expired (at or after its expiry), .drifted.
    [[nodiscard]] OPSPILOT_API status usable(const situation& here) const;
    [[nodiscard]] status usable(std::int64_t now_us, std::string_view model) const {
        return usable(situation{.now_us = now_us, .model_fingerprint = model});
    }

    /// One paragraph for people: what is promised, on what evidence, for how long, and what is not covered. With `sufficient`
    /// false it says what was missing. Times are UTC days.
    [[nodiscard]] OPSPILOT_API std::string statement(bool sufficient = true) const;
};

/// One threshold with its certificate. `value` is empty where the evidence did not suffice: then nothing is automated.
struct threshold {
    std::string scope = "auto";   ///< what it permits
    std::string kind;             ///< action kind it is for; "" = any
    std::optional<double> value;  ///< probability above which the scope's verdict is permitted
    opspilot::certificate certificate;

    /// The certificate's figures from a finished certification. The caller adds provenance: model, calibrator, unit, window,
    /// expiry.
    [[nodiscard]] OPSPILOT_API static threshold from(const certified_threshold& certified, std::string_view kind = {});
};

/// A floor under the recall of one class, by its flag score.
struct recall_threshold {
    std::string label;            ///< the class that must not be missed: "safety"
    std::optional<double> value;  ///< flag iff score >= value
    double min_recall = 0, confidence = 0;
    std::uint64_t positives = 0, misses_allowed = 0, needed = 0;
};

/// The document as a whole. A plain value; reading is thread-safe.
class OPSPILOT_API calibration {
public:
    calibrator_kind kind = calibrator_kind::none;
    calibrator_input input = calibrator_input::margin;
    platt curve;                  ///< of kind platt
    score_calibrator calibrator;  ///< of all other kinds; `kind` and `input` are its
    double temperature = 1;       ///< ranking scores are divided by it before their softmax; > 0
    double abstain_below = 0;     ///< a best candidate less probable than this is not even suggested; in [0, 1)
    std::vector<threshold> thresholds;
    std::vector<recall_threshold> recall_floors;

    /// Reads the document. Unknown, missing and retyped keys, numbers outside their range, certificates that do not prove what
    /// they claim (P(Bin(automated, alpha) <= errors) > delta) and two thresholds of one scope and kind are refused with
    /// their JSON pointer. Errors: kind calibration.
    [[nodiscard]] static result<calibration> parse(std::string_view json);

    /// Probability of a raw score. Without a calibrator: the score itself for input "probability", else its logistic value.
    /// `client`: a number from `calibrator.client_number`.
    [[nodiscard]] double probability(double score, std::uint32_t client = hierarchical_platt::new_client) const noexcept;

    /// SHA-256 hex of everything that makes a probability of a score: the calibrator with its parameters, and the temperature.
    /// A threshold is a number on that scale, so its certificate is bound to it.
    [[nodiscard]] std::string calibrator_fingerprint() const;
    /// Whether a certificate was made behind this calibrator: its fingerprint, or where it states none, its kind.
    [[nodiscard]] bool is_calibrator_of(const certificate& c) const;

    /// The threshold of a scope for an action kind: the kind's own, else the one for any kind, else null.
    [[nodiscard]] const threshold* find(std::string_view scope, std::string_view kind) const noexcept;

    /// The canonical document: `parse(to_json())` gives an equal value, numbers bit for bit.
    [[nodiscard]] std::string to_json() const;

    /// Keys of the document and of its parts, for its JSON Schema.
    struct tables {
        std::span<const document_field> document, calibrator, threshold, certificate, recall_floor;
    };
    [[nodiscard]] static tables fields() noexcept;
};

}  // namespace opspilot

#if defined(OPSPILOT_HEADER_ONLY)
#include "opspilot/calibrate/certificate-inl.hpp"
#endif
