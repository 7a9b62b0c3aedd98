"""One expression over the rows of a table: the same values as row by row, in columns of the right type."""

from __future__ import annotations

import builtins
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot.cel import UInt

pyarrow = pytest.importorskip("pyarrow")

ROWS = [
    {"x": 3, "y": 0.5, "s": "größe", "b": b"\x00\xff", "l": ["a", "b"], "t": datetime(2026, 1, 1, tzinfo=UTC), "n": None},
    {"x": 0, "y": float("nan"), "s": "", "b": b"", "l": [], "t": datetime(1969, 12, 31, 23, 59, 59, 5, tzinfo=UTC), "n": None},
    {"x": None, "y": None, "s": None, "b": None, "l": None, "t": None, "n": None},
    {"x": -(2**63), "y": 1e300, "s": "12", "b": b"abc", "l": ["größe"], "t": datetime(9999, 12, 31, tzinfo=UTC), "n": None},
]
TABLE = pyarrow.Table.from_pylist(
    ROWS,
    schema=pyarrow.schema(
        [
            ("x", pyarrow.int64()),
            ("y", pyarrow.float64()),
            ("s", pyarrow.string()),
            ("b", pyarrow.binary()),
            ("l", pyarrow.list_(pyarrow.string())),
            ("t", pyarrow.timestamp("us", "UTC")),
            ("n", pyarrow.null()),
        ]
    ),
)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("x > 1", pyarrow.bool_()),
        ("x + 1", pyarrow.int64()),
        ("10 / x", pyarrow.int64()),
        ("uint(x)", pyarrow.uint64()),
        ("y * 2.0", pyarrow.float64()),
        ("y", pyarrow.float64()),
        ("s + '!'", pyarrow.large_string()),
        ("s", pyarrow.large_string()),
        ("b + b'x'", pyarrow.large_binary()),
        ("t + duration('1h')", pyarrow.timestamp("us", "UTC")),
        ("t - timestamp('2026-01-01T00:00:00Z')", pyarrow.duration("us")),
        ("l", pyarrow.large_list(pyarrow.large_string())),
        ("l.map(i, size(i))", pyarrow.large_list(pyarrow.int64())),
        ("size(l)", pyarrow.int64()),
        ("s in l || x == k", pyarrow.bool_()),
        ("x == null", pyarrow.bool_()),
        ("x == null ? s : 'there'", pyarrow.large_string()),
        ("n", pyarrow.null()),
        ("null", pyarrow.null()),
        ("1 / 0", pyarrow.int64()),
        ("nowhere", pyarrow.null()),
        ("[n, n]", pyarrow.large_list(pyarrow.null())),
        ("has(m.a) && m.a == x", pyarrow.bool_()),
    ],
)
@pytest.mark.parametrize("form", ["arrow", "chunks", "slice", "rows"])
def test_columns_are_what_rows_are(source: str, kind: Any, form: str) -> None:
    table: Any = ROWS if form == "rows" else TABLE
    if form == "chunks":
        table = pyarrow.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])
    if form == "slice":
        table = pyarrow.concat_tables([TABLE, TABLE]).combine_chunks().slice(4)
    constants = {"k": 0, "m": {"a": 3}}
    expression = op.cel.compile(source)
    found = expression.evaluate_columns(table, constants)
    assert found.values.type == kind
    found.values.validate(full=True)
    wanted: list[object] = []
    failed = {}
    for i, row in enumerate(ROWS):
        try:
            wanted.append(expression.evaluate({**constants, **row}))
        except op.cel.EvaluationError as problem:
            wanted.append(None)
            failed[i] = problem
    got = found.values.to_pylist()
    assert [repr(value) for value in got] == [repr(int(v) if isinstance(v, UInt) else v) for v in wanted] or got == wanted
    assert found.errors.keys() == failed.keys()
    for i, problem in failed.items():
        assert problem.message in found.errors[i]
        assert problem.where in found.errors[i]


@pytest.mark.parametrize(
    ("column", "source", "wanted"),
    [
        (pyarrow.array([1, 2, None], pyarrow.int8()), "x + 1", [2, 3, None]),
        (pyarrow.array([1, 2**64 - 1], pyarrow.uint64()), "x == 1 || x == 18446744073709551615u", [True, True]),
        (pyarrow.array([0.5, None], pyarrow.float32()), "x + 0.25", [0.75, None]),
        (pyarrow.array(["a", "b", None, "a"]).dictionary_encode(), "x == 'a'", [True, False, False, True]),
        (pyarrow.array(["a", None], pyarrow.string_view()), "x + 'b'", ["ab", None]),
        (pyarrow.array([b"a"], pyarrow.binary_view()), "x == b'a'", [True]),
        (pyarrow.array([1_500], pyarrow.timestamp("ms")), "x == timestamp('1970-01-01T00:00:01.5Z')", [True]),
        (pyarrow.array([1], pyarrow.timestamp("ns")), "x > timestamp('1970-01-01T00:00:00Z')", [True]),
        (pyarrow.array([-1], pyarrow.timestamp("s")), "x.getSeconds()", [59]),
        (pyarrow.array([1], pyarrow.date32()), "x == timestamp('1970-01-02T00:00:00Z')", [True]),
        (pyarrow.array([-1500], pyarrow.duration("ms")), "x == duration('-1.5s')", [True]),
        (pyarrow.array([[1, 2], []], pyarrow.list_(pyarrow.int16())), "x.exists(i, i == 2)", [True, False]),
        (pyarrow.array([[[1], [2, 3]]]), "x[1][1]", [3]),
        (pyarrow.array([[True, None]]), "x[1] == null", [True]),
    ],
)
def test_arrow_types(column: Any, source: str, wanted: list[object]) -> None:
    found = op.cel.compile(source).evaluate_columns(pyarrow.table({"x": column}))
    assert found.values.to_pylist() == wanted
    nulls = [i for i, given in enumerate(column.is_valid().to_pylist()) if not given and wanted[i] is None]
    assert list(found.errors) == nulls


