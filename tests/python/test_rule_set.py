"""Rule sets: small truth tables by plain Python, what columns cannot hold, and random conditions against the scalar machine."""

from __future__ import annotations

import importlib.util
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot.cel import RuleSet, UInt


def _load(name: str) -> Any:
    """A module beside this file, which pytest's import mode does not put on the path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_expressions = _load("_expressions")

ACTIONS = [
    {"kind": "refund", "risk": 0.7, "level": 3, "manual": True, "region": "eu", "queues": ["a", "b"]},
    {"kind": "credit", "risk": 0.2, "level": 1, "manual": False, "region": None, "queues": []},
    {"kind": "replace", "risk": 0.5, "level": 2, "manual": False, "queues": ["b"]},
    {"kind": "refund", "risk": 0.9, "manual": True, "region": "us", "level": 5},
]
TASK = {"tier": "gold", "amount": 120.0, "region": "eu", "allowed": ["refund", "replace"]}
#: A condition, and the same in plain Python over present fields (KeyError = the condition fails).
RULES: list[tuple[str, Callable[[dict[str, Any], dict[str, Any]], bool]]] = [
    ("action.risk > 0.4", lambda t, a: a["risk"] > 0.4),
    ("action.kind in task.allowed && action.level < 3", lambda t, a: a["kind"] in t["allowed"] and a["level"] < 3),
    ("has(action.region) && action.region == task.region", lambda t, a: "region" in a and a["region"] == t["region"]),
    ("action.region == task.region", lambda t, a: a["region"] == t["region"]),
    ("action.risk * 100.0 + task.amount > 150.0", lambda t, a: a["risk"] * 100 + t["amount"] > 150),
    ("task.tier == 'gold' && !action.manual", lambda t, a: not a["manual"]),
    ("action.kind.startsWith('re') || action.level > 4", lambda t, a: a["kind"].startswith("re") or a["level"] > 4),
    ("'b' in action.queues", lambda t, a: "b" in a["queues"]),
    ("action.kind.matches('^re.*d$')", lambda t, a: a["kind"] == "refund"),
    ("action.level % 2 == 1", lambda t, a: a["level"] % 2 == 1),
    ("size(action.queues) >= 1 && action.queues[0] == 'a'", lambda t, a: len(a["queues"]) >= 1 and a["queues"][0] == "a"),
]
VARIABLES = {
    "task.tier": "string",
    "task.amount": "double",
    "task.region": "string",
    "task.allowed": "list(string)",
    "action.kind": "string",
    "action.risk": "double",
    "action.level": "int",
    "action.manual": "bool",
    "action.region": "string",
    "action.queues": "list(string)",
}


def truth_table(rows: list[dict[str, Any]]) -> tuple[list[list[bool]], list[list[bool]]]:
    matched, failed = [], []
    for _, test in RULES:
        answers = []
        for row in rows:
            try:
                answers.append((test(TASK, {k: v for k, v in row.items() if v is not None}), False))
            except KeyError:
                answers.append((False, True))
        matched.append([yes for yes, _ in answers])
        failed.append([wrong for _, wrong in answers])
    return matched, failed


@pytest.mark.parametrize("variables", [None, VARIABLES, {"task": "dyn", "action": "dyn"}], ids=["seen", "declared", "open"])
@pytest.mark.parametrize("form", ["rows", "columns", "json", "pyarrow", "polars"])
@pytest.mark.parametrize("prepared", [True, False])
def test_small_tables(variables: dict[str, str] | None, form: str, prepared: bool) -> None:
    names = list(VARIABLES)
    columns = {n[7:]: [row.get(n[7:]) for row in ACTIONS] for n in names if n.startswith("action.")}
    table: object = {"rows": ACTIONS, "columns": columns, "json": json.dumps(ACTIONS).encode()}.get(form)
    if form == "pyarrow":
        table = pytest.importorskip("pyarrow").Table.from_pylist(ACTIONS)
    if form == "polars":
        table = pytest.importorskip("polars").DataFrame(ACTIONS)
    rules = RuleSet([source for source, _ in RULES], variables)
    given = rules.prepare({"action": table}) if prepared else {"action": table}
    for _ in range(2):
        found = rules.evaluate({"task": TASK}, given)
        assert found.matched.dtype == found.failed.dtype == np.bool_
        assert found.matched.shape == found.failed.shape == (len(RULES), len(ACTIONS))
        matched, failed = truth_table(ACTIONS)
        assert found.matched.tolist() == matched
        assert found.failed.tolist() == failed


@pytest.mark.parametrize("index", [[3, 0, 0, 2], [], list(range(4)), np.array([1, 2], np.uint32)])
def test_rows_may_be_picked(index: Any) -> None:
    rules = RuleSet([source for source, _ in RULES])
    catalogue = rules.prepare({"action": ACTIONS})
    assert len(catalogue) == 4
    matched, failed = truth_table([ACTIONS[i] for i in index])
    for given in (catalogue, {"action": catalogue}, {"action": ACTIONS}):
        found = rules.evaluate({"task": TASK}, given, index)
        assert found.matched.tolist() == matched
        assert found.failed.tolist() == failed


def test_candidates_have_fields_of_their_own() -> None:
    rules = RuleSet(["candidate.age < 5 && action.risk > 0.4", "candidate.age > task.limit"])
    ages = [{"age": 1}, {"age": 9}, {}]
    found = rules.evaluate({"task": {"limit": 3}}, {"action": ACTIONS, "candidate": ages}, [0, 0, 3])
    assert found.matched.tolist() == [[True, False, False], [False, True, False]]
    assert found.failed.tolist() == [[False, False, True], [False, False, True]]
    alone = RuleSet(["candidate.age > 4"]).evaluate({}, {"candidate": ages})
    assert alone.matched.tolist() == [[False, True, False]]
    with pytest.raises(op.SchemaError) as caught:
        rules.evaluate({"task": {}}, {"action": ACTIONS, "candidate": ages})
    assert caught.value.code == "schema.shape"


@pytest.mark.parametrize(
    ("source", "rows", "task", "matched", "failed"),
    [
        # Not a number is a number; infinities too.
        ("action.x > 1.0", [{"x": float("nan")}, {"x": float("inf")}, {"x": 1.0}], {}, [0, 1, 0], [0, 0, 0]),
        ("action.x != action.x", [{"x": float("nan")}, {"x": 2.0}], {}, [1, 0], [0, 0]),
        # Values of two types in one column keep their types.
        ("action.x + 1 > 3", [{"x": 5}, {"x": 2.5}, {"x": 1}], {}, [1, 0, 0], [0, 1, 0]),
        ("action.x == 'a'", [{"x": 5}, {"x": "a"}, {}], {}, [0, 1, 0], [0, 0, 1]),
        ("action.x > 2", [{"x": 3}, {"x": 2.5}, {"x": UInt(7)}, {"x": "7"}], {}, [1, 1, 1, 0], [0, 0, 0, 1]),
        # No columns: maps, lists of numbers, lists of maps, unsigned numbers, durations, bytes.
        ("action.m.a > 1", [{"m": {"a": 2}}, {"m": {"a": 0}}, {"m": {}}, {}], {}, [1, 0, 0, 0], [0, 0, 1, 1]),
        ("action.l.exists(i, i > 2)", [{"l": [1, 2, 3]}, {"l": [1]}, {"l": []}], {}, [1, 0, 0], [0, 0, 0]),
        ("action.l[0].a == task.a", [{"l": [{"a": 1}]}, {"l": [{"a": 2}]}, {"l": []}], {"a": 1}, [1, 0, 0], [0, 0, 1]),
        ("action.u + 1u == 8u", [{"u": UInt(7)}, {"u": UInt(0)}, {"u": UInt(2**64 - 1)}], {}, [1, 0, 0], [0, 0, 1]),
        ("action.d < duration('1h')", [{"d": timedelta(minutes=5)}, {"d": timedelta(days=1)}], {}, [1, 0], [0, 0]),
        ("action.b == b'x'", [{"b": b"x"}, {"b": b"y"}], {}, [1, 0], [0, 0]),
        # A record as a whole, and by index.
        ("size(action) == 2", [{"a": 1, "b": 2}, {"a": 1, "b": None}], {}, [1, 0], [0, 0]),
        ("action['a'] == 1 && task['x'] == 'y'", [{"a": 1}, {"a": 2}], {"x": "y"}, [1, 0], [0, 0]),
        # The identifiers that every schema has are of any type here.
        ("action.id > 3", [{"id": 5}, {"id": 2}, {}], {}, [1, 0, 0], [0, 0, 1]),
        ("action.id == task.id", [{"id": "a"}, {"id": "b"}], {"id": "a"}, [1, 0], [0, 0]),
        ("task.client == 7 && action.id == 'a'", [{"id": "a"}, {"id": "b"}], {"client": 7}, [1, 0], [0, 0]),
        # Times.
        ("action.t < task.now", [{"t": datetime(2026, 1, 1, tzinfo=UTC)}], {"now": datetime(2026, 1, 2, tzinfo=UTC)}, [1], [0]),
        # No bool is no match.
        ("action.x", [{"x": 1}, {"x": True}, {"x": False}], {}, [0, 1, 0], [1, 0, 0]),
        ("task.x", [{}, {}], {"x": 3}, [0, 0], [1, 1]),
        # Errors are absorbed where the rest decides.
        ("action.x > 1 || action.y", [{"y": True}, {"y": False}, {"x": 2}], {}, [1, 0, 1], [0, 1, 0]),
        ("1 / action.x > 0 && action.y", [{"x": 0, "y": False}, {"x": 0, "y": True}], {}, [0, 0], [0, 1]),
        ("action.x + 9223372036854775807 > 0", [{"x": 0}, {"x": 1}], {}, [1, 0], [0, 1]),
        ("now > timestamp('2020-01-01T00:00:00Z')", [{}], {}, [0], [1]),
    ],
)
def test_every_value_has_its_meaning(
    source: str, rows: list[dict[str, Any]], task: dict[str, Any], matched: list[int], failed: list[int]
) -> None:
    rules = RuleSet([source])
    for given in ({"action": rows}, rules.prepare({"action": rows})):
        found = rules.evaluate({"task": task}, given)
        assert found.matched.astype(int).tolist() == [matched]
        assert found.failed.astype(int).tolist() == [failed]


def test_types_may_change_from_call_to_call() -> None:
    rules = RuleSet(["action.x > task.x", "action.x + 1 == 4"])
    catalogue = rules.prepare({"action": [{"x": 3}, {"x": 1}]})
    for limit, over in ((2, [True, False]), (0.5, [True, True]), (UInt(3), [False, False]), (2, [True, False])):
        found = rules.evaluate({"task": {"x": limit}}, catalogue)
        assert found.matched.tolist() == [over, [True, False]]
        assert not found.failed.any()
    assert rules.evaluate({"task": {}}, catalogue).failed.tolist() == [[True, True], [False, False]]
    doubles = rules.evaluate({"task": {"x": 2}}, {"action": [{"x": 3.0}]})
    assert doubles.matched.tolist() == [[True], [False]]
    assert doubles.failed.tolist() == [[False], [True]]


def test_other_constants_and_the_time() -> None:
    rules = RuleSet(["action.x > limit", "now - action.t < duration('1h')", "action.x > 0"])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [{"x": 1, "t": now - timedelta(minutes=5)}, {"x": 3, "t": now - timedelta(days=1)}]
    for moment in (now, int(now.timestamp()) * 1_000_000):
        found = rules.evaluate({"limit": 2, "now": moment}, {"action": rows})
        assert found.matched.tolist() == [[False, True], [True, False], [True, True]]
        assert not found.failed.any()
    assert rules.evaluate({}, {"action": rows}).failed.tolist() == [[True] * 2, [True] * 2, [False] * 2]


def test_declared_types_convert() -> None:
    rules = RuleSet(
        ["action.x * 2.0 > task.y", "action.t < timestamp('2026-01-01T00:00:00Z')"],
        {"action.x": "double", "task.y": "double", "action.t": "timestamp"},
    )
    found = rules.evaluate({"task": {"y": 4}}, {"action": [{"x": 3, "t": "2025-12-31T23:00:00-01:30"}, {"x": 1.5, "t": None}]})
    assert found.matched.tolist() == [[True, False], [False, False]]
    assert found.failed.tolist() == [[False, False], [False, True]]
    maps = RuleSet(["task.m.a == action.x"], {"task.m": "map(string, int)", "action.x": "int"})
    assert maps.evaluate({"task": {"m": {"a": 1}}}, {"action": [{"x": 1}, {"x": 2}]}).matched.tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("task", "rows", "code", "where"),
    [
        ({"y": "a"}, [], "schema.wrong_type", "/0/y"),
        ({"y": 2**53 + 1}, [], "schema.wrong_type", "/task/0/y"),
        ({"y": 1.0}, [{"x": 1.0}, {"x": "b"}], "schema.wrong_type", "/1/x"),
        ({"y": 1.0}, [{"t": "yesterday"}], "policy.bad_timestamp", "/action/0/t"),
    ],
)
def test_what_is_not_as_declared_is_refused(task: dict[str, Any], rows: list[dict[str, Any]], code: str, where: str) -> None:
    rules = RuleSet(["action.x > task.y", "action.t < now"], {"action.x": "double", "task.y": "double", "action.t": "timestamp"})
    with pytest.raises(op.Error) as caught:
        rules.evaluate({"task": task, "now": 0}, {"action": rows})
    assert caught.value.code == code
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("sources", "variables", "where", "hint"),
    [
        (["true", "1 +"], None, "expression 1 line 1", ""),
        (["action.x.matches('(')"], None, "expression 0 line 1", ""),
        (["task.amout > 1.0"], {"task.amount": "double"}, "expression 0 line 1 column 6", "amount"),
        (["true", "task.amount > 'a'"], {"task.amount": "double"}, "expression 1 line 1 column 13", ""),
        (["task.m.a + b"], {"task.m": "map(string, int)"}, "expression 0 line 1", ""),
        (["action.x"], {"action.x": "int"}, "expression 0 line 1", "compare"),
        (["true"], {"task.x": "number"}, "variable 'task.x'", "list(string)"),
        (["\ud800"], None, "expression 0", ""),
    ],
)
def test_wrong_conditions_are_refused(sources: list[str], variables: dict[str, str] | None, where: str, hint: str) -> None:
    with pytest.raises(op.PolicyError) as caught:
        RuleSet(sources, variables)
    assert caught.value.where.startswith(where)
    assert caught.value.code.startswith("policy.")
    assert hint in caught.value.hint


RULE = RuleSet(["action.x > task.y"])


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        (lambda: RuleSet("true"), op.UsageError, "usage.expressions"),
        (lambda: RuleSet([1]), op.UsageError, "usage.expressions"),  # type: ignore[list-item]
        (lambda: RULE.prepare({}), op.UsageError, "usage.tables"),
        (lambda: RULE.prepare({"task": []}), op.UsageError, "usage.tables"),
        (lambda: RULE.prepare({"action": 3}), op.UsageError, "usage.rows"),
        (lambda: RULE.prepare({"action": [1]}), op.UsageError, "usage.rows"),
        (lambda: RULE.prepare({"action": [{1: 2}]}), op.UsageError, "usage.rows"),
        (lambda: RULE.prepare({"action": {1: [2]}}), op.UsageError, "usage.rows"),
        (lambda: RULE.prepare({"action": [{"\ud800": 2}]}), op.UsageError, "usage.rows"),
        (lambda: RULE.prepare({"action": {"x": 1}}), op.UsageError, "usage.rows"),
        (lambda: RULE.prepare({"action": {"x": [1], "y": [1, 2]}}), op.SchemaError, "schema.shape"),
        (lambda: RULE.prepare({"action": b"["}), op.SchemaError, "schema.json"),
        (lambda: RULE.prepare({"action": [{"x": object()}]}), op.UsageError, "usage.value"),
        (lambda: RULE.evaluate([], {"action": []}), op.UsageError, "usage.rows"),  # type: ignore[arg-type]
        (lambda: RULE.evaluate({"action": {}}, {"action": []}), op.UsageError, "usage.tables"),
        (lambda: RULE.evaluate({}, {"actions": []}), op.UsageError, "usage.tables"),
        (lambda: RULE.evaluate({}, RuleSet(["true"]).prepare({"action": []})), op.UsageError, "usage.catalogue"),
        (lambda: RULE.evaluate({"task": [{}, {}]}, {"action": []}), op.SchemaError, "schema.not_one_task"),
        (lambda: RULE.evaluate({"task": {"y": object()}}, {"action": []}), op.UsageError, "usage.value"),
        (lambda: RULE.evaluate({}, {"action": [{}]}, [1]), op.SchemaError, "schema.out_of_range"),
        (lambda: RULE.evaluate({}, {"action": [{}]}, [-1]), op.SchemaError, "schema.out_of_range"),
        (lambda: RULE.evaluate({}, {"action": [{}]}, [0.5]), op.SchemaError, "schema.dtype"),
        (lambda: RULE.evaluate({}, {"candidate": [{}]}, [0]), op.UsageError, "usage.tables"),
    ],
)
def test_wrong_calls_are_refused(call: Callable[[], object], error: type[op.Error], code: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert caught.value.code == code


def test_a_catalogue_keeps_its_rules() -> None:
    catalogue = RuleSet(["action.x > 1"]).prepare({"action": [{"x": 2}]})
    rules = catalogue._rules
    assert rules.evaluate({}, catalogue).matched.tolist() == [[True]]
    again = pickle.loads(pickle.dumps(rules))
    assert again.expressions == ["action.x > 1"]
    assert again.evaluate({}, {"action": [{"x": 2}]}).matched.tolist() == [[True]]
    assert "action.x > 1" in rules.describe()
    assert RuleSet.engines()[-1] == "scalar"


@pytest.mark.parametrize("seed", range(12))
def test_columns_and_the_scalar_machine_agree(seed: int) -> None:
    """2,400 random conditions, each for 5 candidates; NaN, extremes and missing fields among the values."""
    make = _expressions.Maker(seed)
    kinds = ["int", "strings", "map", "string", "time", *["bool"] * 15]
    sources = [make.make(kinds[i % 20], 1 + i % 4) for i in range(200)]
    task, rows = make.record("task"), [make.record("action") for _ in range(5)]
    rules = RuleSet(sources)
    found = rules.evaluate({"task": task}, rules.prepare({"action": rows}))
    worked = 0
    for i, source in enumerate(sources):
        one = op.cel.compile(source)
        for j, row in enumerate(rows):
            try:
                value = one.evaluate({"task": task, "action": row})
                wanted = (value is True, not isinstance(value, bool))
            except op.cel.EvaluationError:
                wanted = (False, True)
            worked += not wanted[1]
            assert (bool(found.matched[i, j]), bool(found.failed[i, j])) == wanted, (source, task, row)
    assert worked > 300
