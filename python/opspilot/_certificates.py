"""Certified automation thresholds: of a whole set, of groups, on a grid; and what is not certified, for comparison."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._describe import Described
from opspilot.errors import CalibrationError

#: A group of each item, or items (a mask, or rows) of each group.
Groups = Sequence[Hashable] | Mapping[Hashable, npt.ArrayLike]


#: How a step of the sequence was tested, by the numbers of the compiled module.
_TESTS = ("exact", "worst_order", "whole_blocks", "skipped")


class Steps(Sequence[dict[str, Any]]):
    """The log of a certificate's tests, one mapping per step. Kept by columns: there may be tens of thousands."""

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return len(self._columns["value"]) if self._columns else 0

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Steps({name: column[index] for name, column in self._columns.items()})
        row = {name: column[index].item() for name, column in self._columns.items()}
        return {**row, "test": _TESTS[row["test"]], "passed": bool(row["passed"])}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Steps) or len(self) != len(other):
            return NotImplemented if not isinstance(other, Steps) else False
        return all(np.array_equal(column, other._columns[name]) for name, column in self._columns.items())

    def __hash__(self) -> int:
        return hash((len(self), *(column.tobytes() for column in self._columns.values())))

    def __repr__(self) -> str:
        return f"<{len(self)} steps>"


@dataclass(frozen=True)
class Threshold(Described):
    """A certified threshold: automate iff ``score > value``. ``value`` is None when the evidence is not sufficient; then
    ``statement`` says what was missing."""

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
    statement: str = ""
    steps: Sequence[dict[str, Any]] = field(default=(), repr=False)
    groups: Mapping[Hashable, Threshold] = field(default_factory=dict, repr=False)

    def _description(self) -> dict[str, Any]:
        about = {key: getattr(self, key) for key in ("value", "sufficient", "coverage", "risk_upper", "n", "automated", "errors")}
        return {
            "kind": "automation threshold",
            **about,
            "needed": self.needed,
            "max_risk": self.max_risk,
            "confidence": self.confidence,
            "statement": self.statement,
        }


def automation_threshold(
    score: npt.ArrayLike,
    error: npt.ArrayLike,
    *,
    max_risk: float,
    confidence: float = 0.95,
    start_probability: npt.ArrayLike | None = None,
    groups: Groups | None = None,
) -> Threshold:
    """The lowest threshold whose risk ``P(error | score > value)`` is at most ``max_risk`` with the stated confidence.

    ``error`` 1 = the automated action was wrong; ``start_probability`` = believed probability that it is right. Whole tie
    blocks: the order of the input never matters. With ``groups`` (a name per item, or a mask or rows per name),
    ``.groups[g]`` holds one certificate per group, all valid together; groups that overlap are refused. Critical-rank fixed
    sequence with the exact binomial tail.
    """
    names, codes = group_codes(groups, np.size(error)) if groups is not None else ([], [])
    made = _core.automation_threshold(score, error, max_risk, confidence, start_probability, codes, len(names))
    per_group = {name: as_threshold(entry) for name, entry in zip(names, made["groups"], strict=True)}
    return as_threshold(made, per_group)


def as_threshold(made: Mapping[str, Any], groups: Mapping[Hashable, Threshold] | None = None) -> Threshold:
    stated = {key: value for key, value in made.items() if key not in ("groups", "steps")}
    return Threshold(**stated, steps=Steps(made["steps"]), groups=groups or {})


def group_codes(groups: Groups, n: int) -> tuple[list[Hashable], list[int]]:
    """Names of the groups, and the number of each item's group."""
    if not isinstance(groups, Mapping):
        names: list[Hashable] = list(dict.fromkeys(groups))
        numbers = {name: i for i, name in enumerate(names)}
        return names, [numbers[g] for g in groups]
    names = list(groups)
    codes = np.full(n, -1, dtype=np.int64)
    for number, name in enumerate(names):
        given = np.asarray(groups[name])
        if given.dtype == np.bool_ and given.shape != (n,):
            raise CalibrationError(
                f"a mask of shape {given.shape} for {n} items", code="calibration.length_mismatch", where=f"group {name!r}"
            )
        rows = np.flatnonzero(given) if given.dtype == np.bool_ else given.astype(np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= n):
            raise CalibrationError(f"rows outside of the {n} items", code="calibration.bad_group", where=f"group {name!r}")
        taken = rows[codes[rows] >= 0]
        if taken.size or len(np.unique(rows)) != rows.size:
            row = int(taken[0]) if taken.size else int(rows[0])
            other = repr(names[int(codes[row])]) if taken.size else "itself"
            raise CalibrationError(
                f"group {name!r} overlaps with {other}",
                code="calibration.overlapping_groups",
                where=f"row {row}",
                hint="certificates that hold together need groups without common items: use the intersections",
            )
        codes[rows] = number
    left = np.flatnonzero(codes < 0)
    if left.size:
        raise CalibrationError(
            f"{left.size} items belong to no group",
            code="calibration.bad_group",
            where=f"row {left[0]}",
            hint="add a group for the rest",
        )
    return names, codes.tolist()


