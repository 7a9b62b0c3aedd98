"""What text classifiers and choice models have in common: hashed text, training options, files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._describe import Described
from opspilot.errors import ModelError, SchemaError

#: What decides the buckets and values of a text, with the library's defaults.
TEXT_DEFAULTS: dict[str, Any] = {
    "bits": 18,
    "words": (1, 2),
    "characters": (0, 0),
    "within_words": False,
    "casefold": True,
    "strip_accents": False,
    "symbols": "",
    "tf": "count",
    "l2": True,
}

#: Compressed sparse rows: offsets, columns, values.
Sparse = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.float32]]


class TextInput:
    """Texts, or sparse rows, as the models read them; what was given in training must be given later."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings: dict[str, Any] = {
            key: tuple(settings[key]) if isinstance(default, tuple) else settings[key] for key, default in TEXT_DEFAULTS.items()
        }
        self._hasher: _core.TextHasher | None = None

    @property
    def hasher(self) -> _core.TextHasher:
        if self._hasher is None:
            self._hasher = _core.TextHasher(**self.settings)
        return self._hasher

    def rows(self, X: Any, buckets: int | None) -> tuple[Sparse, int, bool]:
        """The rows, the number of their columns, and whether they were texts."""
        if hasattr(X, "indptr") or hasattr(X, "tocsr"):
            return (*_compressed(X, buckets), False)
        dimension = self.hasher.dimension
        return self.hasher.transform(X), dimension, True


def _compressed(X: Any, buckets: int | None) -> tuple[Sparse, int]:
    matrix = X.tocsr() if hasattr(X, "tocsr") else X
    if not getattr(matrix, "has_canonical_format", True):
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if buckets is not None and matrix.shape[1] != buckets:
        raise SchemaError(
            f"{matrix.shape[1]} columns, the model has {buckets}",
            code="schema.shape",
            where="X",
            hint="give the columns it was trained with",
        )
    sparse = (
        np.ascontiguousarray(matrix.indptr, np.int64),
        np.ascontiguousarray(matrix.indices, np.uint32),
        np.ascontiguousarray(matrix.data, np.float32),
    )
    return sparse, int(matrix.shape[1])


def inputs_of(fingerprint: str, kind: str) -> dict[str, Any]:
    """The note about its inputs that a model of this module carries."""
    try:
        note = json.loads(fingerprint)
    except ValueError:
        note = None
    if not isinstance(note, dict) or note.get("kind") != kind:
        raise ModelError(
            "the model does not say how its texts were hashed",
            code="model.inputs",
            where="/fingerprint",
            hint="models trained for a bundle are used in the bundle; this reads what save() wrote",
        )
    return note


class SoftmaxModel(Described):
    """What ``TextClassifier`` and ``ChoiceModel`` have in common: how they are trained, and how text becomes numbers."""

    def __init__(
        self,
        *,
        bits: int = 18,
        words: tuple[int, int] = (1, 2),
        characters: tuple[int, int] = (0, 0),
        within_words: bool = False,
        casefold: bool = True,
        strip_accents: bool = False,
        symbols: str = "",
        tf: str = "count",
        normalise: bool = True,
        l2: float = 1.0,
        solver: str = "lbfgs",
        max_iterations: int | None = None,
        tolerance: float | None = None,
        epochs: int | None = None,
        learning_rate: float | None = None,
        min_count: int | None = None,
        max_entries: int | None = None,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        text = {
            "bits": bits,
            "words": words,
            "characters": characters,
            "within_words": within_words,
            "casefold": casefold,
            "strip_accents": strip_accents,
            "symbols": symbols,
            "tf": tf,
            "l2": normalise,
        }
        training = {
            "l2": l2,
            "solver": solver,
            "max_iterations": max_iterations,
            "tolerance": tolerance,
            "epochs": epochs,
            "learning_rate": learning_rate,
            "min_count": min_count,
            "max_entries": max_entries,
            "seed": seed,
        }
        self._text = TextInput(text)
        self._training: dict[str, Any] = {key: value for key, value in training.items() if value is not None}
        self.threads = threads
        #: How training went: rows, loss, iterations, converged.
        self.report_: dict[str, Any] = {}

    @property
    def text_options(self) -> dict[str, Any]:
        """How texts become hashed n-grams."""
        return dict(self._text.settings)

    @property
    def training_options(self) -> dict[str, Any]:
        """What was set about training."""
        return dict(self._training)

    def to_bytes(self) -> bytes:
        """The model file."""
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Writes the model file."""
        target = Path(path)
        target.write_bytes(self.to_bytes())
        return target
