"""Randomly configured models of XGBoost, scored bit for bit like XGBoost scores them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot.errors import ModelError, UsageError
from opspilot.models import Ranker

xgb = pytest.importorskip("xgboost")

FEATURES = 6
SPECIAL = np.array(
    [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3.4e38, -3.4e38, -0.5, -1.0, 2.5, 31.0, 32.0, 2.0**24, 3e9]
)
OBJECTIVES = [
    "reg:squarederror",
    "reg:squaredlogerror",
    "reg:logistic",
    "reg:pseudohubererror",
    "reg:absoluteerror",
    "reg:quantileerror",
    "reg:gamma",
    "reg:tweedie",
    "binary:logistic",
    "binary:logitraw",
    "binary:hinge",
    "count:poisson",
    "survival:cox",
    "survival:aft",
    "multi:softmax",
    "multi:softprob",
    "rank:ndcg",
    "rank:map",
    "rank:pairwise",
]


def table(rng: np.random.Generator, n: int) -> np.ndarray[Any, Any]:
    """Columns of scales that differ by up to 70 orders, with ties, zeros of both signs, missing values and category codes."""
    x = rng.normal(size=(n, FEATURES)) * 10.0 ** rng.choice([0, 0, 0, 2, -3, 30, -37, -42], FEATURES)
    x[:, 1] = rng.integers(-3, 4, n)
    x[rng.random(n) < 0.3, 2] = rng.choice([0.0, -0.0])
    x[:, 4] = rng.integers(0, int(rng.choice([5, 40, 200])), n)
    x[:, 5] = rng.integers(0, 4, n)
    x = x.astype(np.float32)
    x[rng.random(x.shape) < rng.choice([0.0, 0.1, 0.5])] = np.nan
    return x


def label(rng: np.random.Generator, x: np.ndarray[Any, Any], objective: str) -> np.ndarray[Any, Any]:
    z = np.nan_to_num(x).astype(np.float64)
    z = z / np.maximum(np.abs(z).max(axis=0), 1e-300)
    signal = z @ rng.normal(size=FEATURES) + (np.nan_to_num(x[:, 4]) % 3 == 0) + 0.2 * rng.normal(size=len(x))
    if objective.startswith("multi:"):
        return np.digitize(signal, np.quantile(signal, [0.2, 0.5, 0.7])).astype(float)
    if objective in ("rank:map",) or objective.startswith("binary:"):
        return (signal > np.median(signal)).astype(float)
    if objective.startswith("rank:"):
        return np.digitize(signal, np.quantile(signal, [0.5, 0.8])).astype(float)
    if objective == "reg:logistic":
        return 1 / (1 + np.exp(-signal))
    if objective == "count:poisson":
        return np.floor(np.exp(np.clip(signal, -3, 3)))
    if objective in ("reg:gamma", "reg:tweedie", "survival:cox", "survival:aft", "reg:squaredlogerror"):
        return np.exp(np.clip(signal, -3, 3))
    return signal * float(rng.choice([1.0, 1e-3, 1e3]))


def configuration(rng: np.random.Generator) -> dict[str, Any]:
    """One draw of what a trainer can be asked for, except what XGBoost itself refuses."""
    p: dict[str, Any] = {
        "objective": str(rng.choice(OBJECTIVES)),
        "nthread": 1,
        "verbosity": 0,
        "seed": int(rng.integers(1 << 30)),
    }
    p["tree_method"] = str(rng.choice(["hist", "hist", "approx", "exact"]))
    p["booster"] = str(rng.choice(["gbtree", "gbtree", "dart"]))
    if p["booster"] == "dart":
        p |= {
            "rate_drop": float(rng.choice([0.0, 0.3, 0.8])),
            "sample_type": str(rng.choice(["uniform", "weighted"])),
            "normalize_type": str(rng.choice(["tree", "forest"])),
        }
    p["max_depth"] = int(rng.integers(1, 13))
    if p["tree_method"] != "exact" and rng.random() < 0.4:
        p |= {"grow_policy": "lossguide", "max_leaves": int(rng.integers(2, 40)), "max_depth": int(rng.choice([0, 0, 3]))}
    p["learning_rate"] = float(rng.choice([0.1, 0.3, 1.0]))
    if rng.random() < 0.4:
        p |= {"subsample": 0.7, "colsample_bylevel" if p["tree_method"] == "exact" else "colsample_bynode": 0.6}
    if rng.random() < 0.3:
        p["num_parallel_tree"] = int(rng.integers(2, 5))
    if rng.random() < 0.3:
        p["gamma"] = float(rng.choice([0.1, 1.0, 10.0]))
    if rng.random() < 0.3:
        p |= {"reg_alpha": 0.5, "reg_lambda": float(rng.choice([0.0, 5.0])), "max_delta_step": 1.0}
    if rng.random() < 0.2:
        p["monotone_constraints"] = "(" + ",".join(str(v) for v in rng.integers(-1, 2, 4)) + ",0,0)"
    if p["tree_method"] == "hist":
        p["max_bin"] = int(rng.choice([4, 64, 256]))
    if p["objective"].startswith("multi:"):
        p["num_class"] = 4
    if p["objective"] == "reg:quantileerror":
        p["quantile_alpha"] = [0.5] if rng.random() < 0.5 else [0.1, 0.5, 0.9]
    if rng.random() < 0.3:
        p["base_score"] = float(rng.choice([0.1, 0.37, 0.99]))
    return p


def trees_of(model: dict[str, Any]) -> list[dict[str, Any]]:
    booster = model["learner"]["gradient_booster"]
    trees: list[dict[str, Any]] = booster.get("gbtree", booster)["model"]["trees"]
    return trees


class Trained:
    """A model of one random configuration, with rows to score."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        p = configuration(rng)
        x = table(rng, int(rng.choice([60, 200, 400])))
        y = label(rng, x, p["objective"])
        several = p["booster"] == "gbtree" and p["objective"] == "reg:squarederror" and rng.random() < 0.7
        if several or (p["booster"] == "gbtree" and p["tree_method"] == "hist" and rng.random() < 0.2):
            if several:
                y = np.stack([y, -y, y**2], axis=1)
            p |= {"multi_strategy": "multi_output_tree", "tree_method": "hist"} if rng.random() < 0.7 else {}
            if p.get("multi_strategy"):  # what XGBoost has not for vector leaves
                for key in ("monotone_constraints", "grow_policy", "max_leaves", "gamma", "num_parallel_tree", "max_delta_step"):
                    p.pop(key, None)
                p["max_depth"] = p["max_depth"] or 4
        self.kinds: dict[str, Any] = {}
        if p["tree_method"] != "exact" and not p.get("multi_strategy") and rng.random() < 0.6:
            self.kinds = {"feature_types": ["q"] * 4 + ["c"] * 2, "enable_categorical": True}
            p["max_cat_to_onehot"] = int(rng.choice([1, 4, 1000]))
            p.pop("monotone_constraints", None)
        names = ["age in days", "ä", 'q"', "d", "e", "f"] if rng.random() < 0.3 else None
        self.parameters = p
        data = xgb.DMatrix(x, y, feature_names=names, **self.kinds)
        if p["objective"].startswith("rank:"):
            data.set_group([20] * (len(x) // 20))
        if p["objective"] == "survival:aft":
            data.set_float_info("label_lower_bound", y)
            data.set_float_info("label_upper_bound", np.where(rng.random(len(y)) < 0.3, np.inf, y))
        self.booster = xgb.train(p, data, int(rng.integers(1, 6)))
        self.names = names
        self.rows = self._probes(rng, x)

    def _probes(self, rng: np.random.Generator, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Rows as they were learned from, with special values, and thresholds with their neighbours in float64, strewn in."""
        rows = x[rng.integers(0, len(x), 60)].astype(np.float64)
        place = rng.random(rows.shape) < 0.15
        rows[place] = rng.choice(SPECIAL, int(place.sum()))
        for tree in trees_of(json.loads(self.booster.save_raw("json"))):
            for left, feature, condition in zip(
                tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True
            ):
                if left == -1:
                    continue
                value = np.float32(condition)
                near = [float(value), np.nextafter(float(value), -np.inf), float(np.nextafter(value, np.float32(-np.inf)))]
                rows[rng.integers(len(rows)), feature] = rng.choice(near)
        return rows

    def margins(self, rows: np.ndarray[Any, Any], **how: Any) -> np.ndarray[Any, Any]:
        data = xgb.DMatrix(rows, feature_names=self.names, **self.kinds)
        return np.asarray(self.booster.predict(data, output_margin=True, **how))


def assert_same_bits(scores: np.ndarray[Any, Any], margins: np.ndarray[Any, Any]) -> None:
    expected = margins.astype(np.float64).reshape(scores.shape)
    np.testing.assert_array_equal(scores.view(np.uint64), expected.view(np.uint64))


def check(seed: int) -> str:
    """Scores one random model in every way; "scored", or the code by which it was refused."""
    model = Trained(seed)
    json_bytes, ubj_bytes = (bytes(model.booster.save_raw(kind)) for kind in ("json", "ubj"))
    try:
        rankers = [Ranker.from_xgboost(json_bytes), Ranker.from_xgboost(ubj_bytes)]
    except ModelError as error:
        return str(error.code)
    with np.errstate(over="ignore"):
        floats = model.rows.astype(np.float32)
    finite = np.where(np.isfinite(floats), model.rows, np.nan)  # a DMatrix takes no infinities
    margins = model.margins(finite)
    for ranker in rankers:
        assert_same_bits(ranker.score(finite), margins)
        assert_same_bits(ranker.score(finite.astype(np.float32)), margins)
    # XGBoost predicts rows with infinities in place; dart sums differently there.
    if model.parameters["booster"] != "dart":
        margins = model.booster.inplace_predict(floats, predict_type="margin", validate_features=False)
        for ranker in rankers:
            assert_same_bits(ranker.score(model.rows), margins)
            assert_same_bits(ranker.score(floats), margins)
    return "scored"


def share(seeds: range) -> dict[str, int]:
    outcomes: dict[str, int] = {}
    for seed in seeds:
        outcome = check(seed)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    print(outcomes)
    return outcomes


def test_random_models_have_the_same_bits() -> None:
    outcomes = share(range(48))
    assert outcomes["scored"] >= 0.95 * 48, outcomes


@pytest.mark.nightly
def test_many_random_models_have_the_same_bits() -> None:
    outcomes = share(range(1000, 1400))
    assert outcomes["scored"] >= 0.95 * 400, outcomes


def test_every_objective_is_read_with_its_own_link() -> None:
    seen = set()
    for objective in OBJECTIVES:
        rng = np.random.default_rng(1)
        x = table(rng, 80)
        y = label(rng, x, objective)
        data = xgb.DMatrix(x, y)
        if objective.startswith("rank:"):
            data.set_group([20] * 4)
        if objective == "survival:aft":
            data.set_float_info("label_lower_bound", y)
            data.set_float_info("label_upper_bound", y)
        more: dict[str, Any] = (
            {"num_class": 4} if "multi" in objective else {"quantile_alpha": 0.3} if "quant" in objective else {}
        )
        booster = xgb.train({"objective": objective, "max_depth": 2, "nthread": 1, **more}, data, 2)
        ranker = Ranker.from_xgboost(booster)
        assert_same_bits(ranker.score(x), booster.predict(xgb.DMatrix(x), output_margin=True))
        seen.add(json.loads(ranker.describe("json"))["objective"])
    assert seen == set(OBJECTIVES)


# ---- models that nobody trains, loaded by XGBoost ----


def loaded(model: dict[str, Any]) -> tuple[Any, Ranker]:
    text = json.dumps(model).encode()
    booster = xgb.Booster()
    booster.load_model(bytearray(text))
    return booster, Ranker.from_xgboost(text)


def in_place(booster: Any, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(booster.inplace_predict(rows.astype(np.float32), predict_type="margin", validate_features=False))


def test_thresholds_at_the_edges_of_float() -> None:
    rng = np.random.default_rng(8)
    x = table(rng, 300)
    model = json.loads(xgb.train({"max_depth": 6, "nthread": 1}, xgb.DMatrix(x, label(rng, x, "reg")), 6).save_raw("json"))
    edges = np.array(
        [0.0, -0.0, np.inf, -np.inf, 1e-45, -1e-45, 1.1754944e-38, 1.1754942e-38, 3.4028235e38, -3.4028235e38, 1.0, 2.0**24]
    )
    for tree in trees_of(model):
        tree["split_conditions"] = [
            float(rng.choice(edges)) if left != -1 else value
            for left, value in zip(tree["left_children"], tree["split_conditions"], strict=True)
        ]
    booster, ranker = loaded(model)
    with np.errstate(over="ignore"):
        near = np.concatenate([edges, np.nextafter(edges.astype(np.float32), np.float32(np.inf)), SPECIAL])
        rows = rng.choice(np.concatenate([near, np.nextafter(near.astype(np.float32), np.float32(-np.inf))]), (2000, FEATURES))
    assert_same_bits(ranker.score(rows), in_place(booster, rows))
    assert len(np.unique(ranker.score(rows))) > 50


def test_a_chain_longer_than_a_thousand() -> None:
    splits = 1500
    nodes = 2 * splits + 1
    rng = np.random.default_rng(9)
    left, right, parents = [-1] * nodes, [-1] * nodes, [2147483647] * nodes
    at = 0
    for k in range(splits):
        left[at], right[at] = 2 * k + 1, 2 * k + 2
        parents[2 * k + 1] = parents[2 * k + 2] = at
        at = 2 * k + 1 + k % 2  # down the left and the right by turns
    x = np.arange(4, dtype=np.float32).reshape(-1, 1)
    model = json.loads(xgb.train({"max_depth": 1, "nthread": 1}, xgb.DMatrix(x, x), 1).save_raw("json"))
    zeros = [0] * nodes
    # Odd splits keep what is below, even splits what is above; both sides of the way that is left end in leaves.
    ways = [10.0 * splits - k if k % 2 == 0 else float(k) for k in range(splits)]
    conditions = rng.normal(size=nodes).tolist()
    at = 0
    for k in range(splits):
        conditions[at] = ways[k]
        at = 2 * k + 1 + k % 2
    trees_of(model)[0].update(
        left_children=left,
        right_children=right,
        parents=parents,
        split_conditions=conditions,
        split_indices=zeros,
        default_left=[int(v) for v in rng.integers(0, 2, nodes)],
        split_type=zeros,
        **dict.fromkeys(("base_weights", "loss_changes", "sum_hessian"), [1.0] * nodes),
    )
    trees_of(model)[0]["tree_param"]["num_nodes"] = str(nodes)
    booster, ranker = loaded(model)
    rows = np.concatenate(
        [
            rng.uniform(-10, 11.0 * splits, 3000),
            np.arange(3000) / 2 + 0.25,
            10.0 * splits - np.arange(3000) / 2,
            [np.nan, np.inf, -np.inf],
        ]
    ).reshape(-1, 1)
    scores = ranker.score(rows)
    assert_same_bits(scores, in_place(booster, rows))
    assert len(np.unique(scores)) > 1000


def test_ten_thousand_trees() -> None:
    rng = np.random.default_rng(0)
    x = table(rng, 50)
    p = {"num_parallel_tree": 1000, "max_depth": 1, "subsample": 0.5, "nthread": 1}
    booster = xgb.train(p, xgb.DMatrix(x, rng.normal(size=50)), 10)
    for kind in ("json", "ubj"):
        ranker = Ranker.from_xgboost(bytes(booster.save_raw(kind)))
        assert json.loads(ranker.describe("json"))["trees"] == 10_000
        assert_same_bits(ranker.score(x), booster.predict(xgb.DMatrix(x), output_margin=True))


# ---- the door ----


@pytest.fixture(scope="module")
def trained() -> Trained:
    return Trained(3)


def test_every_source_gives_the_same_scores(trained: Trained, tmp_path: Path) -> None:
    ranker = Ranker.from_xgboost(trained.booster)
    x = trained.rows
    for kind in ("json", "ubj"):
        path = tmp_path / f"model.{kind}"
        trained.booster.save_model(path)
        for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes())):
            np.testing.assert_array_equal(Ranker.from_xgboost(source).score(x), ranker.score(x))
        assert Ranker.from_xgboost(path).to_bytes() == path.read_bytes()
    saved = ranker.save(tmp_path / "kept.ubj")
    np.testing.assert_array_equal(Ranker.from_xgboost(saved).score(x), ranker.score(x))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ranker)).score(x), ranker.score(x))


def test_an_early_stopped_estimator_keeps_its_best_rounds() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = x[:, 0] + rng.normal(size=300)
    model = xgb.XGBRegressor(n_estimators=60, early_stopping_rounds=3, max_depth=4, n_jobs=1)
    model.fit(x[:200], y[:200], eval_set=[(x[200:], y[200:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    assert_same_bits(Ranker.from_xgboost(model).score(x), model.predict(x, output_margin=True))
    everything = model.get_booster().predict(xgb.DMatrix(x), output_margin=True)
    assert_same_bits(Ranker.from_xgboost(model.get_booster()).score(x), everything)
    assert_same_bits(Ranker.from_xgboost(model, iteration_range=(0, 0)).score(x), everything)
    never = xgb.XGBRegressor(n_estimators=4, n_jobs=1).fit(x, y)
    assert_same_bits(Ranker.from_xgboost(never).score(x), never.predict(x, output_margin=True))


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_a_range_of_rounds(booster: str) -> None:
    rng = np.random.default_rng(6)
    x = table(rng, 200)
    y = label(rng, x, "multi:softprob")
    p = {
        "objective": "multi:softprob",
        "num_class": 4,
        "booster": booster,
        "rate_drop": 0.5,
        "num_parallel_tree": 2,
        "nthread": 1,
    }
    model = xgb.train(p, xgb.DMatrix(x, y), 8)
    raw = bytes(model.save_raw())
    for begin, end in ((0, 3), (2, 5), (7, 0), (0, 0)):
        margins = model.predict(xgb.DMatrix(x), output_margin=True, iteration_range=(begin, end or 8))
        assert_same_bits(Ranker.from_xgboost(model, (begin, end)).score(x), margins)
        kept = Ranker.from_xgboost(raw, (begin, end))
        assert_same_bits(kept.score(x), margins)
        assert_same_bits(Ranker.from_xgboost(kept.to_bytes()).score(x), margins)
    for bad in ((3, 3), (-1, 2), (0, 9)):
        with pytest.raises(UsageError, match="rounds") as caught:
            Ranker.from_xgboost(model, bad)
        assert caught.value.code == "usage.iteration_range"


def test_categories_of_a_data_frame_are_scored_as_codes() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 4, 300).astype(np.int32)
    x = rng.normal(size=300).astype(np.float32)
    kind = pyarrow.DictionaryArray.from_arrays(codes, ["b", "a", "c", "zebra"])
    frame = pyarrow.table({"x": x, "kind": kind})
    p = {"max_cat_to_onehot": 1, "nthread": 1}
    model = xgb.train(p, xgb.DMatrix(frame, x + (codes == 2), enable_categorical=True), 3)
    assert any(json.loads(model.save_raw("json"))["learner"]["gradient_booster"]["model"]["cats"]["enc"])
    margins = model.predict(xgb.DMatrix(frame, enable_categorical=True), output_margin=True)
    rows = np.column_stack([x, codes]).astype(np.float32)
    for kind_of_file in ("json", "ubj"):
        assert_same_bits(Ranker.from_xgboost(bytes(model.save_raw(kind_of_file))).score(rows), margins)


def test_other_things_are_refused_by_name(trained: Trained) -> None:
    with pytest.raises(UsageError, match="a model of type int"):
        Ranker.from_xgboost(3)
    with pytest.raises(FileNotFoundError):
        Ranker.from_xgboost("no/such/model.json")
    x = np.random.default_rng(0).random((20, 2))
    with pytest.raises(ModelError, match="gblinear") as linear:
        Ranker.from_xgboost(xgb.train({"booster": "gblinear"}, xgb.DMatrix(x, x[:, 0]), 1))
    assert linear.value.code == "model.linear_booster"
    with pytest.raises(ModelError, match="for missing") as missing:
        Ranker.from_xgboost(xgb.XGBRegressor(missing=0.0, n_estimators=1, n_jobs=1).fit(x, x[:, 0]))
    assert missing.value.code == "model.missing_value"
    with pytest.raises(ModelError, match="snapshot"):
        Ranker.from_xgboost(bytes(trained.booster.__getstate__()["handle"]))
    with pytest.raises(ModelError) as lightgbm:
        Ranker.from_xgboost(b"tree\nversion=v4\n")
    assert lightgbm.value.code == "model.not_xgboost"


def test_columns_in_another_order_are_refused() -> None:
    polars = pytest.importorskip("polars")
    x = np.random.default_rng(0).normal(size=(50, 2))
    model = xgb.train({"max_depth": 2}, xgb.DMatrix(x, x[:, 0], feature_names=["a b", "c"]), 1)
    ranker = Ranker.from_xgboost(model)
    assert ranker.feature_names == ["a b", "c"]
    frame = polars.DataFrame(x, schema=["a b", "c"])
    np.testing.assert_array_equal(ranker.score(frame), ranker.score(x))
    with pytest.raises(op.errors.SchemaError, match="column 0 is 'c'"):
        ranker.score(frame[["c", "a b"]])
