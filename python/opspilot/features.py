"""Declared transforms in Python: fitted once, the same code in training and serving."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._describe import Described

Document = bytes | str | Mapping[str, Any]


def as_json(document: Document | Sequence[Mapping[str, Any]]) -> str:
    """A document as JSON text."""
    if isinstance(document, bytes):
        return document.decode()
    return document if isinstance(document, str) else json.dumps(document)


class TrainingSet:
    """Tasks with their candidates, what was chosen, and folds, as the library's own tables.

    Not thread-safe while it is filled. ``now`` is the time each task was decided at: ages and staleness refer to it.
    """

    def __init__(self, schema: Document, catalogue: bytes | str | Sequence[Mapping[str, Any]]) -> None:
        self._core = _core.TrainingSet(as_json(schema), as_json(catalogue))

    def add_tasks(self, rows: object, now: object) -> Self:
        """Appends tasks: a list of mappings with one time or one per task, or an Arrow table with one time."""
        self._core.add_tasks(rows, now)
        return self

    def generate(self, candidates: Document) -> Self:
        """Generates every task's candidates from the catalogue by a candidates.json document."""
        self._core.generate(as_json(candidates))
        return self

    def set_candidates(self, rows: Sequence[Mapping[str, Any]]) -> Self:
        """Takes candidates with ``task_index`` (ascending), ``id`` and candidate fields."""
        self._core.set_candidates(rows)
        return self

    def set_chosen(self, ids: Sequence[str | None]) -> npt.NDArray[np.int32]:
        """What was chosen, by action id; None or an id that was not offered: none of them (-1)."""
        return self._core.set_chosen(list(ids))

    def set_folds(self, folds: npt.ArrayLike) -> Self:
        """The fold of each task; label statistics for a fold never see its labels."""
        self._core.set_folds(folds)
        return self

    @property
    def tasks(self) -> int:
        return self._core.tasks

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Candidates of task t are rows [offsets[t], offsets[t + 1])."""
        return self._core.offsets

    @property
    def rows(self) -> npt.NDArray[np.uint32]:
        """Catalogue row of each candidate."""
        return self._core.rows

    @property
    def action_ids(self) -> list[str]:
        """Ids of the catalogue, by row."""
        return self._core.action_ids


@dataclass(frozen=True)
class Transformed:
    """What a plan makes of a training set.

    ``dense``: float32, candidates × columns. ``offsets``, ``index``, ``value``: one sparse row per task in CSR form, its
    columns running through all blocks one after the other.
    """

    dense: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]
    index: npt.NDArray[np.uint32]
    value: npt.NDArray[np.float32]


class Features(Described):
    """Fitted transforms: the document ``features.json`` of a bundle. Immutable, shared by threads."""

    def __init__(self, core: _core.FeaturePlan) -> None:
        self._core = core

    @classmethod
    def fit(cls, spec: Document, data: TrainingSet) -> Self:
        """Fits scales, dictionaries, idf, target statistics and transition counts on a training set.

        Raises ``FeatureError`` with the JSON pointer of the transform.
        """
        return cls(_core.FeaturePlan.fit(as_json(spec), data._core))

    def transform(self, data: TrainingSet, *, out_of_fold: bool = False, threads: int = 1) -> Transformed:
        """Features of every candidate. ``out_of_fold``: label statistics leave out each task's own fold; only for the set
        the plan was fitted on."""
        return Transformed(**self._core.transform(data._core, out_of_fold, threads))

    @property
    def document(self) -> bytes:
        """The fitted document, as it goes into a bundle."""
        return self._core.document.encode()

    @property
    def fingerprint(self) -> str:
        """SHA-256 hex of schema and transforms; models are tied to it."""
        return self._core.fingerprint

    @property
    def columns(self) -> list[str]:
        """Names of the dense columns."""
        return self._core.columns

    @property
    def blocks(self) -> list[tuple[str, int]]:
        """Names and dimensions of the sparse blocks."""
        return self._core.blocks

    def _description(self) -> dict[str, Any]:
        return {
            "kind": "features",
            "fingerprint": self.fingerprint,
            "columns": self.columns,
            "sparse_blocks": [{"name": name, "dimension": dimension} for name, dimension in self.blocks],
        }
