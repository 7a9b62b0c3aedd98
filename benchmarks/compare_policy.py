#!/usr/bin/env python3
"""Fifty conditions over 2,000 candidates of one task: opspilot's column evaluator beside other engines, in turn, on one pinned
thread. Every engine's hits per rule are checked against plain Python. Prints one table.

compare_policy.py [--quick] [--json FILE]   (rivals are optional: requirements-policy-rivals.txt, and Go for cel-go and OPA)
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measuring  # before numpy
import numpy as np
from measuring import Absent, Array, Entry
from policy_rivals import Engine, Rivals
from policy_rules import TASK, VARIABLES, Row, Rule, described_actions, rules

import opspilot as op

CANDIDATES = 2_000
LOGGED = 1_000_000
AT_ONCE = 100_000


def truth(given: Sequence[Rule], rows: Sequence[Row]) -> Array:
    """Plain Python's answers: the reference."""
    tests = [eval(f"lambda task, action: {rule.python}", {"search": re.search}) for rule in given]
    return np.array([[bool(test(TASK, row)) for row in rows] for test in tests])


def table_of(rows: Sequence[Row]) -> Any:
    """Arrow where pyarrow is installed, else the rows as they are."""
    try:
        import pyarrow
    except ImportError:
        return list(rows)
    return pyarrow.Table.from_pylist(list(rows))


def counts(found: op.cel.RuleMatches) -> list[int]:
    if found.failed.any():
        raise ArithmeticError("a condition failed")
    return [int(n) for n in found.matched.sum(axis=1)]


def ours(given: Sequence[Rule], rows: Sequence[Row]) -> list[Engine]:
    made = op.cel.RuleSet([rule.cel for rule in given], VARIABLES)
    table = table_of(rows)
    catalogue = made.prepare({"action": table})
    # The same candidates in any order: their hits are the same, their rows are picked out.
    shuffled = np.random.default_rng(1).permutation(len(rows))
    task = {"task": TASK}
    return [
        Engine("opspilot, prepared catalogue", lambda: made.evaluate(task, catalogue), len(rows), counts),
        Engine("opspilot, prepared, rows picked", lambda: made.evaluate(task, catalogue, shuffled), len(rows), counts),
        Engine("opspilot, from a table", lambda: made.evaluate(task, {"action": table}), len(rows), counts),
    ]


def measure(case: str, engines: Sequence[Engine | Absent], expected: Array, seconds: float, rounds: int) -> list[Entry]:
    """Processor time of single calls, in turn; the first engine is what the others are compared with. Times of engines that see
    fewer candidates are scaled."""
    live = [e for e in engines if isinstance(e, Engine)]
    agreement = {e.name: _agreement(e, expected) for e in live}  # warms up, too
    share = seconds / rounds / len(live)
    calls = {e.name: max(1, min(200, int(share / measuring.timed(e.run)[1]))) for e in live}
    taken: dict[str, list[float]] = {e.name: [] for e in live}
    walls: dict[str, list[float]] = {e.name: [] for e in live}
    for number in range(rounds):
        for e in live if number % 2 == 0 else reversed(live):
            for _ in range(calls[e.name]):
                wall, processor = time.perf_counter(), time.process_time()
                answer = e.run()
                own = answer[0] if e.own_clock else time.process_time() - processor
                scale = expected.shape[1] / e.candidates
                taken[e.name].append(own * scale)
                walls[e.name].append((time.perf_counter() - wall) * scale)
    base = live[0].name
    entries: list[Entry] = []
    for given in engines:
        if isinstance(given, Absent):
            entries.append({"case": case, "system": given.name, "absent": given.reason})
            continue
        own_times, own_walls = taken[given.name], walls[given.name]
        entry: Entry = {"case": case, "system": given.name, "version": given.version, "baseline": base}
        entry |= {"min_ms": 1e3 * min(own_times), "median_ms": 1e3 * statistics.median(own_times)}
        entry |= {"wall_min_ms": 1e3 * min(own_walls), "wall_median_ms": 1e3 * statistics.median(own_walls)}
        entry |= {"calls": len(own_times), "candidates": given.candidates, "prepared_s": None}
        entry["scores"] = agreement[given.name] + (f", {given.note}" if given.note else "")
        entry["ratio_min"] = min(own_times) / min(taken[base])
        entry["ratio_median"] = statistics.median(own_times) / statistics.median(taken[base])
        entries.append(entry)
    return entries


