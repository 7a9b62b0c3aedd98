"""Text classifiers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._arrays import Floats, not_fitted, read_content
from opspilot._softmax import SoftmaxModel, TextInput, inputs_of
from opspilot.errors import SchemaError


class TextClassifier(SoftmaxModel):
    """Multinomial logistic regression over hashed n-grams of words and characters.

        TextClassifier().fit(texts, labels).predict_proba(["where is my refund"])

    Instead of texts, compressed sparse rows (scipy) may be given. ``bits``: 2**bits buckets. ``words``, ``characters``: lengths
    of n-grams, from and to; to = 0: none. ``solver``: "lbfgs" to the minimum, "adagrad" for a few quick passes. The penalty is
    ``l2 / 2 · |W|²`` beside the sum of the losses. Buckets in fewer than ``min_count`` rows get no weights.
    """

    #: Classes, in the order of the columns of ``predict_proba``.
    classes_: npt.NDArray[Any] = np.empty(0, np.str_)
    _model: _core.ClassifierModel | None = None
    _of_texts = True

    def fit(self, X: Any, y: npt.ArrayLike) -> Self:
        """Trains on texts (a list of str) or sparse rows, with one label each: all str or all int. Deterministic."""
        sparse, buckets, of_texts = self._text.rows(X, None)
        labels = np.asarray(y)
        if labels.ndim != 1 or len(labels) != len(sparse[0]) - 1:
            raise SchemaError(
                f"labels of shape {labels.shape} for {len(sparse[0]) - 1} rows",
                code="schema.shape",
                where="y",
                hint="give one label per row",
            )
        if labels.dtype.kind not in "iuUO" or (labels.dtype.kind == "O" and not all(isinstance(label, str) for label in labels)):
            raise SchemaError(
                f"labels of type {labels.dtype}", code="schema.dtype", where="y", hint="give texts, or whole numbers"
            )
        if labels.dtype.kind == "O":
            labels = labels.astype(np.str_)
        classes, codes = np.unique(labels, return_inverse=True)
        names = [str(name) for name in classes]
        integers = classes.dtype.kind in "iu"
        note: dict[str, Any] = {"kind": "texts" if of_texts else "sparse", "integers": integers}
        if of_texts:
            note["text"] = self._text.settings
        none = np.empty(0, np.int64)
        data = _core.ClassifierData(
            [("text", buckets)],
            names,
            *sparse,
            codes.astype(np.uint32),
            none,
            none.astype(np.uint32),
            json.dumps(note, sort_keys=True),
        )
        content, self.report_ = data.fit(self._training, none.astype(np.uint32), self.threads)
        self._take(_core.ClassifierModel.parse(content), integers, of_texts)
        return self

    def _take(self, core: _core.ClassifierModel, integers: bool, of_texts: bool) -> None:
        self._model = core
        self._of_texts = of_texts
        self.classes_ = np.array([int(name) for name in core.classes]) if integers else np.array(core.classes, np.str_)

    def predict_log_proba(self, X: Any) -> Floats:
        """Log-probabilities ``(n, classes)``. The same bits for a row alone or among others, on every machine."""
        core = self._fitted()
        sparse, _, of_texts = self._text.rows(X, core.blocks[0][1])
        if of_texts != self._of_texts:
            raise SchemaError(
                "texts for a model of sparse rows" if of_texts else "sparse rows for a model of texts",
                code="schema.type",
                where="X",
                hint="give what the model was trained with",
            )
        return core.log_probabilities(*sparse, self.threads)

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities ``(n, classes)``; each row sums to 1."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likeliest class of each row; ties go to the first."""
        return self.classes_[np.argmax(self.predict_log_proba(X), axis=1)]

    def score(self, X: Any, y: npt.ArrayLike) -> float:
        """Share of rows whose likeliest class is the label."""
        labels = np.asarray(y)
        predicted = self.predict(X)
        if labels.shape != predicted.shape:
            raise SchemaError(f"labels of shape {labels.shape} for {len(predicted)} rows", code="schema.shape", where="y")
        return float(np.mean(predicted == labels))

    def to_bytes(self) -> bytes:
        return self._fitted().to_bytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Reads what ``to_bytes`` gave. Raises ``ModelError`` with the byte, or the JSON pointer in its header."""
        core = _core.ClassifierModel.parse(content)
        note = inputs_of(core.fingerprint, "texts") if '"texts"' in core.fingerprint else inputs_of(core.fingerprint, "sparse")
        made = cls()
        if "text" in note:
            made._text = TextInput(note["text"])
        made._take(core, bool(note.get("integers")), "text" in note)
        return made

    @classmethod
    def load(cls, source: str | Path | bytes) -> Self:
        """Reads a model file: a path, or its bytes."""
        return cls.from_bytes(read_content(source))

    def _fitted(self) -> _core.ClassifierModel:
        if self._model is None:
            raise not_fitted("TextClassifier")
        return self._model

    def _description(self) -> dict[str, Any]:
        about: dict[str, Any] = {"kind": "text classifier", "fitted": self._model is not None}
        if self._model is not None:
            about |= {"class_count": len(self.classes_), "buckets": self._model.buckets}
            about |= {"training": json.loads(self._model.training or "{}"), "classes": [str(name) for name in self.classes_]}
        about["text"] = self.text_options
        return about

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore_classifier, (self.text_options, self._training, self.threads, self._model and self._model.to_bytes()))


def _restore_classifier(text: dict[str, Any], training: dict[str, Any], threads: int, content: bytes | None) -> TextClassifier:
    made = TextClassifier() if content is None else TextClassifier.from_bytes(content)
    made._text, made._training, made.threads = TextInput(text), training, threads
    return made
