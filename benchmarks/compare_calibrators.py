#!/usr/bin/env python3
"""Fits and look-ups of calibrators beside scikit-learn, betacal and venn-abers, in one run on one processor.

compare_calibrators.py [--rows 1000000] [--quick] [--json FILE]      (the package must be installed; rivals are optional)

Every rival fits the same scores and labels. Columns: least and median of the processor time of a fit, how often ours goes into
theirs, and how far their probabilities are from ours at most.
"""

from __future__ import annotations

import measuring  # first: one pinned thread  # isort: skip

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from opspilot import calibrate

Array = measuring.Array


def times_of(run: Callable[[], Any], rounds: int) -> list[float]:
    """Milliseconds of processor time."""
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        taken.append(1e3 * (time.process_time() - began))
    return taken


def rivals(
    p: Array, margin: Array, label: Array, at: Array
) -> dict[str, list[tuple[str, str, Callable[[], Callable[[], Array]]]]]:
    """By case: system, package, and a fit that returns the way to its probabilities at ``at``."""

    def scikit_isotonic() -> Callable[[], Array]:
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(out_of_bounds="clip").fit(p, label)
        return lambda: np.asarray(fitted.predict(at))

    def scikit_sigmoid() -> Callable[[], Array]:
        from sklearn.calibration import _SigmoidCalibration

        fitted = _SigmoidCalibration().fit(margin, label)
        return lambda: np.asarray(fitted.predict(np.log(at / (1 - at))))

    def scikit_temperature() -> Callable[[], Array]:
        from sklearn.calibration import _TemperatureScaling

        fitted = _TemperatureScaling().fit(margin, label)

        def read() -> Array:
            made = np.asarray(fitted.predict(np.log(at / (1 - at))))
            return made[:, 1] if made.ndim == 2 else made

        return read

    def betacal() -> Callable[[], Array]:
        from betacal import BetaCalibration

        fitted = BetaCalibration("abm").fit(p, label)
        return lambda: np.asarray(fitted.predict(at))

    def venn_abers() -> Callable[[], Array]:
        from venn_abers import VennAbers

        fitted = VennAbers()
        fitted.fit(np.column_stack([1 - p, p]), label)
        return lambda: np.asarray(fitted.predict_proba(np.column_stack([1 - at, at]))[1])

    return {
        "isotonic": [("scikit-learn", "scikit-learn", scikit_isotonic)],
        "platt": [("scikit-learn", "scikit-learn", scikit_sigmoid)],
        "temperature": [("scikit-learn", "scikit-learn", scikit_temperature)],
        "beta": [("betacal", "betacal", betacal)],
        "venn_abers": [("venn-abers", "venn-abers", venn_abers)],
    }


def compare(rows: int, rival_rows: int, rounds: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    margin = rng.normal(0, 2, size=rows)
    p = 1 / (1 + np.exp(-margin))
    label = (rng.random(rows) < p**1.3).astype(np.int64)
    at = rng.uniform(0.001, 0.999, size=1000)
    ours: dict[str, Callable[[int], Any]] = {
        "isotonic": lambda n: calibrate.Isotonic().fit(p[:n], label[:n]),
        "platt": lambda n: calibrate.Platt().fit(margin[:n], label[:n]),
        "temperature": lambda n: calibrate.Temperature().fit(margin[:n], label[:n]),
        "beta": lambda n: calibrate.Beta().fit(p[:n], label[:n]),
        "venn_abers": lambda n: calibrate.VennAbers().fit(p[:n], label[:n]),
    }
    entries = []
    for case, fit in ours.items():
        # venn-abers takes time with the square of the rows: beside it, fewer.
        beside = min(rows, rival_rows) if case == "venn_abers" else rows
        for n in sorted({beside, rows}):
            own = times_of(lambda fit=fit, n=n: fit(n), rounds)  # type: ignore[misc]
            entries.append(
                {"case": case, "rows": n, "system": "opspilot", "min_ms": min(own), "median_ms": statistics.median(own)}
            )
            print(f"{case:12} {n:9,d} rows  {'opspilot':22} {min(own):10.1f} {statistics.median(own):10.1f} ms", flush=True)
            if n != beside:
                continue
            made = fit(n)
            mine = (
                made.interval(at)
                if case == "venn_abers"
                else made.probability(np.log(at / (1 - at)) if case in ("platt", "temperature") else at)
            )
            for system, package, rival in rivals(p[:n], margin[:n], label[:n], at)[case]:
                name = f"{system} {measuring.version_of(package)}"
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        taken = times_of(rival, 1 if case == "venn_abers" else max(2, rounds // 2))
                        apart = float(np.max(np.abs(rival()() - mine)))
                except Exception as problem:
                    print(f"{case:12} {n:9,d} rows  {name:22} absent: {type(problem).__name__}: {problem}")
                    continue
                ratio = min(taken) / min(own)
                entries.append({"case": case, "rows": n, "system": name, "min_ms": min(taken), "ratio": ratio, "apart": apart})
                print(
                    f"{case:12} {n:9,d} rows  {name:22} {min(taken):10.1f} {statistics.median(taken):10.1f} ms  × {ratio:.1f}, "
                    f"apart {apart:.1e}",
                    flush=True,
                )
    return entries + lookups(rng, rounds)


def lookups(rng: np.random.Generator, rounds: int) -> list[dict[str, Any]]:
    """Warm look-ups among the tables of 10,000 labelled scores, many at a time: nanoseconds each."""
    p = rng.random(10_000)
    label = (rng.random(10_000) < p).astype(np.int64)
    at = rng.random(1_000_000)
    entries = []
    for made in (calibrate.VennAbers().fit(p, label), calibrate.Isotonic().fit(p, label)):
        taken = min(times_of(lambda made=made: made.probability(at), max(3, rounds)))  # type: ignore[misc]
        entries.append({"case": f"look-up, {made._kind}", "rows": 10_000, "system": "opspilot", "ns": taken})
        print(f"look-up among 10,000 points, {made._kind}: {taken:.1f} ns each, numpy array to numpy array")
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--rival-rows", type=int, default=20_000, help="rows beside venn-abers, whose time grows with their square"
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    facts = measuring.environment()
    measuring.show_environment(facts)
    entries = compare(
        50_000 if options.quick else options.rows, 5_000 if options.quick else options.rival_rows, 3 if options.quick else 5
    )
    if options.json:
        options.json.write_text(json.dumps({"environment": facts, "entries": entries}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
