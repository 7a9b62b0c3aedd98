"""CEL, the Common Expression Language, by itself: compile once, evaluate with variables.

    import opspilot as op

    over = op.cel.compile("order.total > limit")
    over.evaluate({"order": {"total": 12.5}, "limit": 10})   # True

    rules = op.cel.RuleSet(["action.risk > task.limit", "action.kind in task.kinds"])
    rules.evaluate({"task": task}, {"action": actions}).matched   # bool, (rules, actions)

Values are None, bool, int (64 bits), ``UInt``, float, str, bytes, list, dict, aware datetime and timedelta, both ways; a type is
a ``Type``, an optional an ``Optional``. Besides the language itself there are the libraries that policies of other systems use:
strings, ``math``, ``optional``, ``base64``, ``cel.bind`` and macros of two variables. Numbers compare by value whatever their
kinds; arithmetic is within one kind, as the specification says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from opspilot import _core
from opspilot._cel_rows import cel_rows
from opspilot._describe import Described
from opspilot._rule_set import RuleCatalogue, RuleMatches, RuleSet
from opspilot.errors import Error, EvaluationError, PolicyError

__all__ = [
    "Columns",
    "EvaluationError",
    "Expression",
    "Optional",
    "Remark",
    "RuleCatalogue",
    "RuleMatches",
    "RuleSet",
    "Type",
    "UInt",
    "compile",
    "evaluate_typed",
    "format",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UInt(int):
    """An unsigned integer of CEL (``7u``), 0 to 2**64 - 1."""

    def __repr__(self) -> str:
        return f"UInt({int(self)})"


class Type(str):
    """A type as a value: ``type(1)`` is ``Type("int")``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Type({str(self)!r})"


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be absent: ``task.?region`` is ``Optional.of("eu")`` or ``Optional.none()``."""

    has_value: bool = False
    value: Any = None

    @classmethod
    def of(cls, value: Any) -> Optional:
        return cls(True, value)

    @classmethod
    def none(cls) -> Optional:
        return cls()

    def or_value(self, otherwise: Any) -> Any:
        return self.value if self.has_value else otherwise

    def __repr__(self) -> str:
        return f"Optional.of({self.value!r})" if self.has_value else "Optional.none()"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something the checker noticed that does not refuse the expression."""

    code: str
    message: str
    where: str
    hint: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Results of an expression over rows.

    ``values``: an Arrow array, null where a row failed or its value is null; without pyarrow an object with ``to_pylist`` that
    Arrow libraries read. ``errors``: row -> why it failed, and where in the expression.
    """

    values: Any
    errors: dict[int, str]


class Expression(Described):
    """A compiled expression. Immutable, shared by any number of threads."""

    def __init__(self, core: _core.Expression, declared: Mapping[str, str] | None, strict: bool, remarks: list[Remark]) -> None:
        self._core = core
        self._declared = dict(declared) if declared is not None else None
        self._strict = strict
        self.remarks = remarks

    def evaluate(self, values: Mapping[str, Any] | None = None) -> Any:
        """The value with these variables; names that the expression does not read are ignored.

        Raises ``EvaluationError`` with line and column where there is no value ("division by zero", a variable that was not
        given), ``UsageError`` for a value that CEL has no kind for.
        """
        return self._core.evaluate(values if isinstance(values, dict) else dict(values or {}))

    def evaluate_columns(self, table: object, constants: Mapping[str, Any] | None = None) -> Columns:
        """The value for each row of a table, whose columns are variables; ``constants`` are the same for all rows.

        A table is anything that speaks Arrow's PyCapsule protocol, a list of mappings, a mapping of columns, or JSON as bytes.
        A null is CEL's null. Raises ``UsageError`` for results that no column holds: maps, types, optionals, lists of lists,
        values of several types.
        """
        rows = cel_rows(table, "table")
        values, errors = _core.evaluate_columns(self._core, rows, dict(constants or {}))
        return Columns(_as_arrow(values), errors)

    @property
    def source(self) -> str:
        return self._core.source

    @property
    def type(self) -> str:
        """The type that the checker found; "dyn" when it was not asked."""
        return self._core.type

    @property
    def variables(self) -> list[str]:
        """Names that the expression may read. Of ``a.b`` undeclared, both ``a.b`` and ``a``: the longest one given counts."""
        return self._core.variables

    def _description(self) -> dict[str, Any]:
        about: dict[str, Any] = {"kind": "CEL expression", "source": self.source, "type": self.type, "variables": self.variables}
        if self.remarks:
            about["remarks"] = [{"code": r.code, "message": r.message, "where": r.where} for r in self.remarks]
        return about

    def __reduce__(self) -> tuple[object, ...]:
        return (compile, (self.source, self._declared, self._strict))


def compile(expression: str, variables: Mapping[str, str] | None = None, strict: bool = False) -> Expression:
    """Compiles an expression.

    ``variables``: name -> CEL type ("int", "list(string)", "map(string, dyn)"). With them names and types are checked now;
    without them everything is dynamic and wrong names and types are errors of the evaluation. ``strict`` checks in any case,
    and refuses what otherwise is only a remark. Raises ``PolicyError`` with line, column and hint.
    """
    _require_utf8(expression)
    core, found = _core.Expression.compile(expression, list((variables or {}).items()), strict or variables is not None)
    remarks = [Remark(**entry) for entry in found]
    if strict and remarks:
        first = remarks[0]
        raise PolicyError(first.message, code=first.code, where=first.where, hint=first.hint)
    return Expression(core, variables, strict, remarks)


def format(expression: str) -> str:
    """The expression with one space around operators, without brackets that change nothing, texts in single quotes where they
    hold the text as it is. It means the same. One with comments stays as it is. Raises ``PolicyError`` for what does not parse.
    """
    _require_utf8(expression)
    return _core.format_condition(expression)


def evaluate_typed(
    expression: str,
    bindings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    container: str = "",
    type_env: Iterable[Mapping[str, Any]] = (),
    disable_check: bool = False,
) -> dict[str, Any]:
    """Compiles, checks and evaluates at once, over values that carry their kind, as CEL's conformance cases do.

    ``bindings``: name -> typed value, ``{"x": {"int": "5"}}``; an optional is ``{"optional": typed}`` or ``{"optional": None}``.
    ``type_env``: declared variables, ``[{"name": "x", "type": "int"}]``; functions cannot be declared and are left out.
    ``container``: prefix under which names are looked up first. Gives ``{"value": typed}`` or ``{"error": text}``, whatever phase
    the error is of, and the "deduced_type" unless ``disable_check``, also when there is no value.
    """
    found: dict[str, Any] = {}
    try:
        _require_utf8(expression)
        declared = [] if disable_check else [(entry["name"], entry["type"]) for entry in type_env if "type" in entry]
        core, _ = _core.Expression.compile(expression, declared, not disable_check, container)
        if not disable_check:
            found["deduced_type"] = core.type
        found["value"] = core.evaluate_typed(dict(bindings or {}))
    except Error as problem:
        found["error"] = str(problem)
    return found


def _as_arrow(values: _core.ValueColumn) -> Any:
    try:
        import pyarrow
    except ImportError:
        return values
    return pyarrow.array(values)


def _require_utf8(expression: str) -> None:
    try:
        expression.encode()
    except UnicodeEncodeError as problem:
        place = f"line {expression.count(chr(10), 0, problem.start) + 1}"
        raise PolicyError(
            "a lone surrogate", code="policy.utf8", where=place, hint="decode the text with its real encoding"
        ) from None


def _timestamp(seconds: int, nanos: int) -> datetime:
    """Nanoseconds are cut to microseconds."""
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)


def _duration(seconds: int, nanos: int) -> timedelta:
    return timedelta(seconds=seconds, microseconds=nanos // 1000)
