"""Rankers of trees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._arrays import Floats, Rows, numbers, positions, read_content
from opspilot._describe import Described
from opspilot.errors import ModelError, SchemaError, UsageError


@dataclass(frozen=True)
class TopScores:
    """The best candidates: ``index`` into the rows that were scored, best first, ties by lower row."""

    index: npt.NDArray[np.int64]
    score: Floats


class PreparedActions(Described):
    """The action columns of a catalogue, for ``Ranker.score_task``. Made once when the catalogue is loaded; immutable."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self._values = values.copy()
        self._values.setflags(write=False)

    def __len__(self) -> int:
        return len(self._values)

    def _description(self) -> dict[str, Any]:
        return {"kind": "prepared actions", "actions": len(self._values), "columns": self._values.shape[1]}


class Ranker(Described):
    """An ensemble of trees. Scores are those of the library that trained it, bit for bit. Immutable, shared by threads."""

    def __init__(self, core: _core.TreeRanker, content: bytes) -> None:
        self._core = core
        self._content = content

    @classmethod
    def from_lightgbm(cls, x: Any) -> Self:
        """A LightGBM model: a ``Booster``, an ``LGBMRanker`` and its kin, the path of a text model, or its bytes.

        Raises ``ModelError`` with the byte, tree and node of what is wrong or not supported (linear trees).
        """
        if isinstance(x, (str, Path, bytes)):
            text = read_content(x)
        else:
            booster = x if hasattr(x, "model_to_string") else getattr(x, "booster_", None)
            if booster is None:
                raise UsageError(
                    f"a model of type {type(x).__name__}",
                    code="usage.model",
                    where="x",
                    hint="give a Booster, an LGBMModel, a path or bytes",
                )
            text = booster.model_to_string().encode()
        return cls(_core.TreeRanker.from_lightgbm(text), text)

    @classmethod
    def from_xgboost(cls, x: Any, iteration_range: tuple[int, int] | None = None) -> Self:
        """An XGBoost model: a ``Booster``, an ``XGBRanker`` and its kin, the path of a JSON or UBJ model, or its bytes.

        ``iteration_range`` ``(begin, end)`` keeps those boosting rounds, ``end`` 0 meaning the last. Without it a scikit-learn
        model that stopped early keeps the rounds up to its best one, as its own ``predict`` does; a ``Booster``, a file and
        bytes keep all rounds, as ``Booster.predict`` does. What was kept is what ``to_bytes`` and ``save`` write.

        Raises ``ModelError`` with the JSON pointer and byte of what is wrong or not supported (booster gblinear, an estimator
        whose ``missing`` is not NaN).
        """
        if isinstance(x, (str, Path, bytes, bytearray)) and iteration_range is None:
            content = read_content(bytes(x) if isinstance(x, bytearray) else x)
        else:
            content = _xgboost_content(x, iteration_range)
        return cls(_core.TreeRanker.from_xgboost(content), content)

    @classmethod
    def _from_bytes(cls, content: bytes) -> Self:
        """Any tree model, told by its first bytes."""
        return cls(_core.TreeRanker.from_bytes(content), content)

    def score(self, X: Rows, engine: str | None = None) -> Floats:
        """Raw scores, float64: ``(n,)`` for one output, else ``(n, outputs)``.

        They are LightGBM's ``predict(raw_score=True)`` and XGBoost's ``Booster.predict(output_margin=True)``, whose float32
        sums are widened. ``X``: ``(n, features)`` of float32 or float64; float64 is compared as the trainer compares it, and no
        other type is cast silently. NaN is missing. ``engine`` names one of ``engines()``; all give the same bits.
        Raises ``SchemaError`` for wrong shapes, types and orders of columns, ``ModelError`` for an engine this machine lacks.
        """
        columns = getattr(X, "columns", None)
        if columns is not None:
            self._check_order([str(name) for name in columns])
        return self._core.score(X, engine or "")

    def _check_order(self, given: list[str]) -> None:
        """Columns of a data frame that are the model's in another order would be scored wrongly."""
        known = self._core.feature_names
        lightgbm = _core.find_tree_format(self._content) == "lightgbm"
        names = map(_core.lightgbm_feature_name, given) if lightgbm else given
        for j, (name, expected) in enumerate(zip(names, known, strict=False)):
            if name != expected and name in known:
                raise SchemaError(
                    f"column {j} is '{given[j]}', the model expects '{expected}' there",
                    code="schema.order",
                    where="X",
                    hint="reorder the columns: X[ranker.feature_names]",
                )

    def prepare_actions(self, action_rows: Rows) -> PreparedActions:
        """The action columns of a whole catalogue, ``(m, a)``, for ``score_task``."""
        return PreparedActions(numbers(action_rows, "action_rows", 2))

    def score_task(
        self,
        task_row: Rows,
        actions: PreparedActions | Rows,
        pair_rows: Rows | None = None,
        *,
        index: npt.ArrayLike | None = None,
        top_k: int | None = None,
        engine: str | None = None,
    ) -> Floats | TopScores:
        """Scores of one task's candidates; the model's columns are task, action, pair, in this order.

        ``task_row`` ``(t,)``; ``actions`` ``(n, a)``, or a prepared catalogue with ``index`` ``(n,)`` into it; ``pair_rows``
        ``(n, p)``, None for none. Returns the same numbers as ``score`` on the joined rows, or with ``top_k`` the best ones.
        Raises ``SchemaError`` unless t + a + p is the number of features.
        """
        task = numbers(task_row, "task_row", 1)
        action = actions._values if isinstance(actions, PreparedActions) else numbers(actions, "actions", 2)
        if index is not None:
            action = action[positions(index, len(action))]
        count = len(action)
        pair = np.empty((count, 0), action.dtype) if pair_rows is None else numbers(pair_rows, "pair_rows", 2)
        if len(pair) != count:
            raise SchemaError(
                f"{len(pair)} pair rows for {count} candidates",
                code="schema.shape",
                where="pair_rows",
                hint="give one row per candidate",
            )
        total = len(task) + action.shape[1] + pair.shape[1]
        if total != self._core.features:
            raise SchemaError(
                f"{len(task)} task, {action.shape[1]} action and {pair.shape[1]} pair columns are {total}, "
                f"the model has {self._core.features} features",
                code="schema.shape",
                where="task_row",
                hint="the columns of the model are those of task, action and pair, in this order",
            )
        if top_k is not None and (isinstance(top_k, bool) or top_k < 1):
            raise UsageError(f"top_k is {top_k}", code="usage.top_k", where="top_k", hint="give a whole number of at least 1")
        if top_k is not None and self._core.outputs != 1:
            raise UsageError(
                f"top_k with {self._core.outputs} outputs",
                code="usage.top_k",
                where="top_k",
                hint="leave it out and sort one output",
            )
        joined = np.concatenate(
            [np.broadcast_to(task, (count, len(task))), action, pair], axis=1
        )  # float32 beside float64 widens exactly
        scores = self._core.score(joined, engine or "")
        if top_k is None:
            return scores
        best = _core.best_of(scores, top_k)
        return TopScores(best, scores[best])

    @property
    def feature_names(self) -> list[str]:
        """The model's columns, in order."""
        return self._core.feature_names

    @staticmethod
    def engines() -> list[str]:
        """Engines of this machine, best first."""
        return _core.tree_engines()

    def to_bytes(self) -> bytes:
        """The model file as it was read."""
        return self._content

    def save(self, path: str | Path) -> Path:
        """Writes the model file, as it goes into a bundle."""
        target = Path(path)
        target.write_bytes(self._content)
        return target

    def _description(self) -> dict[str, Any]:
        core = self._core
        return {
            "kind": "tree ranker",
            "trees": core.trees,
            "splits": core.splits,
            "outputs": core.outputs,
            "objective": core.objective,
            "averaged": core.averaged,
            "feature_count": core.features,
            "engines": self.engines(),
            "features": core.feature_names,
        }

    def __reduce__(self) -> tuple[object, ...]:
        return (Ranker._from_bytes, (self._content,))


