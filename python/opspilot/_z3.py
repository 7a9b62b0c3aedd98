"""Invariants by Z3: the conditions as formulas with an explicit error, rows from its models, confirmed by the evaluator.

Texts are sequences of code points, ints are integers with the error of an overflow, times are nanoseconds. Doubles are reals
where they are only compared, and binary64 where they are computed with. Everything else is an unknown that is the same wherever
its text is the same. So "no row" is a proof, and a row is only a candidate.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from opspilot import _core
from opspilot.errors import Error
from opspilot.policy import Proof

try:
    import z3
except ModuleNotFoundError as absent:
    raise ModuleNotFoundError("proofs need the package z3-solver; pip install 'opspilot[prove]'", name="z3") from absent

_INT = (-(2**63), 2**63 - 1)
_YEARS = (-62135596800 * 10**9, 253402300800 * 10**9 - 1)
_SPAN = 315_576_000_000 * 10**9
_LAST_LETTER = 0x2FFFF  # of Z3's texts
_COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
_NUMBERS = {"int", "uint", "double"}


@dataclass(slots=True)
class Term:
    """A value of CEL as a formula, with the formula of its failing. ``value`` means nothing where ``fails``."""

    value: Any
    fails: Any
    type: str


def prove(core: _core.PolicySet, invariant: str, when: str, timeout_s: float) -> Proof:
    """Asks for a row to which the invariant applies and on which no rule narrows enough."""
    guards = core.guards(invariant)
    trees = [json.loads(core.condition_tree(text)) for text in [when, *(guard[0] for guard in guards)]]
    encoder = Encoder(json.loads(core.schema), exact_doubles=any(_computes(tree) for tree in trees))
    solver = z3.Solver()
    solver.set("timeout", int(timeout_s * 1000))
    applies = encoder.condition(trees[0])
    solver.add(z3.Or(applies.fails, applies.value))
    for tree, (_, holds, lapses, fails) in zip(trees[1:], guards, strict=True):
        term = encoder.condition(tree)
        acts = [term.fails] if fails else []
        acts += [z3.And(z3.Not(term.fails), term.value)] if holds else []
        acts += [z3.And(z3.Not(term.fails), z3.Not(term.value))] if lapses else []
        solver.add(z3.Not(z3.Or(*acts)))
    solver.add(*encoder.constraints)
    answer = solver.check()
    if answer == z3.unsat:
        return Proof(invariant, "proved", method="z3")
    if answer == z3.sat:
        task, candidate, now = encoder.row(solver.model())
        try:
            (outcome,) = core.evaluate(task, [candidate], now, False)
        except Error:  # the readers refuse the row
            return Proof(invariant, "not decided")
        if outcome[4] == invariant:
            row = {"task": task, "candidate": candidate} | ({"now": now} if encoder.reads_now else {})
            return Proof(invariant, "refuted", row, outcome[1], "z3")
    return Proof(invariant, "not decided")


def _computes(tree: list[dict[str, Any]]) -> bool:
    """Whether doubles are computed with, and not only compared."""
    arithmetic = {"add", "subtract", "multiply", "divide", "negate"}
    return any(node["type"] == "double" and node["kind"] in arithmetic and node["children"] for node in tree)


class Encoder:
    """Conditions over one schema as formulas over the same fields."""

    def __init__(self, schema: dict[str, Any], exact_doubles: bool = False) -> None:
        self.fields: dict[str, dict[str, Any]] = {}
        for role in ("task", "action", "candidate"):
            for field in schema.get(role, []):
                self.fields[f"{role}.{field['name']}"] = field
        self.exact = exact_doubles
        self.constraints: list[Any] = []
        self.values: dict[str, Any] = {}
        self.present: dict[str, Any] = {}
        self.members: dict[str, list[tuple[Any, Any]]] = {}
        self.unknowns: dict[str, Term] = {}
        self.reads_now = False

    # ---- fields ----

    def field(self, name: str) -> tuple[Any, Any]:
        """The variable of a field and whether it is there."""
        if name not in self.values:
            self._declare(name)
        return self.values[name], self.present[name]

    def _declare(self, name: str) -> None:
        if name == "now":
            self.reads_now = True
            self.present[name] = z3.BoolVal(True)
            self.values[name] = self._bounded(z3.Int("now"), *_INT)
            return
        field = self.fields[name]
        missing = "default" not in field and (field.get("optional") or field.get("max_age"))
        self.present[name] = z3.Bool(f"has {name}") if missing else z3.BoolVal(True)
        kind = field["type"]
        if kind == "bool":
            value = z3.Bool(name)
        elif kind in {"int", "timestamp"}:
            value = self._bounded(z3.Int(name), *_INT)
        elif kind == "double":
            value = z3.FP(name, z3.Float64()) if self.exact else z3.Real(name)
            if self.exact:
                self.constraints.append(z3.Not(z3.Or(z3.fpIsNaN(value), z3.fpIsInf(value))))
            else:
                self._bounded(value, -(2**1024), 2**1024)
        elif kind == "string":
            value = z3.String(name)
            if "values" in field:
                self.constraints.append(z3.Or(*(value == z3.StringVal(text) for text in field["values"])))
        else:
            value = z3.Function(f"in {name}", z3.StringSort(), z3.BoolSort())
        for key, sign in (("min", 1), ("max", -1)):
            if key in field and kind in {"int", "double"}:
                bound = self._number(field[key], kind)
                self.constraints.append(
                    _ordered("less_equal", bound, value) if sign > 0 else _ordered("less_equal", value, bound)
                )
        self.values[name] = value

    def _bounded(self, value: Any, low: int, high: int) -> Any:
        self.constraints.append(z3.And(value >= low, value <= high))
        return value

    def _number(self, value: float, kind: str) -> Any:
        if kind == "double" and self.exact:
            return z3.FPVal(float(value), z3.Float64())
        numerator, denominator = float(value).as_integer_ratio() if isinstance(value, float) else (value, 1)
        return z3.Q(numerator, denominator)

    # ---- conditions ----

    def condition(self, tree: list[dict[str, Any]]) -> Term:
        """The formula of a whole condition; what is no bool fails."""
        terms: list[Term | None] = []
        self.tree = tree
        for index, node in enumerate(tree):
            terms.append(self._term(index, node, terms))
        root = terms[-1]
        if root is None or root.type != "bool":
            return self._unknown(len(tree) - 1)
        return root

    def _key(self, index: int) -> str:
        node = self.tree[index]
        rest = {key: value for key, value in node.items() if key != "children"}
        return json.dumps([rest, [self._key(child) for child in node["children"]]], sort_keys=True)

    def _unknown(self, index: int) -> Term:
        """Any value, or failing; the same for the same text."""
        key = self._key(index)
        if key not in self.unknowns:
            kind = _short(self.tree[index]["type"])
            name = f"unknown {len(self.unknowns)}"
            fails = z3.Bool(f"{name} fails")
            if kind in {"int", "uint"}:
                low, high = _INT if kind == "int" else (0, 2**64 - 1)
                value = self._bounded(z3.Int(name), low, high)
            elif kind == "double" and not self.exact:  # one that is no number is left to fail
                value = z3.Real(name)
            elif kind == "double":
                value = z3.FP(name, z3.Float64())
            elif kind == "string":
                value = z3.String(name)
            elif kind in {"timestamp", "duration"}:
                value = z3.Int(name)
            else:
                value = z3.Bool(name)
            self.unknowns[key] = Term(value, fails, kind)
        return self.unknowns[key]

    def _term(self, index: int, node: dict[str, Any], terms: list[Term | None]) -> Term | None:
        made = self._known(index, node, [terms[child] for child in node["children"]])
        if made is not None:
            return made
        if node["kind"] == "variable" and "field" not in node:
            return None  # `task` alone
        if node["type"] == "double" and not self.exact:
            return None  # it may be no number, which a real cannot say
        return self._unknown(index)

    def _known(self, index: int, node: dict[str, Any], parts: list[Term | None]) -> Term | None:
        kind, type_ = node["kind"], _short(node["type"])
        no = z3.BoolVal(False)
        if "field" in node:
            return self._read(node, type_)
        if kind in {"bool", "int", "uint", "double", "string"}:
            return self._literal(node, kind)
        whole = [part for part in parts if part is not None]
        if len(whole) != len(parts):
            return self._about_lists(index, node)
        fails = z3.Or(*(part.fails for part in whole)) if whole else no
        if kind in {"and", "or"} and all(part.type == "bool" for part in whole):
            a, b = whole
            if kind == "and":
                absorbed = z3.Or(z3.And(z3.Not(a.fails), z3.Not(a.value)), z3.And(z3.Not(b.fails), z3.Not(b.value)))
                return Term(z3.And(a.value, b.value, z3.Not(absorbed)), z3.And(fails, z3.Not(absorbed)), "bool")
            absorbed = z3.Or(z3.And(z3.Not(a.fails), a.value), z3.And(z3.Not(b.fails), b.value))
            return Term(z3.Or(absorbed, z3.And(z3.Not(fails), a.value)), z3.And(fails, z3.Not(absorbed)), "bool")
        if kind == "not" and whole[0].type == "bool":
            return Term(z3.Not(whole[0].value), fails, "bool")
        if kind == "conditional" and whole[0].type == "bool" and whole[1].type == whole[2].type:
            c, a, b = whole
            return Term(z3.If(c.value, a.value, b.value), z3.Or(c.fails, z3.If(c.value, a.fails, b.fails)), a.type)
        if kind in _COMPARISONS:
            return self._compared(kind, whole[0], whole[1], fails)
        if kind == "in":
            return self._contained(index, node, whole, fails)
        if kind in {"add", "subtract", "multiply", "divide", "modulo", "negate"}:
            return self._computed(kind, whole, fails, type_)
        if kind == "call":
            return self._called(node, whole, fails)
        return None

    def _read(self, node: dict[str, Any], type_: str) -> Term | None:
        name = node["field"]
        value, present = self.field(name)
        if node["kind"] == "has":
            return Term(present, z3.BoolVal(False), "bool")
        if node.get("optional") or type_.startswith("list"):
            return None
        if type_ == "timestamp":
            value = value * 1000
        return Term(value, z3.Not(present), type_)

    def _literal(self, node: dict[str, Any], kind: str) -> Term | None:
        value = node["value"]
        if value is None or (isinstance(value, str) and any(ord(letter) > _LAST_LETTER for letter in value)):
            return None
        made: Any = (
            z3.StringVal(value) if kind == "string" else z3.BoolVal(value) if kind == "bool" else self._number(value, kind)
        )
        if kind in {"int", "uint"}:
            made = z3.IntVal(value)
        return Term(made, z3.BoolVal(False), kind)

    def _compared(self, kind: str, a: Term, b: Term, fails: Any) -> Term | None:
        same = a.type == b.type
        if not same and not {a.type, b.type} <= _NUMBERS:
            return None
        if a.type == "bool" and kind not in {"equal", "not_equal"}:
            return None
        left, right = a.value, b.value
        if not same and self.exact and "double" in {a.type, b.type}:
            left, right = self._as_double(left), self._as_double(right)
            if left is None or right is None:
                return None
        return Term(_ordered(kind, left, right), fails, "bool")

    def _as_double(self, value: Any) -> Any:
        """An int constant that a double holds; others are not compared with doubles that are computed."""
        if z3.is_fp(value):
            return value
        if z3.is_int_value(value) and int(float(value.as_long())) == value.as_long():
            return z3.FPVal(float(value.as_long()), z3.Float64())
        return None

    def _contained(self, index: int, node: dict[str, Any], parts: list[Term], fails: Any) -> Term | None:
        items = self.tree[node["children"][1]]
        if items["kind"] != "list":
            return self._about_lists(index, node)
        terms: list[Any] = []
        for child in items["children"]:
            item = self._literal(self.tree[child], self.tree[child]["kind"]) if "value" in self.tree[child] else None
            equal = self._compared("equal", parts[0], item, parts[0].fails) if item is not None else None
            if equal is None:
                return None
            terms.append(equal.value)
        return Term(z3.Or(*terms) if terms else z3.BoolVal(False), parts[0].fails, "bool")

    def _about_lists(self, index: int, node: dict[str, Any]) -> Term | None:
        """x in task.tags: a member or not, text by text."""
        if node["kind"] != "in":
            return None
        item, items = (self.tree[child] for child in node["children"])
        if "field" not in items or items.get("optional") or item["kind"] != "string":
            return None
        member, present = self.field(items["field"])
        text = z3.StringVal(item["value"])
        self.members.setdefault(items["field"], []).append((item["value"], member(text)))
        if "values" in self.fields[items["field"]] and item["value"] not in self.fields[items["field"]]["values"]:
            self.constraints.append(z3.Not(member(text)))
        return Term(member(text), z3.Not(present), "bool")

    def _computed(self, kind: str, parts: list[Term], fails: Any, type_: str) -> Term | None:
        types = {part.type for part in parts}
        values = [part.value for part in parts]
        if type_ == "double" and types == {"double"} and self.exact:
            mode = z3.RNE()
            operations = {"add": z3.fpAdd, "subtract": z3.fpSub, "multiply": z3.fpMul, "divide": z3.fpDiv}
            made = z3.fpNeg(values[0]) if kind == "negate" else operations[kind](mode, *values) if kind in operations else None
            return None if made is None else Term(made, fails, type_)
        if type_ == "int" and types == {"int"}:
            return self._whole(kind, values, fails)
        if type_ == "string" and types == {"string"} and kind == "add":
            return Term(z3.Concat(*values), fails, type_)
        if kind not in {"add", "subtract"}:
            return None
        made = values[0] + values[1] if kind == "add" else values[0] - values[1]
        if type_ == "timestamp" and types == {"timestamp", "duration"}:
            return Term(made, z3.Or(fails, made < _YEARS[0], made > _YEARS[1]), type_)
        if type_ == "duration":
            low, high = _INT if types == {"timestamp"} else (-_SPAN, _SPAN)
            return Term(made, z3.Or(fails, made < low, made > high), type_)
        return None

    @staticmethod
    def _whole(kind: str, values: list[Any], fails: Any) -> Term:
        a, b = values[0], values[-1]
        if kind in {"divide", "modulo"}:
            # CEL rounds towards zero, Z3 downwards for positive divisors.
            size = z3.If(a < 0, -a, a) / z3.If(b < 0, -b, b)
            quotient = z3.If((a < 0) != (b < 0), -size, size)
            fails = z3.Or(fails, b == 0)
            if kind == "modulo":
                return Term(a - b * quotient, fails, "int")
            made = quotient
        else:
            made = {"add": a + b, "subtract": a - b, "multiply": a * b, "negate": -a}[kind]
        return Term(made, z3.Or(fails, made < _INT[0], made > _INT[1]), "int")

    def _called(self, node: dict[str, Any], parts: list[Term], fails: Any) -> Term | None:
        name, types = node.get("name"), [part.type for part in parts]
        values = [part.value for part in parts]
        if types == ["string", "string"] and name in {"startsWith", "endsWith", "contains"}:
            whole, part = values
            made = {
                "startsWith": z3.PrefixOf(part, whole),
                "endsWith": z3.SuffixOf(part, whole),
                "contains": z3.Contains(whole, part),
            }
            return Term(made[name], fails, "bool")
        if types == ["string"] and name == "size":
            return Term(z3.Length(values[0]), fails, "int")
        constant = self.tree[node["children"][-1]] if node["children"] else {}
        if types == ["string", "string"] and name == "matches" and constant.get("kind") == "string":
            pattern = z3.Function(f"matches {constant['value']}", z3.StringSort(), z3.BoolSort())
            return Term(pattern(values[0]), fails, "bool")
        if name == "duration" and constant.get("kind") == "string":
            length = _nanoseconds(constant["value"])
            return None if length is None else Term(z3.IntVal(length), z3.BoolVal(False), "duration")
        if name == "timestamp" and constant.get("kind") == "string":
            moment = _moment(constant["value"])
            return None if moment is None else Term(z3.IntVal(moment), z3.BoolVal(False), "timestamp")
        return None

    # ---- rows ----

    def row(self, model: Any) -> tuple[dict[str, Any], dict[str, Any], int]:
        """A task, a candidate and the time of decision from a model."""
        now = _python(model.eval(self.values["now"], model_completion=True)) if "now" in self.values else 0
        task: dict[str, Any] = {}
        candidate: dict[str, Any] = {"id": ""}
        for name, field in self.fields.items():
            role, _, key = name.partition(".")
            into = task if role == "task" else candidate
            if name in self.values:
                if not z3.is_true(model.eval(self.present[name], model_completion=True)):
                    continue
                if field["type"] == "list<string>":
                    asked = self.members.get(name, [])
                    into[key] = [
                        text for text, member in dict(asked).items() if z3.is_true(model.eval(member, model_completion=True))
                    ]
                    continue
                value = _python(model.eval(self.values[name], model_completion=True))
                into[key] = float(value) if field["type"] == "double" else value
            elif not field.get("optional") and "default" not in field and not (role == "action" and key == "id"):
                into[key] = _any(field, now)
        return task, candidate, now


def _short(name: str) -> str:
    return {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}.get(name, name)


def _ordered(kind: str, a: Any, b: Any) -> Any:
    """A comparison; of binary64 by the rules of IEEE 754, so that NaN equals nothing."""
    if z3.is_fp(a):
        equal = z3.fpEQ(a, b)
        made = {"less": z3.fpLT, "less_equal": z3.fpLEQ, "greater": z3.fpGT, "greater_equal": z3.fpGEQ}
    else:
        equal = a == b
        made = {
            "less": lambda x, y: x < y,
            "less_equal": lambda x, y: x <= y,
            "greater": lambda x, y: y < x,
            "greater_equal": lambda x, y: y <= x,
        }
    if kind in made:
        return made[kind](a, b)
    return equal if kind == "equal" else z3.Not(equal)


def _nanoseconds(text: str) -> int | None:
    units = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
    if not re.fullmatch(r"[-+]?(\d+(h|ms|us|ns|m|s))+", text):
        return None
    total = sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)(h|ms|us|ns|m|s)", text))
    return -total if text.startswith("-") else total


def _moment(text: str) -> int | None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[-+]\d\d:\d\d)", text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment - datetime.fromisoformat("1970-01-01T00:00:00+00:00")) // timedelta(microseconds=1) * 1000


def _python(value: Any) -> Any:
    """A value of a model."""
    if z3.is_int_value(value):
        return value.as_long()
    if z3.is_rational_value(value):
        return float(value.as_fraction())
    if z3.is_algebraic_value(value):
        return float(value.approx(20).as_fraction())
    if z3.is_fp_value(value):
        if value.isZero():
            return -0.0 if value.isNegative() else 0.0
        scale = value.exponent_as_long(biased=False)
        return math.ldexp(float(value.significand_as_long() / 2**52 + (0 if value.isSubnormal() else 1)), scale) * (
            -1.0 if value.isNegative() else 1.0
        )
    if z3.is_string_value(value):
        return re.sub(r"\\u\{([0-9a-fA-F]+)\}", lambda match: chr(int(match[1], 16)), value.as_string())
    return z3.is_true(value)


def _any(field: dict[str, Any], now: int) -> Any:
    kind = field["type"]
    if kind in {"int", "double"}:
        value = max(field.get("min", 0), min(0, field.get("max", 0)))
        return float(value) if kind == "double" else math.ceil(value)
    plain = {"bool": False, "string": "", "timestamp": now, "list<string>": []}
    return field["values"][0] if kind == "string" and "values" in field else plain[kind]
