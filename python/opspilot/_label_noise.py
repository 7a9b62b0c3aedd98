"""What labels with mistakes can prove."""

from __future__ import annotations

from dataclasses import dataclass

from opspilot import _core


def symmetric_noise(disagreement: float) -> float:
    """Error rate of one label when two independent ones differ so often: 7.6 % for 14 %."""
    return _core.symmetric_noise(disagreement)


def majority_noise(noise: float, labels: int = 3) -> float:
    """Error rate of the majority of an odd number of labels."""
    return _core.majority_noise(noise, labels)


def apparent_recall(prevalence: float, noise: float) -> float:
    """Recall that single labels show of a perfect model."""
    return _core.apparent_recall(prevalence, noise)


@dataclass(frozen=True)
class LabelNoise:
    """Error rate of one label, from items that were labelled twice; ``lower`` and ``upper`` are one-sided bounds."""

    noise: float
    lower: float
    upper: float


def label_noise(disagreements: int, pairs: int, *, confidence: float = 0.95) -> LabelNoise:
    """Noise of single labels, when ``disagreements`` of ``pairs`` that were labelled twice at random differ."""
    return LabelNoise(*_core.label_noise(disagreements, pairs, confidence))


def check_noise_floor(max_risk: float, disagreements: int, pairs: int, *, confidence: float = 0.95) -> None:
    """Raises ``CalibrationError`` (calibration.noise_floor) when such labels cannot certify ``max_risk``: a perfect model would
    measure their noise as its error."""
    _core.check_noise_floor(max_risk, disagreements, pairs, confidence)


def noise_corrected_upper(errors: int, n: int, disagreements: int, pairs: int, *, confidence: float = 0.95) -> float:
    """Upper bound of the true risk from single noisy labels. The pairs come from the SAME automated region."""
    return _core.noise_corrected_upper(errors, n, disagreements, pairs, confidence)


@dataclass(frozen=True)
class AuditBound:
    """Upper bound of the true risk, and its two parts: errors that labels called errors, and errors that they did not."""

    risk_upper: float
    apparent_part: float
    rest_part: float


def two_phase_audit(
    n: int,
    apparent: int,
    *,
    apparent_adjudicated: int,
    apparent_confirmed: int,
    rest_adjudicated: int,
    rest_found: int,
    confidence: float = 0.95,
) -> AuditBound:
    """``n`` automated items labelled once, ``apparent`` of them as errors; random parts of these and of the rest are adjudicated.
    Nothing is assumed about the noise."""
    made = _core.two_phase_audit(n, apparent, apparent_adjudicated, apparent_confirmed, rest_adjudicated, rest_found, confidence)
    return AuditBound(*made)
