"""Numpy arrays as the models read them: checked for shape and type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot.errors import ModelError, SchemaError

Floats = npt.NDArray[np.float64]
#: float32 or float64 numbers, a row per line.
Rows = npt.ArrayLike


def read_content(source: str | Path | bytes) -> bytes:
    """``str`` and ``Path`` are paths, ``bytes`` is content."""
    return source if isinstance(source, bytes) else Path(source).read_bytes()


def not_fitted(what: str) -> ModelError:
    return ModelError(f"this {what} is not fitted", code="model.not_fitted", hint="call fit first, or load a model")


def numbers(values: Rows, what: str, dimensions: int) -> npt.NDArray[Any]:
    """An array of float32 or float64 with so many dimensions; nothing is cast."""
    array = np.asarray(values)
    if array.ndim != dimensions:
        shape = "(features,)" if dimensions == 1 else "(n, features)"
        raise SchemaError(f"an array of {array.ndim} dimensions", code="schema.shape", where=what, hint=f"give the shape {shape}")
    if array.dtype not in (np.float32, np.float64):
        raise SchemaError(f"numbers of type {array.dtype}", code="schema.dtype", where=what, hint="give float32 or float64")
    return array


def positions(index: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Whole numbers; what they may be is the reader's to check."""
    given = np.asarray(index)
    if given.ndim != 1 or (given.dtype.kind not in "iu" and given.size):
        raise SchemaError(
            f"an index of shape {given.shape} and type {given.dtype}",
            code="schema.dtype",
            where="index",
            hint="give whole numbers, shape (n,)",
        )
    return given.astype(np.int64, copy=False)


def offsets_of(groups: npt.ArrayLike, rows: int | None) -> npt.NDArray[np.int64]:
    """Offsets of groups given by their sizes."""
    sizes = np.asarray(groups)
    if sizes.ndim != 1 or (sizes.size and (sizes.dtype.kind not in "iu" or int(sizes.min()) < 0)):
        raise SchemaError(
            "groups are no sizes", code="schema.shape", where="groups", hint="give how many rows each group has, shape (groups,)"
        )
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    if rows is not None and offsets[-1] != rows:
        raise SchemaError(f"groups of {offsets[-1]} rows together, X has {rows}", code="schema.shape", where="groups")
    return offsets


def dense_of(X: Rows | None, count: int, feature_names: Iterable[str] | None) -> tuple[list[str], npt.NDArray[np.float32]]:
    if X is None:
        return [], np.empty((count, 0), np.float32)
    given = feature_names if feature_names is not None else getattr(X, "columns", None)
    array = np.ascontiguousarray(numbers(X, "X", 2), np.float32)
    if len(array) != count:
        raise SchemaError(
            f"{len(array)} rows for {count} candidates",
            code="schema.shape",
            where="X",
            hint="give one row per candidate, see groups",
        )
    return [str(name) for name in given] if given is not None else [f"f{j}" for j in range(array.shape[1])], array


def slots_of(
    keys: Sequence[tuple[str, list[str]]], values: Mapping[str, Sequence[str | None]], count: int
) -> npt.NDArray[np.uint32]:
    """Where each candidate's value of each key stands, counted through all keys."""
    slots = np.full((count, len(keys)), _core.ChoiceModelFile.NO_SLOT, np.uint32)
    base = 0
    for k, (field, known) in enumerate(keys):
        given = list(values[field])
        if len(given) != count:
            raise SchemaError(f"{len(given)} values of key '{field}' for {count} candidates", code="schema.shape", where="keys")
        position = {value: base + i for i, value in enumerate(known)}
        slots[:, k] = [
            position.get(value, _core.ChoiceModelFile.NO_SLOT) if value is not None else _core.ChoiceModelFile.NO_SLOT
            for value in given
        ]
        base += len(known)
    return slots.reshape(-1)
