"""Floors under the recall of a class that must not be missed, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from opspilot import _core
from opspilot._certificates import Threshold, as_threshold
from opspilot._describe import Described


@dataclass(frozen=True)
class RecallFloor(Described):
    """A floor under the recall of a class: flag iff ``score >= value``. ``value`` is None when the evidence is not sufficient;
    then ``statement`` says what was missing: "Insufficient: 99 positives needed, 60 given"."""

    value: float | None
    sufficient: bool
    n: int
    positives: int
    misses_allowed: int
    misses: int
    needed: int
    flagged: float
    statement: str = ""

    def _description(self) -> dict[str, Any]:
        return {"kind": "recall floor", **{key: getattr(self, key) for key in self.__dataclass_fields__}}


def recall_floor(
    score: npt.ArrayLike,
    label: npt.ArrayLike,
    *,
    min_recall: float,
    confidence: float = 0.95,
    inclusion: npt.ArrayLike | None = None,
    seed: int = 0,
) -> RecallFloor:
    """The highest value at which recall is at least ``min_recall`` with the stated confidence (Wilks 1941).

    ``inclusion``: with which probability each item was drawn for labelling, where it was not the same for all. Each positive
    then counts by its inverse, in a betting bound; a probability below 0.05 is refused. Positives that a model's flag found are
    no sample, whatever is stated.
    """
    return RecallFloor(**_core.recall_floor(score, label, min_recall, confidence, inclusion, seed))


@dataclass(frozen=True)
class RecallPrice:
    """One point of the curve: a floor, and the automation that it leaves; they hold together."""

    min_recall: float
    floor: RecallFloor
    automation: Threshold
    flagged: float
    extra_flagged: float


@dataclass(frozen=True)
class RecallCurve(Described):
    """What each recall costs in items that go to people, and in automation. Each point holds by itself: choose one before
    looking, or share the failure probability among them."""

    points: Sequence[RecallPrice]
    max_risk: float
    confidence: float

    def _description(self) -> dict[str, Any]:
        rows = [
            {
                "min_recall": point.min_recall,
                "shown": point.floor.sufficient,
                "flagged": point.flagged,
                "extra_flagged": point.extra_flagged,
                "automated": point.automation.coverage,
                "needed": point.floor.needed,
                "positives": point.floor.positives,
            }
            for point in self.points
        ]
        return {"kind": "recall and risk", "max_risk": self.max_risk, "confidence": self.confidence, "points": rows}


def recall_and_risk(
    recall: tuple[npt.ArrayLike, npt.ArrayLike],
    risk: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
    *,
    min_recall: Sequence[float],
    max_risk: float,
    confidence: float = 0.95,
    inclusion: npt.ArrayLike | None = None,
    start_probability: npt.ArrayLike | None = None,
) -> RecallCurve:
    """A floor under recall and a threshold for what it does not flag, together with the stated confidence, half of the failure
    probability each.

    ``recall`` = (flag score, label) of a sample of all traffic, ``inclusion`` as in ``recall_floor``; ``risk`` = (confidence
    score, flag score, error) of OTHER items, ``start_probability`` of those.
    """
    made = _core.recall_and_risk(*recall, inclusion, *risk, start_probability, list(min_recall), max_risk, confidence)
    points = [
        RecallPrice(
            wanted,
            RecallFloor(**point["floor"]),
            as_threshold(point["automation"]),
            point["flagged"],
            point["extra_flagged"],
        )
        for wanted, point in zip(min_recall, made, strict=True)
    ]
    return RecallCurve(points, max_risk, confidence)
