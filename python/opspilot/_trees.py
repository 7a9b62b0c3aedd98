"""Rankers of trees."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core, _sklearn
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

    def __init__(self, core: _core.TreeRanker, content: bytes, reader: str = "from_lightgbm") -> None:
        self._core = core
        self._content = content
        self._reader = reader  # the constructor that takes ``content``

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
    def from_catboost(cls, x: Any) -> Self:
        """A CatBoost model: a fitted ``CatBoost`` and its kin, the path of a model saved as JSON, or its bytes.

        Scores are ``predict(prediction_type="RawFormulaVal")``. Raises ``ModelError`` with the JSON pointer of what is wrong or
        not supported (splits on categories, text and embedding features).
        """
        content = read_content(x) if isinstance(x, (str, Path, bytes)) else _catboost_json(x)
        return cls(_core.TreeRanker.from_catboost(content), content, "from_catboost")

    @classmethod
    def from_sklearn(cls, x: Any) -> Self:
        """Trees of scikit-learn: a fitted ``GradientBoosting*``, ``HistGradientBoosting*``, ``RandomForest*``, ``ExtraTrees*``,
        ``DecisionTree*`` or ``ExtraTree*``; or the path or the bytes of what ``save`` wrote of one. Pickles are not read.

        Scores are ``decision_function`` where there is one, else ``predict_proba`` of classifiers (a column per class) and
        ``predict`` of regressors; losses with a link of their own (poisson, gamma) are scored before it: ``exp(score)`` is
        ``predict``. Categories must be whole numbers from 0, in training and in rows.
        Raises ``ModelError`` for other categories, an ``init`` that is a model, and classifiers of several targets.
        """
        if isinstance(x, (str, Path, bytes)):
            content = read_content(x)
            return cls(_core.TreeRanker.from_tree_file(content), content, "from_sklearn")
        core = _sklearn.core_of(x)
        return cls(core, core.to_tree_file(), "from_sklearn")

    def score(self, X: Rows, engine: str | None = None) -> Floats:
        """Raw scores, float64: ``(n,)`` for one output, else ``(n, outputs)``; those of the constructor's library: LightGBM's
        ``predict(raw_score=True)``, for others see ``from_catboost`` and ``from_sklearn``.

        ``X``: ``(n, features)`` of float32 or float64; float64 is compared as the trainer compares it, and no other type is
        cast silently. NaN is missing. ``engine`` names one of ``engines()``; all give the same bits.
        Raises ``SchemaError`` for wrong shapes, types and orders of columns, ``ModelError`` for an engine this machine lacks.
        """
        columns = getattr(X, "columns", None)
        if columns is not None:
            self._check_order([str(name) for name in columns])
        return self._core.score(X, engine or "")

    def _check_order(self, given: list[str]) -> None:
        """Columns of a data frame that are the model's in another order would be scored wrongly."""
        known = self._core.feature_names
        written = map(_core.lightgbm_feature_name, given) if self._reader == "from_lightgbm" else given
        for j, (name, expected) in enumerate(zip(written, known, strict=False)):
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
        """The model file as it was read; of a scikit-learn model, the library's own file."""
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
        return (getattr(Ranker, self._reader), (self._content,))


def _catboost_json(model: Any) -> bytes:
    """A CatBoost model as it writes itself."""
    if not hasattr(model, "save_model") or not hasattr(model, "get_scale_and_bias"):
        raise UsageError(
            f"a model of type {type(model).__name__}",
            code="usage.model",
            where="x",
            hint="give a fitted CatBoost, CatBoostClassifier, CatBoostRegressor or CatBoostRanker, a path or bytes",
        )
    if not model.is_fitted():
        raise ModelError(f"this {type(model).__name__} is not fitted", code="model.not_fitted", hint="call fit first")
    for kind, columns in (("text", model.get_text_feature_indices()), ("embedding", model.get_embedding_feature_indices())):
        if columns:
            raise ModelError(
                f"column {columns[0]} holds {kind}",
                code=f"model.{kind}_feature",
                hint="turn it into numbers before training",
            )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.json"
        model.save_model(str(target), format="json")
        return target.read_bytes()