def grid_threshold(
    score: npt.ArrayLike,
    error: npt.ArrayLike,
    grid: npt.ArrayLike,
    *,
    max_risk: float,
    confidence: float = 0.95,
    start_value: float | None = None,
    start_errors: int = 0,
) -> Threshold:
    """The same on a grid of thresholds that was chosen on other data, walked down from ``start_value`` (of the grid, chosen on
    other data too): exact whatever the shape of the risk. Without it the walk starts at the first value with enough items for
    ``start_errors`` errors, which needs a risk that does not fall near there."""
    return as_threshold(_core.grid_threshold(score, error, grid, max_risk, confidence, start_value, start_errors))


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
class ExpectedSelection:
    """Rows of a batch whose share of errors is at most the target ON AVERAGE, over calibration sets and batches. Not a
    certificate: it says nothing of this batch."""

    selected: npt.NDArray[np.uint32]
    value: float | None
    n: int
    batch: int


def expected_selection(score: npt.ArrayLike, error: npt.ArrayLike, batch: npt.ArrayLike, *, max_risk: float) -> ExpectedSelection:
    """Conformal p-values and Benjamini-Hochberg over the batch (Jin, Candes 2023): an average, not a certificate."""
    return ExpectedSelection(*_core.expected_selection(score, error, batch, max_risk))


@dataclass(frozen=True)
class LadderStep:
    """What holds for one group: by its own certificate, by its parent's pool, or nothing. A pool bounds the risk of all its
    items together and promises nothing of one group."""

    level: Literal["group", "parent", "none"]
    value: float | None
    reason: str
    parent: Hashable
    n: int
    needed: int
    automated: int
    errors: int
    automation: float
    automation_low: float
    automation_high: float


@dataclass(frozen=True)
class Ladder(Described):
    """Certificates of groups and of their parents, which hold together with probability ``confidence``."""

    groups: Mapping[Hashable, LadderStep]
    of_groups: Mapping[Hashable, Threshold] = field(repr=False)
    of_parents: Mapping[Hashable, Threshold] = field(repr=False)
    delta_each: float

    def _description(self) -> dict[str, Any]:
        keys = ("level", "value", "reason", "n", "needed", "automated", "errors", "automation", "automation_low")
        rows = [{"group": str(name), **{key: getattr(step, key) for key in keys}} for name, step in self.groups.items()]
        return {"kind": "certificate ladder", "delta_each": self.delta_each, "groups": rows}


def automation_ladder(
    score: npt.ArrayLike,
    error: npt.ArrayLike,
    groups: Groups,
    *,
    max_risk: float,
    confidence: float = 0.95,
    parents: Mapping[Hashable, Hashable] | None = None,
    start_probability: npt.ArrayLike | None = None,
) -> Ladder:
    """A certificate of each group's own where its items suffice, else the line of its parent's pool, else none. ``parents``
    names the parent of each group; without it all groups share one, named ``None``."""
    names, codes = group_codes(groups, np.size(error))
    above = [parents[name] if parents is not None else None for name in names]
    tops: list[Hashable] = list(dict.fromkeys(above))
    numbers = {top: i for i, top in enumerate(tops)}
    steps, own, pools, delta_each = _core.automation_ladder(
        score, error, max_risk, confidence, start_probability, codes, len(names), [numbers[top] for top in above], len(tops)
    )
    return Ladder(
        {name: LadderStep(**{**step, "parent": tops[step["parent"]]}) for name, step in zip(names, steps, strict=True)},
        {name: as_threshold(entry) for name, entry in zip(names, own, strict=True)},
        {top: as_threshold(entry) for top, entry in zip(tops, pools, strict=True)},
        delta_each,
    )


def zero_error_minimum(max_risk: float, confidence: float = 0.95, *, errors: int = 0) -> int:
    """How many items, ``errors`` of them wrong, prove a risk of at most ``max_risk``: 59 without an error at 5 %, 95 %; 93 with
    one. The same for a floor under recall, with ``max_risk = 1 - min_recall`` and missed positives as errors: 99 at 97 %."""
    return _core.critical_rank(errors, max_risk, 1.0 - confidence)
