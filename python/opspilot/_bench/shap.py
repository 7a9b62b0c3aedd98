"""TreeSHAP against LightGBM's ``pred_contrib``: models that LightGBM trains here on made-up rows, one thread each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

_FEATURES = 96
#: Trees and leaves.
_MODELS = ((100, 31), (500, 64))


def compare(
    models: tuple[tuple[int, int], ...] = _MODELS,
    rows: tuple[int, ...] = (1, 100, 1000),
    rounds: int = 5,
    train_rows: int = 20_000,
) -> dict[str, Any]:
    """Microseconds per row; ``ratio`` is LightGBM's time over ours.

    Raises ``ArithmeticError`` when contributions, or their sums and the scores, differ by more than 1e-9 x max(1, |score|).
    """
    import lightgbm as lgb
    import numpy as np

    from opspilot.models import Ranker

    draw = np.random.default_rng(7)
    x = draw.standard_normal((train_rows, _FEATURES))
    x[draw.random(x.shape) < 0.05] = np.nan
    known = np.nan_to_num(x)
    label = known @ draw.standard_normal(_FEATURES) + 5 * np.sin(known[:, 0] * known[:, 1]) + draw.standard_normal(train_rows)
    out: dict[str, Any] = {"what": "TreeSHAP", "features": _FEATURES, "rounds": rounds, "lightgbm": lgb.__version__, "models": []}
    for trees, leaves in models:
        settings = {"objective": "regression", "num_leaves": leaves, "verbose": -1, "num_threads": 1, "seed": 7}
        booster = lgb.train(settings, lgb.Dataset(x, label), trees)
        ranker = Ranker.from_lightgbm(booster)
        about: dict[str, Any] = {"trees": trees, "leaves": leaves, "rows": []}
        for n in rows:
            about["rows"].append(_measured(booster, ranker, x[:n], rounds))
        out["models"].append(about)
        out["engine"] = ranker._explainer().engine
    entries = [entry for about in out["models"] for entry in about["rows"]]
    out["ratio"] = min(entry["ratio"]["median"] for entry in entries)
    out["largest_difference"] = max(entry["largest_difference"] for entry in entries)
    return out


def _measured(booster: Any, ranker: Any, x: Any, rounds: int) -> dict[str, Any]:
    import numpy as np

    from opspilot._bench import interleaved

    def rival() -> Any:
        return booster.predict(x, pred_contrib=True, num_threads=1)

    got, want, scores = ranker.contributions(x), rival(), ranker.score(x)
    scale = np.maximum(1.0, np.abs(scores))
    difference = float(np.max(np.abs(got - want) / scale[:, None]))
    unexplained = float(np.max(np.abs(got.sum(1) - scores) / scale))
    if max(difference, unexplained) > 1e-9:
        raise ArithmeticError(f"contributions differ by {difference}, sums by {unexplained}, of max(1, |score|)")
    rivals: dict[str, Callable[[], object]] = {"opspilot": lambda: ranker.contributions(x), "lightgbm": rival}
    if len(x) == 1:
        rivals["opspilot explain"] = lambda: ranker.explain(x[0])
    taken = interleaved(rivals, rounds, 10 if len(x) == 1 else 1)
    per_row = {name: {key: round(1e6 * value / len(x), 2) for key, value in entry.items()} for name, entry in taken.items()}
    return {
        "rows": len(x),
        "microseconds_per_row": per_row,
        "ratio": {key: round(taken["lightgbm"][key] / taken["opspilot"][key], 1) for key in ("min", "median")},
        "largest_difference": difference,
        "largest_gap_of_sums": unexplained,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little of everything: to see that it runs, not for figures")
    given = parser.parse_args()
    quick: dict[str, Any] = {"models": ((100, 31), (50, 64)), "rows": (1, 100), "rounds": 3, "train_rows": 4_000}
    print(json.dumps(compare(**quick) if given.quick else compare()))


if __name__ == "__main__":
    main()
