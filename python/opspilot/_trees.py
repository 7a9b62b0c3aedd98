"""Rankers of trees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core, _sklearn
from opspilot._arrays import Floats, Rows, numbers, positions, read_content
from opspilot._describe import Described
from opspilot._explain import Explanation
from opspilot._tree_exports import catboost_json, lightgbm_text, xgboost_content
from opspilot.errors import SchemaError, UsageError


@dataclass(frozen=True)
class TopScores:
    """The best candidates: ``index`` into the rows that were scored, best first, ties by lower row."""

    index: npt.NDArray[np.int64]
    score: Floats


class PreparedActions(Described):
    """The action columns of a catalogue, for ``Ranker.score_task``: their ranks are made once. Immutable."""

    def __init__(self, core: _core.PreparedActions) -> None:
        self._core = core

    def __len__(self) -> int:
        return self._core.actions

    def _description(self) -> dict[str, Any]:
        return {"kind": "prepared actions", "actions": self._core.actions, "columns": self._core.columns}


class Ranker(Described):
    """An ensemble of trees. Scores are those of the library that trained it, bit for bit. Immutable, shared by threads."""

    def __init__(self, core: _core.TreeRanker, content: bytes) -> None:
        self._core = core
        self._content = content
        self._explaining: _core.TreeExplainer | None = None  # made when first asked for

    @classmethod
    def from_lightgbm(cls, x: Any) -> Self:
        """A LightGBM model: a ``Booster``, an ``LGBMRanker`` and its kin, the path of a text model, or its bytes.

        Raises ``ModelError`` with the byte, tree and node of what is wrong or not supported (linear trees).
        """
        content = read_content(x) if isinstance(x, (str, Path, bytes)) else lightgbm_text(x)
        return cls(_core.TreeRanker.from_lightgbm(content), content)

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
            content = xgboost_content(x, iteration_range)
        return cls(_core.TreeRanker.from_xgboost(content), content)

    @classmethod
    def from_catboost(cls, x: Any) -> Self:
        """A CatBoost model: a fitted ``CatBoost`` and its kin, the path of a model saved as JSON, or its bytes.

        Scores are ``predict(prediction_type="RawFormulaVal")``. Raises ``ModelError`` with the JSON pointer of what is wrong or
        not supported (splits on categories, text and embedding features).
        """
        content = read_content(x) if isinstance(x, (str, Path, bytes)) else catboost_json(x)
        return cls(_core.TreeRanker.from_catboost(content), content)

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
            return cls(_core.TreeRanker.from_tree_file(content), content)
        core = _sklearn.core_of(x)
        return cls(core, core.to_tree_file())

    @classmethod
    def _from_bytes(cls, content: bytes) -> Self:
        """Any tree model, told by its first bytes."""
        return cls(_core.TreeRanker.from_bytes(content), content)

    def score(self, X: Rows, engine: str | None = None) -> Floats:
        """Raw scores, float64: ``(n,)`` for one output, else ``(n, outputs)``.

        They are LightGBM's ``predict(raw_score=True)``, XGBoost's ``Booster.predict(output_margin=True)``, whose float32 sums
        are widened, and for others what ``from_catboost`` and ``from_sklearn`` say. ``X``: ``(n, features)`` of float32 or
        float64; float64 is compared as the trainer compares it, and no other type is cast silently. NaN is missing. ``engine``
        names one of ``engines()``; all give the same bits.
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

    def prepare_actions(self, action_rows: Rows, engine: str | None = None) -> PreparedActions:
        """The action columns of a whole catalogue, ``(m, a)``, for ``score_task``. The rows are copied.

        ``score_task`` with another engine than the one named here works on the rows instead.
        """
        return PreparedActions(self._core.prepare_actions(numbers(action_rows, "action_rows", 2).copy(), engine or ""))

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
        if top_k is not None and (isinstance(top_k, bool) or top_k < 1):
            raise UsageError(f"top_k is {top_k}", code="usage.top_k", where="top_k", hint="give a whole number of at least 1")
        if top_k is not None and self._core.outputs != 1:
            raise UsageError(
                f"top_k with {self._core.outputs} outputs",
                code="usage.top_k",
                where="top_k",
                hint="leave it out and sort one output",
            )
        own = actions._core if isinstance(actions, PreparedActions) else actions
        rows = None if index is None else positions(index)
        if top_k is None:
            return self._core.score_task(task_row, own, pair_rows, rows, engine=engine or "")
        return TopScores(*self._core.score_task(task_row, own, pair_rows, rows, top_k, engine or ""))

    def explain(self, row: Rows) -> Explanation:
        """Why ``row`` ``(features,)`` scores as it does: ``.base``, ``.contributions`` ``(features,)`` and ``.path``.

        Exact path-dependent TreeSHAP, what LightGBM's ``predict(pred_contrib=True)`` gives (random forests: of the average).
        Raises ``ModelError`` (model.no_covers) when the model does not say how many training rows reached its nodes.
        """
        given = numbers(row, "row", 1).copy()
        lines = self._explainer().contributions(given[np.newaxis])[0]
        base, values = lines[:, -1].copy(), np.ascontiguousarray(lines[:, :-1])
        if self._core.outputs == 1:
            return Explanation(self.feature_names, float(base[0]), values[0], given, self._core.path)
        return Explanation(self.feature_names, base, values, given, self._core.path)

    def contributions(self, X: Rows) -> Floats:
        """Contributions of every feature for every row, the base last: ``(n, features + 1)`` for one output, else
        ``(n, outputs, features + 1)``. Each line adds up to its score. ``X``, errors: as ``score`` and ``explain``."""
        columns = getattr(X, "columns", None)
        if columns is not None:
            self._check_order([str(name) for name in columns])
        out = self._explainer().contributions(X)
        return out[:, 0] if self._core.outputs == 1 else out

    def importance(self, kind: Literal["split", "cover", "contribution"] = "split", X: Rows | None = None) -> Floats:
        """How much each feature matters, ``(features,)``.

        "split": how many splits ask about it; "cover": the training rows that reached these splits, added up;
        "contribution": mean magnitude of its contributions over the rows ``X`` (``(outputs, features)`` for several outputs).
        Gains are not kept with a model.
        """
        if kind not in ("split", "cover", "contribution"):
            raise UsageError(
                f"no importance is called '{kind}'",
                code="usage.importance",
                where="kind",
                hint="one of: split, cover, contribution",
            )
        if (X is not None) != (kind == "contribution"):
            raise UsageError(
                f"importance by {kind} {'needs' if X is None else 'takes no'} rows",
                code="usage.importance",
                where="X",
                hint="rows belong to kind='contribution'",
            )
        if X is None:
            return self._core.importance(kind)
        out = self._explainer().mean_magnitudes(X)
        return out[0] if self._core.outputs == 1 else out

    def _explainer(self) -> _core.TreeExplainer:
        if self._explaining is None:
            self._explaining = self._core.explainer()
        return self._explaining

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
        splits = core.importance("split")
        return {
            "kind": "tree ranker",
            "format": _core.find_tree_format(self._content),
            "objective": core.objective,
            "outputs": core.outputs,
            "trees": core.trees,
            "splits": core.splits,
            "depth": core.depth,
            "averaged": core.averaged,
            "explanations": core.explanations,
            "engines": self.engines(),
            "feature_count": core.features,
            "features": core.feature_names,
            "features_no_split_asks_about": int(np.count_nonzero(splits == 0)),
            "most_asked": [
                {"feature": core.feature_names[j], "splits": int(splits[j])}
                for j in np.argsort(-splits, kind="stable")[:10]
                if splits[j] > 0
            ],
        }

    def __reduce__(self) -> tuple[object, ...]:
        return (Ranker._from_bytes, (self._content,))