def test_other_tables() -> None:
    double = op.cel.compile("x * 2", {"x": "int"})
    for table in ({"x": [1, 2]}, {"x": np.array([1, 2])}, json.dumps([{"x": 1}, {"x": 2}]).encode(), [{"x": 1}, {"x": 2}]):
        assert double.evaluate_columns(table).values.to_pylist() == [2, 4]
    polars = pytest.importorskip("polars")
    assert double.evaluate_columns(polars.DataFrame({"x": [1, 2]})).values.to_pylist() == [2, 4]
    assert polars.Series(double.evaluate_columns({"x": [1, 2]}).values).to_list() == [2, 4]
    none = double.evaluate_columns({"x": []})
    assert none.values.type == pyarrow.int64()
    assert len(none.values) == 0
    missing = double.evaluate_columns([{"x": 1}, {}])
    assert missing.values.to_pylist() == [2, None]
    assert list(missing.errors) == [1]
    assert "x" in missing.errors[1]


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pyarrow":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    values = [op.cel.compile(s).evaluate_columns(ROWS).values for s in ("x", "uint(x)", "t", "l", "b", "t - t", "x > 0", "y")]
    monkeypatch.undo()
    for made in values:
        assert len(made) == len(ROWS)
        given = [int(value) if isinstance(value, UInt) else value for value in made.to_pylist()]
        assert str(given).replace("nan", "None") == str(pyarrow.array(made).to_pylist()).replace(
            "zoneinfo.ZoneInfo(key='UTC')", "datetime.timezone.utc"
        ).replace("nan", "None")


@pytest.mark.parametrize(
    ("source", "table", "error", "code", "where"),
    [
        ("{'a': x}", [{"x": 1}], op.UsageError, "usage.column_type", "row 0"),
        ("[[x]]", [{"x": 1}], op.UsageError, "usage.column_type", "row 0"),
        ("type(x)", [{"x": 1}], op.UsageError, "usage.column_type", "row 0"),
        ("optional.of(x)", [{"x": 1}], op.UsageError, "usage.column_type", "row 0"),
        ("x", [{"x": 1}, {"x": 1.5}], op.UsageError, "usage.column_type", "row 1"),
        ("[x, 'a']", [{"x": 1}], op.UsageError, "usage.column_type", "row 0"),
        ("x", {"x": 1}, op.UsageError, "usage.rows", "table"),
        ("x", "x", op.UsageError, "usage.rows", "table"),
        ("x", [{"x": object()}], op.UsageError, "usage.value", "/table/0/x"),
        ("x", [{"x": 1}, {"x": 2**70}], op.UsageError, "usage.value", "/table/1/x"),
        ("x", pyarrow.table({"x": [Decimal("1.5")]}), op.SchemaError, "schema.arrow_type", "/table/0/x"),
        ("x", pyarrow.table({"x": [{"a": 1}]}), op.SchemaError, "schema.arrow_type", "/table/0/x"),
        ("x", pyarrow.array([1]), op.SchemaError, "schema.arrow_type", ""),
        ("x", pyarrow.table([[1], [2]], names=["x", "x"]), op.SchemaError, "schema.duplicate_field", "table"),
    ],
)
def test_what_has_no_columns_is_refused(source: str, table: object, error: type[op.Error], code: str, where: str) -> None:
    with pytest.raises(error) as caught:
        op.cel.compile(source).evaluate_columns(table)
    assert caught.value.code == code
    assert caught.value.where == where
    assert caught.value.message


def test_only_columns_that_are_read_are_opened() -> None:
    table = pyarrow.table({"x": [1], "strange": [Decimal("1.5")]})
    assert op.cel.compile("x").evaluate_columns(table).values.to_pylist() == [1]
    rules = op.cel.RuleSet(["action.x == 1"])
    assert rules.evaluate({}, {"action": table}).matched.tolist() == [[True]]


def test_timedeltas_and_long_columns() -> None:
    spans = [timedelta(days=i, microseconds=i) for i in range(-3, 4)]
    found = op.cel.compile("d + d").evaluate_columns([{"d": d} for d in spans])
    assert found.values.to_pylist() == [d + d for d in spans]
    many = op.cel.compile("x % 7 == 0 ? x / (x % 2) : x").evaluate_columns(pyarrow.table({"x": np.arange(20_000)}))
    wanted = [None if i % 7 == 0 and i % 2 == 0 else i for i in range(20_000)]
    assert many.values.to_pylist() == wanted
    assert list(many.errors) == [i for i, value in enumerate(wanted) if value is None]
    assert many.errors[0].startswith("division by zero (line 1 column")
