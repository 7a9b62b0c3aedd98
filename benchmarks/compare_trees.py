#!/usr/bin/env python3
"""Trees: opspilot beside LightGBM and its kin, in turn, on one pinned thread; every timed pair is checked for equal scores.
Prints one table; the reference ranking is described in reference_model.py.

compare_trees.py [--quick] [--case NAME ...] [--json FILE] [--picture FILE]   (the package and LightGBM must be installed; rivals
are optional, requirements-rivals.txt)
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measuring  # before numpy
import numpy as np
from measuring import Absent, Array, Contender, Entry, attempt, measure, timed
from other_models import Other, others
from own_models import cases as own_cases
from picture import bars
from reference_model import CANDIDATES, Reference, check, is_kept, reference
from rivals import Rivals, quickscorer

from opspilot.models import Ranker

TOP = 10
ROOT = Path(__file__).resolve().parents[1]


class Comparison:
    """The reference ranking, and what every case needs of it."""

    def __init__(self, quick: bool, library: Path | None) -> None:
        self.quick = quick
        self.model: Reference = reference(500 if not quick or is_kept() else 100)
        self.ranker, self.prepared_s = timed(lambda: Ranker.from_lightgbm(self.model.path))
        self.rows32 = self.model.rows()
        self.rows64 = self.rows32.astype(np.float64)
        self.library = library or next(iter(sorted(ROOT.glob("build/*/benchmarks/libquickscorer.so"))), None)
        self.seconds = 4.0 if quick else 20.0
        self.rounds = 3 if quick else 9
        self.lightgbm = self.rivals(CANDIDATES)
        self.expected = self.lightgbm.expected

    def rivals(self, count: int) -> Rivals:
        return Rivals(self.model.path, self.rows64[:count], self.rows32[:count], compile_slow=not self.quick)

    def measured(self, case: str, contenders: list[Contender | Absent], part: float = 1.0) -> list[Entry]:
        return measure(case, contenders, self.seconds * part, self.rounds)

    def ours(self, count: int, engines: list[str]) -> list[Contender | Absent]:
        """The plain batch, the task folded into its trees, and the best ten; the whole call through Python's door."""
        m, ranker, expected = self.model, self.ranker, self.expected[:count]
        index, pairs, rows32, rows64 = m.index[:count], m.pairs[:count], self.rows32[:count], self.rows64[:count]
        best = np.lexsort((np.arange(count), -expected))[:TOP]

        def on(engine: str) -> list[Contender]:
            catalogue = ranker.prepare_actions(m.actions, engine)

            def task(top_k: int | None = None) -> Any:
                return ranker.score_task(m.task, catalogue, pairs, index=index, top_k=top_k, engine=engine)

            return [
                Contender(
                    f"opspilot {engine}, plain", lambda: ranker.score(rows32, engine), expected, True, prepared_s=self.prepared_s
                ),
                Contender(f"opspilot {engine}, plain, float64", lambda: ranker.score(rows64, engine), expected, True),
                Contender(f"opspilot {engine}, folded", task, expected, True),
                Contender(
                    f"opspilot {engine}, folded, top {TOP}",
                    lambda: task(TOP),
                    np.concatenate([best, expected[best]]),
                    True,
                    scores=lambda top: np.concatenate([top.index, top.score]),
                ),
            ]

        return [contender for engine in engines for contender in on(engine)]

    def _baseline(self, count: int) -> Contender | Absent:
        rows, expected = self.rows32[:count], self.expected[:count]
        if self.library is None:
            return Absent("QuickScorer, ours", "not built: -DOPSPILOT_BENCHMARKS=ON, target quickscorer")
        library = self.library
        return attempt("QuickScorer, ours", lambda: quickscorer(library, self.model.path, rows, expected))

    def ranking(self) -> list[Entry]:
        """2,000 candidates, every engine and every rival."""
        rivals = self.lightgbm
        contenders = [rivals.lightgbm(), *rivals.all(), self._baseline(CANDIDATES), *self.ours(CANDIDATES, Ranker.engines())]
        return self.measured(f"reference ranking, {CANDIDATES:,} candidates, {self.model.trees} trees", contenders, 3.0)

    def fewer(self) -> list[Entry]:
        """1,000 and 200 candidates, the best engine."""
        out = []
        for count in (1_000, 200):
            contenders = [self.rivals(count).lightgbm(), self._baseline(count), *self.ours(count, Ranker.engines()[:1])]
            out += self.measured(f"{count:,} candidates", contenders, 0.5)
        return out

    def own(self) -> list[Entry]:
        """Trainers with models of their own, and ours reading them; LightGBM on the reference model for scale."""
        out = []
        for case, contenders in own_cases(self.rows32, train=not self.quick).items():
            if any(isinstance(c, Contender) for c in contenders):
                out += self.measured(case, [*contenders, self.lightgbm.lightgbm()], 0.5)
            else:
                out += [{"case": case, "system": c.name, "absent": c.reason} for c in contenders if isinstance(c, Absent)]
        return out

    def others(self) -> list[Entry]:
        """Models unlike the reference: none may be slower than LightGBM."""
        out = []
        for other in others(self.quick):
            rivals = Rivals(other.path, other.rows, other.rows.astype(np.float32), compile_slow=False)
            ours = _ours(other, rivals.expected)
            out += self.measured(f"{other.name} ({len(other.rows):,} rows)", [rivals.lightgbm(), ours], 0.15)
        return out

    def threads(self) -> list[Entry]:
        """Two host threads, each with its own workspace, beside LightGBM with two: rows a second, two over one. Others'
        load takes from the wall; what a thread shares with the other one shows in its own processor time."""
        case, calls = "two threads", 20 if self.quick else 60
        if len(measuring.PROCESSORS) < 2:
            return [{"case": case, "system": "opspilot", "absent": "one processor"}]
        os.sched_setaffinity(0, measuring.PROCESSORS)
        try:
            ours = [lambda: self.ranker.score(self.rows32)]
            one, two = _of_rounds(self.rounds, ours, calls), _of_rounds(self.rounds, ours * 2, calls)
            alone = _of_rounds(self.rounds, [self.lightgbm.lightgbm().run], 3)
            both = _of_rounds(self.rounds, [self.lightgbm.lightgbm(threads=2).run], 3)
        finally:
            os.sched_setaffinity(0, measuring.PROCESSORS[-1:])
        wall, own = 2 * one.wall / two.wall, 2 * one.processor / two.processor
        theirs = alone.wall / both.wall
        rival = f"{theirs:.2f} × the rows a second of one"
        fact = f"{wall:.2f} × the rows a second of one, {own:.2f} × by processor time (wanted: 1.9)"
        return [
            {"case": case, "system": "LightGBM, num_threads=2", "gain": theirs, "fact": rival},
            {"case": case, "system": "opspilot, two host threads", "gain": wall, "gain_processor": own, "fact": fact},
        ]

    def memory(self) -> list[Entry]:
        """The compiled model beside its file, and how long it takes to make."""
        text, size = self.model.path.read_bytes(), self.ranker._core.bytes
        seconds = min(timed(lambda: Ranker.from_lightgbm(text))[1] for _ in range(self.rounds))
        facts = {"bytes": size, "text_bytes": len(text), "prepared_s": seconds}
        fact = f"{size / 1e6:.2f} MB, {size / len(text):.2f} × its text file; made in {seconds:.3f} s (wanted: 0.1)"
        return [{"case": "memory and preparation", "system": "opspilot", **facts, "fact": fact}]