def _xgboost_content(x: Any, iteration_range: tuple[int, int] | None) -> bytes:
    """The UBJ bytes of a booster's rounds."""
    if isinstance(x, (str, Path, bytes, bytearray)):
        try:
            import xgboost
        except ModuleNotFoundError:
            raise UsageError(
                "iteration_range of a file needs xgboost, which is not installed",
                code="usage.model",
                where="iteration_range",
                hint="pip install xgboost, or slice the booster before saving it",
            ) from None
        booster = xgboost.Booster()
        booster.load_model(x if isinstance(x, bytearray) else bytearray(read_content(x)))
    elif hasattr(x, "save_raw"):
        booster = x
    elif hasattr(x, "get_booster"):
        booster = x.get_booster()
        missing = getattr(x, "missing", None)
        if missing is not None and not np.isnan(missing):
            raise ModelError(
                f"the estimator takes {missing} for missing, which its booster does not say",
                code="model.missing_value",
                where="x",
                hint="replace the value by NaN before training and scoring, or give x.get_booster() and do so before scoring",
            )
        # The attribute is there only when training stopped early.
        best = getattr(x, "best_iteration", None)
        if iteration_range is None and best is not None:
            iteration_range = (0, int(best) + 1)
    else:
        raise UsageError(
            f"a model of type {type(x).__name__}",
            code="usage.model",
            where="x",
            hint="give a Booster, an XGBModel, a path or bytes",
        )
    if iteration_range is not None:
        begin, end = iteration_range
        rounds = booster.num_boosted_rounds()
        end = rounds if end == 0 else end
        if not 0 <= begin < end <= rounds:
            raise UsageError(
                f"rounds {begin} to {end} of a model of {rounds}",
                code="usage.iteration_range",
                where="iteration_range",
                hint="give (begin, end) with 0 <= begin < end",
            )
        if (begin, end) != (0, rounds):
            booster = booster[begin:end]
    return bytes(booster.save_raw("ubj"))
