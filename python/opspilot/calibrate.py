"""Confidence: calibrators, and thresholds with a statistical guarantee. Arrays are 1-d; scores are finite."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._conformal import ConformalSets as ConformalSets
from opspilot._describe import Described
from opspilot.errors import CalibrationError

Floats = npt.NDArray[np.float64]


class Platt(Described):
    """Platt scaling: ``p = 1 / (1 + exp(a * score + b))``, fitted on margins with smoothed targets (Platt 1999; Lin, Lin,
    Weng 2007). Feed margins or logits, not probabilities."""

    def __init__(self) -> None:
        self.a_ = float("nan")
        self.b_ = float("nan")

    def fit(self, score: npt.ArrayLike, label: npt.ArrayLike) -> Self:
        """``label`` 1 = right. Raises ``CalibrationError`` for unequal lengths, NaN, other labels, or one class only."""
        self.a_, self.b_ = _core.fit_platt(score, label)
        return self

    def probability(self, score: npt.ArrayLike) -> Floats:
        """Probability of label 1 for each score."""
        if np.isnan(self.a_):
            raise CalibrationError("not fitted", code="calibration.not_fitted", hint="call fit first")
        return _core.platt_probability(self.a_, self.b_, score)

    def _description(self) -> dict[str, Any]:
        return {"kind": "platt", "a": self.a_, "b": self.b_}


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
