"""Regenerates tests/rank/fixtures/xgboost with XGBoost itself: models, rows, and the margins XGBoost gives them.

    pip install xgboost-cpu==3.2.0 numpy && python tests/rank/make_xgboost_fixtures.py

Each NAME.json or NAME.ubj is a model; NAME.rows holds "rows features outputs", then one line per row: its values and the margins
that XGBoost 3.2 gives them, as hexadecimal doubles. Run under another version of XGBoost, it writes models of that version
(old_VERSION_NAME); their margins are added by the next run under 3.2, which is the judge of all scalar trees. XGBoost 3.2 does
not survive vector leaves of 2.x, so theirs are those of 2.1.4 itself.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

vars(np).setdefault("cfloat", complex)  # which XGBoost 1.2 looks for
import xgboost as xgb  # noqa: E402

HERE = Path(__file__).parent / "fixtures" / "xgboost"
JUDGE = "3.2.0"
SPECIAL = np.array(
    [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3.4e38, -3.4e38, 1e300, -0.5, -1.0, 0.999, 2.5, 31.0, 32.0, 2.0**24, 3e9]
)


def table(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Columns of very different scales, with zeros, missing values and integer categories (few, and some more)."""
    x = rng.normal(size=(rows, 6)) * 10.0 ** np.array([0, 30, -38, 0, 0, 0])
    x[rng.random(rows) < 0.4, 3] = 0.0
    x[:, 4] = rng.integers(0, 40, rows)
    x[:, 5] = rng.integers(0, 4, rows)
    x[rng.random(x.shape) < 0.08] = np.nan
    return x.astype(np.float32)


def probes(rng: np.random.Generator, x: np.ndarray, booster: xgb.Booster) -> np.ndarray:
    """Rows of the table with special values, and split conditions with their neighbours in float64, strewn in."""
    rows = x[rng.integers(0, len(x), 50)].astype(np.float64)
    place = rng.random(rows.shape) < 0.12
    rows[place] = rng.choice(SPECIAL, int(place.sum()))
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    for tree in model.get("gbtree", model)["model"]["trees"]:
        for left, feature, condition in zip(tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True):
            if left == -1:
                continue
            value = float(np.float32(condition))
            neighbours = [value, np.nextafter(value, -np.inf), np.nextafter(np.float32(value), np.float32(-np.inf))]
            rows[rng.integers(len(rows)), feature] = rng.choice(neighbours)
    return rows


def margins(booster: xgb.Booster, rows: np.ndarray) -> np.ndarray:
    """Of rows that may hold infinities, which a DMatrix refuses."""
    return booster.inplace_predict(rows.astype(np.float32), predict_type="margin", validate_features=False)


def write_rows(name: str, rows: np.ndarray, scores: np.ndarray) -> None:
    scores = np.asarray(scores, np.float64).reshape(len(rows), -1)
    with (HERE / f"{name}.rows").open("w") as out:
        out.write(f"{len(rows)} {rows.shape[1]} {scores.shape[1]}\n")
        for row in np.hstack([rows, scores]):
            out.write(" ".join(float(v).hex() for v in row) + "\n")


def write(
    name: str, seed: int, rounds: int, label: str = "real", categories: bool = False, suffix: str = "json", **p: Any
) -> None:
    """Trains one model and freezes it."""
    rng = np.random.default_rng(seed)
    x = table(rng, 400)
    z = np.nan_to_num(x) / np.nanmax(np.abs(x), axis=0)
    signal = z @ rng.normal(size=x.shape[1]) + (np.nan_to_num(x[:, 4]) % 3 == 0) + 0.1 * rng.normal(size=len(x))
    y: Any = {
        "real": signal,
        "positive": np.exp(signal),
        "zero": signal * 0,
        "binary": (signal > np.median(signal)) * 1.0,
        "class": np.digitize(signal, np.quantile(signal, [0.3, 0.6])) * 1.0,
        "several": np.stack([signal, -2 * signal, signal**2], axis=1),
    }[label]
    kinds: dict[str, Any] = {}
    if categories:
        kinds = {"feature_types": ["q"] * 4 + ["c"] * 2, "enable_categorical": True}
    data = xgb.DMatrix(x, y, feature_names=p.pop("names", None), **kinds)
    if str(p.get("objective")).startswith("rank:"):
        data.set_group([100] * 4)
    if p.get("objective") == "survival:aft":
        data.set_float_info("label_lower_bound", y)
        data.set_float_info("label_upper_bound", y * 2)
    booster = xgb.train({"max_depth": 4, "nthread": 1, "seed": seed, **p}, data, rounds)
    old = "" if xgb.__version__ == JUDGE else f"old_{xgb.__version__}_"
    booster.save_model(str(HERE / f"{old}{name}.{suffix}"))
    if old and p.get("multi_strategy"):
        finite = x[:50].astype(np.float64)
        write_rows(old + name, finite, booster.predict(xgb.DMatrix(finite), output_margin=True))
    if old:
        return
    rows = probes(rng, x, booster)
    if p.get("booster") == "dart":  # whose two ways of predicting differ; the documented one needs finite values
        rows[~np.isfinite(rows.astype(np.float32))] = np.nan
        write_rows(name, rows, booster.predict(xgb.DMatrix(rows), output_margin=True))
    else:
        write_rows(name, rows, margins(booster, rows))


