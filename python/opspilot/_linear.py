"""Linear rankers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._arrays import Floats, Rows, not_fitted, numbers, offsets_of
from opspilot._describe import Described
from opspilot.errors import ModelError


class LinearRanker(Described):
    """score = X · w + intercept: ridge, logistic, or listwise within groups. The cheapest rung of the ladder.

    ``loss``: "logistic" (labels 0 and 1), "squared", "listwise" (``groups`` of candidates, softmax within each). The penalty
    is ``l2 / 2 · |w|²`` beside the sum of the losses; with ``standardise`` as if every column had standard deviation 1.
    """

    def __init__(
        self,
        loss: str = "logistic",
        *,
        l2: float = 1.0,
        standardise: bool = True,
        max_iterations: int = 500,
        tolerance: float = 1e-8,
        threads: int = 1,
    ) -> None:
        self.loss = loss
        self.l2 = l2
        self.standardise = standardise
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.threads = threads
        self._core: _core.LinearModel | None = None
        #: How training went: loss, iterations, why it stopped.
        self.report_: dict[str, Any] = {}

    def fit(
        self,
        X: Rows,
        y: npt.ArrayLike,
        *,
        groups: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> Self:
        """Trains; deterministic. ``X`` is taken as float32; it must be finite. ``groups``: rows per group, for "listwise"."""
        given = feature_names if feature_names is not None else getattr(X, "columns", None)
        x = np.ascontiguousarray(numbers(X, "X", 2), np.float32)
        names = [str(name) for name in given] if given is not None else [f"f{j}" for j in range(x.shape[1])]
        self._core, self.report_ = _core.LinearModel.fit(
            x,
            names,
            np.asarray(y, np.float32),
            np.empty(0, np.float32) if sample_weight is None else np.asarray(sample_weight, np.float32),
            np.empty(0, np.int64) if groups is None else offsets_of(groups, len(x)),
            self.loss,
            self.l2,
            self.standardise,
            self.max_iterations,
            self.tolerance,
            self.threads,
        )
        return self

    def score(self, X: Rows, engine: str | None = None) -> npt.NDArray[Any]:
        """Scores ``(n,)``: float32 for float32 rows, float64 for float64. Rows one after the other in memory are not copied.

        Raises ``SchemaError`` for other shapes and types, ``ModelError`` for an engine this machine lacks.
        """
        core = self._core
        if core is None:
            raise not_fitted("LinearRanker")
        return core.score(X, engine or "")

    def predict_proba(self, X: Rows) -> Floats:
        """Probabilities of the labels 0 and 1, ``(n, 2)``; only for the loss "logistic"."""
        if self.loss != "logistic":
            raise ModelError(
                f"no probabilities with the loss '{self.loss}'", code="model.no_probability", hint="use loss='logistic'"
            )
        margin = np.asarray(self.score(X), np.float64)
        likely = 0.5 * (1.0 + np.tanh(0.5 * margin))
        return np.stack([1.0 - likely, likely], axis=1)

    @classmethod
    def from_json(cls, document: str | bytes) -> Self:
        """Reads linear.json. Raises ``ModelError`` with the JSON pointer."""
        made = cls()
        made._core = _core.LinearModel.parse(document.encode() if isinstance(document, str) else document)
        return made

    def to_json(self) -> str:
        """The document, as it goes into a bundle."""
        return self._fitted().to_json()

    @property
    def feature_names(self) -> list[str]:
        return self._fitted().feature_names

    @property
    def coef_(self) -> Floats:
        """One weight per feature."""
        return self._fitted().weights

    @property
    def intercept_(self) -> float:
        return self._fitted().intercept

    @staticmethod
    def engines() -> list[str]:
        """Kernels of this machine, best first. All give the same bits."""
        return _core.linear_engines()

    def _fitted(self) -> _core.LinearModel:
        if self._core is None:
            raise not_fitted("LinearRanker")
        return self._core

    def _description(self) -> dict[str, Any]:
        about: dict[str, Any] = {"kind": "linear ranker", "loss": self.loss, "l2": self.l2, "fitted": self._core is not None}
        if self._core is not None:
            about |= {"kernel": self._core.kernel, "feature_count": len(self.feature_names), "intercept": self.intercept_}
            heaviest = np.argsort(-np.abs(self.coef_), kind="stable")
            about["weights"] = [{"feature": self.feature_names[j], "weight": float(self.coef_[j])} for j in heaviest]
        return about

    def __reduce__(self) -> tuple[object, ...]:
        settings = {key: getattr(self, key) for key in ("loss", "l2", "standardise", "max_iterations", "tolerance", "threads")}
        return (_restore_linear, (settings, self._core.to_json().encode() if self._core is not None else None))


def _restore_linear(settings: dict[str, Any], document: bytes | None) -> LinearRanker:
    made = LinearRanker(**settings)
    if document is not None:
        made._core = _core.LinearModel.parse(document)
    return made
