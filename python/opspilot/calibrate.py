"""Confidence: calibrators, and thresholds with a statistical guarantee. Arrays are 1-d; scores are finite."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._calibration_error import CalibrationMeasure as CalibrationMeasure
from opspilot._calibration_error import Reliability as Reliability
from opspilot._calibration_error import ScoreDecomposition as ScoreDecomposition
from opspilot._calibration_error import calibration_error as calibration_error
from opspilot._calibration_error import decompose as decompose
from opspilot._calibration_error import reliability as reliability
from opspilot._calibrators import Beta as Beta
from opspilot._calibrators import Calibrator as Calibrator
from opspilot._calibrators import Choice as Choice
from opspilot._calibrators import HierarchicalPlatt as HierarchicalPlatt
from opspilot._calibrators import Isotonic as Isotonic
from opspilot._calibrators import Platt as Platt
from opspilot._calibrators import Temperature as Temperature
from opspilot._calibrators import VectorScaling as VectorScaling
from opspilot._calibrators import VennAbers as VennAbers
from opspilot._calibrators import choose as choose
from opspilot._calibrators import from_json as from_json
from opspilot._calibrators import top_class as top_class
from opspilot._describe import Described
from opspilot.errors import UsageError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Threshold(Described):
    """A certified threshold: automate iff ``score > value``. ``value`` is None when the evidence is not sufficient."""

    value: float | None
    sufficient: bool
    coverage: float
    risk_upper: float
    n: int
    automated: int
    errors: int
    needed: int
    max_risk: float
    confidence: float
    reason: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list, repr=False)
    groups: Mapping[Hashable, Threshold] = field(default_factory=dict, repr=False)

    def _description(self) -> dict[str, Any]:
        about = {key: getattr(self, key) for key in ("value", "sufficient", "coverage", "risk_upper", "n", "automated", "errors")}
        return {
            "kind": "automation threshold",
            **about,
            "needed": self.needed,
            "max_risk": self.max_risk,
            "confidence": self.confidence,
        }


def automation_threshold(
    score: npt.ArrayLike,
    error: npt.ArrayLike,
    *,
    max_risk: float,
    confidence: float = 0.95,
    start_probability: npt.ArrayLike | None = None,
    groups: Sequence[Hashable] | None = None,
) -> Threshold:
    """The lowest threshold whose risk ``P(error | score > value)`` is at most ``max_risk`` with the stated confidence.

    ``error`` 1 = the automated action was wrong; ``start_probability`` = believed probability that it is right. Whole tie
    blocks: the order of the input never matters. With ``groups``, ``.groups[g]`` holds one certificate per group, all valid
    together. Critical-rank fixed sequence with the exact binomial tail.
    """
    names: list[Hashable] = list(dict.fromkeys(groups)) if groups is not None else []
    numbers = {name: i for i, name in enumerate(names)}
    codes = [numbers[g] for g in groups] if groups is not None else []
    made = _core.automation_threshold(score, error, max_risk, confidence, start_probability, codes, len(names))
    per_group = {name: _threshold(entry, {}) for name, entry in zip(names, made["groups"], strict=True)}
    return _threshold(made, per_group)


def _threshold(made: Mapping[str, Any], groups: Mapping[Hashable, Threshold]) -> Threshold:
    return Threshold(**{key: value for key, value in made.items() if key != "groups"}, groups=groups)


@dataclass(frozen=True)
class NaiveThreshold:
    """The lowest threshold whose *observed* risk is at most the target. Not certified: for comparison only."""

    value: float | None
    coverage: float
    risk: float
    n: int
    automated: int
    errors: int


def naive_threshold(score: npt.ArrayLike, error: npt.ArrayLike, *, max_risk: float) -> NaiveThreshold:
    """What a plain reading of the data suggests; it exceeds the risk in about half of all cases."""
    return NaiveThreshold(**_core.naive_threshold(score, error, max_risk))


@dataclass(frozen=True)
class RecallFloor(Described):
    """A floor under the recall of a class: flag iff ``score >= value``."""

    value: float | None
    sufficient: bool
    n: int
    positives: int
    misses_allowed: int
    misses: int
    needed: int
    flagged: float

    def _description(self) -> dict[str, Any]:
        return {"kind": "recall floor", **{key: getattr(self, key) for key in self.__dataclass_fields__}}


def recall_floor(score: npt.ArrayLike, label: npt.ArrayLike, *, min_recall: float, confidence: float = 0.95) -> RecallFloor:
    """The highest value at which recall is at least ``min_recall`` with the stated confidence (Wilks 1941)."""
    return RecallFloor(**_core.recall_floor(score, label, min_recall, confidence))


def __getattr__(name: str) -> Any:
    """``CalibratedClassifier`` is an estimator of scikit-learn, which is loaded when it is asked for."""
    if name != "CalibratedClassifier":
        raise AttributeError(f"module 'opspilot.calibrate' has no attribute '{name}'")
    try:
        from opspilot._calibrated_classifier import CalibratedClassifier
    except ImportError as absent:
        raise UsageError(
            f"CalibratedClassifier needs scikit-learn 1.6 ({absent})",
            code="usage.extra",
            where="calibrate.CalibratedClassifier",
            hint="pip install 'opspilot[sklearn]'",
        ) from absent
    return CalibratedClassifier
