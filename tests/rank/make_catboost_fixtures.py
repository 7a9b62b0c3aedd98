"""Regenerates the CatBoost models of tests/rank/fixtures: model files, rows, and the scores CatBoost gives them.

    pip install catboost==1.2.10 && python tests/rank/make_catboost_fixtures.py

Each catboost_NAME.json is a model as CatBoost writes it, without the notes on its training; catboost_NAME.rows holds
"rows features outputs", then one line per row: its values and the scores of predict(prediction_type="RawFormulaVal"), as
hexadecimal doubles.
"""

import json
from pathlib import Path

import catboost as cb
import numpy as np
import pandas as pd

HERE = Path(__file__).parent / "fixtures"
SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 1e300, -1e300, 3.4028234663852886e38, 0.1, 1.5])


def table(rng: np.random.Generator, rows: int, missing: bool) -> np.ndarray:
    """Columns of different scales, with ties and missing values."""
    x = rng.normal(size=(rows, 5)) * 10.0 ** np.array([0, 2, -3, 0, 0])
    x[:, 3] = rng.integers(0, 4, rows)
    if missing:
        x[rng.random(x.shape) < 0.1] = np.nan
    return x


def probes(rng: np.random.Generator, x: np.ndarray, document: dict) -> np.ndarray:
    """Rows of the table with special values, and borders with their neighbours in float32 and float64, strewn in."""
    rows = x[rng.integers(0, len(x), 60)].copy()
    place = rng.random(rows.shape) < 0.12
    rows[place] = rng.choice(SPECIAL, int(place.sum()))
    for feature in document["features_info"]["float_features"]:
        for border in feature["borders"]:
            side = rng.choice([-np.inf, np.inf, border])
            kind = np.float32 if rng.random() < 0.5 else np.float64
            with np.errstate(over="ignore"):
                rows[rng.integers(len(rows)), feature["flat_feature_index"]] = np.nextafter(kind(border), kind(side))
    return rows


def write(
    name: str, seed: int, missing: bool = True, names: list[str] | None = None, scale: float = 1.0, **parameters: object
) -> None:
    """Trains one model and freezes it."""
    rng = np.random.default_rng(seed)
    x = table(rng, 400, missing)
    z = np.nan_to_num(x) / np.nanmax(np.abs(x), axis=0)
    signal = z @ rng.normal(size=x.shape[1]) + 0.1 * rng.normal(size=len(x))
    label: np.ndarray = signal
    loss = str(parameters.get("loss_function", "RMSE"))
    if loss == "Logloss":
        label = signal > np.median(signal)
    elif loss.startswith("MultiClass"):
        label = np.digitize(signal, np.quantile(signal, [0.3, 0.6]))
    elif loss == "MultiRMSE":
        label = np.c_[signal, -2 * signal + z[:, 0]]
    fixed = {"iterations": 4, "thread_count": 1, "random_seed": seed, "verbose": 0, "allow_writing_files": False}
    model = cb.CatBoost({**fixed, **parameters})
    model.fit(cb.Pool(x, label, feature_names=names, weight=rng.uniform(0.5, 2, len(x))))
    if scale != 1.0:
        model.set_scale_and_bias(scale, model.get_scale_and_bias()[1])
    target = HERE / f"catboost_{name}.json"
    model.save_model(str(target), format="json")
    document = json.loads(target.read_text())
    document["model_info"] = {"params": {"loss_function": document["model_info"]["params"]["loss_function"]}}
    target.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    rows = probes(rng, x, document)
    # Of the model in memory: CatBoost's own reader of JSON does not round numbers correctly.
    scores = model.predict(rows, prediction_type="RawFormulaVal", thread_count=1).reshape(len(rows), -1)
    with (HERE / f"catboost_{name}.rows").open("w") as out:
        out.write(f"{len(rows)} {x.shape[1]} {scores.shape[1]}\n")
        for row in np.hstack([rows, scores]):
            out.write(" ".join(float(v).hex() for v in row) + "\n")


def write_categorical(name: str, categories: int, **parameters: object) -> None:
    """A model that splits on categories, which cannot be read."""
    rng = np.random.default_rng(categories)
    x = pd.DataFrame({"amount": rng.normal(size=200), "queue": rng.integers(0, categories, 200)})
    fixed = {"iterations": 2, "depth": 2, "thread_count": 1, "random_seed": 1, "verbose": 0, "allow_writing_files": False}
    pool = cb.Pool(x, (x["queue"] == 1) + 0.1 * rng.normal(size=200), cat_features=["queue"])
    target = HERE / f"catboost_{name}.json"
    cb.CatBoost({**fixed, **parameters}).fit(pool).save_model(str(target), format="json", pool=pool)
    document = json.loads(target.read_text())
    document["model_info"] = {"params": {"loss_function": document["model_info"]["params"]["loss_function"]}}
    target.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    names = ["age", "amount", "ratio=x", "größe", "kind"]
    write("symmetric", 1, names=names, depth=3)
    write("nan_max", 2, nan_mode="Max", depth=4, loss_function="Logloss")
    write("no_missing", 3, missing=False, nan_mode="Forbidden", depth=3, ignored_features=[1])
    write("multiclass", 4, depth=2, loss_function="MultiClass")
    write("two_targets", 5, depth=3, loss_function="MultiRMSE", scale=0.3)
    write("depthwise", 6, grow_policy="Depthwise", depth=4, nan_mode="Max", scale=1.7)
    write("lossguide", 7, grow_policy="Lossguide", max_leaves=7, loss_function="Quantile:alpha=0.3", names=names)
    write("lossguide_multiclass", 8, grow_policy="Lossguide", max_leaves=5, loss_function="MultiClass")
    write("no_splits", 9, grow_policy="Depthwise", min_data_in_leaf=1000)
    write_categorical("one_hot", 2)
    write_categorical("counters", 9)
