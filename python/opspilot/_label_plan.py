"""Which items to label next, what the labels will buy, and certificates from labels as they come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._describe import Described


@dataclass(frozen=True)
class LabelPlan(Described):
    """Rows to label. ``line`` was drawn before any label: ``risk`` holds rows above it, drawn evenly, for
    ``automation_threshold``; ``recall`` rows with their ``inclusion``, for ``recall_floor``. ``automation`` and
    ``automation_random``: the share of traffic that beliefs promise, with the labels as planned and with as many drawn evenly."""

    line: float | None
    above: int
    believed_risk: float
    risk: npt.NDArray[np.uint32]
    recall: npt.NDArray[np.uint32]
    inclusion: npt.NDArray[np.float64]
    recall_needed: int
    automation: float
    automation_random: float
    none: float
    none_random: float

    def _description(self) -> dict[str, Any]:
        keys = ("line", "above", "believed_risk", "recall_needed", "automation", "automation_random", "none", "none_random")
        about = {key: getattr(self, key) for key in keys}
        return {"kind": "label plan", **about, "labels_for_risk": len(self.risk), "labels_for_recall": len(self.recall)}


def plan_labels(
    score: npt.ArrayLike,
    believed_right: npt.ArrayLike,
    *,
    max_risk: float,
    budget: int,
    confidence: float = 0.95,
    margin: float = 1.3,
    min_recall: float | None = None,
    believed_positive: npt.ArrayLike | None = None,
    rate_above: float = 0.25,
    simulations: int = 100,
    seed: int = 0,
) -> LabelPlan:
    """Plans ``budget`` labels from unlabelled scores: above the line where the believed risk is ``margin * max_risk``, and, with
    ``min_recall``, a second sample that shows what is missed. Beliefs that are too sure waste labels and break nothing."""
    made = _core.plan_labels(
        score,
        believed_right,
        max_risk,
        confidence,
        budget,
        margin,
        min_recall or 0.0,
        believed_positive,
        rate_above,
        simulations,
        seed,
    )
    return LabelPlan(**made)


class Recertification(Described):
    """Labels of a fixed threshold's automated items as they come: ``state`` turns to "certified" at any time that the evidence
    suffices, and to "revoked" when it speaks against the risk. May be read after every label. A revocation stays; another
    threshold, model or calibrator needs an object of its own."""

    def __init__(
        self,
        max_risk: float,
        *,
        confidence: float = 0.95,
        revoke_confidence: float = 0.95,
        certify_change: float = 0.0,
        revoke_change: float = 0.0,
    ) -> None:
        self.max_risk = max_risk
        self._core = _core.Recertification(max_risk, confidence, revoke_confidence, certify_change, revoke_change)

    def update(self, errors: int, total: int) -> Literal["undecided", "certified", "revoked"]:
        """Counts ``errors`` among ``total`` labels more."""
        return self._core.add(errors, total)

    def merge(self, shard: Recertification) -> Literal["undecided", "certified", "revoked"]:
        """Adds a shard's counts. That a shard was certified by itself does not carry over; its revocation does."""
        return self._core.merge(shard._core)

    @property
    def state(self) -> Literal["undecided", "certified", "revoked"]:
        return self._core.state

    @property
    def errors(self) -> int:
        return self._core.errors

    @property
    def total(self) -> int:
        return self._core.total

    @property
    def log_evidence_below(self) -> float:
        """ln of the evidence that the risk is below ``max_risk``."""
        return self._core.log_evidence_below

    @property
    def log_evidence_above(self) -> float:
        return self._core.log_evidence_above

    def _description(self) -> dict[str, Any]:
        keys = ("state", "errors", "total", "max_risk", "log_evidence_below", "log_evidence_above")
        return {"kind": "recertification", **{key: getattr(self, key) for key in keys}}


def log_rate_evidence(
    bad: int,
    total: int,
    limit: float,
    *,
    side: Literal["above", "below"] = "above",
    change: float | None = None,
    prior: tuple[float, float] | None = None,
) -> float:
    """ln of the e-value that the rate of bad events lies above (or below) ``limit``: a beta mixture cut off at the limit. May be
    read at any time: it reaches ``ln(1/delta)`` with probability at most ``delta`` when the rate does not. ``change``: the
    smallest difference worth noticing (default: half of the limit); ``prior``: (a, b) instead of it."""
    if prior is None:
        step = 0.5 * min(limit, 1.0 - limit) if change is None else change
        weight = limit * (1.0 - limit) / step**2
        prior = (weight * limit, weight * (1.0 - limit))
    return _core.log_rate_evidence(bad, total, limit, *prior, side == "above")


def spent_delta(delta: float, t: int) -> float:
    """Failure probability of the t-th of certificates that are made anew for ever and shall all hold together:
    ``6 delta / (pi t)^2``."""
    return _core.spent_delta(delta, t) if t >= 0 else math.nan
