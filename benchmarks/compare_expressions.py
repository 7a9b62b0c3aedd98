#!/usr/bin/env python3
"""Random CEL expressions three ways: by columns, by the scalar machine, and by cel-cpp (cel-expr-python, where it is installed).

compare_expressions.py [--count 1000000] [--seed 1] [--seconds S] [--json FILE]

Each expression is evaluated for three candidates, with extremes, NaN and missing fields among the values. Columns and the scalar
machine must agree always; cel-cpp and the scalar machine but for the classes below, each of which the specification of CEL
decides. Exit 1 for any other difference.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "python"))

from _expressions import FIELDS, TEXT_SPACES, Maker, Record, same, with_texts

import opspilot as op
from opspilot.cel import Type, UInt

BATCH = 100
ROWS = 3
KINDS = ("int", "uint", "double", "string", "bytes", "strings", "ints", "map", "time", "span")
SPEC = "https://github.com/google/cel-spec/blob/master/doc/langdef.md"


@dataclass(frozen=True)
class Failed:
    """No value, and why."""

    why: str


#: What one case is: the expression and its records.
Case = tuple[str, Record, Record]


@dataclass(frozen=True)
class Known:
    """A class of differences that the specification decides or leaves open. ``without`` takes its cause out of a case; the
    difference is one of the class when it is gone then."""

    name: str
    citation: str
    without: Callable[[Case], Case]


def _without_text_of(kind: str) -> Callable[[Case], Case]:
    """Leaves conversions of a type to a text out: their argument is evaluated, their text is not looked at."""
    head = "string(" + TEXT_SPACES[kind]
    start = re.compile(re.escape(head) + r"(?! )")

    def without(case: Case) -> Case:
        source = case[0]
        while (found := start.search(source)) is not None:
            end, depth = found.end(), 1
            quoted = False
            while depth:
                quoted ^= source[end] == "'"
                depth += 0 if quoted else {"(": 1, ")": -1}.get(source[end], 0)
                end += 1
            inside = source[found.end() : end - 1]
            source = f"{source[: found.start()]}string(size(string({inside})) * 0){source[end:]}"
        return source, case[1], case[2]

    return without


def _without_millennia(case: Case) -> Case:
    """No duration that 64-bit nanoseconds do not hold."""
    return case[0].replace("315576000000s", "5s"), case[1], case[2]


def _without_unrepresentable(case: Case) -> Case:
    """No integer that a double rounds: neither 2^64 - 1 nor 2^53 + 1, in the source or in a record."""

    def smaller(record: Record) -> Record:
        return {name: type(v)(7) if type(v) in (int, UInt) and v in (2**64 - 1, 2**53 + 1) else v for name, v in record.items()}

    source = case[0].replace("18446744073709551615u", "7u").replace("9007199254740993", "7")
    return source, smaller(case[1]), smaller(case[2])


KNOWN = [
    Known(
        "the text of a timestamp: fractions end with their last digit that is not 0, cel-cpp writes 3, 6 or 9 digits",
        f"{SPEC}#functions: string(timestamp) 'converts a timestamp value to RFC3339 format', which both are",
        _without_text_of("time"),
    ),
    Known(
        "the text of a duration: the same",
        f"{SPEC}#functions: string(duration) 'converts a duration value to seconds and fractional seconds with an s suffix'",
        _without_text_of("span"),
    ),
    Known(
        "the text of a double: the shortest digits that read back the same, +Inf; cel-cpp cuts at 15 digits and writes inf",
        f"{SPEC}#functions: string(double) 'converts a double to a string', in no stated form",
        _without_text_of("double"),
    ),
    Known(
        "durations of more than 64-bit nanoseconds: ours reach as google.protobuf.Duration does, its binding cuts them",
        f"{SPEC}#overflow: 'limited to a single int64 value, or roughly +-290 years'; duration.proto: 315,576,000,000 s",
        _without_millennia,
    ),
    Known(
        "a double beside an integer that no double holds, 2^53 + 1 or 2^64 - 1: compared exactly; cel-cpp rounds the integer",
        f"{SPEC}#equality: numbers are compared 'as though they exist on a continuous number line'",
        _without_unrepresentable,
    ),
]


class CelCpp:
    """The same expression by cel-cpp. Its binding takes no times inside of maps: they come as texts."""

    def __init__(self) -> None:
        from cel_expr_python import cel

        record = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
        self._env = cel.NewEnv(variables={"task": record, "action": record})
        times = [f"{role}.{name}" for role, of in FIELDS.items() for name, kind in of.items() if kind == "time"]
        self._present = [(f"has({name})", f"has({name}_text)") for name in times]
        self._times = re.compile(r"\b(" + "|".join(map(re.escape, times)) + r")\b(?!_text)")

    def bind(self, task: Record, row: Record) -> Any:
        return self._env.Activation({"task": with_texts(task), "action": with_texts(row)})

    def compile(self, source: str) -> Any:
        for name, text in self._present:
            source = source.replace(name, text)
        # Unchecked: its checker refuses comparisons of two kinds of numbers that its evaluator knows.
        return self._env.compile(self._times.sub(r"timestamp(\1_text)", source), disable_check=True)

    @staticmethod
    def evaluate(compiled: Any, bound: Any) -> object:
        """A value of the kinds that opspilot gives, or ``Failed``."""
        try:
            found = compiled.eval(bound)
            kind = found.type().name()
            value = found.plain_value()
        except Exception as problem:  # a value that the binding cannot hand over
            return Failed(str(problem))
        if kind == "ERROR":
            return Failed(str(value))
        if kind == "UINT":
            return UInt(value)
        if isinstance(value, bytearray):
            return bytes(value)
        return Type(str(value)) if kind == "TYPE" else value


def ours(compiled: Any, task: Record, row: Record) -> object:
    try:
        return compiled.evaluate({"task": task, "action": row})
    except op.cel.EvaluationError as problem:
        return Failed(problem.message)


def agree(a: object, b: object) -> bool:
    if isinstance(a, Failed) or isinstance(b, Failed):
        return isinstance(a, Failed) and isinstance(b, Failed)
    kinds = (bool, UInt, int, float, str, bytes, datetime, timedelta, list, dict)
    of_a, of_b = (next((k for k in kinds if isinstance(v, k)), None) for v in (a, b))
    return of_a is of_b and same(a, b)


class Comparison:
    def __init__(self, seed: int) -> None:
        self.make = Maker(seed)
        self.counts: Counter[str] = Counter()
        self.known: Counter[str] = Counter()
        self.columns_differ: list[str] = []
        self.others_differ: list[str] = []
        try:
            self.cpp: CelCpp | None = CelCpp()
        except ImportError:
            self.cpp = None

    def batch(self) -> None:
        draw = self.make.random
        kinds = ["bool" if i % 10 < 7 else draw.choice(KINDS) for i in range(BATCH)]
        sources = [self.make.make(kind, 1 + i % 4) for i, kind in enumerate(kinds)]
        task, rows = self.make.record("task"), [self.make.record("action") for _ in range(ROWS)]
        compiled = [op.cel.compile(source) for source in sources]
        answers = [[ours(one, task, row) for row in rows] for one in compiled]
        rules = op.cel.RuleSet(sources)
        found = rules.evaluate({"task": task}, rules.prepare({"action": rows}))
        for i, source in enumerate(sources):
            self.counts["expressions"] += 1
            for j, row in enumerate(rows):
                answer = answers[i][j]
                self.counts["evaluations"] += 1
                self.counts["without error"] += not isinstance(answer, Failed)
                wanted = (answer is True, not isinstance(answer, bool))
                if (bool(found.matched[i, j]), bool(found.failed[i, j])) != wanted:
                    self.columns_differ.append(self._told(source, task, row, answer, (found.matched[i, j], found.failed[i, j])))
        if self.cpp is not None:
            self._beside(self.cpp, sources, answers, task, rows)

    def _beside(self, cpp: CelCpp, sources: list[str], answers: list[list[object]], task: Record, rows: list[Record]) -> None:
        bound = [cpp.bind(task, row) for row in rows]
        for source, given in zip(sources, answers, strict=True):
            try:
                compiled = cpp.compile(source)
            except Exception as problem:
                self.counts["refused by cel-cpp"] += 1
                theirs: list[object] = [Failed(f"refused: {problem}")] * len(rows)
            else:
                theirs = [cpp.evaluate(compiled, b) for b in bound]
            for j, (a, b) in enumerate(zip(given, theirs, strict=True)):
                self.counts["compared with cel-cpp"] += 1
                if agree(a, b):
                    continue
                known = self._known(cpp, (source, task, rows[j]))
                if known is not None:
                    self.known[known.name] += 1
                else:
                    self.others_differ.append(self._told(source, task, rows[j], a, b))

    def _known(self, cpp: CelCpp, case: Case) -> Known | None:
        """The class of a difference: one whose cause explains it alone, or the last of those that do together."""
        for together in (False, True):
            changed = case
            for known in KNOWN:
                changed = known.without(changed if together else case)
                if changed != case and agree(*self._both(cpp, changed)):
                    return known
        return None

    @staticmethod
    def _both(cpp: CelCpp, case: Case) -> tuple[object, object]:
        source, task, row = case
        return ours(op.cel.compile(source), task, row), cpp.evaluate(cpp.compile(source), cpp.bind(task, row))

    @staticmethod
    def _told(source: str, task: Record, row: Record, a: object, b: object) -> str:
        def read() -> Iterator[str]:
            for role, record in (("task", task), ("action", row)):
                for name, value in record.items():
                    if f"{role}.{name}" in source:
                        yield f"{role}.{name} = {value!r}"

        return f"{source}\n    with {', '.join(read())}\n    ours {a!r}, theirs {b!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so long, whatever the count")
    parser.add_argument("--json", type=Path, help="also write everything to a file")
    parser.add_argument("--show", type=int, default=20, help="how many differences to print")
    arguments = parser.parse_args()
    compared = Comparison(arguments.seed)
    until = time.monotonic() + arguments.seconds
    while compared.counts["expressions"] < arguments.count and time.monotonic() < until:
        compared.batch()
    counts = compared.counts
    share = counts["without error"] / counts["evaluations"]
    rare = min(compared.make.used.items(), key=lambda pair: pair[1])
    print(f"{counts['expressions']:,} expressions, {counts['evaluations']:,} evaluations, {share:.1%} without error")
    print(f"{len(compared.make.used)} operators and functions, the rarest {rare[0]!r}: {rare[1]:,} times")
    print(f"columns beside the scalar machine: {len(compared.columns_differ)} differences")
    if compared.cpp is None:
        print("cel-cpp: not installed (cel-expr-python)")
    else:
        beside = counts["compared with cel-cpp"]
        print(f"cel-cpp beside the scalar machine: {beside:,} compared, {len(compared.others_differ)} differences")
        print(f"  {counts['refused by cel-cpp']:,} expressions refused by its checker")
        for known in KNOWN:
            print(f"  known, {compared.known[known.name]:,}: {known.name} ({known.citation})")
    for told in [*compared.columns_differ, *compared.others_differ][: arguments.show]:
        print(told)
    if arguments.json:
        about = {"counts": counts, "known": compared.known, "used": compared.make.used, "seed": arguments.seed}
        about |= {"columns_differ": compared.columns_differ, "others_differ": compared.others_differ}
        arguments.json.write_text(json.dumps(about, indent=1, default=dict) + "\n", encoding="utf-8")
    return 1 if compared.columns_differ or compared.others_differ else 0


if __name__ == "__main__":
    sys.exit(main())
