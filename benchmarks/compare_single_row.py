#!/usr/bin/env python3
"""One row at a time: opspilot beside LightGBM's fast call for a single row, its Booster and lleaves, in turn, on one pinned
thread. Every call gets another row; the figures are microseconds a row.

compare_single_row.py [--quick] [--trees N ...] [--json FILE] [--picture FILE]   (the package and LightGBM must be installed)
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import json
import os
import subprocess
from pathlib import Path

import measuring  # before numpy
import numpy as np
from measuring import Absent, Array, Contender, Entry, LaterError, attempt, measure, timed, version_of
from picture import lines
from reference_model import WIDTHS, is_kept, of_trees
from rivals import Rivals

from opspilot.models import Ranker

#: Rows a timed call, so that its milliseconds are microseconds a row.
ROWS = 1_000
ROOT = Path(__file__).resolve().parents[1]


def fast_call(rivals: Rivals) -> Contender:
    """LGBM_BoosterPredictForMatSingleRowFast: what a C++ host of LightGBM uses, through ctypes with everything set up before."""
    import lightgbm

    library, booster, rows = lightgbm.basic._LIB, rivals.booster, rivals.rows64
    fast, one, length = ctypes.c_void_p(), ctypes.c_double(), ctypes.c_int64()
    raw, from_tree, all_trees, float64 = (ctypes.c_int(value) for value in (1, 0, -1, 1))
    width, parameters = ctypes.c_int32(rows.shape[1]), ctypes.c_char_p(b"num_threads=1")
    failed = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, raw, from_tree, all_trees, float64, width, parameters, ctypes.byref(fast)
    )
    if failed:
        raise RuntimeError("LightGBM refuses its fast call")
    places = [ctypes.c_void_p(rows.ctypes.data + i * rows.strides[0]) for i in range(len(rows))]
    call, out, count = library.LGBM_BoosterPredictForMatSingleRowFast, ctypes.byref(one), ctypes.byref(length)

    def run() -> list[float]:
        scores = []
        for place in places:
            call(fast, place, count, out)
            scores.append(one.value)
        return scores

    return Contender("LightGBM, fast call for one row", run, rivals.expected, True, version_of("lightgbm"), scores=np.array)


def python_calls(name: str, rivals: Rivals, scorer: object, version: str = "", prepared_s: float | None = None) -> Contender:
    """A function of one row (1, features), called for row after row."""
    rows = [rivals.rows64[i : i + 1] for i in range(len(rivals.rows64))]
    assert callable(scorer)
    score = scorer
    return Contender(
        name,
        lambda: [score(row) for row in rows],
        rivals.expected,
        True,
        version,
        prepared_s,
        scores=lambda found: np.concatenate([np.ravel(one) for one in found]),
    )


def lleaves_calls(rivals: Rivals, compile_slow: bool) -> Contender:
    import lleaves

    kept = rivals.kept("lleaves", ".o")
    if not kept.exists() and not compile_slow:
        raise LaterError("compiles for minutes: with --lleaves, or once it is kept")
    model = lleaves.Model(model_file=str(rivals.path))
    model.compile(cache=str(kept), raw_score=True)
    calls = python_calls("lleaves", rivals, lambda row: model.predict(row, n_jobs=1), version_of("lleaves"))
    return dataclasses.replace(calls, same_bits=False)  # it is off by some units in the last place


def from_cpp(case: str, model: Path, quick: bool) -> Entry:
    """bench_trees on the same model: a process of its own, on the same processor, with rows of its own."""
    name = "opspilot, from C++"
    program = next(iter(sorted(ROOT.glob("build/*/benchmarks/bench_trees"))), None)
    if program is None:
        return {"case": case, "system": name, "absent": "not built: -DOPSPILOT_BENCHMARKS=ON, target bench_trees"}
    options = ["--benchmark_filter=^rows<double>/1$", "--benchmark_format=json", f"--benchmark_min_time={0.05 if quick else 0.3}"]
    command = [str(program), *options, f"--benchmark_repetitions={3 if quick else 9}"]
    printed = subprocess.run(command, env={**os.environ, "OPSPILOT_MODEL": str(model)}, capture_output=True, check=True).stdout
    runs = [run["cpu_time"] for run in json.loads(printed)["benchmarks"] if run["run_type"] == "iteration"]
    return {"case": case, "system": name, "us": min(runs), "fact": f"{min(runs):9.3f} {np.median(runs):9.3f}"}


def compared(trees: int, rows: Array, quick: bool, compile_slow: bool) -> list[Entry]:
    rivals = Rivals(of_trees(trees), rows, rows.astype(np.float32), compile_slow=False)
    ranker, seconds = timed(lambda: Ranker.from_lightgbm(rivals.path))
    contenders: list[Contender | Absent] = [
        fast_call(rivals),
        python_calls(
            "LightGBM, Booster.predict",
            rivals,
            lambda row: rivals.booster.predict(row, raw_score=True, num_threads=1),
            version_of("lightgbm"),
        ),
        attempt("lleaves", lambda: lleaves_calls(rivals, compile_slow)),
        python_calls("opspilot, from Python", rivals, ranker.score, prepared_s=seconds),
    ]
    case = f"{trees:,} trees, one row a call"
    entries = measure(case, contenders, 3.0 if quick else 12.0, 3 if quick else 9)
    return [entry | {"trees": trees, "unit": "µs a row"} for entry in [*entries, from_cpp(case, rivals.path, quick)]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, up to 500 trees: to see that it runs")
    parser.add_argument("--trees", type=int, action="append", help="models of so many trees; may be repeated")
    parser.add_argument("--lleaves", action="store_true", help="let lleaves compile every model, which takes minutes each")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="an SVG of microseconds a row by number of trees")
    given = parser.parse_args()
    facts = measuring.environment()
    measuring.show_environment(facts)
    if given.quick and not is_kept():
        raise SystemExit("the reference model is not there yet, training takes a minute: reference_model.py")
    draw = np.random.default_rng(11)
    rows = draw.normal(size=(ROWS, sum(WIDTHS))).astype(np.float32).astype(np.float64)
    entries: list[Entry] = []
    for trees in given.trees or ([100, 500] if given.quick else [100, 300, 500, 1_000]):
        made = compared(trees, rows, given.quick, given.lleaves)
        measuring.show(made)
        entries += made
    if given.json:
        given.json.write_text(json.dumps({"environment": facts, "quick": given.quick, "entries": entries}, indent=1) + "\n")
    if given.picture:
        given.picture.write_text(lines(facts, entries))


if __name__ == "__main__":
    main()
