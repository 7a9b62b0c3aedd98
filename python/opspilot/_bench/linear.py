"""The dense linear ranker against numpy's float32 ``X @ w``."""

from __future__ import annotations

import argparse
import json
from typing import Any


def compare(rows: int = 2000, columns: int = 96, rounds: int = 31, calls: int = 200) -> dict[str, Any]:
    """Microseconds per scoring of the whole matrix; ``ratio`` is numpy's median over ours: 1 or more is no slower."""
    import numpy as np

    from opspilot._bench import interleaved
    from opspilot.models import LinearRanker

    draw = np.random.default_rng(7)
    x = draw.standard_normal((rows, columns)).astype(np.float32)
    w = draw.standard_normal(columns).astype(np.float32)
    document = {"version": 1, "features": [f"f{i}" for i in range(columns)], "weights": [float(v) for v in w], "intercept": 0}
    ranker = LinearRanker.from_json(json.dumps(document))
    difference = float(np.max(np.abs(ranker.score(x) - x.astype(np.float64) @ w.astype(np.float64))))
    if difference > 1e-3:
        raise ArithmeticError(f"scores differ from the exact ones by {difference}")
    taken = interleaved({"opspilot": lambda: ranker.score(x), "numpy": lambda: x @ w}, rounds, calls)
    microseconds = {name: {key: round(1e6 * value, 3) for key, value in entry.items()} for name, entry in taken.items()}
    return {
        "what": "dense linear scores",
        "rows": rows,
        "columns": columns,
        "rounds": rounds,
        "calls_per_round": calls,
        "kernel": LinearRanker.engines()[0],
        "numpy": np.__version__,
        "microseconds": microseconds,
        "ratio": round(taken["numpy"]["median"] / taken["opspilot"]["median"], 3),
        "largest_difference": difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--columns", type=int, default=96)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it runs, not for figures")
    given = parser.parse_args()
    settings = {"rounds": 5, "calls": 20} if given.quick else {}
    print(json.dumps(compare(given.rows, given.columns, **settings)))


if __name__ == "__main__":
    main()
