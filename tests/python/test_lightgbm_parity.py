"""LightGBM models in random configurations: the same scores, bit for bit, by every engine and every way of handing rows over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import opspilot as op

lgb = pytest.importorskip("lightgbm")

Array = np.ndarray[Any, Any]
# No category lies beyond 2^31: there LightGBM's own cast is undefined.
SPECIAL = np.array([0.0, -0.0, 1e-36, -1e-36, 1e-35, 1e-34, 1e-300, 2.0**30, np.inf, -np.inf, -1.0, -0.5, 0.5, 1.0])
OBJECTIVES = [
    "regression",
    "regression_l1",
    "huber",
    "fair",
    "poisson",
    "quantile",
    "mape",
    "gamma",
    "tweedie",
    "binary",
    "cross_entropy",
    "cross_entropy_lambda",
    "multiclass",
    "multiclassova",
    "lambdarank",
    "rank_xendcg",
]


def table(rng: np.random.Generator, rows: int, columns: int, categorical: list[int]) -> Array:
    x = rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-3, 4, columns)
    if rng.random() < 0.3:
        x[rng.random(x.shape) < 0.3] = 0
    for j in categorical:
        x[:, j] = rng.integers(0, int(rng.choice([3, 12, 90])), rows)
    if rng.random() < 0.6:
        x[rng.random(x.shape) < 0.15] = np.nan
    return x


def target(rng: np.random.Generator, objective: str, x: Array) -> tuple[Array, dict[str, Any], Array | None]:
    scaled = np.nan_to_num(x / (np.nanmax(np.abs(x), axis=0) + 1e-9))
    signal = scaled @ rng.normal(size=x.shape[1]) + 0.3 * rng.normal(size=len(x))
    rank = signal.argsort().argsort()
    if objective.startswith("multiclass"):
        classes = int(rng.integers(3, 6))
        return rank * classes // len(x), {"num_class": classes}, None
    if objective in ("lambdarank", "rank_xendcg"):
        return rank * 5 // len(x), {}, np.full(len(x) // 10, 10)
    if objective in ("binary", "cross_entropy", "cross_entropy_lambda"):
        return (signal > 0).astype(float), {}, None
    if objective in ("poisson", "gamma", "tweedie"):
        return np.exp(np.clip(signal, -3, 3)) + 1e-3, {}, None
    return signal * 10.0 ** rng.integers(-2, 3), {}, None


def parameters(rng: np.random.Generator) -> dict[str, Any]:
    boosting = str(rng.choice(["gbdt", "gbdt", "dart", "rf"]))
    made: dict[str, Any] = {
        "boosting": boosting,
        "num_leaves": int(rng.choice([2, 4, 15, 31, 64, 255, 400])),
        "max_depth": int(rng.choice([-1, -1, 1, 3, 8])),
        "max_bin": int(rng.choice([3, 15, 63, 255, 1000])),
        "min_data_in_leaf": int(rng.choice([1, 3, 20])),
        "learning_rate": float(rng.uniform(0.02, 0.9)),
        "use_missing": bool(rng.random() < 0.8),
        "zero_as_missing": bool(rng.random() < 0.3),
        "lambda_l2": float(rng.choice([0.0, 1.0])),
        "feature_fraction": float(rng.uniform(0.4, 1.0)),
        "max_cat_to_onehot": int(rng.choice([1, 4, 100])),
        "min_data_per_group": int(rng.choice([1, 20])),
        "cat_smooth": float(rng.choice([0.0, 10.0])),
        "boost_from_average": bool(rng.random() < 0.7),
        "extra_trees": bool(rng.random() < 0.2),
        "seed": int(rng.integers(1 << 30)),
        "num_threads": 1,
        "verbose": -1,
    }
    if boosting == "rf":
        made |= {"bagging_freq": 1, "bagging_fraction": 0.6}
    elif rng.random() < 0.2:
        made |= {"data_sample_strategy": "goss"}
    return made


@pytest.mark.parametrize("block", range(10))
def test_three_hundred_random_models(block: int) -> None:
    scored = 0
    for seed in range(30):
        rng = np.random.default_rng(1000 * block + seed)
        rows, columns = 10 * int(rng.integers(8, 40)), int(rng.integers(3, 14))
        categorical = [j for j in range(columns) if rng.random() < 0.2]
        objective = str(rng.choice(OBJECTIVES))
        x = table(rng, rows, columns, categorical)
        y, extra, groups = target(rng, objective, x)
        data = lgb.Dataset(x, y, group=groups, categorical_feature=categorical)
        chosen = parameters(rng)
        model = lgb.train(chosen | extra | {"objective": objective}, data, int(rng.integers(1, 25)))
        ranker = op.Ranker.from_lightgbm(model)

        # A task whose columns come first, its actions, and what belongs to the pair.
        t, a = columns // 3, columns // 3
        new = np.vstack([table(rng, 90, columns, categorical), x[:30]])
        spots = rng.random(new.shape) < 0.1
        new[spots] = rng.choice(SPECIAL, spots.sum())
        new[:, :t] = new[0, :t]
        for dtype in (np.float64, np.float32):
            given = new.astype(dtype)
            expected = model.predict(given.astype(np.float64), raw_score=True, num_threads=1)
            if chosen["boosting"] == "rf":  # raw scores of a forest are sums there; what it predicts is their average
                expected = expected / (model.num_trees() // model.num_model_per_iteration())
            for engine in op.Ranker.engines():
                assert np.array_equal(ranker.score(given, engine), expected), (block, seed, engine)
                task = ranker.score_task(given[0, :t], given[:, t : t + a], given[:, t + a :], engine=engine)
                assert np.array_equal(task, expected), (block, seed, engine, "task")
            single = ranker.score(given[:1])
            assert np.array_equal(single, expected[:1])
        scored += 1
    assert scored == 30


def test_categories_of_a_data_frame_are_scored_as_the_trainer_s_codes() -> None:
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"kind": pd.Categorical(rng.choice(["a", "b", "c", "d"], 400)), "size": rng.normal(size=400)})
    y = (frame["kind"].cat.codes.to_numpy() % 2) + 0.1 * frame["size"]
    model = lgb.train({"verbose": -1, "num_threads": 1, "min_data_per_group": 5, "cat_smooth": 1}, lgb.Dataset(frame, y), 10)
    codes = np.column_stack([frame["kind"].cat.codes.to_numpy().astype(float), frame["size"].to_numpy()])
    assert np.array_equal(op.Ranker.from_lightgbm(model).score(codes), model.predict(frame, raw_score=True))
