"""Cells of a decision table: the unary tests of S-FEEL as sets of values, and as conditions in CEL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, Literal

Kind = Literal["string", "number", "boolean", "date", "dateTime"]

_KINDS: dict[str, Kind] = {
    "": "string",
    "string": "string",
    "number": "number",
    "integer": "number",
    "long": "number",
    "double": "number",
    "decimal": "number",
    "boolean": "boolean",
    "date": "date",
    "datetime": "dateTime",
    "dateandtime": "dateTime",
}


class CellError(Exception):
    """What cannot be read in a cell."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def kind_of(type_ref: str) -> Kind | None:
    """Kind of a typeRef, whatever its prefix; None for what has no counterpart. Without one values are strings."""
    return _KINDS.get(type_ref.rpartition(":")[2].replace(" ", "").lower())


@dataclass(frozen=True, slots=True)
class Interval:
    """Between two ends; None is without end. Dates and times are seconds since 1970 as fractions."""

    low: Fraction | None
    high: Fraction | None
    has_low: bool
    has_high: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """A set of values. Texts and truths: the named ones, or all others; numbers and times: intervals, or all between them."""

    kind: Kind
    any: bool = False
    inverted: bool = False
    values: frozenset[str | bool] = frozenset()
    intervals: tuple[Interval, ...] = ()
    tests: tuple[tuple[str, Any, Any], ...] = ()  # in CEL: operator, low, high

    def holds(self, value: Any) -> bool:
        if self.any:
            return True
        if self.kind in ("string", "boolean"):
            return (value in self.values) != self.inverted
        return any(_within(value, interval) for interval in self.intervals) != self.inverted

    def condition(self, path: str) -> str | None:
        """None where the cell asks for nothing."""
        if self.any:
            return None
        if self.kind == "boolean":
            parts = [path if value else f"!{path}" for value in sorted(self.values, reverse=True)]
        elif self.kind == "string":
            texts = [_text(value) for value in sorted(map(str, self.values))]
            parts = [f"{path} == {texts[0]}" if len(texts) == 1 else f"{path} in [{', '.join(texts)}]"]
        else:
            parts = [_comparison(path, interval, self.kind) for interval in self.intervals]
        joined = " || ".join(f"({part})" for part in parts)
        return f"!({joined})" if self.inverted else joined


def _within(value: Fraction, interval: Interval) -> bool:
    low, high = interval.low, interval.high
    above = low is None or value > low or (value == low and interval.has_low)
    return above and (high is None or value < high or (value == high and interval.has_high))


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: Fraction, kind: Kind) -> str:
    if kind == "number":
        if value.denominator == 1:
            return str(value.numerator)
        return repr(float(value))
    return f"timestamp('{datetime.fromtimestamp(int(value), UTC):%Y-%m-%dT%H:%M:%S}Z')"


def _comparison(path: str, interval: Interval, kind: Kind) -> str:
    low, high = interval.low, interval.high
    if low is not None and low == high:
        return f"{path} == {_number(low, kind)}"
    parts = []
    if low is not None:
        parts.append(f"{path} {'>=' if interval.has_low else '>'} {_number(low, kind)}")
    if high is not None:
        parts.append(f"{path} {'<=' if interval.has_high else '<'} {_number(high, kind)}")
    return " && ".join(parts)


# ---- reading ----

_STRING = r'"(?:[^"\\]|\\.)*"'
_CALL = rf"(?:date and time|date|time|duration)\s*\(\s*{_STRING}\s*\)|@{_STRING}"
_NUMBER = r"-?(?:\d+(?:\.\d+)?|\.\d+)"
_ENDPOINT = rf"{_CALL}|{_STRING}|{_NUMBER}|true|false"
_TEST = re.compile(
    rf"\s*(?:(?P<operator><=|>=|<|>)\s*(?P<bound>{_ENDPOINT})"
    rf"|(?P<open>[\[\]\(])\s*(?P<low>{_ENDPOINT})\s*\.\.\s*(?P<high>{_ENDPOINT})\s*(?P<close>[\[\]\)])"
    rf"|(?P<value>{_ENDPOINT}))\s*(?P<end>,|$)",
    re.DOTALL,
)
_NOT = re.compile(r"not\s*\((.*)\)\s*", re.DOTALL)


