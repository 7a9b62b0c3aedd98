"""CEL expressions made at random, with their types, and records they are evaluated over."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

Record = dict[str, Any]

#: Fields of the two records, by name, and of which type their values are. Any may be missing.
FIELDS = {
    "task": {"tier": "string", "amount": "double", "priority": "int", "paid": "bool", "tags": "strings", "due": "time"},
    "action": {
        "kind": "string",
        "region": "string",
        "risk": "double",
        "cost": "double",
        "level": "int",
        "load": "int",
        "manual": "bool",
        "queues": "strings",
        "since": "time",
    },
}
#: Spaces behind "string(" where engines write other texts, so that a reader can find these calls.
TEXT_SPACES = {"double": " ", "time": "  ", "span": "   "}
_TEXTS = ["a", "bb", "abab", "", "größe", "12", "-3.5", "true", "x y", "\U0001f600z", "gold", "nowhere"]
_INTS = [0, 1, 2, 3, -1, 7, 10, 60, -12]
_FAR_INTS = [2**63 - 1, -(2**63), 2**53, 2**53 + 1, -(2**53) - 1, 2**31, 10**12]
_DOUBLES = [0.0, 0.5, 1.0, 2.5, -1.25, 100.0, 3.0, 1e3]
_FAR_DOUBLES = [float("nan"), float("inf"), float("-inf"), -0.0, 9007199254740993.0, 1e300, 5e-324, 9.3e18, -1e-7]
_TIMES = [
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2024, 2, 29, 23, 59, 59, 250000, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 7, 4, 12, 30, tzinfo=UTC),
]
_ZONES = ["", "", "'+02:00'", "'-09:30'", "'UTC'"]


class Maker:
    """Expressions of a wanted type. ``used`` counts operators and functions."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.used: Counter[str] = Counter()
        self._slots = 0
        self._bound: dict[str, list[str]] = {}
        self._makers: dict[str, list[tuple[str, Callable[[int], str]]]] = {
            "bool": self._of_bool(),
            "int": self._of_int(),
            "uint": self._of_uint(),
            "double": self._of_double(),
            "string": self._of_string(),
            "bytes": self._of_bytes(),
            "strings": self._of_strings(),
            "ints": self._of_ints(),
            "map": self._of_map(),
            "time": self._of_time(),
            "span": self._of_span(),
        }

    def make(self, kind: str = "bool", depth: int = 3) -> str:
        if depth <= 0 or self.random.random() < 0.12:
            return self._leaf(kind)
        name, build = self.random.choice(self._makers[kind])
        self.used[name] += 1
        return build(depth - 1)

    def record(self, role: str) -> Record:
        """Values for a record: extremes now and then, and some missing."""
        out: Record = {}
        for name, kind in FIELDS[role].items():
            if self.random.random() < 0.06:
                continue
            far = self.random.random() < 0.12
            out[name] = {
                "string": lambda: self.random.choice(_TEXTS),
                "double": lambda far=far: self.random.choice(_FAR_DOUBLES if far else _DOUBLES),
                "int": lambda far=far: self.random.choice(_FAR_INTS if far else _INTS),
                "bool": lambda: self.random.random() < 0.5,
                "strings": lambda: self.random.choices(_TEXTS, k=self.random.randrange(4)),
                "time": lambda: self.random.choice(_TIMES),
            }[kind]()
        return out

    # ---- leaves ----

    def _leaf(self, kind: str) -> str:
        bound = self._bound.get(kind)
        if bound and self.random.random() < 0.5:
            return self.random.choice(bound)
        fields = [f"{role}.{name}" for role, of in FIELDS.items() for name, held in of.items() if held == kind]
        if fields and self.random.random() < 0.7:
            return self.random.choice(fields)
        return self._literal(kind)

    def _literal(self, kind: str) -> str:
        pick = self.random.choice
        if kind == "bool":
            return pick(["true", "false"])
        if kind == "int":
            return str(pick(_INTS if self.random.random() < 0.9 else _FAR_INTS))
        if kind == "uint":
            return pick(["0u", "1u", "2u", "7u", "100u", "18446744073709551615u"])
        if kind == "double":
            return pick(["0.0", "0.5", "1.0", "2.5", "-1.25", "100.0", "1e3", "9007199254740992.0", "1e300"])
        if kind == "string":
            return _quoted(pick(_TEXTS))
        if kind == "bytes":
            return pick(["b'a'", "b''", "b'gr\\303\\266\\303\\237e'", "b'\\xff\\x00'"])
        if kind == "strings":
            return "[" + ", ".join(_quoted(t) for t in self.random.choices(_TEXTS, k=self.random.randrange(4))) + "]"
        if kind == "ints":
            return "[" + ", ".join(str(i) for i in self.random.choices(_INTS, k=self.random.randrange(4))) + "]"
        if kind == "map":
            return pick(["{'a': 1, 'bb': 2}", "{'a': 7}", "{'gold': 3, '': 0, 'x y': -1}"])
        if kind == "time":
            return f"timestamp('{_text_of(pick(_TIMES))}')"
        return f"duration('{pick(['0s', '1s', '-1.5s', '90m', '24h', '100ms', '1h2m3s', '315576000000s'])}')"

    # ---- types ----

    def _two(self, kind: str, operator: str) -> tuple[str, Callable[[int], str]]:
        return f"{kind} {operator}", lambda d: f"({self.make(kind, d)} {operator} {self.make(kind, d)})"

    def _call(self, name: str, kind: str, *arguments: str) -> tuple[str, Callable[[int], str]]:
        """A member function of a value of ``kind``."""
        return name, lambda d: f"{self._member(kind, d)}.{name}({', '.join(self.make(a, d) for a in arguments)})"

    def _convert(self, to: str, kind: str) -> tuple[str, Callable[[int], str]]:
        space = TEXT_SPACES.get(kind, "") if to == "string" else ""
        return f"{to}({kind})", lambda d: f"{to}({space}{self.make(kind, d)})"

    def _member(self, kind: str, depth: int) -> str:
        made = self.make(kind, depth)
        return f"({made})" if made.startswith("-") else made

    def _choice(self, kind: str) -> tuple[str, Callable[[int], str]]:
        return "?:", lambda d: f"({self.make('bool', d)} ? {self.make(kind, d)} : {self.make(kind, d)})"

    def _over(self, macro: str, kind: str, item: str, body: str) -> tuple[str, Callable[[int], str]]:
        def build(depth: int) -> str:
            over = self._member(kind, depth)
            self._slots += 1
            name = f"v{self._slots % 100}"
            self._bound.setdefault(item, []).append(name)
            inside = self.make(body, depth)
            self._bound[item].pop()
            return f"{over}.{macro}({name}, {inside})"

        return macro, build

    def _of_bool(self) -> list[tuple[str, Callable[[int], str]]]:
        def comparison(operator: str, kinds: list[str]) -> tuple[str, Callable[[int], str]]:
            def build(depth: int) -> str:
                kind = self.random.choice(kinds)
                return f"({self.make(kind, depth)} {operator} {self.make(kind, depth)})"

            return operator, build

        def across(depth: int) -> str:
            a, b = self.random.sample(["int", "uint", "double"], 2)
            return f"({self.make(a, depth)} {self.random.choice(['<', '<=', '>', '>='])} {self.make(b, depth)})"

        def has(depth: int) -> str:
            role = self.random.choice(list(FIELDS))
            return f"has({role}.{self.random.choice(list(FIELDS[role]))})"

        def matches(depth: int) -> str:
            pattern = self.random.choice(["^a", "b+$", "^[a-z ]*$", "ö", "^(a|bb)+$", "[0-9]", ".", "^$"])
            return f"{self._member('string', depth)}.matches('{pattern}')"

        def type_is(depth: int) -> str:
            kind, name = self.random.choice([("int", "int"), ("double", "double"), ("string", "string"), ("strings", "list")])
            return f"(type({self.make(kind, depth)}) == {name})"

        ordered = ["int", "double", "string", "time", "span", "uint", "bool", "bytes"]
        any_kind = [*ordered, "strings", "ints", "map"]
        logic = [self._two("bool", "&&"), self._two("bool", "||"), ("!", lambda d: f"!{self.make('bool', d)}")]
        return [
            *logic,
            *logic,
            *(comparison(o, ordered) for o in ("<", "<=", ">", ">=")),
            *(comparison(o, any_kind) for o in ("==", "!=", "==")),
            ("numbers of two kinds", across),
            ("has", has),
            ("matches", matches),
            ("type", type_is),
            self._choice("bool"),
            self._call("startsWith", "string", "string"),
            self._call("endsWith", "string", "string"),
            self._call("contains", "string", "string"),
            ("in list", lambda d: f"({self.make('string', d)} in {self.make('strings', d)})"),
            ("in list", lambda d: f"({self.make('int', d)} in {self.make('ints', d)})"),
            ("in map", lambda d: f"({self.make('string', d)} in {self.make('map', d)})"),
            self._over("exists", "strings", "string", "bool"),
            self._over("all", "strings", "string", "bool"),
            self._over("exists_one", "ints", "int", "bool"),
            self._over("exists", "ints", "int", "bool"),
            self._over("all", "map", "string", "bool"),
        ]

    def _of_int(self) -> list[tuple[str, Callable[[int], str]]]:
        def part(name: str) -> tuple[str, Callable[[int], str]]:
            return name, lambda d: f"{self._member('time', d)}.{name}({self.random.choice(_ZONES)})"

        def of_span(name: str) -> tuple[str, Callable[[int], str]]:
            return f"span {name}", lambda d: f"{self._member('span', d)}.{name}()"

        arithmetic = [self._two("int", o) for o in "+-*/%"]
        parts = ["getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours"]
        return [
            *arithmetic,
            *arithmetic,
            ("int -", lambda d: f"-({self.make('int', d)})"),
            self._choice("int"),
            self._convert("size", "string"),
            self._convert("size", "strings"),
            self._convert("size", "bytes"),
            self._convert("size", "map"),
            self._call("size", "ints"),
            self._convert("int", "double"),
            self._convert("int", "uint"),
            self._convert("int", "string"),
            self._convert("int", "time"),
            ("index of list", lambda d: f"{self._member('ints', d)}[{self.random.choice(['0', '1', self.make('int', d)])}]"),
            ("index of map", lambda d: f"{self._member('map', d)}[{self.make('string', d)}]"),
            *(part(name) for name in [*parts, "getMinutes", "getSeconds", "getMilliseconds"]),
            *(of_span(name) for name in ("getHours", "getMinutes", "getSeconds", "getMilliseconds")),
        ]

    def _of_uint(self) -> list[tuple[str, Callable[[int], str]]]:
        return [
            *(self._two("uint", o) for o in "+-*/%"),
            self._convert("uint", "int"),
            self._convert("uint", "double"),
            self._choice("uint"),
        ]

    def _of_double(self) -> list[tuple[str, Callable[[int], str]]]:
        arithmetic = [self._two("double", o) for o in "+-*/"]
        return [
            *arithmetic,
            *arithmetic,
            ("double -", lambda d: f"-({self.make('double', d)})"),
            self._choice("double"),
            self._convert("double", "int"),
            self._convert("double", "uint"),
            self._convert("double", "string"),
        ]

    def _of_string(self) -> list[tuple[str, Callable[[int], str]]]:
        return [
            self._two("string", "+"),
            self._choice("string"),
            self._convert("string", "int"),
            self._convert("string", "uint"),
            self._convert("string", "bool"),
            self._convert("string", "double"),
            self._convert("string", "bytes"),
            self._convert("string", "time"),
            self._convert("string", "span"),
            ("index of list", lambda d: f"{self._member('strings', d)}[{self.random.choice(['0', '1', self.make('int', d)])}]"),
        ]

    def _of_bytes(self) -> list[tuple[str, Callable[[int], str]]]:
        return [self._two("bytes", "+"), self._convert("bytes", "string")]

    def _of_strings(self) -> list[tuple[str, Callable[[int], str]]]:
        return [
            self._two("strings", "+"),
            self._choice("strings"),
            ("[ ]", lambda d: f"[{self.make('string', d)}, {self.make('string', d)}]"),
            self._over("filter", "strings", "string", "bool"),
            self._over("map", "strings", "string", "string"),
        ]

    def _of_ints(self) -> list[tuple[str, Callable[[int], str]]]:
        return [
            self._two("ints", "+"),
            ("[ ]", lambda d: f"[{self.make('int', d)}, {self.make('int', d)}]"),
            self._over("filter", "ints", "int", "bool"),
            self._over("map", "ints", "int", "int"),
            self._over("map", "strings", "string", "int"),
        ]

    def _of_map(self) -> list[tuple[str, Callable[[int], str]]]:
        return [("{ }", lambda d: f"{{{self.make('string', d)}: {self.make('int', d)}}}"), self._choice("map")]

    def _of_time(self) -> list[tuple[str, Callable[[int], str]]]:
        return [
            ("time + span", lambda d: f"({self.make('time', d)} + {self.make('span', d)})"),
            ("time - span", lambda d: f"({self.make('time', d)} - {self.make('span', d)})"),
            self._choice("time"),
            self._convert("timestamp", "int"),
        ]

    def _of_span(self) -> list[tuple[str, Callable[[int], str]]]:
        return [
            ("time - time", lambda d: f"({self.make('time', d)} - {self.make('time', d)})"),
            self._two("span", "+"),
            self._two("span", "-"),
            self._choice("span"),
        ]


def with_texts(record: Record) -> Record:
    """The record with its times as RFC 3339 texts, named ``NAME_text``, for engines that take no times in maps."""
    return {
        f"{name}_text" if isinstance(value, datetime) else name: _text_of(value) if isinstance(value, datetime) else value
        for name, value in record.items()
    }


def _text_of(time: datetime) -> str:
    whole = time.replace(tzinfo=None)
    return f"{whole.year:04d}-{whole:%m-%dT%H:%M:%S}" + (f".{whole.microsecond:06d}" if whole.microsecond else "") + "Z"


def _quoted(text: str) -> str:
    return "'" + text + "'"


def same(a: object, b: object) -> bool:
    """Equal values of the same types; NaN is itself."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (a != a and b != b)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, timedelta | datetime | bool | str | bytes):
        return type(a) is type(b) and a == b
    return a == b
