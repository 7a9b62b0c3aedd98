"""Losses with grades, thresholds by what errors and reviews cost, and the best use of the reviews there are people for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._describe import Described


def betting_p_value(loss: npt.ArrayLike, mean: float, *, confidence: float = 0.95, seed: int = 0) -> float:
    """p-value of "the mean loss is at least ``mean``", for independent losses in [0, 1] (Waudby-Smith, Ramdas 2023)."""
    return _core.betting_p_value(loss, mean, confidence, seed)


def betting_upper(loss: npt.ArrayLike, *, confidence: float = 0.95, seed: int = 0) -> float:
    """Upper confidence bound of a mean of losses in [0, 1]."""
    return _core.betting_upper(loss, confidence, seed)


@dataclass(frozen=True)
class GradedThreshold(Described):
    """A certified threshold for losses in [0, 1]: automate iff ``score > value``."""

    value: float | None
    sufficient: bool
    reason: str
    coverage: float
    mean: float
    upper: float
    n: int
    automated: int
    needed: int
    max_loss: float
    confidence: float
    steps: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def _description(self) -> dict[str, Any]:
        about = {key: getattr(self, key) for key in self.__dataclass_fields__ if key != "steps"}
        return {"kind": "graded threshold", **about}


def graded_threshold(
    score: npt.ArrayLike,
    loss: npt.ArrayLike,
    *,
    max_loss: float,
    confidence: float = 0.95,
    start_loss: npt.ArrayLike | None = None,
    seed: int = 0,
) -> GradedThreshold:
    """The lowest threshold whose mean loss ``E(loss | score > value)`` is at most ``max_loss`` with the stated confidence.
    ``start_loss`` = believed loss of each item, from the model and never from labels."""
    return GradedThreshold(**_core.graded_threshold(score, loss, max_loss, confidence, start_loss, seed))


@dataclass(frozen=True)
class CostThreshold(Described):
    """Automate iff ``score > value``: certified to be no dearer than reviews; the saving is an estimate."""

    value: float | None
    sufficient: bool
    reason: str
    coverage: float
    cost: float
    cost_upper: float
    saving: float
    break_even: float
    n: int
    automated: int
    needed: int
    confidence: float

    def _description(self) -> dict[str, Any]:
        return {"kind": "cost threshold", **{key: getattr(self, key) for key in self.__dataclass_fields__}}


def cost_threshold(
    score: npt.ArrayLike,
    error: npt.ArrayLike,
    *,
    wrong: npt.ArrayLike,
    review: float,
    most_wrong: float = 0.0,
    confidence: float = 0.95,
    start_probability: npt.ArrayLike | None = None,
    seed: int = 0,
) -> CostThreshold:
    """Where automation costs no more than reviews, with the stated confidence, the line of the largest observed saving.

    ``wrong``: what a wrong automation costs, one price or one per item; ``most_wrong``: the most it can cost (default: the
    largest given); ``review``: what a review costs.
    """
    prices = np.atleast_1d(np.asarray(wrong, dtype=np.float64))
    made = _core.cost_threshold(score, error, prices, review, most_wrong, confidence, start_probability, seed)
    return CostThreshold(**made)


@dataclass(frozen=True)
class ReviewPlan:
    """Rows by what happens to them: ``automated``; ``reviewed`` and ``waiting``, dearest first; ``audited`` of the automated,
    drawn evenly with ``audit_probability``, whose labels certify again. ``next_gain``: what one more review would be worth."""

    automated: npt.NDArray[np.uint32]
    reviewed: npt.NDArray[np.uint32]
    waiting: npt.NDArray[np.uint32]
    audited: npt.NDArray[np.uint32]
    audit_probability: float
    worth: float
    next_gain: float


def plan_reviews(
    score: npt.ArrayLike, gain: npt.ArrayLike, *, capacity: int, line: float | None = None, seed: int = 0
) -> ReviewPlan:
    """The best use of ``capacity`` reviews, for items with what a person's look at each is worth. What lies above ``line``, a
    certified threshold, is automated; what waits is never automated because people are few."""
    return ReviewPlan(**_core.plan_reviews(score, gain, line, capacity, seed))