def unary_tests(text: str, kind: Kind) -> Cell:
    """A cell: "-", tests between commas, or not(…) around them. Raises CellError for everything else."""
    text = text.strip()
    if text in ("", "-"):
        return Cell(kind, any=True)
    inverted = False
    if (inner := _NOT.fullmatch(text)) is not None:
        text, inverted = inner[1].strip(), True
    values: set[str | bool] = set()
    intervals: list[Interval] = []
    for test in _tests(text):
        if kind in ("string", "boolean"):
            value = feel_literal(test["value"]) if test["value"] else None
            if not isinstance(value, bool if kind == "boolean" else str):
                raise CellError(f"a {kind} is compared with what is none", "write values of the input's type")
            values.add(value)
        else:
            intervals.append(_interval(test, kind))
    return Cell(kind, inverted=inverted, values=frozenset(values), intervals=tuple(intervals))


def _tests(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while True:
        found = _TEST.match(text, at)
        if found is None:
            raise CellError(
                f"what begins with '{text[at : at + 20].strip()}' is no unary test of S-FEEL",
                'write a literal, <, <=, >, >=, an interval [a..b], a list of them, not(…) or "-"; texts stand in double quotes',
            )
        yield found
        at = found.end()
        if found["end"] != ",":
            return


def _interval(test: re.Match[str], kind: Kind) -> Interval:
    if test["value"] is not None:
        low, high = _span(test["value"], kind)
        return Interval(low, high, True, kind != "date")
    if test["operator"] is not None:
        low, high = _span(test["bound"], kind)
        day = kind == "date"  # a day ends where the next begins
        return {
            "<": Interval(None, low, False, False),
            "<=": Interval(None, high, False, not day),
            ">": Interval(high, None, day, False),
            ">=": Interval(low, None, True, False),
        }[test["operator"]]
    (low, low_end), (high, high_end) = _span(test["low"], kind), _span(test["high"], kind)
    if low > high:
        raise CellError("the interval ends before it begins", "swap its ends")
    closed_low, closed_high = test["open"] == "[", test["close"] == "]"
    if kind == "date":
        made = Interval(low if closed_low else low_end, high_end if closed_high else high, True, False)
    else:
        made = Interval(low, high, closed_low, closed_high)
    assert made.low is not None and made.high is not None
    if made.low > made.high or (made.low == made.high and not (made.has_low and made.has_high)):
        raise CellError("the interval is empty", "close one of its ends")
    return made


def _span(text: str, kind: Kind) -> tuple[Fraction, Fraction]:
    """A number or moment twice; of a date the begin of the day and of the next, in UTC."""
    value = feel_literal(text)
    if kind == "number":
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise CellError("a number is compared with what is none", "write a number")
        number = Fraction(text.strip())
        return number, number
    if isinstance(value, datetime) and kind == "dateTime":
        moment = Fraction(int(value.timestamp()))
        return moment, moment
    if isinstance(value, date) and not isinstance(value, datetime) and kind == "date":
        begin = datetime.combine(value, time(), UTC)
        return Fraction(int(begin.timestamp())), Fraction(int((begin + timedelta(days=1)).timestamp()))
    raise CellError(f"a {kind} is compared with what is none", 'write date("2026-01-31") or date and time("…Z")')


def feel_literal(text: str) -> Any:
    """A literal of FEEL as a value. Times are those of UTC or carry their offset."""
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(_NUMBER, text):
        return float(text) if "." in text else int(text)
    if re.fullmatch(_STRING, text, re.DOTALL):
        return _unquoted(text)
    call = re.fullmatch(rf"(?:(date and time|date|time|duration)\s*\(\s*({_STRING})\s*\)|@({_STRING}))", text, re.DOTALL)
    if call is None:
        raise CellError("no literal", "texts stand in double quotes; expressions cannot be read")
    content = _unquoted(call[2] or call[3])
    what = call[1] or ("date and time" if "T" in content else "date")
    if what in ("time", "duration"):
        raise CellError(f"a {what} has no counterpart among the types of fields", "compare a date or a date and time")
    try:
        if what == "date":
            return date.fromisoformat(content)
        moment = datetime.fromisoformat(content)
    except ValueError:
        raise CellError(f"'{content}' is no {what}", "write it as ISO 8601 does") from None
    if moment.tzinfo is None:
        raise CellError("a date and time without an offset", "write its offset, such as Z or +02:00")
    if moment.microsecond:
        raise CellError("a fraction of a second", "write whole seconds")
    return moment


def _unquoted(text: str) -> str:
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        raise CellError("an escape that is none", 'write \\" for a quote and \\\\ for a backslash') from None
    return str(value)
