"""Why a tree model scores a row as it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from opspilot._arrays import Floats
from opspilot._describe import Described


@dataclass(frozen=True, slots=True)
class PathSplit:
    """A split that the row came to: left when value <= ``threshold``, or, by categories, when it is one of ``categories``."""

    feature: str
    value: float
    threshold: float | None
    categories: list[int] | None
    left: bool
    #: The value counts as missing at this split, and its default side was taken.
    by_default: bool


@dataclass(frozen=True, slots=True)
class TreePath:
    """The way of the row through one tree: its splits from the root down, and the leaf's value as the trainer adds it up."""

    tree: int
    #: The output that the value is added to, the first of them where ``value`` has several.
    output: int
    leaf: int
    value: float | list[float]
    splits: list[PathSplit]


class Explanation(Described):
    """Shapley values of one row's score: ``base`` plus all ``contributions`` is the score.

    For several outputs ``base`` is ``(outputs,)`` and ``contributions`` ``(outputs, features)``.
    """

    def __init__(
        self,
        feature_names: list[str],
        base: float | Floats,
        contributions: Floats,
        row: npt.NDArray[Any],
        path: Callable[[npt.NDArray[Any]], Any],
    ) -> None:
        self.feature_names = feature_names
        self.base = base
        self.contributions = contributions
        self._row = row
        self._find_path = path
        self._path: list[TreePath] | None = None

    @property
    def score(self) -> float | Floats:
        """The score that is explained, as the sum of its parts."""
        total = self.base + self.contributions.sum(axis=-1)
        return float(total) if self.contributions.ndim == 1 else total

    @property
    def path(self) -> list[TreePath]:
        """The way through every tree."""
        if self._path is None:
            self._path = [
                TreePath(
                    tree,
                    output,
                    leaf,
                    values[0] if len(values) == 1 else values,
                    [PathSplit(self.feature_names[split[0]], *split[1:]) for split in splits],
                )
                for tree, (output, leaf, values, splits) in enumerate(self._find_path(self._row))
            ]
        return self._path

    def top(self, count: int = 10, output: int = 0) -> list[tuple[str, float]]:
        """The features that contribute most, by magnitude, ties in the model's order."""
        values = self.contributions if self.contributions.ndim == 1 else self.contributions[output]
        order = np.argsort(-np.abs(values), kind="stable")[:count]
        return [(self.feature_names[j], float(values[j])) for j in order if values[j] != 0]

    def _description(self) -> dict[str, Any]:
        about: dict[str, Any] = {"kind": "explanation", "features": len(self.feature_names)}
        if self.contributions.ndim == 1:
            about |= {"score": self.score, "base": self.base}
            top = self.top()
            about["others"] = float(self.contributions.sum() - sum(value for _, value in top))
            about["contributions"] = [{"feature": name, "contribution": value} for name, value in top]
        else:
            about |= {"scores": np.asarray(self.score).tolist(), "bases": np.asarray(self.base).tolist()}
            about["contributions"] = [
                {"output": k, "feature": name, "contribution": value}
                for k in range(len(self.contributions))
                for name, value in self.top(5, k)
            ]
        return about
