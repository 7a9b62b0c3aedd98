"""Suggestion sets: as few candidates as hold the right one with a chosen probability."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._describe import Described
from opspilot.errors import CalibrationError

Method = Literal["lac", "aps", "raps"]
#: Probabilities of candidates: a row per list of one length (n, k), or lists of any lengths.
Lists: TypeAlias = npt.NDArray[Any] | Sequence[Sequence[float]]
Flat: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]

#: What ``penalty="smallest"`` tries: per rank, and the ranks beyond which.
_PENALTIES: Final = (0.001, 0.01, 0.03, 0.1, 0.2, 0.5)
_FREE_RANKS: Final = (0, 1, 2, 5)


class ConformalSets(Described):
    """Sets of candidates that hold the right one with probability ``confidence``, for lists drawn like those they were fitted on.

    Nothing is assumed of the probabilities; with ``groups`` the promise holds for every group by itself. ``method``: "lac" (the
    smallest sets on average), "aps" (sets grow where a list is hard), "raps" (the same, long sets cut short by ``penalty`` per
    rank beyond ``free_ranks``; "smallest": both are those of the smallest sets on a fifth of the lists, which the others then
    calibrate: ``penalty_``, ``free_ranks_``). ``randomised`` lets chance decide on the last candidate, by the seed and the list's
    key alone. ``at_least_one``: an empty set becomes the best candidate.
    """

    def __init__(
        self,
        method: Method = "aps",
        *,
        confidence: float = 0.9,
        randomised: bool = True,
        seed: int = 0,
        penalty: float | Literal["smallest"] = 0.01,
        free_ranks: int = 2,
        at_least_one: bool = True,
    ) -> None:
        self.method, self.confidence, self.randomised, self.seed = method, confidence, randomised, seed
        self.penalty, self.free_ranks, self.at_least_one = penalty, free_ranks, at_least_one
        self.groups_: list[str] = []
        self.penalty_: float = _PENALTIES[0] if penalty == "smallest" else penalty
        self.free_ranks_ = free_ranks
        self._core: _core.ConformalSets | None = None

    def fit(
        self, probability: Lists, right: Sequence[int | None] | npt.NDArray[Any], groups: Sequence[Hashable] | None = None
    ) -> Self:
        """``right``: position of the right candidate in each list; None or -1 where it was not offered: never covered.

        Raises ``CalibrationError``: calibration.too_few with how many lists are needed (of the first group that has fewer),
        .not_offered when so often that no set can hold it, .bad_probability, .bad_right, .length_mismatch, .bad_option.
        """
        flat, offsets = _flat(probability)
        at = _positions(right)
        if groups is not None and len(groups) != len(at):
            raise CalibrationError(
                f"{len(groups)} groups for {len(at)} lists",
                code="calibration.length_mismatch",
                where="groups",
                hint="one per list",
            )
        names = list(dict.fromkeys(str(g) for g in groups)) if groups is not None else []
        number = {name: i for i, name in enumerate(names)}
        codes = np.array([number[str(g)] for g in groups or ()], np.uint32)
        lists = (flat, offsets)
        self.penalty_, self.free_ranks_ = self.penalty if self.penalty != "smallest" else _PENALTIES[0], self.free_ranks
        if self.penalty == "smallest" and self.method == "raps":
            if len(at) != len(offsets) - 1:
                raise CalibrationError(
                    f"{len(at)} right positions for {len(offsets) - 1} lists",
                    code="calibration.length_mismatch",
                    where="right",
                    hint="one per list",
                )
            order = np.random.default_rng(self.seed).permutation(len(at))
            chosen, rest = order[: len(at) // 5], np.sort(order[len(at) // 5 :])
            try:
                self.penalty_, self.free_ranks_ = self._smallest(lists, at, chosen)
            except CalibrationError as problem:
                raise CalibrationError(
                    f"{len(chosen)} lists are to choose the penalty: {problem}",
                    code=problem.code,
                    where="penalty",
                    hint="a number as penalty, or more lists",
                ) from None
            lists, at, codes = _taken(lists, rest), at[rest], codes[rest] if groups is not None else codes
        self._core = self._fit(lists, at, codes, names, self.penalty_, self.free_ranks_)
        self.groups_ = names
        return self

    def _fit(
        self,
        lists: Flat,
        at: npt.NDArray[np.int64],
        codes: npt.NDArray[np.uint32],
        names: list[str],
        penalty: float,
        free_ranks: int,
    ) -> _core.ConformalSets:
        return _core.ConformalSets.fit(
            *(*lists, at, codes, self.method, self.confidence, self.randomised, self.seed, penalty),
            *(free_ranks, self.at_least_one, names),
        )

    def _smallest(self, lists: Flat, at: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> tuple[float, int]:
        """Penalty and free ranks of the smallest sets: half of the rows fits, half measures. Raises as ``fit``."""
        fits, measures = np.sort(rows[::2]), np.sort(rows[1::2])
        none = np.empty(0, np.uint32)
        fitted, measured = _taken(lists, fits), _taken(lists, measures)
        keys = np.arange(len(measures), dtype=np.uint64)
        best: tuple[float, float, int] | None = None
        for penalty in _PENALTIES:
            for free_ranks in _FREE_RANKS:
                core = self._fit(fitted, at[fits], none, [], penalty, free_ranks)
                size = float(core.members(*measured, none, keys)[1].mean())
                if best is None or size < best[0]:
                    best = (size, penalty, free_ranks)
        assert best is not None
        return best[1], best[2]

    def sets(
        self, probability: Lists, groups: Sequence[Hashable] | None = None, *, keys: Sequence[int] | None = None
    ) -> list[list[int]]:
        """The positions of each list's set, the most probable first. ``keys`` identify lists (whole numbers from 0, below
        2^64), so that the same question gets the same set; default their rows. Raises ``CalibrationError`` for a group that was
        not fitted."""
        core = self._fitted()
        flat, offsets = _flat(probability)
        count = len(offsets) - 1
        if (groups is not None) != bool(self.groups_):
            raise CalibrationError(
                "groups where none were fitted, or none where some were",
                code="calibration.bad_group",
                where="groups",
                hint="as in fit",
            )
        number = {name: i for i, name in enumerate(self.groups_)}
        unknown = next((str(g) for g in groups or () if str(g) not in number), None)
        if unknown is not None:
            raise CalibrationError(
                f"no sets were fitted for group '{unknown}'",
                code="calibration.bad_group",
                where="groups",
                hint=f"one of: {', '.join(self.groups_[:12])}",
            )
        codes = np.array([number[str(g)] for g in groups or ()], np.uint32)
        key = np.arange(count, dtype=np.uint64) if keys is None else _keys(keys)
        if len(key) != count or len(codes) not in (0, count):
            raise CalibrationError(
                f"{len(key)} keys and {len(codes)} groups for {count} lists", code="calibration.length_mismatch", where="keys"
            )
        members, sizes = core.members(flat, offsets, codes, key)
        ends = np.cumsum(sizes)
        return [members[end - size : end].tolist() for end, size in zip(ends, sizes, strict=True)]

    @property
    def lines(self) -> dict[str, dict[str, Any]]:
        """By group ("" without groups): candidates of at most this score are in; lists it was fitted on; those without the right
        candidate."""
        about = json.loads(self._fitted().to_json())
        return dict(zip(about["groups"] or [""], about["lines"], strict=True))

    def to_json(self) -> str:
        """Everything; C++ reads it too (``opspilot::conformal_sets::parse``)."""
        return self._fitted().to_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ``CalibrationError`` for what ``to_json`` did not write."""
        core = _core.ConformalSets.parse(text)
        about = json.loads(core.to_json())
        options = ("confidence", "randomised", "seed", "penalty", "free_ranks", "at_least_one")
        made = cls(about["method"], **{key: about[key] for key in options})
        made.groups_, made._core = about["groups"], core
        return made

    def save(self, path: str | Path) -> None:
        Path(path).write_text(self.to_json(), encoding="utf-8")

    def _fitted(self) -> _core.ConformalSets:
        if self._core is None:
            raise CalibrationError("not fitted", code="calibration.not_fitted", hint="call fit first")
        return self._core

    def _description(self) -> dict[str, Any]:
        about: dict[str, Any] = {"kind": "suggestion sets", "method": self.method, "confidence": self.confidence}
        if self._core is not None:
            about["lines"] = [{"group": name or "(all)", **line} for name, line in self.lines.items()]
        return about

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self).from_json, (self.to_json(),))


