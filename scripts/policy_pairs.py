"""Writes tests/policy/pairs.jsonl: pairs of conditions as policies have them, with what Z3 says of each pair.

Every part of a condition is built twice, as CEL text and as a formula with an explicit error, so that neither the parser nor the
decision procedure of the library has a say in the answers. Doubles are binary64, ints overflow, texts are sequences of code
points. Needs z3-solver: python scripts/policy_pairs.py
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import z3

OUT = Path(__file__).resolve().parent.parent / "tests" / "policy" / "pairs.jsonl"
TIERS = ["free", "standard", "enterprise"]
KINDS = ["reply", "refund", "close", "credit", "cancel"]
SCHEMA: dict[str, list[dict[str, Any]]] = {
    "task": [
        {"name": "tier", "type": "string", "values": TIERS},
        {"name": "amount", "type": "double"},
        {"name": "penalty", "type": "double", "optional": True},
        {"name": "priority", "type": "int", "min": 0, "max": 9},
        {"name": "count", "type": "int"},
        {"name": "region", "type": "string", "optional": True},
        {"name": "language", "type": "string"},
        {"name": "paid", "type": "bool"},
        {"name": "allowed", "type": "list<string>"},
    ],
    "action": [
        {"name": "kind", "type": "string", "values": KINDS},
        {"name": "name", "type": "string"},
        {"name": "risk", "type": "double", "min": 0, "max": 1},
        {"name": "cost", "type": "double"},
        {"name": "load", "type": "int", "optional": True},
        {"name": "skill", "type": "int"},
        {"name": "region", "type": "string", "optional": True},
        {"name": "manual", "type": "bool", "optional": True},
    ],
}
T = TypeVar("T")
DOUBLE = z3.Float64()
LOWEST, HIGHEST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Part:
    """CEL text with its formula: value and failing. `value` means nothing where it fails."""

    text: str
    value: Any
    fails: Any


class Fields:
    """The variables of all fields, and what the schema says of them."""

    def __init__(self) -> None:
        self.constraints: list[Any] = []
        self.parts: dict[str, Part] = {}
        self.present: dict[str, Any] = {}
        for role, fields in SCHEMA.items():
            for field in fields:
                self._declare(f"{role}.{field['name']}", field)

    def _declare(self, name: str, field: dict[str, Any]) -> None:
        kind = field["type"]
        made: dict[str, Callable[[], Any]] = {
            "string": lambda: z3.String(name),
            "double": lambda: z3.FP(name, DOUBLE),
            "int": lambda: z3.Int(name),
            "bool": lambda: z3.Bool(name),
            "list<string>": lambda: z3.Array(name, z3.StringSort(), z3.BoolSort()),
        }
        value = made[kind]()
        if kind == "double":
            self.constraints.append(z3.Not(z3.Or(z3.fpIsNaN(value), z3.fpIsInf(value))))
            if "min" in field:
                self.constraints += [z3.fpGEQ(value, number(field["min"])), z3.fpLEQ(value, number(field["max"]))]
        if kind == "int":
            self.constraints += [value >= field.get("min", LOWEST), value <= field.get("max", HIGHEST)]
        if "values" in field:
            self.constraints.append(z3.Or(*(value == z3.StringVal(text) for text in field["values"])))
        self.present[name] = z3.Bool(f"has {name}") if field.get("optional") else z3.BoolVal(True)
        self.parts[name] = Part(name, value, z3.Not(self.present[name]))

    def __getitem__(self, name: str) -> Part:
        return self.parts[name]

    def has(self, name: str) -> Part:
        return Part(f"has({name})", self.present[name], z3.BoolVal(False))


def number(value: float) -> Any:
    return z3.FPVal(float(value), DOUBLE)


def constant(value: object) -> Part:
    fine = z3.BoolVal(False)
    if isinstance(value, str):
        return Part(f"'{value}'", z3.StringVal(value), fine)
    if isinstance(value, float):
        return Part(repr(value), number(value), fine)
    return Part(str(value), z3.IntVal(value), fine)


def compare(a: Part, operator: str, b: Part) -> Part:
    x, y = a.value, b.value
    fails = z3.Or(a.fails, b.fails)
    if z3.is_fp(x):
        made = {"<": z3.fpLT, "<=": z3.fpLEQ, ">": z3.fpGT, ">=": z3.fpGEQ, "==": z3.fpEQ, "!=": z3.fpNEQ}
        return Part(f"{a.text} {operator} {b.text}", made[operator](x, y), fails)
    plain = {
        "<": lambda: x < y,
        "<=": lambda: x <= y,
        ">": lambda: x > y,
        ">=": lambda: x >= y,
        "==": lambda: x == y,
        "!=": lambda: x != y,
    }
    return Part(f"{a.text} {operator} {b.text}", plain[operator](), fails)


def arithmetic(a: Part, operator: str, b: Part) -> Part:
    text, fails = f"({a.text} {operator} {b.text})", z3.Or(a.fails, b.fails)
    if z3.is_fp(a.value):
        made = {"+": z3.fpAdd, "-": z3.fpSub, "*": z3.fpMul, "/": z3.fpDiv}
        return Part(text, made[operator](z3.RNE(), a.value, b.value), fails)
    whole = {"+": a.value + b.value, "-": a.value - b.value, "*": a.value * b.value}[operator]
    return Part(text, whole, z3.Or(fails, whole < LOWEST, whole > HIGHEST))


def one_of(a: Part, texts: list[str]) -> Part:
    listed = ", ".join(f"'{text}'" for text in texts)
    return Part(f"{a.text} in [{listed}]", z3.Or(*(a.value == z3.StringVal(text) for text in texts)), a.fails)


def member(a: Part, items: Part) -> Part:
    return Part(f"{a.text} in {items.text}", z3.Select(items.value, a.value), z3.Or(a.fails, items.fails))


def starts(a: Part, text: str) -> Part:
    return Part(f"{a.text}.startsWith('{text}')", z3.PrefixOf(z3.StringVal(text), a.value), a.fails)


def contains(a: Part, text: str) -> Part:
    return Part(f"{a.text}.contains('{text}')", z3.Contains(a.value, z3.StringVal(text)), a.fails)


def not_(a: Part) -> Part:
    return Part(f"!({a.text})", z3.Not(a.value), a.fails)


def and_(*parts: Part) -> Part:
    absorbed = z3.Or(*(z3.And(z3.Not(part.fails), z3.Not(part.value)) for part in parts))
    fails = z3.And(z3.Or(*(part.fails for part in parts)), z3.Not(absorbed))
    value = z3.And(*(part.value for part in parts), z3.Not(absorbed))
    return Part(" && ".join(f"({part.text})" if "||" in part.text else part.text for part in parts), value, fails)


def or_(*parts: Part) -> Part:
    absorbed = z3.Or(*(z3.And(z3.Not(part.fails), part.value) for part in parts))
    fails = z3.And(z3.Or(*(part.fails for part in parts)), z3.Not(absorbed))
    return Part(" || ".join(part.text for part in parts), absorbed, fails)


def holds(part: Part) -> Any:
    return z3.And(z3.Not(part.fails), part.value)


class Shapes:
    """The shapes of conditions that policies have, with constants at random from few, so that pairs meet."""

    def __init__(self, fields: Fields, seed: int) -> None:
        self.f = fields
        self.random = random.Random(seed)

    def pick(self, values: list[T]) -> T:
        return self.random.choice(values)

    def some(self, values: list[str]) -> list[str]:
        return self.random.sample(values, self.random.randint(1, min(3, len(values) - 1)))

    def tier_risk(self) -> Part:
        risk = compare(self.f["action.risk"], self.pick([">", ">="]), constant(self.pick([0.2, 0.5, 0.8])))
        tier = compare(self.f["task.tier"], "==", constant(self.pick(TIERS)))
        return and_(tier, risk, not_(one_of(self.f["action.kind"], self.some(KINDS))))

    def amount_or_manual(self) -> Part:
        amount = compare(self.f["task.amount"], self.pick(["<", "<="]), constant(self.pick([100.0, 250.5, 500.0])))
        return or_(amount, self.f["action.manual"])

    def named(self) -> Part:
        start = starts(self.f["action.name"], self.pick(["re", "refund_", "refund_small", "close"]))
        return and_(start, compare(self.f["task.priority"], self.pick([">=", ">"]), constant(self.pick([2, 5, 7]))))

    def region(self) -> Part:
        same = compare(self.f["action.region"], "==", self.f["task.region"])
        skill = compare(self.f["action.skill"], ">", constant(self.pick([1, 3, 5])))
        return and_(self.f.has("action.region"), same, skill)

    def load(self) -> Part:
        inside = member(self.f["action.kind"], self.f["task.allowed"])
        return and_(inside, compare(self.f["action.load"], self.pick(["<", "<="]), constant(self.pick([3, 10, 20]))))

    def cost(self) -> Part:
        weighted = arithmetic(self.f["action.cost"], "*", constant(self.pick([2.0, 2.0, 0.5])))
        half = arithmetic(self.f["task.penalty"], "*", constant(0.5))
        return compare(arithmetic(weighted, "+", half), ">", constant(self.pick([10.0, 20.0])))

    def language(self) -> Part:
        listed = one_of(self.f["task.language"], self.some(["de", "en", "fr", "it"]))
        return and_(listed, compare(self.f["action.kind"], "!=", constant(self.pick(KINDS))))

    def text(self) -> Part:
        field = self.f["action.name"]
        either = or_(
            contains(field, self.pick(["refund", "und", "close"])),
            compare(field, "==", constant(self.pick(["refund_1", "close"]))),
        )
        return and_(either, compare(self.f["task.tier"], "!=", constant(self.pick(TIERS))))

    def threshold(self) -> Part:
        field = self.pick(["task.amount", "action.cost"])
        return compare(self.f[field], self.pick(["<", "<=", ">", ">=", "=="]), constant(self.pick([100.0, 250.5, 500.0])))

    def band(self) -> Part:
        low, high = sorted(self.random.sample([1, 2, 4, 6, 8], 2))
        field = self.f[self.pick(["task.priority", "task.count"])]
        return and_(compare(field, ">=", constant(low)), compare(field, self.pick(["<", "<="]), constant(high)))

    def scaled(self) -> Part:
        if self.random.random() < 0.5:
            left = arithmetic(self.f["task.amount"], self.pick(["*", "/"]), constant(self.pick([2.0, 4.0])))
            return compare(left, self.pick([">", "<="]), constant(self.pick([100.0, 250.5, 1000.0])))
        left = arithmetic(self.f["task.count"], self.pick(["+", "-", "*"]), constant(self.pick([1, 2, 3])))
        return compare(left, self.pick([">", "<=", "=="]), constant(self.pick([3, 6, 9])))

    def guarded(self) -> Part:
        name = self.pick(["task.penalty", "action.load"])
        bound = constant(self.pick([5.0, 10.0])) if name == "task.penalty" else constant(self.pick([3, 10]))
        inside = compare(self.f[name], self.pick([">", "<="]), bound)
        return self.pick([and_(self.f.has(name), inside), or_(not_(self.f.has(name)), inside), inside, self.f.has(name)])

    def two_fields(self) -> Part:
        operator = self.pick(["<", "<=", ">", ">=", "=="])
        pair = compare(self.f["action.cost"], operator, self.f["task.amount"])
        return self.pick([pair, and_(pair, self.threshold()), or_(pair, self.f["task.paid"])])

    def membership(self) -> Part:
        inside = member(constant(self.pick(KINDS)), self.f["task.allowed"])
        return self.pick(
            [inside, and_(inside, self.f["task.paid"]), or_(inside, member(constant(self.pick(KINDS)), self.f["task.allowed"]))]
        )

    def variation(self, part: Part, shape: str) -> Part:
        """Something near: another of the shape, with a condition more, one less sure, or the opposite."""
        other: Part = getattr(self, shape)()
        return self.pick(
            [other, and_(part, other), or_(part, other), and_(part, self.band()), or_(other, self.band()), not_(other), part]
        )


SHAPES = [
    *("tier_risk", "amount_or_manual", "named", "region", "load", "cost", "language", "text"),  # of the comparison of engines
    *("threshold", "band", "scaled", "guarded", "two_fields", "membership"),
]


def answer(fields: Fields, a: Part, question: str, b: Part) -> str | None:
    solver = z3.Solver()
    solver.set("timeout", 5_000)
    solver.add(*fields.constraints)
    solver.add(holds(a), z3.Not(holds(b)) if question == "implies" else holds(b))
    return {"unsat": "yes", "sat": "no"}.get(str(solver.check()))


def main() -> None:
    fields = Fields()
    shapes = Shapes(fields, 20261126)
    lines: list[str] = []
    seen: set[tuple[str, str, str]] = set()
    wanted = {(question, reply): 50 for question in ("implies", "disjoint") for reply in ("yes", "no")}
    turn = 0
    while any(wanted.values()):
        shape = SHAPES[turn % len(SHAPES)]
        turn += 1
        a = getattr(shapes, shape)()
        b = shapes.variation(a, shape if shapes.random.random() < 0.8 else shapes.pick(SHAPES))
        question = shapes.pick(["implies", "disjoint"])
        key = (a.text, question, b.text)
        if key in seen or (a.text == b.text and shapes.random.random() < 0.9):
            continue
        seen.add(key)
        reply = answer(fields, a, question, b)
        if reply is None or wanted[question, reply] == 0:
            continue
        wanted[question, reply] -= 1
        if len(lines) % 20 == 0:
            print(f"{len(lines)} of 200", flush=True)
        lines.append(json.dumps({"shape": shape, "a": a.text, "question": question, "b": b.text, "answer": reply}))
    OUT.write_text("\n".join([json.dumps({"schema": SCHEMA}), *lines]) + "\n", encoding="utf-8")
    print(f"{len(lines)} pairs from {turn} tries, z3 {z3.get_version_string()}")


if __name__ == "__main__":
    main()