def refused() -> None:
    """Files of XGBoost that are no models of trees, or none that can be scored."""
    x = np.random.default_rng(0).random((20, 2))
    linear = xgb.train({"booster": "gblinear"}, xgb.DMatrix(x, x[:, 0]), 1)
    linear.save_model(HERE / "refused_linear.json")
    linear.save_model(HERE / "refused_linear.ubj")
    zero = xgb.train({"objective": "count:poisson", "max_depth": 1}, xgb.DMatrix(x, np.zeros(20)), 1)
    zero.save_model(HERE / "refused_base_score.json")
    tree = xgb.train({"max_depth": 1}, xgb.DMatrix(x, x[:, 0]), 1)
    (HERE / "refused_snapshot.ubj").write_bytes(tree.__getstate__()["handle"])
    xgb.train({}, xgb.DMatrix(x, x[:, 0]), 0).save_model(HERE / "refused_no_trees.json")


def judge_old() -> None:
    for path in sorted(HERE.glob("old_*.json")):
        if path.with_suffix(".rows").exists():
            continue
        booster = xgb.Booster(model_file=path)
        rng = np.random.default_rng(1)
        rows = probes(rng, table(rng, 400), booster)
        if "dart" in path.name:
            rows[~np.isfinite(rows.astype(np.float32))] = np.nan
            write_rows(path.stem, rows, booster.predict(xgb.DMatrix(rows), output_margin=True))
        else:
            write_rows(path.stem, rows, margins(booster, rows))


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True, parents=True)
    if xgb.__version__.startswith("1."):
        write("binary", 1, 3, "binary", objective="binary:logistic", base_score=0.3)
        if xgb.__version__ == "1.2.1":
            x = np.random.default_rng(0).random((20, 2)).astype(np.float32)
            xgb.train({"max_depth": 1}, xgb.DMatrix(x, x[:, 0] * np.float64(1)), 1).save_model(str(HERE / "refused_binary.model"))
        write("pruned_dart", 2, 4, booster="dart", rate_drop=0.5, tree_method="exact", gamma=0.5)
    elif xgb.__version__.startswith("2."):
        write("vectors", 3, 3, "several", tree_method="hist", multi_strategy="multi_output_tree")
        write("classes", 4, 2, "class", objective="multi:softprob", num_class=3)
    else:
        write("regression", 1, 6)
        write("binary", 2, 5, "binary", objective="binary:logistic", suffix="ubj")
        write("partition", 3, 5, categories=True, max_cat_to_onehot=1)
        write("partition_ubj", 3, 5, categories=True, max_cat_to_onehot=1, suffix="ubj")
        write("one_hot", 4, 4, categories=True, max_cat_to_onehot=100, tree_method="approx")
        write("classes", 5, 3, "class", objective="multi:softmax", num_class=3, num_parallel_tree=2, subsample=0.6)
        write("dart", 6, 8, "class", booster="dart", rate_drop=0.5, objective="multi:softprob", num_class=3, max_depth=3)
        write("vectors", 7, 4, "several", tree_method="hist", multi_strategy="multi_output_tree", suffix="ubj")
        write("vectors_json", 7, 2, "several", tree_method="hist", multi_strategy="multi_output_tree")
        write("targets", 8, 3, "several")
        write("pruned", 9, 4, tree_method="exact", gamma=1.0, max_depth=6)
        write("one_leaf", 10, 3, "positive", objective="count:poisson", gamma=1e9)
        write(
            "rank", 11, 5, "class", objective="rank:ndcg", grow_policy="lossguide", max_leaves=12, max_depth=0, tree_method="hist"
        )
        write("aft", 12, 4, "positive", objective="survival:aft", suffix="ubj")
        write("quantiles", 13, 3, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9])
        write("all_zero", 14, 2, "zero", objective="binary:logistic")
        write("names", 15, 3, names=['a "b"', "ä/ö", "c\\d", "tab\there", "~", "x y"], categories=False)
        small = {"max_depth": 2, "tree_method": "hist"}
        write("tiny", 16, 2, categories=True, max_cat_to_onehot=1, **small)
        write("tiny_ubj", 16, 2, categories=True, max_cat_to_onehot=1, suffix="ubj", **small)
        write("tiny_classes", 17, 1, "class", objective="multi:softprob", num_class=3, max_depth=1)
        write("tiny_dart", 18, 2, booster="dart", max_depth=1)
        write("tiny_vectors", 19, 1, "several", multi_strategy="multi_output_tree", **small)
        write("tiny_pruned", 20, 1, tree_method="exact", max_depth=3, gamma=25.0)
        refused()
        judge_old()
