"""CatBoost models in random configurations: the same scores, bit for bit, as the model that was trained."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opspilot as op

cb = pytest.importorskip("catboost")

Array = np.ndarray[Any, Any]
SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 1e300, -1e300, 3.4028234663852886e38, 0.5, 2.0])
ONE = [
    "RMSE",
    "MAE",
    "Quantile:alpha=0.2",
    "LogLinQuantile:alpha=0.7",
    "Poisson",
    "MAPE",
    "Huber:delta=0.5",
    "Expectile:alpha=0.3",
]
ONE += ["Tweedie:variance_power=1.5", "Lq:q=3", "Logloss", "CrossEntropy", "Focal:focal_alpha=0.4;focal_gamma=1", "LogCosh"]
RANKING = ["QueryRMSE", "QuerySoftMax", "YetiRank", "PairLogit", "LambdaMart"]
SEVERAL = ["MultiClass", "MultiClassOneVsAll", "MultiRMSE", "MultiLogloss", "MultiCrossEntropy", "RMSEWithUncertainty"]
SEVERAL += ["MultiQuantile:alpha=0.1,0.5,0.9", "MultiRMSEWithMissingValues"]


def table(rng: np.random.Generator, rows: int, columns: int, missing: float) -> Array:
    x = rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-4, 5, columns)
    for j in range(columns):
        kind = rng.random()
        if kind < 0.2:
            x[:, j] = rng.integers(0, 5, rows)
        elif kind < 0.3:
            x[:, j] = 7.0
    x[:, 0] = rng.normal(size=rows)
    x[rng.random(x.shape) < missing] = np.nan
    return x


def labels(rng: np.random.Generator, loss: str, x: Array) -> Array:
    z = np.nan_to_num(x) / (np.abs(np.nan_to_num(x)).max(axis=0) + 1e-9)
    signal = z @ rng.normal(size=x.shape[1]) + 0.2 * rng.normal(size=len(x))
    name = loss.split(":")[0]
    if name in ("Logloss", "Focal"):
        return (signal > np.median(signal)).astype(int)
    if name == "CrossEntropy":
        return 1 / (1 + np.exp(-signal))
    if name in ("MultiClass", "MultiClassOneVsAll"):
        return np.digitize(signal, np.quantile(signal, np.linspace(0, 1, int(rng.integers(3, 7)))[1:-1]))
    if name.startswith("MultiRMSE"):
        return np.c_[signal, z[:, 0] - signal, signal**2]
    if name in ("MultiLogloss", "MultiCrossEntropy"):
        return np.c_[signal > 0, z[:, 0] > 0].astype(int)
    if name in ("Poisson", "Tweedie", "MAPE"):
        return np.exp(np.clip(signal, -3, 3))
    if name in RANKING:
        return np.digitize(signal, np.quantile(signal, [0.4, 0.8])).astype(float)
    return signal


def configuration(rng: np.random.Generator) -> dict[str, Any]:
    loss = str(rng.choice([rng.choice(ONE), rng.choice(SEVERAL), rng.choice(RANKING)], p=[0.5, 0.35, 0.15]))
    policy = str(rng.choice(["SymmetricTree", "Depthwise", "Lossguide"]))
    c: dict[str, Any] = {
        "iterations": int(rng.integers(1, 12)),
        "loss_function": loss,
        "grow_policy": policy,
        "depth": int(rng.integers(1, 11)),
        "nan_mode": str(rng.choice(["Min", "Max"])),
        "random_seed": int(rng.integers(1 << 30)),
        "thread_count": 1,
        "verbose": 0,
        "allow_writing_files": False,
    }
    optional = {
        "border_count": int(rng.integers(1, 255)),
        "feature_border_type": str(
            rng.choice(["Median", "Uniform", "UniformAndQuantiles", "MaxLogSum", "MinEntropy", "GreedyLogSum"])
        ),
        "learning_rate": float(rng.uniform(0.01, 1)),
        "l2_leaf_reg": float(rng.uniform(0, 10)),
        "random_strength": float(rng.uniform(0, 3)),
        "rsm": float(rng.uniform(0.3, 1)),
        "bootstrap_type": str(rng.choice(["Bayesian", "Bernoulli", "MVS", "No"])),
        "leaf_estimation_iterations": int(rng.integers(1, 4)),
        "boost_from_average": bool(rng.random() < 0.5),
        "ignored_features": [1],
        "model_shrink_rate": float(rng.uniform(0, 0.2)),
    }
    for key, value in optional.items():
        if rng.random() < 0.25:
            c[key] = value
    if policy == "Lossguide":
        c["max_leaves"] = int(rng.integers(2, 40))
    if policy != "SymmetricTree" and rng.random() < 0.3:
        c["min_data_in_leaf"] = int(rng.choice([1, 5, 50, 10_000]))
    if policy == "SymmetricTree" and rng.random() < 0.15:
        c["boosting_type"] = "Ordered"
    return c


def train(seed: int) -> tuple[Any, Array]:
    """The first configuration of the seed that CatBoost itself accepts, and its rows."""
    rng = np.random.default_rng(seed)
    while True:
        c = configuration(rng)
        x = table(rng, int(rng.integers(60, 300)), int(rng.integers(2, 9)), float(rng.choice([0, 0.1])))
        if not np.isnan(x).any() and rng.random() < 0.3:
            c["nan_mode"] = "Forbidden"
        y = labels(rng, c["loss_function"], x)
        ranking = c["loss_function"] in RANKING
        names = [f"Spalte {j} é" for j in range(x.shape[1])] if rng.random() < 0.3 else None
        weight = rng.uniform(0.1, 3, len(x)) if rng.random() < 0.4 and not ranking else None
        groups = np.repeat(np.arange(len(x)), 10)[: len(x)] if ranking else None
        try:
            model = cb.CatBoost(c).fit(cb.Pool(x, y, weight=weight, group_id=groups, feature_names=names))
        except cb.CatBoostError:
            continue
        if rng.random() < 0.15:
            bias = model.get_scale_and_bias()[1]
            model.set_scale_and_bias(float(rng.uniform(-2, 2)), (np.asarray(bias) + rng.normal()).tolist())
        return model, x


def probes(rng: np.random.Generator, x: Array, content: bytes) -> Array:
    """Rows of the table, special values, and the model's borders with their neighbours in float32 and float64."""
    rows = x[rng.integers(0, len(x), 200)].copy()
    place = rng.random(rows.shape) < 0.1
    rows[place] = rng.choice(SPECIAL, int(place.sum()))
    for feature in json.loads(content)["features_info"]["float_features"]:
        for border in feature["borders"][:60]:
            kind = rng.choice([np.float32, np.float64])
            with np.errstate(over="ignore"):
                value = np.nextafter(kind(border), kind(rng.choice([-np.inf, np.inf, border])))
            rows[rng.integers(len(rows)), feature["flat_feature_index"]] = value
    return rows


