"""Regenerates tests/rank/fixtures with LightGBM itself: model files, rows, and the scores LightGBM gives them.

    pip install lightgbm==4.7.0 numpy && python tests/rank/make_fixtures.py

Each NAME.txt is a model; NAME.rows holds "rows features outputs", then one line per row: its values and the scores of
predict(raw_score=True) (of the average for random forests), as hexadecimal doubles. NAME.contributions holds "rows values",
then predict(pred_contrib=True) of the first rows, likewise.
"""

from pathlib import Path

import lightgbm as lgb
import numpy as np

HERE = Path(__file__).parent / "fixtures"
ZERO = np.float64(np.float32(1e-35))
SPECIAL = np.array(
    [
        0.0,
        -0.0,
        np.nan,
        np.inf,
        -np.inf,
        ZERO,
        -ZERO,
        np.nextafter(ZERO, 1),
        -np.nextafter(ZERO, 1),
        1e-36,
        -1e-36,
        -0.5,
        -1.0,
        -2.0,
        31.0,
        32.0,
        1000000000.0,
        3000000000.0,
        1e300,
        2.5,
        0.999,
    ]
)


def table(rng: np.random.Generator, rows: int, categories: list[int]) -> np.ndarray:
    """Columns of different scales, with zeros, missing values, values around 1e-35 and integer categories."""
    x = rng.normal(size=(rows, 6)) * 10.0 ** np.array([0, 2, -3, 0, 0, 0])
    x[rng.random(rows) < 0.4, 1] = 0.0
    x[:, 3] = rng.integers(-3, 4, rows) * ZERO
    for j in categories:
        x[:, j] = rng.integers(0, 70 if j == 4 else 5, rows)
    x[rng.random(x.shape) < 0.08] = np.nan
    return x


def probes(rng: np.random.Generator, x: np.ndarray, model: lgb.Booster) -> np.ndarray:
    """Rows of the table with special values, and thresholds with their neighbours, strewn in."""
    rows = x[rng.integers(0, len(x), 60)].copy()
    place = rng.random(rows.shape) < 0.12
    rows[place] = rng.choice(SPECIAL, int(place.sum()))
    for block in model.model_to_string().split("\nTree=")[1:]:
        keys = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for feature, threshold in zip(keys["split_feature"].split(), map(float, keys["threshold"].split()), strict=True):
            side = rng.choice([-np.inf, np.inf, threshold])
            rows[rng.integers(len(rows)), int(feature)] = np.nextafter(threshold, side)
    return rows


def write(name: str, seed: int, rounds: int, categories: list[int], **parameters: object) -> None:
    """Trains one model and freezes it."""
    rng = np.random.default_rng(seed)
    x = table(rng, 500, categories)
    z = np.nan_to_num(x) / np.nanmax(np.abs(x), axis=0)
    signal = z @ rng.normal(size=x.shape[1]) + (np.nan_to_num(x[:, 4]) % 3 == 0) + 0.1 * rng.normal(size=len(x))
    objective = str(parameters["objective"])
    label: np.ndarray = signal
    group = None
    if objective == "binary":
        label = (signal > np.median(signal)).astype(float)
    elif objective in ("multiclass", "lambdarank"):
        label = np.digitize(signal, np.quantile(signal, [0.3, 0.6]))
        group = [125] * 4 if objective == "lambdarank" else None
    fixed = {"verbose": -1, "num_threads": 1, "deterministic": True, "seed": seed, "min_data_per_group": 5, "cat_smooth": 1.0}
    names = ["age", "amount", "ratio=x", "tiny", "queue", "kind"]
    data = lgb.Dataset(x, label, group=group, categorical_feature=categories, feature_name=names)
    model = lgb.train({**fixed, **parameters}, data, rounds)
    rows = probes(rng, x, model)
    scores = model.predict(rows, raw_score=True)
    if parameters.get("boosting") == "rf":
        scores = scores / model.current_iteration()
    scores = scores.reshape(len(rows), -1)
    model.save_model(HERE / f"{name}.txt")
    with (HERE / f"{name}.rows").open("w") as out:
        out.write(f"{len(rows)} {x.shape[1]} {scores.shape[1]}\n")
        for row in np.hstack([rows, scores]):
            out.write(" ".join(float(v).hex() for v in row) + "\n")


def write_contributions(name: str, count: int = 16) -> None:
    """Contributions of a frozen model's first rows."""
    model = lgb.Booster(model_file=HERE / f"{name}.txt")
    lines = (HERE / f"{name}.rows").read_text().splitlines()[1 : count + 1]
    rows = np.array([[float.fromhex(word) for word in line.split()] for line in lines])[:, : model.num_feature()]
    values = model.predict(rows, pred_contrib=True)
    if "\naverage_output\n" in model.model_to_string():
        values = values / model.current_iteration()
    with (HERE / f"{name}.contributions").open("w") as out:
        out.write(f"{len(values)} {values.shape[1]}\n")
        for row in values:
            out.write(" ".join(float(v).hex() for v in row) + "\n")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    write("lambdarank", 1, 12, [4], objective="lambdarank", num_leaves=16)
    write("binary_dart", 2, 10, [], objective="binary", boosting="dart", num_leaves=8, drop_rate=0.5)
    write("multiclass_categories", 3, 4, [4, 5], objective="multiclass", num_class=3, num_leaves=7, max_cat_to_onehot=1)
    write("forest", 4, 6, [5], objective="regression", boosting="rf", bagging_freq=1, bagging_fraction=0.7, num_leaves=12)
    write("zero_as_missing", 5, 8, [4], objective="regression", zero_as_missing=True, num_leaves=10)
    write("no_missing", 6, 8, [], objective="regression_l1", use_missing=False, num_leaves=10, max_bin=31)
    write("one_leaf", 7, 3, [], objective="binary", min_data_in_leaf=1000)
    for path in sorted(HERE.glob("*.rows")):
        write_contributions(path.stem)
