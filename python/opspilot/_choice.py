"""Choice models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._arrays import Floats, Rows, dense_of, not_fitted, offsets_of, read_content, slots_of
from opspilot._softmax import SoftmaxModel, Sparse, TextInput, inputs_of
from opspilot.errors import SchemaError


class ChoiceModel(SoftmaxModel):
    """Which of a task's candidates is chosen: conditional logit (McFadden 1974).

    utility(candidate) = columns · w + Σ over ``keys`` of (bias + text · W) of the candidate's value. Candidates of one task stand
    together; ``groups`` says how many each task has. ``outside``: none of them may be chosen, which then has a utility too.
    Options of text and training as in ``TextClassifier``.
    """

    def __init__(self, *, outside: bool = False, standardise: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self._training["standardise"] = standardise
        self.outside = outside
        self._core: _core.ChoiceModelFile | None = None
        self._note: dict[str, Any] = {}

    def fit(
        self,
        X: Rows | None,
        chosen: npt.ArrayLike,
        *,
        groups: npt.ArrayLike,
        keys: Mapping[str, Sequence[str | None]] | None = None,
        texts: Any = None,
        feature_names: Sequence[str] | None = None,
    ) -> Self:
        """Trains; deterministic.

        ``X``: ``(candidates, columns)``, taken as float32, NaN = missing, None for no columns; ``chosen``: per task the
        position within its candidates, -1 = none of them; ``keys``: fields of the candidates that are crossed with the text,
        a value (or None) per candidate; ``texts``: one str per task, or sparse rows.
        """
        offsets = offsets_of(groups, None)
        tasks, count = len(offsets) - 1, int(offsets[-1])
        names, dense = dense_of(X, count, feature_names)
        key_values = {field: sorted({value for value in values if value is not None}) for field, values in (keys or {}).items()}
        sparse, buckets, of_texts = self._task_texts(texts, tasks, None)
        self._note = {"kind": "choice", "input": "none" if texts is None else "texts" if of_texts else "sparse"}
        if self._note["input"] == "texts":
            self._note["text"] = self._text.settings
        none = np.empty(0, np.uint32)
        data = _core.ChoiceData(
            [("text", buckets)] if buckets else [],
            *sparse,
            offsets,
            list(key_values.items()),
            slots_of(list(key_values.items()), keys or {}, count),
            self.outside,
            names,
            dense.reshape(-1),
            np.asarray(chosen, np.int32),
            json.dumps(self._note, sort_keys=True),
        )
        content, self.report_ = data.fit(self._training, none, self.threads)
        self._core = _core.ChoiceModelFile.parse(content)
        return self

    def _log_proba(
        self, X: Rows | None, groups: npt.ArrayLike, keys: Mapping[str, Sequence[str | None]] | None, texts: Any
    ) -> tuple[Floats, Floats]:
        core = self._fitted()
        offsets = offsets_of(groups, None)
        count = int(offsets[-1])
        names, dense = dense_of(X, count, None)
        if len(names) != len(core.columns):
            raise SchemaError(
                f"{len(names)} columns, the model has {len(core.columns)}",
                code="schema.shape",
                where="X",
                hint="see feature_names",
            )
        buckets = core.blocks[0][1] if core.blocks else None
        if (texts is None) != (buckets is None):
            wanted = "texts were not given" if texts is None else "texts for a model without"
            raise SchemaError(wanted, code="schema.missing_field", where="texts", hint="give what the model was trained with")
        sparse, _, of_texts = self._task_texts(texts, len(offsets) - 1, buckets)
        if texts is not None and ("texts" if of_texts else "sparse") != self._note["input"]:
            raise SchemaError(
                f"the model reads {self._note['input']}",
                code="schema.type",
                where="texts",
                hint="give what the model was trained with",
            )
        missing = [field for field, _ in core.keys if field not in (keys or {})]
        if missing:
            raise SchemaError(
                f"no values of key '{missing[0]}'",
                code="schema.missing_field",
                where="keys",
                hint="give a value or None per candidate",
            )
        return core.log_probabilities(*sparse, offsets, slots_of(core.keys, keys or {}, count), dense.reshape(-1), self.threads)

    def _task_texts(self, texts: Any, tasks: int, buckets: int | None) -> tuple[Sparse, int, bool]:
        if texts is None:
            return (np.zeros(tasks + 1, np.int64), np.empty(0, np.uint32), np.empty(0, np.float32)), 0, False
        sparse, dimension, of_texts = self._text.rows(texts, buckets)
        if len(sparse[0]) - 1 != tasks:
            raise SchemaError(
                f"{len(sparse[0]) - 1} texts for {tasks} tasks", code="schema.shape", where="texts", hint="give one per task"
            )
        return sparse, dimension, of_texts

    def score(
        self,
        X: Rows | None,
        *,
        groups: npt.ArrayLike,
        keys: Mapping[str, Sequence[str | None]] | None = None,
        texts: Any = None,
    ) -> Floats:
        """Log-probability of each candidate among those of its task (and the outside option). Values of keys that training
        did not see count nothing."""
        return self._log_proba(X, groups, keys, texts)[0]

    def predict_proba(
        self,
        X: Rows | None,
        *,
        groups: npt.ArrayLike,
        keys: Mapping[str, Sequence[str | None]] | None = None,
        texts: Any = None,
    ) -> Floats:
        """Probability of each candidate; with the outside option, those of a task sum to less than 1."""
        return np.exp(self.score(X, groups=groups, keys=keys, texts=texts))

    def outside_probability(
        self,
        X: Rows | None,
        *,
        groups: npt.ArrayLike,
        keys: Mapping[str, Sequence[str | None]] | None = None,
        texts: Any = None,
    ) -> Floats:
        """Per task the probability that none of its candidates is chosen; zeros without an outside option."""
        outside = self._log_proba(X, groups, keys, texts)[1]
        return np.exp(outside) if self._fitted().outside else np.zeros(len(np.asarray(groups)))

    @property
    def feature_names(self) -> list[str]:
        """Columns of ``X``, in order."""
        return self._fitted().columns

    @property
    def coef_(self) -> npt.NDArray[np.float32]:
        """One weight per column."""
        return self._fitted().column_weights

    def to_bytes(self) -> bytes:
        return self._fitted().to_bytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Reads what ``to_bytes`` gave. Raises ``ModelError`` with the byte, or the JSON pointer in its header."""
        core = _core.ChoiceModelFile.parse(content)
        note = inputs_of(core.fingerprint, "choice")
        made = cls(outside=core.outside)
        if "text" in note:
            made._text = TextInput(note["text"])
        made._core, made._note = core, note
        return made

    @classmethod
    def load(cls, source: str | Path | bytes) -> Self:
        """Reads a model file: a path, or its bytes."""
        return cls.from_bytes(read_content(source))

    def _fitted(self) -> _core.ChoiceModelFile:
        if self._core is None:
            raise not_fitted("ChoiceModel")
        return self._core

    def _description(self) -> dict[str, Any]:
        about: dict[str, Any] = {"kind": "choice model", "fitted": self._core is not None, "outside": self.outside}
        if self._core is not None:
            about["training"] = json.loads(self._core.training or "{}")
            about["keys"] = [{"field": field, "values": len(values)} for field, values in self._core.keys]
            about["weights"] = [
                {"column": name, "weight": float(weight)} for name, weight in zip(self.feature_names, self.coef_, strict=True)
            ]
        return about

    def __reduce__(self) -> tuple[object, ...]:
        content = self._core and self._core.to_bytes()
        return (_restore_choice, (self.text_options, self._training, self.threads, self.outside, content))


def _restore_choice(
    text: dict[str, Any], training: dict[str, Any], threads: int, outside: bool, content: bytes | None
) -> ChoiceModel:
    made = ChoiceModel(outside=outside) if content is None else ChoiceModel.from_bytes(content)
    made._text, made._training, made.threads = TextInput(text), training, threads
    return made