def compare(seeds: range) -> None:
    refused: list[str] = []
    for seed in seeds:
        model, x = train(seed)
        try:
            ranker = op.Ranker.from_catboost(model)
        except op.errors.ModelError as error:
            refused.append(f"seed {seed}: {error}")
            continue
        rows = probes(np.random.default_rng(seed), x, ranker.to_bytes())
        for dtype in (np.float64, np.float32):
            with np.errstate(over="ignore"):
                given = rows.astype(dtype)
            expected = model.predict(given, prediction_type="RawFormulaVal", thread_count=1)
            np.testing.assert_array_equal(ranker.score(given), expected, err_msg=f"seed {seed} {model.get_params()}")
        assert ranker.feature_names == list(model.feature_names_)
    print(f"CatBoost: {len(seeds) - len(refused)} of {len(seeds)} configurations scored, all bits equal")
    assert len(refused) <= 0.05 * len(seeds), refused


def test_the_same_bits_as_catboost() -> None:
    compare(range(300))


@pytest.mark.nightly
def test_the_same_bits_as_catboost_in_many_configurations() -> None:
    compare(range(300, 1000))


@pytest.fixture(scope="module")
def model() -> Any:
    return train(3)[0]


def test_every_door_gives_the_same_model(model: Any, tmp_path: Path) -> None:
    ranker = op.Ranker.from_catboost(model)
    model.save_model(str(tmp_path / "model.json"), format="json")
    x = np.random.default_rng(1).normal(size=(50, len(model.feature_names_)))
    for source in (tmp_path / "model.json", str(tmp_path / "model.json"), (tmp_path / "model.json").read_bytes()):
        np.testing.assert_array_equal(op.Ranker.from_catboost(source).score(x), ranker.score(x))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ranker)).score(x), ranker.score(x))
    saved = ranker.save(tmp_path / "again.json")
    assert saved.read_bytes() == ranker.to_bytes()


def test_what_cannot_be_read_is_refused_by_name() -> None:
    rng = np.random.default_rng(0)
    x = np.c_[rng.integers(0, 9, 200), rng.integers(0, 9, 200)]
    settings = {"iterations": 2, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    categorical = cb.CatBoost({**settings}).fit(cb.Pool(x, x[:, 0] % 2, cat_features=[0]))
    with pytest.raises(op.errors.ModelError) as refusal:
        op.Ranker.from_catboost(categorical)
    assert refusal.value.code == "model.categorical_split"
    assert refusal.value.where.startswith("/oblivious_trees/0/splits/")
    with pytest.raises(op.errors.ModelError, match="not fitted"):
        op.Ranker.from_catboost(cb.CatBoostRegressor())
    with pytest.raises(op.errors.UsageError):
        op.Ranker.from_catboost(3)
    with pytest.raises(op.errors.ModelError) as broken:
        op.Ranker.from_catboost(b"{}x")
    assert broken.value.code == "model.json_syntax" or broken.value.code == "model.missing_field"


def test_text_and_embeddings_are_refused_by_name() -> None:
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    settings = {"iterations": 2, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    number = rng.normal(size=90)
    text = pd.DataFrame({"number": number, "words": ["a b", "b c", "c d"] * 30})
    vectors = pd.DataFrame({"number": number, "vector": [list(v) for v in rng.normal(size=(90, 3))]})
    for kind, frame, columns in (("text", text, ["words"]), ("embedding", vectors, ["vector"])):
        model = cb.CatBoostClassifier(**settings, **{f"{kind}_features": columns}).fit(frame, number > 0)
        with pytest.raises(op.errors.ModelError) as refusal:
            op.Ranker.from_catboost(model)
        assert refusal.value.code == f"model.{kind}_feature"