def _ours(other: Other, expected: Array) -> Contender:
    ranker, seconds = timed(lambda: Ranker.from_lightgbm(other.path))
    return Contender("opspilot", lambda: ranker.score(other.rows), expected, True, prepared_s=seconds)


@dataclass(frozen=True)
class _Taken:
    """Seconds for all calls: by the clock, and the processor's of the busiest thread."""

    wall: float
    processor: float


def _of_rounds(rounds: int, runs: Sequence[Callable[[], Any]], calls: int) -> _Taken:
    """The smallest of the rounds; each of the runs is called so many times on a thread of its own."""
    taken = [_together(runs, calls) for _ in range(rounds)]
    return _Taken(min(t.wall for t in taken), min(t.processor for t in taken))


def _together(runs: Sequence[Callable[[], Any]], calls: int) -> _Taken:
    ready = threading.Barrier(len(runs) + 1)
    processor = []

    def work(run: Callable[[], Any]) -> None:
        run()  # the thread's own workspace grows
        ready.wait()
        began = time.thread_time()
        for _ in range(calls):
            run()
        processor.append(time.thread_time() - began)

    threads = [threading.Thread(target=work, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return _Taken(time.perf_counter() - began, max(processor))


def slower(entries: list[Entry]) -> list[str]:
    """Cases in which ours was slower than LightGBM on the same model. The smallest times count: others share the machine."""
    own = (e for e in entries if e["system"].startswith("opspilot") and e.get("baseline") == "LightGBM" and "ratio_min" in e)
    return [f"{e['case']}: {e['system']}" for e in own if e["ratio_min"] < 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    cases = ("memory", "ranking", "fewer", "own", "others", "threads")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, nothing trained for long: to see that it runs")
    parser.add_argument("--case", action="append", choices=cases, help="only these; may be repeated")
    parser.add_argument("--quickscorer", type=Path, help="the built baseline; found in build/ otherwise")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="an SVG of the reference ranking")
    given = parser.parse_args()
    facts = measuring.environment()
    comparison = Comparison(given.quick, given.quickscorer)
    facts["reference"] = (
        check(comparison.model) if comparison.model.trees == 500 else f"{comparison.model.trees} trees, unchecked"
    )
    entries: list[Entry] = []
    measuring.show_environment(facts)
    for name in given.case or cases:
        made = getattr(comparison, name)()
        measuring.show(made)
        entries += made
    print(f"\nslower than LightGBM: {', '.join(slower(entries)) or 'none'}")
    if given.json:
        given.json.write_text(json.dumps({"environment": facts, "quick": given.quick, "entries": entries}, indent=1) + "\n")
    if given.picture:
        given.picture.write_text(bars(facts, entries))


if __name__ == "__main__":
    main()
