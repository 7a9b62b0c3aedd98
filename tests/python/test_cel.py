"""CEL expressions by themselves: values both ways, errors with their place, against Python's own arithmetic."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import opspilot as op
from opspilot.cel import Optional, Type, UInt


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("1 + 2 * 3", {}, 7),
        ("x > 0.5 && name.startsWith('re')", {"x": 1, "name": "refund"}, True),
        ("'fraud' in tags", {"tags": ["vip", "fraud"]}, True),
        ("order.total / 4.0", {"order": {"total": 10.0}}, 2.5),
        ("has(m.x) ? m.x : -1", {"m": {}}, -1),
        ("[1, 2, 3].exists(i, i > 2)", {}, True),
        ("[1, 2, 3].map(i, i * i)", {}, [1, 4, 9]),
        ("{'a': 1, 'b': [true, null]}", {}, {"a": 1, "b": [True, None]}),
        ("size('größe')", {}, 5),
        ("size(b)", {"b": b"\xff\x00"}, 2),
        ("7u + 1u", {}, UInt(8)),
        ("x", {"x": UInt(2**64 - 1)}, UInt(2**64 - 1)),
        ("type(1)", {}, Type("int")),
        ("1 == 1.0 && 1u == 1", {}, True),
        ("9007199254740993 == 9007199254740992.0", {}, False),
        ("false && missing", {}, False),
        ("true || 1 / 0 > 1", {}, True),
        ("t + duration('90m')", {"t": datetime(2026, 1, 31, 23, tzinfo=UTC)}, datetime(2026, 2, 1, 0, 30, tzinfo=UTC)),
        ("a - b", {"a": datetime(2026, 1, 2, tzinfo=UTC), "b": datetime(2026, 1, 1, tzinfo=UTC)}, timedelta(days=1)),
        ("t == timestamp('2026-01-01T00:00:00Z')", {"t": datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))}, True),
        ("d", {"d": timedelta(microseconds=-1)}, timedelta(microseconds=-1)),
        ("x + 1.0", {"x": np.float64(0.5)}, 1.5),
        ("n + 1", {"n": np.int32(4)}, 5),
        ("size(a)", {"a": np.arange(4)}, 4),
        ("b", {"b": np.bool_(True)}, True),
    ],
)
def test_values(source: str, values: dict[str, Any], expected: Any) -> None:
    found = op.cel.compile(source).evaluate(values)
    assert found == expected
    assert type(found) is type(expected)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(min_value=datetime(1700, 1, 1), timezones=st.just(UTC))
    | st.timedeltas(timedelta(days=-(10**5)), timedelta(days=10**5)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(-5, 5), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_values_come_back_as_they_went_in(value: Any) -> None:
    assert op.cel.compile("x").evaluate({"x": value}) == value
    assert op.cel.compile("x == y").evaluate({"x": value, "y": value}) is True


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.sampled_from(["+", "-", "*", "/", "%"]))
def test_integer_arithmetic_is_exact_or_an_error(a: int, b: int, operator: str) -> None:
    expression = op.cel.compile(f"a {operator} b")
    if b == 0 and operator in "/%":
        exact = None
    elif operator == "/":
        exact = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    elif operator == "%":
        exact = abs(a) % abs(b) * (1 if a >= 0 else -1) if not (a == -(2**63) and b == -1) else None
    else:
        exact = {"+": a + b, "-": a - b, "*": a * b}[operator]
    if exact is None or not -(2**63) <= exact < 2**63:
        with pytest.raises(op.cel.EvaluationError):
            expression.evaluate({"a": a, "b": b})
    else:
        assert expression.evaluate({"a": a, "b": b}) == exact


@given(st.text(), st.text())
def test_texts_are_those_of_python(a: str, b: str) -> None:
    found = op.cel.compile("[a + b, a.contains(b), a.startsWith(b), a.endsWith(b), a < b, size(a) == n]").evaluate(
        {"a": a, "b": b, "n": len(a)}
    )
    assert found == [a + b, b in a, a.startswith(b), a.endswith(b), [*map(ord, a)] < [*map(ord, b)], True]


@pytest.mark.parametrize(
    ("source", "values", "message", "where"),
    [
        ("1 / x", {"x": 0}, "division by zero", "line 1 column 3"),
        ("a +\n b", {"a": 1}, "b", "line 2 column 2"),
        ("m.x", {"m": {}}, "x", "line 1"),
        ("[1][3]", {}, "index", "line 1"),
        ("int('x')", {}, "", "line 1"),
        ("x + 1", {"x": 1.5}, "", "line 1 column 3"),
        ("9223372036854775807 + x", {"x": 1}, "overflow", "line 1 column 21"),
    ],
)
def test_no_value_is_an_error_with_its_place(source: str, values: dict[str, Any], message: str, where: str) -> None:
    with pytest.raises(op.cel.EvaluationError) as caught:
        op.cel.compile(source).evaluate(values)
    assert isinstance(caught.value, op.PolicyError)
    assert caught.value.code == "policy.evaluation"
    assert message in caught.value.message
    assert caught.value.where.startswith(where)


@pytest.mark.parametrize("source", ["", "1 +", "a b", "'open", "f(", "1 + 2)", "a.b.", "[1,", "\ud800"])
def test_what_is_no_expression_is_refused(source: str) -> None:
    with pytest.raises(op.PolicyError) as caught:
        op.cel.compile(source)
    assert caught.value.where.startswith("line ")


def test_declared_variables_are_checked() -> None:
    assert op.cel.compile("x + 1", {"x": "int"}).type == "int"
    assert op.cel.compile("names.map(n, size(n))", {"names": "list(string)"}).type == "list(int)"
    with pytest.raises(op.PolicyError) as caught:
        op.cel.compile("x + 'a'", {"x": "int"})
    assert caught.value.where == "line 1 column 3"
    with pytest.raises(op.PolicyError) as caught:
        op.cel.compile("amout > 3", {"amount": "int"})
    assert "amount" in caught.value.hint
    with pytest.raises(op.PolicyError):
        op.cel.compile("x", {"x": "number"})
    op.cel.compile("x + 'a'")  # found out when it is evaluated
    with pytest.raises(op.PolicyError):
        op.cel.compile("x + 'a'", strict=True)


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63) - 1,
        UInt(-1),
        UInt(2**64),
        object(),
        1j,
        {1.5: 1},
        {None: 1},
        "\ud800",
        datetime(2026, 1, 1),
        timedelta.max,
    ],
)
def test_values_without_a_kind_are_refused(value: Any) -> None:
    with pytest.raises(op.UsageError) as caught:
        op.cel.compile("x").evaluate({"x": value})
    assert caught.value.where in {"variable 'x'", "now"}


def test_optionals_go_both_ways() -> None:
    assert op.cel.compile("m.?a").evaluate({"m": {"a": 1}}) == Optional.of(1)
    assert op.cel.compile("m.?b").evaluate({"m": {"a": 1}}) == Optional.none()
    pair = op.cel.compile("[o.orValue('x'), p.orValue('x')]").evaluate({"o": Optional.of("y"), "p": Optional.none()})
    assert pair == ["y", "x"]
    assert Optional.of(None) != Optional.none()
    assert (Optional.of(1).or_value(2), Optional.none().or_value(2)) == (1, 2)
    assert (repr(Optional.of("a")), repr(Optional.none())) == ("Optional.of('a')", "Optional.none()")


def test_typed_values_and_errors_of_any_phase() -> None:
    evaluate = op.cel.evaluate_typed
    assert evaluate("x + 1", {"x": {"int": "5"}}, type_env=[{"name": "x", "type": "int"}]) == {
        "value": {"int": "6"},
        "deduced_type": "int",
    }
    assert evaluate("y", {"a.y": {"uint": "7"}}, container="a", disable_check=True) == {"value": {"uint": "7"}}
    for value in ({"optional": {"list": [{"null": None}]}}, {"optional": None}, {"bytes": "/w=="}, {"double": "-Infinity"}):
        assert evaluate("x", {"x": value}, disable_check=True) == {"value": value}
    refused = evaluate("x + 1")
    assert set(refused) == {"error"} and "unknown name 'x'" in refused["error"]
    failed = evaluate("1 / 0")
    assert failed["deduced_type"] == "int" and "division by zero" in failed["error"]
    for wrong in ({"int": "9223372036854775808"}, {"int": 5}, {"list": 1}, {"bytes": "a"}, {"enum": {}}, {}, 5, {"map": [[1]]}):
        assert set(evaluate("x", {"x": wrong}, disable_check=True)) == {"error"}, wrong
    assert "error" in evaluate("'\ud800'")


def test_results_that_stand_for_too_much_are_refused() -> None:
    shared = "s" + ".map(x, [x, x])" * 60
    with pytest.raises(op.Error) as caught:
        op.cel.compile(shared).evaluate({"s": [1]})
    assert caught.value.code == "limit.cel_values"


def test_endless_things_end() -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(op.UsageError):
        op.cel.compile("x").evaluate({"x": nested})
    many = list(range(3000))
    with pytest.raises(op.cel.EvaluationError):
        op.cel.compile("x.all(a, x.all(b, x.all(c, a + b + c >= 0)))").evaluate({"x": many})
    with pytest.raises(op.PolicyError):
        op.cel.compile("(" * 10_000 + "1" + ")" * 10_000)


def test_an_expression_describes_itself_and_survives_pickling() -> None:
    e = op.cel.compile("order.total > limit", {"order": "map(string, double)", "limit": "double"})
    assert json.loads(e.describe("json")) == {
        "kind": "CEL expression",
        "source": "order.total > limit",
        "type": "bool",
        "variables": ["order", "limit"],
    }
    assert "<table>" in e._repr_html_()
    again = pickle.loads(pickle.dumps(e))
    assert again.evaluate({"order": {"total": 2.0}, "limit": 1.0}) is True
    assert repr(UInt(3)) == "UInt(3)"
    assert op.cel.compile("a.b").evaluate({"a.b": 5}) == 5
