"""Parity of features: what was computed when the models were trained against what serving computes now, bit for bit.

A bundle's ``parity.jsonl`` keeps, per task, the float32 values that the training run computed and stored at the time:

    {"task": …, "candidates": […]?, "now": microseconds, "columns": [name…], "values": base64 of little-endian float32,
     candidates × columns, "sparse": {"block": [base64 of uint32 indices, base64 of float32 values]}, "note": "…"?}

They are never computed again to be compared with themselves: ``check`` recomputes them task by task (as ``decide`` does)
and all together (as ``decide_batch`` does), and counts the values whose bits differ.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot.deciding import Bundle
from opspilot.errors import BundleError

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]
Features = tuple[Floats, list[tuple[Words, Floats]]]

_MOST_EXAMPLES = 10


def row(
    task: Mapping[str, Any],
    now: int,
    columns: Sequence[str],
    values: Floats,
    sparse: Mapping[str, tuple[Words, Floats]],
    candidates: Sequence[Mapping[str, Any]] | None = None,
    note: str = "",
) -> bytes:
    """One line of parity.jsonl from what training holds in its hands."""
    line: dict[str, Any] = {"task": dict(task), "now": now, "columns": list(columns), "values": _base64(values.astype("<f4"))}
    line["sparse"] = {
        name: [_base64(index.astype("<u4")), _base64(value.astype("<f4"))] for name, (index, value) in sparse.items()
    }
    if candidates is not None:
        line["candidates"] = [dict(candidate) for candidate in candidates]
    if note:
        line["note"] = note
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def check(bundle: Bundle) -> dict[str, Any]:
    """Recomputes every stored row by both paths. ``mismatches`` counts values with other bits; 0 is parity."""
    stored = bundle.part("parity.jsonl")
    if not stored:
        raise BundleError(
            "the bundle holds no parity rows",
            code="bundle.no_parity",
            where="parity.jsonl",
            hint="store them when the models are trained",
        )
    about = bundle._description()["features"]
    columns, blocks = list(about["columns"]), [block["name"] for block in about["sparse_blocks"]]
    engine = _core.Engine(bundle._core)
    lines = [json.loads(line) for line in stored.splitlines() if line.strip()]
    result: dict[str, Any] = {"tasks": len(lines), "candidates": 0, "values": 0, "missing_values": 0, "sparse_entries": 0}
    result |= {"single_mismatches": 0, "batch_mismatches": 0}
    examples: list[str] = []
    batches: dict[int, list[int]] = defaultdict(list)
    for number, line in enumerate(lines):
        expected = _stored(line, columns, blocks, number)
        result["candidates"] += expected[0].shape[0]
        result["values"] += expected[0].size
        result["missing_values"] += int(np.isnan(expected[0]).sum())
        result["sparse_entries"] += sum(len(index) for index, _ in expected[1])
        (single,) = engine.features([line["task"]], _with_index([line], [0]), line["now"])
        differing = _differences(expected, single, columns, blocks)
        result["single_mismatches"] += len(differing)
        examples += [f"task {number}: {text}" for text in differing[: _MOST_EXAMPLES - len(examples)]]
        batches[line["now"]].append(number)
    for now, numbers in batches.items():
        generated = [number for number in numbers if "candidates" not in lines[number]]
        offered = [number for number in numbers if "candidates" in lines[number]]
        for group in (generated, offered):
            if not group:
                continue
            together = engine.features([lines[number]["task"] for number in group], _with_index(lines, group), now)
            for number, computed in zip(group, together, strict=True):
                result["batch_mismatches"] += len(
                    _differences(_stored(lines[number], columns, blocks, number), computed, columns, blocks)
                )
    result["mismatches"] = result["single_mismatches"] + result["batch_mismatches"]
    result["examples"] = examples
    result["notes"] = sorted({line["note"] for line in lines if "note" in line})
    return result


def _with_index(lines: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> list[dict[str, Any]] | None:
    """The candidates of these lines as one batch; None when they are generated."""
    if "candidates" not in lines[numbers[0]]:
        return None
    return [{**candidate, "task_index": i} for i, number in enumerate(numbers) for candidate in lines[number]["candidates"]]


def _stored(line: Mapping[str, Any], columns: Sequence[str], blocks: Sequence[str], number: int) -> Features:
    if line["columns"] != columns or sorted(line["sparse"]) != sorted(blocks):
        raise BundleError(
            f"parity row {number} was stored for other features",
            code="bundle.parity_columns",
            where=f"part 'parity.jsonl' line {number + 1}",
            hint="store parity rows again when the features change",
        )
    values = np.frombuffer(base64.b64decode(line["values"]), "<f4").reshape(-1, len(columns))
    sparse = [
        (
            np.frombuffer(base64.b64decode(line["sparse"][b][0]), "<u4"),
            np.frombuffer(base64.b64decode(line["sparse"][b][1]), "<f4"),
        )
        for b in blocks
    ]
    return values, sparse


def _differences(expected: Features, computed: Features, columns: Sequence[str], blocks: Sequence[str]) -> list[str]:
    if expected[0].shape != computed[0].shape:
        return [f"{expected[0].shape[0]} candidates were stored, {computed[0].shape[0]} are computed"]
    out = []
    for i, j in np.argwhere(_bits(expected[0]) != _bits(computed[0])):
        out.append(f"candidate {i} {columns[j]}: {expected[0][i, j]!r} was stored, {computed[0][i, j]!r} is computed")
    for name, (index, value), (index_now, value_now) in zip(blocks, expected[1], computed[1], strict=True):
        if not np.array_equal(index, index_now) or not np.array_equal(_bits(value), _bits(value_now)):
            out.append(f"sparse block {name}: {len(index)} entries were stored, {len(index_now)} are computed")
    return out


def _bits(values: Floats) -> Words:
    return np.ascontiguousarray(values).view(np.uint32)


def _base64(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
