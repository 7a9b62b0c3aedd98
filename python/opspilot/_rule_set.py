"""Many conditions over many candidates at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._arrays import positions
from opspilot._cel_rows import cel_rows
from opspilot._describe import Described
from opspilot._rows import microseconds
from opspilot.errors import PolicyError, SchemaError, UsageError
from opspilot.policy import _IMPLICIT, _NAMES, _ROLES, _TYPES, Types, _schema_of

Flags = npt.NDArray[np.bool_]

#: CEL types that columns hold, as schemas name them.
_COLUMNS = {
    "bool": "bool",
    "int": "int",
    "double": "double",
    "string": "string",
    "timestamp": "timestamp",
    "google.protobuf.Timestamp": "timestamp",
    "list(string)": "list<string>",
}
_TABLES = ("action", "candidate")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_NAME = 64
_MOST_PLANS = 64


@dataclass(frozen=True, slots=True)
class RuleMatches:
    """Per rule and candidate: where the condition holds, and where it could not be evaluated or is no bool. Where it failed it
    does not hold."""

    matched: Flags
    failed: Flags


@dataclass(frozen=True, slots=True)
class _Plan:
    """The rules for one set of types: which of them columns can answer, and which the scalar machine must."""

    core: _core.ConditionSet
    machine: list[int]
    #: Fields, by role, that every schema declares as texts and that are something else here: columns do not hold them.
    without: Mapping[str, list[str]]


class RuleCatalogue:
    """A table of actions with what the rules say about each of them alone. Made by ``RuleSet.prepare``; keeps its rule set."""

    def __init__(self, rules: RuleSet, rows: _core.CelRows, contents: Mapping[str, str]) -> None:
        self._rules = rules
        self._rows = rows
        self._contents = contents
        self._made: dict[int, tuple[_Plan, _core.ConditionCatalogue]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def _for(self, plan: _Plan, ready: bool) -> _core.ConditionCatalogue:
        found = self._made.get(id(plan))
        if found is not None:
            return found[1]
        made = plan.core.prepare(self._rows, len(self._rows), ready, plan.without["action"])
        if len(self._made) >= _MOST_PLANS:
            self._made.clear()
        self._made[id(plan)] = (plan, made)  # the plan too, so that no other gets its id
        return made


class RuleSet(Described):
    """CEL conditions over ``task.x``, ``action.x`` and ``candidate.x``, evaluated for all candidates at once.

    ``variables``: name -> CEL type, ``{"task.amount": "double", "action.tags": "list(string)"}``. With them names and types are
    checked now, whole numbers are taken for doubles and RFC 3339 texts for timestamps where so declared, and other values are
    refused. A record may be left open: ``{"task": "dyn"}``. Without ``variables`` every value has the type that it comes with,
    and what does not fit is an error of the evaluation. Raises ``PolicyError`` with the expression's number, line and column.

    None, and null in Arrow data, is a missing field; NaN is a number. What columns cannot hold (maps, lists of other things
    than texts, fields of several types, unsigned numbers, …) is evaluated candidate by candidate, with the same meaning.
    """

    def __init__(self, expressions: Iterable[str], variables: Mapping[str, str] | None = None) -> None:
        if isinstance(expressions, (str, bytes)):
            raise UsageError("expressions is a text", code="usage.expressions", hint="give a list of expressions")
        self._sources = list(expressions)
        self._declared = dict(variables) if variables is not None else None
        self._plain = [_compiled(i, source) for i, source in enumerate(self._sources)]
        self._reads = [_reads(source, one.variables) for source, one in zip(self._sources, self._plain, strict=True)]
        self._mentioned = sorted({field for fields in self._reads for field in fields if len(field[1]) <= _LONGEST_NAME})
        self._fields: dict[str, dict[str, str]] = {role: {} for role in _ROLES}
        self._open = set(_ROLES)
        self._known: Types = {}
        self._guessed: Types = {}
        self._now = any("now" in one.variables for one in self._plain)
        self._settled: dict[bool, _Plan] = {}
        self._plans: dict[tuple[frozenset[tuple[tuple[str, str], str]], bool], _Plan] = {}
        if variables is not None:
            self._declare(variables)

    def prepare(self, tables: Mapping[str, object]) -> RuleCatalogue:
        """Computes what reads the action alone for every row of ``{"action": table}``, so that evaluations need not.

        A table is anything that speaks Arrow's PyCapsule protocol, a list of mappings, a mapping of columns, or JSON as bytes.
        Types that are neither declared nor seen before are known with the first evaluation, which then does it.
        """
        _only(tables, ("action",), "prepare takes the table 'action'")
        made = self._catalogue(tables["action"])
        types = {("action", name): content for name, content in made._contents.items()}
        for role, name in self._mentioned:
            if role == "action":
                continue
            content = _COLUMNS.get(self._fields[role].get(name, ""), "") or self._known.get((role, name), "null")
            types[role, name] = content
        if "null" not in [types[field] for field in self._mentioned if field[0] != "action"]:
            made._for(self._plan(types, True), True)
        return made

    def evaluate(
        self,
        constants: Mapping[str, Any],
        candidates: RuleCatalogue | Mapping[str, object],
        index: npt.ArrayLike | None = None,
    ) -> RuleMatches:
        """What each rule says about each candidate.

        ``constants``: what is the same for all, ``{"task": {...}}``; ``now`` may be there too, as an aware datetime or integer
        microseconds. ``candidates``: a prepared catalogue, or ``{"action": table or catalogue, "candidate": table}``. ``index``:
        which rows of the actions the candidates are, else all in order.
        """
        given = {"action": candidates} if isinstance(candidates, RuleCatalogue) else candidates
        _only(given, _TABLES, "candidates come as tables 'action' and 'candidate'")
        constants = _mapping(constants, "constants")
        for name in _TABLES:
            if name in constants:
                raise UsageError(f"'{name}' among the constants", code="usage.tables", where=name, hint="give it as a table")
        action = given.get("action")
        ready = isinstance(action, RuleCatalogue)
        catalogue = action if isinstance(action, RuleCatalogue) else self._catalogue(action) if action is not None else None
        if catalogue is not None and catalogue._rules is not self:
            raise UsageError("a catalogue of other rules", code="usage.catalogue", where="action", hint="prepare it with these")
        pairs = cel_rows(given["candidate"], "candidate", self._fields["candidate"]) if "candidate" in given else None
        picked, count = _picked(index, catalogue, pairs)
        task = self._task(constants["task"]) if "task" in constants else None
        now = "now" in constants
        now_us = microseconds(constants["now"]) if now else 0

        plan = self._settled.get(now or not self._now)
        if plan is None:
            types: Types = {}
            rows = {"task": task, "candidate": pairs}
            for role, name in self._mentioned:
                if role == "action":
                    types[role, name] = catalogue._contents[name] if catalogue is not None else "null"
                else:
                    types[role, name] = self._content(rows[role], role, name)
            plan = self._plan(types, now)
            if not any(role in self._open and name not in self._fields[role] for role, name in self._mentioned):
                self._settled[now or not self._now] = plan  # all is declared: no values tell another type
        prepared = catalogue._for(plan, ready) if catalogue is not None else plan.core.prepare(None, count, False, [])
        matched, failed = prepared.evaluate(task, pairs, picked, count, now_us, plan.without["task"])
        if plan.machine:
            others = {name: value for name, value in constants.items() if name not in ("task", "now")}
            if now:
                others["now"] = _EPOCH + timedelta(microseconds=now_us)
            records: list[tuple[str, _core.CelRows | None, int]] = [
                ("task", task, 0),
                ("action", catalogue._rows if catalogue is not None else None, 1),
                ("candidate", pairs, 2),
            ]
            matched[plan.machine], failed[plan.machine] = _core.evaluate_conditions(
                [self._plain[i] for i in plan.machine],
                others,
                [(name, found, how) for name, found, how in records if found is not None],
                picked,
                count,
            )
        return RuleMatches(matched, failed)

    @staticmethod
    def engines() -> list[str]:
        """Names of the engines that this machine can run, best first; the first one is used. All give the same."""
        return _core.ConditionSet.engines()

    @property
    def expressions(self) -> list[str]:
        return list(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    # ---- types ----

    def _declare(self, variables: Mapping[str, str]) -> None:
        _core.Expression.compile("true", list(variables.items()), True)  # refuses what is no type
        self._open = set()
        others: dict[str, str] = {}
        for name, kind in variables.items():
            role, _, field = name.partition(".")
            if role in _ROLES and field:
                self._fields[role][field] = kind
            elif role in _ROLES:
                self._open.add(role)
            elif name != "now":
                others[name] = kind
        types = {(role, name): _COLUMNS[kind] for role in _ROLES for name, kind in self._fields[role].items() if kind in _COLUMNS}
        _, refused = _core.ConditionSet.compile(self._sources, _schema_of(_sound(types)))
        records = [(role, "map(string, dyn)") for role in _ROLES if role in self._open or self._fields[role]]
        for i, code, message, where, hint in refused:
            bound = set(self._plain[i].variables)
            columns = (
                all(field in types for field in self._reads[i] if field[1] in self._fields[field[0]])
                and not (bound | {role for role, _ in self._reads[i]}) & self._open
                and not bound & set(others)
            )
            if columns:
                raise PolicyError(message, code=code, where=where, hint=hint)
            _compiled(i, self._sources[i], [*records, *others.items(), ("now", "timestamp")], check=True)

    def _catalogue(self, table: object) -> RuleCatalogue:
        if isinstance(table, RuleCatalogue):
            raise UsageError("a catalogue where a table belongs", code="usage.tables", where="action", hint="give the table")
        rows = cel_rows(table, "action", self._fields["action"])
        contents = {name: self._content(rows, role, name) for role, name in self._mentioned if role == "action"}
        return RuleCatalogue(self, rows, contents)

    def _task(self, task: object) -> _core.CelRows:
        if isinstance(task, dict):
            return _core.CelRows([task], "task", self._fields["task"])
        rows = cel_rows([task] if isinstance(task, Mapping) else task, "task", self._fields["task"])
        if len(rows) != 1:
            raise SchemaError(f"{len(rows)} tasks", code="schema.not_one_task", where="/task", hint="evaluate one task at a time")
        return rows

    def _content(self, rows: _core.CelRows | None, role: str, name: str) -> str:
        """The field type of a column; '' where columns cannot hold it, 'null' where nothing tells."""
        declared = self._fields[role].get(name)
        if declared is not None:
            return _COLUMNS.get(declared, "")
        if role not in self._open:
            return "null"
        found = rows.content(name) if rows is not None else "null"
        if found == "null":
            return self._known.get((role, name), "null")
        if found:
            self._known[role, name] = found
        return found

    def _plan(self, types: Types, now: bool) -> _Plan:
        key = (frozenset(types.items()), now or not self._now)
        found = self._plans.get(key)
        if found is not None:
            return found
        known = {field: kind for field, kind in types.items() if kind not in ("", "null")}
        known |= {field: self._guess(known, field) for field, kind in types.items() if kind == "null"}
        core, refused = _core.ConditionSet.compile(self._sources, _schema_of(_sound(known)))
        machine = {entry[0] for entry in refused}
        strange = {(role, name) for role, name in types if name in _IMPLICIT[role] and known.get((role, name)) != "string"}
        for i, fields in enumerate(self._reads):
            if fields & strange or (not now and "now" in self._plain[i].variables):
                machine.add(i)
        plan = _Plan(core, sorted(machine), {role: [name for of, name in strange if of == role] for role in _ROLES})
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        self._plans[key] = plan
        return plan

    def _guess(self, known: Types, field: tuple[str, str]) -> str:
        """A type for a field that nobody has a value of: one that the checker finds the fewest errors with."""
        if field[1] in _IMPLICIT[field[0]]:
            return "string"
        if field not in self._guessed:
            sources = [source for source, fields in zip(self._sources, self._reads, strict=True) if field in fields]

            def errors(kind: str) -> int:
                return len(_core.ConditionSet.compile(sources, _schema_of(_sound(known | {field: kind})))[1])

            self._guessed[field] = min(_TYPES, key=errors)
        return self._guessed[field]

    def _description(self) -> dict[str, Any]:
        about: dict[str, Any] = {"kind": "CEL rules", "rules": len(self), "expressions": self.expressions}
        if self._declared is not None:
            about["variables"] = dict(self._declared)
        return about

    def __reduce__(self) -> tuple[object, ...]:
        return (RuleSet, (self._sources, self._declared))


def _compiled(index: int, source: object, variables: Iterable[tuple[str, str]] = (), check: bool = False) -> _core.Expression:
    if not isinstance(source, str):
        raise UsageError(
            f"expression {index} is a {type(source).__name__}", code="usage.expressions", hint="expressions are texts"
        )
    try:
        source.encode()
    except UnicodeEncodeError:
        raise PolicyError(
            "a lone surrogate", code="policy.utf8", where=f"expression {index}", hint="decode the text with its real encoding"
        ) from None
    try:
        return _core.Expression.compile(source, list(variables), check)[0]
    except PolicyError as problem:
        problem.where = f"expression {index} {problem.where}"
        raise


def _reads(source: str, variables: Iterable[str]) -> set[tuple[str, str]]:
    """Fields that an expression may read. More than it does is no harm."""
    found = {(role, name) for role, name in _NAMES.findall(source)}
    for variable in variables:
        parts = variable.split(".")
        if parts[0] in _ROLES and len(parts) > 1:
            found.add((parts[0], parts[1]))
    return found


def _sound(types: Types) -> Types:
    return {(role, name): kind for (role, name), kind in types.items() if name not in _IMPLICIT[role] and _FIELD.fullmatch(name)}


_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise UsageError(f"{what} is a {type(value).__name__}", code="usage.rows", where=what, hint="give a mapping of name to value")


def _only(tables: object, known: Iterable[str], hint: str) -> None:
    names = set(_mapping(tables, "tables"))
    if not names or names - set(known):
        wrong = ", ".join(repr(name) for name in sorted(map(str, names - set(known)))) or "no table"
        raise UsageError(f"{wrong} among the tables", code="usage.tables", where="tables", hint=hint)


def _picked(
    index: npt.ArrayLike | None, catalogue: RuleCatalogue | None, pairs: _core.CelRows | None
) -> tuple[npt.NDArray[np.int64] | None, int]:
    picked = positions(index) if index is not None else None
    if picked is not None and catalogue is None:
        raise UsageError("an index without actions", code="usage.tables", where="index", hint="give the table 'action'")
    count = len(picked) if picked is not None else len(catalogue) if catalogue is not None else len(pairs or ())
    if pairs is not None and len(pairs) != count:
        raise SchemaError(
            f"{len(pairs)} rows for {count} candidates", code="schema.shape", where="candidate", hint="give one row per candidate"
        )
    return picked, count
