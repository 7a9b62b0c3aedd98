"""What of a table of counts by group may be shown, so that small cells stay hidden also from those who subtract.

A cell is an event count and its base: two sums over the group's items. Those who see other cells of the group, and totals over
all groups, know more sums; a hidden sum is given away when it is a linear combination of them. Which combinations exist depends
on which cells of a group are visible, not on the numbers, so the check is linear algebra over a handful of kinds of items.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_ZERO = 1e-9


def visible(n: npt.NDArray[np.int64], sums: Floats, min_count: int) -> Flags:
    """Which cells may be shown; (groups, metrics).

    ``n``: the base of each cell. ``sums``: (metrics, 2, kinds) of 0 and 1, which kinds of items the event count and the base of a
    metric count. A cell is hidden when its base is below ``min_count``, unless it is empty, which gives nothing away; then
    more are hidden, the smallest first, until no hidden count can be computed from what is shown and the totals of every metric
    over all groups, and until the hidden cells of a metric together are no small cell. What bounds and rounding narrow down
    is not looked at.
    """
    shown = (n >= min_count) | (n == 0)
    leaks = _Leaks(sums, n.sum(axis=0) >= min_count)  # smaller totals are not shown either
    for _ in range(shown.size):
        at = _next(n, shown, leaks, min_count)
        if at is None:
            break
        shown[at] = False
    return shown


def _next(n: npt.NDArray[np.int64], shown: Flags, leaks: _Leaks, min_count: int) -> tuple[int, int] | None:
    """A cell to hide next, or None when nothing is given away."""
    leak = leaks.first(shown)
    if leak is not None:
        group, metric, own = leak
        open_ = _by_size(n, shown, (group, None) if own else (None, metric))
        for at in open_:
            trial = shown.copy()
            trial[at] = False
            if not leaks.known(trial, group, metric)[0 if own else 1]:
                return at
        # No cell alone helps: the smallest goes, and the next ones are looked at again.
        return next(iter(open_ or _by_size(n, shown, (None, None))), None)
    for thin in np.flatnonzero(leaks.totals):
        if 0 < n[~shown[:, thin], thin].sum() < min_count:
            return next(iter(_by_size(n, shown, (None, int(thin)))), None)
    return None


def _by_size(n: npt.NDArray[np.int64], shown: Flags, of: tuple[int | None, int | None]) -> list[tuple[int, int]]:
    """Cells that are still shown and not empty, of a group, of a metric or of all, the smallest first."""
    chosen = np.zeros_like(shown)
    chosen[tuple(slice(None) if i is None else i for i in of)] = True
    at = np.argwhere(chosen & shown & (n > 0))
    order = np.argsort(n[tuple(at.T)], kind="stable")
    return [(int(g), int(m)) for g, m in at[order]]


class _Leaks:
    """What can be computed from what is shown. Groups with the same cells shown are alike, so answers are kept by those."""

    def __init__(self, sums: Floats, totals: Flags) -> None:
        self.sums, self.totals = sums, totals
        self._answers: dict[tuple[bytes, int, frozenset[bytes]], tuple[bool, bool]] = {}

    def first(self, shown: Flags) -> tuple[int, int, bool] | None:
        """A hidden cell that is given away: its group, its metric, and whether by its own group's cells alone."""
        seen: set[bytes] = set()
        for group, row in enumerate(shown):
            if row.tobytes() in seen:
                continue
            seen.add(row.tobytes())
            for metric in np.flatnonzero(~row):
                own, with_totals = self.known(shown, group, int(metric))
                if own or with_totals:
                    return group, int(metric), own
        return None

    def known(self, shown: Flags, group: int, metric: int) -> tuple[bool, bool]:
        """Whether a count of a cell is a combination of what is shown of its group, and of that and the totals."""
        others = frozenset(row.tobytes() for g, row in enumerate(shown) if g != group)
        key = (shown[group].tobytes(), metric, others)
        if key not in self._answers:
            self._answers[key] = self._solve(shown[group], metric, others)
        return self._answers[key]

    def _solve(self, row: Flags, metric: int, others: frozenset[bytes]) -> tuple[bool, bool]:
        kinds = self.sums.shape[2]
        own = self.sums[row].reshape(-1, kinds)
        if any(_spans(own, want) for want in self.sums[metric]):
            return True, True
        # Totals help with weights that every other group can take back out: those of which the sum is shown there.
        every = self.sums[self.totals].reshape(-1, kinds)
        weights = np.eye(len(every))
        for mask in others:
            weights = _meet(weights, _takes_out(self.sums[np.frombuffer(mask, np.bool_)].reshape(-1, kinds), every))
        return False, any(_spans(np.vstack([own, weights @ every]), want) for want in self.sums[metric])


def _takes_out(rows: Floats, every: Floats) -> Floats:
    """Weights of the totals whose sum is a combination of the rows, as a basis."""
    return _null((every - _projection(rows, every)).T)


def _projection(rows: Floats, vectors: Floats) -> Floats:
    if not len(rows):
        return np.zeros_like(vectors)
    _, values, axes = np.linalg.svd(rows, full_matrices=False)
    axes = axes[values > _ZERO]
    projected: Floats = vectors @ axes.T @ axes
    return projected


def _null(matrix: Floats) -> Floats:
    """A basis of the x with matrix x = 0, as rows."""
    _, values, axes = np.linalg.svd(matrix)
    rank = int((values > _ZERO).sum())
    basis: Floats = axes[rank:]
    return basis


def _meet(first: Floats, second: Floats) -> Floats:
    """The meeting of two spaces given by bases of rows."""
    if not len(first) or not len(second):
        return np.empty((0, first.shape[1]))
    both = _null(np.vstack([first, -second]).T)
    made: Floats = both[:, : len(first)] @ first
    return made


def _spans(rows: Floats, wanted: Floats) -> bool:
    return bool(np.abs(wanted - _projection(rows, wanted[None])[0]).max() <= 1e-7)


def kinds_of(metrics: Mapping[str, tuple[Flags, Flags]]) -> Floats:
    """``sums`` of ``visible`` from which kinds of items each metric's events and base are."""
    return np.array([[events, base] for events, base in metrics.values()], np.float64)
