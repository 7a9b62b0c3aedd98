"""The conformance cases of CEL (google/cel-spec, converted) through the Python package, kinds compared exactly."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

import opspilot as op


def _cases() -> Path | None:
    root = Path(__file__).resolve().parents[2]
    given = os.environ.get("OPSPILOT_DATA")
    folders = [Path(given)] if given else [root.parent / "shared/data", root / "shared/data"]
    return next((f for folder in folders if (f := folder / "cel-conformance/cases.jsonl").is_file()), None)


CASES = _cases()
pytestmark = pytest.mark.skipif(CASES is None, reason="the conformance cases are not here; set OPSPILOT_DATA")


def _same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Kinds agree exactly, NaN is NaN, the texts of doubles may differ, maps are unordered."""
    if found.keys() != wanted.keys():
        return False
    kind = next(iter(wanted))
    a, b = found[kind], wanted[kind]
    if kind == "double":
        return float(a) == float(b) or (math.isnan(float(a)) and math.isnan(float(b)))
    if kind == "list":
        return len(a) == len(b) and all(map(_same, a, b))
    if kind == "map":
        return len(a) == len(b) and all(any(_same(k, key) and _same(v, item) for k, v in a) for key, item in b)
    return bool(a == b)


def _miss(case: dict[str, Any]) -> str:
    """What went wrong, or nothing."""
    bindings = {name: bound["value"] for name, bound in case.get("bindings", {}).items()}
    found = op.cel.evaluate_typed(
        case["expr"],
        bindings,
        container=case["container"],
        type_env=case.get("type_env", ()),
        disable_check=case["disable_check"],
    )
    if case.get("deduced_type") not in (None, found.get("deduced_type")):
        return f"type {found.get('deduced_type')}"
    if case.get("check_only"):
        return ""
    expected = case["expect"]
    if "error" in expected:
        return "" if "error" in found else f"no error but {found['value']}"
    if "error" in found:
        return str(found["error"])
    return "" if _same(found["value"], expected["value"]) else f"gave {found['value']}, wanted {expected['value']}"


@pytest.mark.parametrize(("subset", "total", "passing"), [("core", 1084, 1084), ("ext", 551, 546), ("check", 9, 9)])
def test_conformance(subset: str, total: int, passing: int) -> None:
    assert CASES is not None
    with CASES.open(encoding="utf-8") as lines:
        cases = [case for case in map(json.loads, lines) if case["subset"] == subset]
    misses = {case["expr"]: miss for case in cases if (miss := _miss(case))}
    print(f"conformance {subset} (Python): {len(cases) - len(misses)} / {len(cases)}")
    assert len(cases) == total
    # Time zones by name are refused: their rules change with the machine.
    assert all("rules of named ones change" in miss for miss in misses.values()), misses
    assert len(cases) - len(misses) >= passing
