"""Measurements with the rival beside: both in one process, round by round in turn, one thread. Behind ``opspilot bench`` and
the scripts in benchmarks/."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping

#: Set before numpy is loaded, they keep every library to one thread.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1")


def one_thread() -> None:
    """Call it before numpy is imported."""
    os.environ.update(ONE_THREAD)


def interleaved(rivals: Mapping[str, Callable[[], object]], rounds: int, calls: int = 1) -> dict[str, dict[str, float]]:
    """Seconds per call of each, min and median over the rounds. The order turns with every round; the first one only warms."""
    names = list(rivals)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 == 0 else reversed(names):
            run = rivals[name]
            began = time.perf_counter()
            for _ in range(calls):
                run()
            if number > 0:
                seconds[name].append((time.perf_counter() - began) / calls)
    return {name: {"min": min(taken), "median": statistics.median(taken)} for name, taken in seconds.items()}


def percentile(ordered: list[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
