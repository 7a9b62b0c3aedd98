"""Rankers of LightGBM's trees, whole tables and one task with its candidates, against LightGBM itself."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot.models import PreparedActions, Ranker, TopScores

lightgbm = pytest.importorskip("lightgbm")


def rows(seed: int, n: int = 700, width: int = 8) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width))
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 3] = rng.integers(0, 12, n)
    x[rng.random(n) < 0.2, 5] = 0.0
    return x


def train(seed: int = 0, **params: Any) -> Any:
    x = rows(seed)
    rng = np.random.default_rng(seed + 1)
    signal = np.nan_to_num(x[:, 0]) + (x[:, 3] % 3) + rng.normal(size=len(x)) / 2
    label = (
        np.digitize(signal, np.quantile(signal, [0.33, 0.66]))
        if params.get("objective") == "multiclass"
        else (signal > np.median(signal))
    )
    settings = {"verbosity": -1, "num_leaves": 15, "seed": 1, "deterministic": True, "num_threads": 1, **params}
    return lightgbm.train(settings, lightgbm.Dataset(x, label.astype(float), categorical_feature=[3]), num_boost_round=20)


@pytest.fixture(scope="module")
def booster() -> Any:
    return train(objective="binary")


@pytest.fixture(scope="module")
def ranker(booster: Any) -> Ranker:
    return Ranker.from_lightgbm(booster)


@pytest.mark.parametrize(
    "params",
    [
        {"objective": "binary"},
        {"objective": "regression", "boosting": "dart"},
        {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
        {"objective": "multiclass", "num_class": 3},
        {"objective": "regression", "zero_as_missing": True},
        {"objective": "binary", "use_missing": False},
    ],
    ids=["binary", "dart", "forest", "multiclass", "zero_as_missing", "no_missing"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_as_lightgbm(params: dict[str, Any], dtype: Any) -> None:
    model = train(3, **params)
    x = rows(9, 3000).astype(dtype)  # more than one piece of columns
    expected = model.predict(x, raw_score=True, num_threads=1)
    if params.get("boosting") == "rf":
        expected = expected / model.num_trees()  # what it calls raw is the sum, what it means is the average
    mine = Ranker.from_lightgbm(model).score(x)
    assert mine.dtype == np.float64
    assert mine.shape == expected.shape
    np.testing.assert_array_equal(mine, expected)


def test_every_door_gives_the_same_model(booster: Any, ranker: Ranker, tmp_path: Path) -> None:
    x = rows(5)
    booster.save_model(tmp_path / "model.txt")
    sklearn_like = type("Wrapped", (), {"booster_": booster})()
    content = (tmp_path / "model.txt").read_bytes()
    for source in (tmp_path / "model.txt", str(tmp_path / "model.txt"), content, sklearn_like):
        np.testing.assert_array_equal(Ranker.from_lightgbm(source).score(x), ranker.score(x))
    assert ranker.save(tmp_path / "again.txt").read_bytes() == ranker.to_bytes()
    assert ranker.feature_names == booster.feature_name()


@pytest.mark.parametrize("layout", ["fortran", "strided", "read-only", "list", "one row", "no rows", "unaligned"])
def test_any_layout_of_rows(ranker: Ranker, booster: Any, layout: str) -> None:
    x = rows(6, 40)
    given: Any = x
    if layout == "fortran":
        given = np.asfortranarray(x)
    elif layout == "strided":
        given = np.repeat(x, 2, axis=0)[::2]
    elif layout == "read-only":
        given = x.copy()
        given.setflags(write=False)
    elif layout == "list":
        given = x.tolist()
    elif layout == "one row":
        given = x = x[:1]
    elif layout == "no rows":
        given = x = x[:0]
    else:
        given = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float64).reshape(x.shape)
    expected = booster.predict(x, raw_score=True) if len(x) else np.empty(0)
    np.testing.assert_array_equal(ranker.score(given), expected)


@pytest.mark.parametrize(
    ("x", "code"),
    [
        (np.zeros((3, 8), np.int64), "schema.dtype"),
        (np.zeros((3, 8), np.float16), "schema.dtype"),
        (np.zeros((3, 8), ">f8"), "schema.dtype"),
        (np.zeros((3, 8), object), "schema.dtype"),
        (np.zeros(8), "schema.shape"),
        (np.zeros((2, 2, 8)), "schema.shape"),
        (np.zeros((3, 7)), "schema.shape"),
        ([[1.0, 2.0], [1.0]], "schema"),
    ],
)
def test_wrong_rows_are_named(ranker: Ranker, x: Any, code: str) -> None:
    with pytest.raises(op.SchemaError) as caught:
        ranker.score(x)
    assert caught.value.code.startswith(code)
    assert caught.value.where == "X"
    assert caught.value.hint


def test_columns_in_another_order_are_refused(booster: Any, ranker: Ranker) -> None:
    class Frame:
        columns = tuple(reversed(booster.feature_name()))

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return rows(1, 5)

    with pytest.raises(op.SchemaError, match="Column_7") as caught:
        ranker.score(Frame())
    assert caught.value.code == "schema.order"


def test_engines(ranker: Ranker) -> None:
    x = rows(8).astype(np.float32)
    assert "scalar" in ranker.engines()
    for engine in ranker.engines():
        np.testing.assert_array_equal(ranker.score(x, engine=engine), ranker.score(x))
    for engine in ("avx1024", "Scalar"):
        with pytest.raises(op.ModelError) as caught:
            ranker.score(x, engine=engine)
        assert caught.value.code == "model.unknown_engine"
        assert "scalar" in caught.value.hint


def test_broken_models(booster: Any) -> None:
    content = booster.model_to_string().encode()
    for broken in (
        b"",
        b"{}",
        content[: len(content) // 2],
        content.replace(b"split_feature=", b"split_feature=99 ", 1),
        b"\xff" * 100,
    ):
        with pytest.raises(op.ModelError) as caught:
            Ranker.from_lightgbm(broken)
        assert caught.value.code.startswith("model.")
    with pytest.raises(op.ModelError) as caught:
        Ranker.from_lightgbm(train(objective="regression", linear_tree=True))
    assert caught.value.code == "model.linear_tree"
    with pytest.raises(FileNotFoundError):
        Ranker.from_lightgbm("no/such/model.txt")
    with pytest.raises(op.UsageError):
        Ranker.from_lightgbm(3)


def _depth(node: dict[str, Any]) -> int:
    return 1 + max(_depth(node["left_child"]), _depth(node["right_child"])) if "left_child" in node else 0


def test_a_ranker_describes_itself_and_survives_pickling(booster: Any, ranker: Ranker) -> None:
    about = json.loads(ranker.describe("json"))
    assert about["trees"] == 20
    splits = booster.feature_importance("split")
    asked = {booster.feature_name()[j]: int(splits[j]) for j in np.flatnonzero(splits)}
    assert {entry["feature"]: entry["splits"] for entry in about["most_asked"]} == asked
    assert about["splits"] == splits.sum() and about["explanations"] is True
    assert about["depth"] == max(_depth(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"])
    assert about["features"] == ranker.feature_names
    assert "tree ranker" in repr(ranker)
    assert "<table>" in ranker._repr_html_()
    _, arguments = ranker.__reduce__()
    assert arguments == (ranker.to_bytes(),)
    x = rows(2)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ranker)).score(x), ranker.score(x))


# ---- one task and its candidates ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_score_task_is_score_on_the_joined_rows(ranker: Ranker, dtype: Any) -> None:
    x = rows(11, 50).astype(dtype)
    task, actions, pairs = x[0, :2], x[:, 2:5], x[:, 5:]
    joined = np.concatenate([np.tile(task, (50, 1)), actions, pairs], axis=1)
    expected = ranker.score(joined)
    np.testing.assert_array_equal(ranker.score_task(task, actions, pairs), expected)

    catalogue = ranker.prepare_actions(rows(12, 200).astype(dtype)[:, 2:5])
    assert isinstance(catalogue, PreparedActions)
    assert len(catalogue) == 200
    index = np.random.default_rng(0).integers(0, 200, 50)
    joined[:, 2:5] = rows(12, 200).astype(dtype)[index, 2:5]
    np.testing.assert_array_equal(ranker.score_task(task, catalogue, pairs, index=index), ranker.score(joined))


def test_a_prepared_catalogue_is_a_copy(ranker: Ranker) -> None:
    values = np.zeros((5, 3))
    catalogue = ranker.prepare_actions(values)
    before = ranker.score_task(np.zeros(2), catalogue, np.zeros((5, 3)))
    values[:] = 9.0
    np.testing.assert_array_equal(ranker.score_task(np.zeros(2), catalogue, np.zeros((5, 3))), before)


def test_top_k_is_best_first_with_ties_by_row(ranker: Ranker) -> None:
    x = rows(13, 60)
    actions, pairs = np.tile(x[:6, 2:5], (10, 1)), np.tile(x[:6, 5:], (10, 1))  # ten times the same six candidates
    scores = ranker.score_task(x[0, :2], actions, pairs)
    for k in (1, 7, 60, 1000):
        best = ranker.score_task(x[0, :2], actions, pairs, top_k=k)
        assert isinstance(best, TopScores)
        expected = np.argsort(-scores, kind="stable")[:k]
        np.testing.assert_array_equal(best.index, expected)
        assert best.index.dtype == np.int64
        np.testing.assert_array_equal(best.score, scores[expected])
    assert len(ranker.score_task(x[0, :2], actions[:0], pairs[:0], top_k=3).index) == 0


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"task_row": np.zeros(3)}, op.SchemaError),
        ({"task_row": np.zeros((1, 2))}, op.SchemaError),
        ({"pair_rows": np.zeros((4, 3))}, op.SchemaError),
        ({"pair_rows": None}, op.SchemaError),
        ({"actions": np.zeros((5, 3), int)}, op.SchemaError),
        ({"index": [0, 1, 2, 3, 5]}, op.SchemaError),
        ({"index": [0, 1, 2, 3, -1]}, op.SchemaError),
        ({"index": [0.0, 1.0, 2.0, 3.0, 4.0]}, op.SchemaError),
        ({"top_k": 0}, op.UsageError),
        ({"engine": "quantum"}, op.ModelError),
    ],
)
def test_score_task_names_what_does_not_fit(ranker: Ranker, change: dict[str, Any], kind: type[op.Error]) -> None:
    given: dict[str, Any] = {"task_row": np.zeros(2), "actions": np.zeros((5, 3)), "pair_rows": np.zeros((5, 3)), **change}
    with pytest.raises(kind) as caught:
        ranker.score_task(given.pop("task_row"), given.pop("actions"), given.pop("pair_rows"), **given)
    assert caught.value.code
    assert caught.value.where


def test_top_k_needs_one_output() -> None:
    ranker = Ranker.from_lightgbm(train(objective="multiclass", num_class=3))
    assert ranker.score_task(np.zeros(2), np.zeros((4, 3)), np.zeros((4, 3))).shape == (4, 3)
    with pytest.raises(op.UsageError):
        ranker.score_task(np.zeros(2), np.zeros((4, 3)), np.zeros((4, 3)), top_k=2)


def test_threads_share_a_ranker(ranker: Ranker) -> None:
    x = rows(21, 4000).astype(np.float32)
    expected = ranker.score(x)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(lambda _: ranker.score(x), range(16)):
            np.testing.assert_array_equal(scores, expected)