def _agreement(e: Engine, expected: Array) -> str:
    answer = e.run()
    found = e.hits(answer[1] if e.own_clock else answer)
    wanted = [int(n) for n in expected[:, : e.candidates].sum(axis=1)]
    wrong = [i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b]
    if wrong and e.name.startswith("opspilot"):
        raise ArithmeticError(f"{e.name} differs from plain Python in rules {wrong}")
    few = "" if e.candidates == expected.shape[1] else f" (the first {e.candidates}, scaled)"
    return f"hits differ in {len(wrong)} rules{few}" if wrong else f"same hits{few}"


def fact(case: str, system: str, text: str, **numbers: Any) -> Entry:
    return {"case": case, "system": system, "fact": text, **numbers}


def best_of(run: Callable[[], Any], seconds: float) -> float:
    """The least processor time of a call, of as many as go into the time."""
    best, until = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < until:
        began = time.process_time()
        run()
        best = min(best, time.process_time() - began)
    return best


def logged(given: Sequence[Rule], quick: bool) -> list[Entry]:
    """Candidates out of a log, in parts: each part is read, answered and counted."""
    made = op.cel.RuleSet([rule.cel for rule in given], VARIABLES)
    total = LOGGED // 10 if quick else LOGGED
    rows = described_actions(AT_ONCE, seed=2)
    part, answers = table_of(rows), truth(given, rows)
    began, reading, hits = time.process_time(), 0.0, 0
    for _ in range(total // AT_ONCE):
        before = time.process_time()
        catalogue = made.prepare({"action": part})
        reading += time.process_time() - before
        hits += int(made.evaluate({"task": TASK}, {"action": catalogue}).matched.sum())
    taken = time.process_time() - began
    if hits != int(answers.sum()) * (total // AT_ONCE):
        raise ArithmeticError("hits over the log differ from plain Python")
    each = 1e9 * taken / total / len(given)
    text = f"{taken:.2f} s of processor time ({reading:.2f} s reading and preparing), {each:.1f} ns an evaluation, same hits"
    return [fact(f"{total:,} logged candidates from {type(part).__name__}", "opspilot", text, seconds=taken, ns_each=each)]


def compiling(given: Sequence[Rule], rivals: Rivals, seconds: float) -> list[Entry]:
    case = "compile and check"
    sources = [rule.cel for rule in given]
    many = [rule.cel for rule in rules(1_000)]
    each = best_of(lambda: op.cel.RuleSet(sources, VARIABLES).prepare({"action": []}), seconds) / len(sources)
    thousand = best_of(lambda: op.cel.RuleSet(many, VARIABLES).prepare({"action": []}), seconds)
    out = [
        fact(case, "opspilot", f"{1e6 * each:.1f} µs a rule, 50 rules (wanted: 100)", us_each=1e6 * each),
        fact(case, "opspilot", f"{1e3 * thousand:.1f} ms for 1,000 rules (wanted: 200)", ms_thousand=1e3 * thousand),
    ]
    if rivals.go is not None:
        calls = 20
        own = min(rivals.ask(f"compile {calls}")[0] for _ in range(3)) / calls / len(sources)
        out.append(fact(case, "cel-go, native", f"{1e6 * own:.1f} µs a rule", us_each=1e6 * own))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--json", type=Path, help="also write everything to a file")
    arguments = parser.parse_args()
    seconds, count = (8.0, 3) if arguments.quick else (60.0, 9)
    facts = measuring.environment() | {"rule_engines": op.cel.RuleSet.engines()}
    measuring.show_environment(facts)
    given, rows = rules(), described_actions(CANDIDATES)
    expected = truth(given, rows)
    names, share = len({row["name"] for row in rows}), expected.mean()
    without = sum("region" not in row for row in rows) / len(rows)
    print(f"{len(given)} rules, {len(rows):,} candidates, {names:,} names, {share:.1%} true, {without:.0%} without region")
    with tempfile.TemporaryDirectory() as folder:
        rivals = Rivals(given, rows, Path(folder))
        try:
            engines = [*ours(given, rows), *rivals.all()]
            entries = measure(f"{len(given)} rules x {CANDIDATES:,} candidates", engines, expected, seconds, count)
            few = rows[:200]
            entries += measure(
                "50 rules x 200 candidates (wanted: 0.060 ms)", ours(given, few), truth(given, few), seconds / 20, count
            )
            entries += compiling(given, rivals, seconds / 20)
            entries += logged(given, arguments.quick)
        finally:
            rivals.close()
    measuring.show(entries)
    if arguments.json:
        arguments.json.write_text(json.dumps({"environment": facts, "entries": entries}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