def _positions(right: Sequence[int | None] | npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    out = np.empty(len(right), np.int64)
    for i, position in enumerate(right):
        try:
            out[i] = -1 if position is None else int(position)
        except (TypeError, ValueError, OverflowError):
            raise CalibrationError(
                f"position {position!r}", code="calibration.bad_right", where=f"list {i}", hint="a whole number, None or -1"
            ) from None
    return out


def _keys(keys: Sequence[int]) -> npt.NDArray[np.uint64]:
    try:
        return np.array([int(key) for key in keys], np.uint64)
    except (TypeError, ValueError, OverflowError):
        raise CalibrationError(
            "keys that are no whole numbers", code="calibration.bad_key", where="keys", hint="from 0, below 2^64"
        ) from None


def _taken(lists: Flat, rows: npt.NDArray[np.int64]) -> Flat:
    """Some of the lists."""
    flat, offsets = lists
    sizes = np.diff(offsets)[rows]
    at = np.concatenate([np.arange(offsets[row], offsets[row + 1]) for row in rows]) if len(rows) else np.empty(0, np.int64)
    return flat[at], np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _flat(probability: Lists) -> Flat:
    """Lists one after the other, and where each begins."""
    if isinstance(probability, np.ndarray):
        if probability.ndim != 2:
            raise CalibrationError(
                f"probabilities of shape {probability.shape}",
                code="calibration.shape",
                where="probability",
                hint="(n, k), or lists",
            )
        rows, columns = probability.shape
        return _numbers(probability).ravel(), np.arange(rows + 1, dtype=np.int64) * columns
    sizes = [len(row) for row in probability]
    flat = _numbers([value for row in probability for value in row])
    return flat, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _numbers(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    try:
        return np.ascontiguousarray(values, np.float64)
    except (TypeError, ValueError):
        raise CalibrationError(
            "probabilities that are no numbers", code="calibration.bad_probability", where="probability", hint="from 0 to 1"
        ) from None
