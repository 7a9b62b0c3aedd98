"""What the comparisons of trees share: one pinned thread, rounds in turn, checked scores, one table. Import it before numpy."""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"))
os.environ.pop("OPENBLAS_CORETYPE", None)  # some machines force a slow kernel of numpy with them
os.environ.pop("OPENBLAS_L2_SIZE", None)

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PROCESSORS = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, PROCESSORS[-1:])  # the pools of all libraries are made on this one

Array = npt.NDArray[Any]
Entry = dict[str, Any]

#: What is made once and kept: models, compiled rivals. Never committed.
CACHE = Path(__file__).resolve().parents[1] / "build" / "benchmark-models"


@dataclass(frozen=True)
class Contender:
    """One way to the same scores. ``expected`` None: a model of its own, which nobody else scores here."""

    name: str
    run: Callable[[], Any]
    expected: Array | None = None
    same_bits: bool = False  # promised: other bits fail the script
    version: str = ""
    prepared_s: float | None = None
    scores: Callable[[Any], Array] = np.ravel


@dataclass(frozen=True)
class Absent:
    """A rival that is not measured, and why."""

    name: str
    reason: str


class LaterError(Exception):
    """What this run has no minutes for."""


def attempt(name: str, make: Callable[[], Contender]) -> Contender | Absent:
    """Rivals are optional: what does not install or load here is named, and the rest is measured."""
    try:
        return make()
    except ImportError as problem:
        return Absent(name, f"not installed ({problem})".replace("\n", " ")[:160])
    except LaterError as problem:
        return Absent(name, str(problem))
    except Exception as problem:  # whatever a rival throws at its own set-up
        return Absent(name, f"{type(problem).__name__}: {problem}".replace("\n", " ")[:160])


def measure(case: str, contenders: Sequence[Contender | Absent], seconds: float, rounds: int = 7) -> list[Entry]:
    """Times of single calls, in turn: about ``seconds`` in all, at least one call of each a round. The first in the list is what
    the others are compared with.

    Ratios are of processor time: where others share the machine, a long call is interrupted more often than a short one, so that
    wall time would flatter the short one. Raises ``ArithmeticError`` for scores that differ where the same bits were promised.
    """
    live = [c for c in contenders if isinstance(c, Contender)]
    agreement = {c.name: _agreement(case, c) for c in live}  # warms up, too
    share = seconds / rounds / len(live)
    calls = {c.name: max(1, min(200, int(share / timed(c.run)[1]))) for c in live}
    taken: dict[str, list[tuple[float, float]]] = {c.name: [] for c in live}
    for number in range(rounds):
        for c in live if number % 2 == 0 else reversed(live):
            for _ in range(calls[c.name]):
                wall, processor = time.perf_counter(), time.process_time()
                c.run()
                taken[c.name].append((time.process_time() - processor, time.perf_counter() - wall))
    times = {name: _summary(pairs) for name, pairs in taken.items()}
    base = times[live[0].name]
    entries = []
    for given in contenders:
        if isinstance(given, Absent):
            entries.append({"case": case, "system": given.name, "absent": given.reason})
            continue
        own = times[given.name]
        entry: Entry = {"case": case, "system": given.name, "version": given.version, "baseline": live[0].name}
        entry |= own | {"calls": len(taken[given.name]), "scores": agreement[given.name], "prepared_s": given.prepared_s}
        entry["ratio_min"] = base["min_ms"] / own["min_ms"]
        entry["ratio_median"] = base["median_ms"] / own["median_ms"]
        entries.append(entry)
    return entries


def _summary(pairs: Sequence[tuple[float, float]]) -> Entry:
    processor, wall = zip(*pairs, strict=True)
    return {
        "min_ms": 1e3 * min(processor),
        "median_ms": 1e3 * statistics.median(processor),
        "wall_min_ms": 1e3 * min(wall),
        "wall_median_ms": 1e3 * statistics.median(wall),
    }


def _agreement(case: str, c: Contender) -> str:
    got = c.scores(c.run())
    if c.expected is None:
        return "its own model"
    if got.shape == c.expected.shape and np.array_equal(got, c.expected):
        return "same bits"
    difference = "shape" if got.shape != c.expected.shape else f"{float(np.max(np.abs(got - c.expected))):.1e}"
    if c.same_bits:
        raise ArithmeticError(f"{case}: {c.name} differs from the trainer's scores: {difference}")
    return f"off by {difference}"


def timed(make: Callable[[], Any]) -> tuple[Any, float]:
    """What was made, and the seconds it took."""
    began = time.perf_counter()
    made = make()
    return made, time.perf_counter() - began


def version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def environment() -> Entry:
    """The machine as it is now: printed above every table."""
    from opspilot.models import Ranker

    facts = dict(
        line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].replace("\t", "").splitlines() if line
    )
    known = ("avx2", "fma", "avx512f", "avx512bw", "avx512_vbmi")
    return {
        "processor": f"{facts['model name'].strip()} (family {facts['cpu family'].strip()}, model {facts['model'].strip()})",
        "processors": len(PROCESSORS),
        "flags": [flag for flag in known if flag in facts["flags"].split()],
        "engines": Ranker.engines(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "lightgbm": version_of("lightgbm"),
        "opspilot": version_of("opspilot"),
    }


def show_environment(facts: Mapping[str, Any]) -> None:
    print(f"{facts['processor']}, {facts['processors']} processors, {' '.join(facts['flags'])}")
    print(f"engines {' '.join(facts['engines'])}; LightGBM {facts['lightgbm']}, numpy {facts['numpy']}")
    print(f"load average at the start {facts['load_average']}", flush=True)


def show(entries: Sequence[Entry]) -> None:
    """The table on standard output. Ratios are to the first of each case, of the smallest times and of the medians."""
    case = None
    for e in entries:
        if e["case"] != case:
            case = e["case"]
            against = next((other["baseline"] for other in entries if other["case"] == case and "baseline" in other), "")
            heads = (
                f"  {'milliseconds of processor time':44} {'min':>9} {'median':>9} {'wall min':>9} {'× min':>8} {'× median':>8}"
            )
            print(f"\n{case}" + (f"; × {against}\n{heads}" if against else ""))
        print("  " + _line(e), flush=True)


def _line(e: Entry) -> str:
    name = f"{e['system']} {e.get('version', '')}".strip()
    if "absent" in e:
        return f"{name:44} absent: {e['absent']}"
    if "fact" in e:
        return f"{name:44} {e['fact']}"
    made = f", made in {e['prepared_s']:.3g} s" if e["prepared_s"] is not None else ""
    times = f"{e['min_ms']:9.3f} {e['median_ms']:9.3f} {e['wall_min_ms']:9.3f}"
    return f"{name:44} {times} {e['ratio_min']:8.2f} {e['ratio_median']:8.2f}  {e['scores']}{made}"
