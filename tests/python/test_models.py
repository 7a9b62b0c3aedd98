"""Rankers and classifiers against LightGBM, scikit-learn and numpy."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import opspilot as op
from opspilot import _core
from opspilot.models import ChoiceModel, LinearRanker, PreparedActions, Ranker, TextClassifier, TopScores

lightgbm = pytest.importorskip("lightgbm")
scipy_sparse = pytest.importorskip("scipy.sparse")
scipy_special = pytest.importorskip("scipy.special")
linear_model = pytest.importorskip("sklearn.linear_model")


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


# ---- trees ----


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


def test_a_ranker_describes_itself_and_survives_pickling(ranker: Ranker) -> None:
    about = json.loads(ranker.describe("json"))
    assert about["trees"] == 20
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


# ---- linear ----


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(800, 6)).astype(np.float32)
    y = (x @ [1.0, -2.0, 0.5, 0.0, 0.0, 1.0] + rng.logistic(size=800) > 0.3).astype(int)
    mine = LinearRanker(l2=0.5, standardise=False).fit(x, y)
    theirs = linear_model.LogisticRegression(C=2.0, tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(mine.coef_, theirs.coef_[0], atol=2e-5)
    assert mine.intercept_ == pytest.approx(theirs.intercept_[0], abs=2e-5)
    np.testing.assert_allclose(mine.predict_proba(x), theirs.predict_proba(x), atol=1e-5)


def test_ridge_regression_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = x @ [1.0, 2.0, -1.0, 0.0] + 3.0 + rng.normal(size=300) / 10
    mine = LinearRanker("squared", l2=2.0, standardise=False).fit(x, y.astype(np.float32))
    theirs = linear_model.Ridge(alpha=2.0).fit(x, y.astype(np.float32).astype(float))
    np.testing.assert_allclose(mine.coef_, theirs.coef_, atol=1e-4)
    with pytest.raises(op.ModelError):
        mine.predict_proba(x)


def test_listwise_prefers_what_was_chosen() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(4000, 3)).astype(np.float32)
    utility = (x @ [2.0, -1.0, 0.0] + rng.gumbel(size=4000)).reshape(-1, 5)
    y = np.zeros((800, 5))
    y[np.arange(800), utility.argmax(1)] = 1
    mine = LinearRanker("listwise", l2=1e-3, standardise=False).fit(x, y.ravel(), groups=np.full(800, 5))
    np.testing.assert_allclose(mine.coef_, [2.0, -1.0, 0.0], atol=0.25)
    with pytest.raises(op.SchemaError):
        LinearRanker("listwise").fit(x, y.ravel(), groups=np.full(799, 5))


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(0, 20), st.just(11)), elements=st.floats(-1e3, 1e3, width=32)),
    arrays(np.float64, 11, elements=st.floats(-1e3, 1e3, width=32)),
)
def test_linear_scores_are_products(x: Any, w: Any) -> None:
    document = json.dumps({"version": 1, "features": [f"x{j}" for j in range(11)], "weights": w.tolist(), "intercept": 0.5})
    ranker = LinearRanker.from_json(document)
    scores = ranker.score(x)
    assert scores.dtype == np.float32
    scale = np.abs(x.astype(float)) @ np.abs(w) + 1.0
    assert np.all(np.abs(scores - (x.astype(float) @ w + 0.5)) <= 1e-5 * scale)
    np.testing.assert_allclose(
        ranker.score(x.astype(np.float64)), x.astype(np.float64) @ w + 0.5, rtol=1e-12, atol=1e-9 * scale.max(initial=1)
    )
    for engine in ranker.engines():
        np.testing.assert_array_equal(ranker.score(x, engine=engine), scores)  # bit for bit
    np.testing.assert_array_equal(ranker.score(np.asfortranarray(x)), scores)


def test_linear_documents() -> None:
    x = np.eye(3, dtype=np.float32)
    ranker = LinearRanker().fit(x, [0, 1, 1], feature_names=["a", "b", "c"])
    again = LinearRanker.from_json(ranker.to_json())
    assert again.feature_names == ["a", "b", "c"]
    np.testing.assert_array_equal(again.score(x), ranker.score(x))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ranker)).score(x), ranker.score(x))
    assert json.loads(ranker.describe("json"))["weights"][0]["feature"] in "abc"
    with pytest.raises(op.ModelError) as caught:
        LinearRanker.from_json('{"version": 1, "features": ["a"], "weights": ["x"]}')
    assert caught.value.where == "/weights/0"
    with pytest.raises(op.ModelError) as caught:
        ranker.score(x, engine="neon128")
    assert caught.value.code == "model.unknown_engine"
    with pytest.raises(op.SchemaError):
        ranker.score(x[:, :2])
    with pytest.raises(op.ModelError) as caught:
        LinearRanker().score(x)
    assert caught.value.code == "model.not_fitted"
    with pytest.raises(op.UsageError):
        LinearRanker("cubic").fit(x, [0, 1, 1])
    blocks = {
        "version": 1,
        "features": ["a"],
        "weights": [1.0],
        "sparse": [{"block": "t", "dimension": 4, "index": [1], "weights": [2.0]}],
    }
    with pytest.raises(op.ModelError) as caught:
        LinearRanker.from_json(json.dumps(blocks)).score(x[:, :1])
    assert caught.value.code == "model.needs_blocks"


# ---- text ----

TEXTS = [
    "where is my refund",
    "refund me please",
    "reset my password",
    "password is wrong",
    "close the account",
    "please close it",
] * 6
LABELS = ["refund", "refund", "password", "password", "close", "close"] * 6


def test_classifier_is_logistic_regression_over_the_hashed_rows() -> None:
    mine = TextClassifier(bits=12, l2=0.5, min_count=1, max_iterations=500, tolerance=1e-9).fit(TEXTS, LABELS)
    offsets, index, value = _core.TextHasher(**mine.text_options).transform(TEXTS)
    x = scipy_sparse.csr_matrix((value, index, offsets), shape=(len(TEXTS), 1 << 12))
    theirs = linear_model.LogisticRegression(C=2.0, tol=1e-10, max_iter=2000).fit(x, LABELS)
    assert list(mine.classes_) == list(theirs.classes_)
    np.testing.assert_allclose(mine.predict_proba(TEXTS), theirs.predict_proba(x), atol=0.01)  # weights are stored in 8 bits
    np.testing.assert_array_equal(mine.predict(TEXTS), theirs.predict(x))
    assert mine.score(TEXTS, LABELS) == 1.0
    np.testing.assert_allclose(mine.predict_proba(TEXTS).sum(1), 1.0)


def test_sparse_rows_instead_of_texts() -> None:
    rng = np.random.default_rng(0)
    x = scipy_sparse.random(200, 30, 0.2, random_state=1, format="csr", dtype=np.float32)
    y = (np.asarray(x[:, :5].sum(1)).ravel() > np.asarray(x[:, 5:10].sum(1)).ravel()).astype(int) + 7
    mine = TextClassifier(l2=0.1, min_count=1).fit(x, y)
    assert mine.classes_.tolist() == [7, 8]
    # Two classes have two sets of weights here, one there: half of the penalty.
    theirs = linear_model.LogisticRegression(C=20.0, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(mine.predict_proba(x), theirs.predict_proba(x), atol=0.03)
    shuffled = x.tocoo()
    order = rng.permutation(shuffled.nnz)
    as_given = scipy_sparse.coo_matrix((shuffled.data[order], (shuffled.row[order], shuffled.col[order])), shape=x.shape)
    np.testing.assert_array_equal(mine.predict_proba(as_given), mine.predict_proba(x))
    with pytest.raises(op.SchemaError):
        mine.predict(x[:, :20])
    with pytest.raises(op.SchemaError) as caught:
        mine.predict(["a text"])
    assert caught.value.code == "schema.type"


def test_a_row_alone_or_among_others_has_the_same_bits() -> None:
    mine = TextClassifier(bits=10, min_count=1).fit(TEXTS, LABELS)
    together = mine.predict_log_proba(TEXTS)
    alone = np.concatenate([mine.predict_log_proba([text]) for text in TEXTS])
    np.testing.assert_array_equal(together, alone)
    assert mine.predict_proba([]).shape == (0, 3)


@pytest.mark.parametrize("integers", [False, True])
def test_classifier_files(tmp_path: Path, integers: bool) -> None:
    labels: Any = np.array([len(label) for label in LABELS]) if integers else LABELS
    mine = TextClassifier(bits=11, characters=(3, 4), min_count=1, tf="log").fit(TEXTS, labels)
    mine.save(tmp_path / "intent.bin")
    for again in (
        TextClassifier.load(tmp_path / "intent.bin"),
        TextClassifier.from_bytes(mine.to_bytes()),
        pickle.loads(pickle.dumps(mine)),
    ):
        np.testing.assert_array_equal(again.predict_proba(TEXTS), mine.predict_proba(TEXTS))
        assert again.text_options == mine.text_options
        assert again.predict(TEXTS[:1])[0] == labels[0]
        assert again.to_bytes() == mine.to_bytes()
    assert pickle.loads(pickle.dumps(TextClassifier(bits=9))).text_options["bits"] == 9
    content = mine.to_bytes()
    for broken in (b"", content[:-1], content + b"x", content[:40] + b"\xff" + content[41:]):
        with pytest.raises(op.ModelError):
            TextClassifier.from_bytes(broken)
    about = json.loads(mine.describe("json"))
    assert about["classes"] == [str(label) for label in sorted(set(labels))]


@pytest.mark.parametrize(
    ("texts", "labels", "kind"),
    [
        ("one text", ["a"], op.SchemaError),
        (["a", 3], ["a", "b"], op.SchemaError),
        (["a", "\ud800"], ["a", "b"], op.SchemaError),
        (["a", "b"], ["a"], op.SchemaError),
        (["a", "b"], [["a", "b"]], op.SchemaError),
        (["a", "b"], [0.5, 1.5], op.SchemaError),
        (["a", "b"], ["a", None], op.SchemaError),
    ],
)
def test_wrong_texts_and_labels_are_named(texts: Any, labels: Any, kind: type[op.Error]) -> None:
    with pytest.raises(kind) as caught:
        TextClassifier(bits=8).fit(texts, labels)
    assert caught.value.code
    assert str(caught.value)


def test_wrong_options_are_named() -> None:
    with pytest.raises(op.FeatureError):
        TextClassifier(words=(1, 50)).fit(["a"], ["x"])
    with pytest.raises(op.FeatureError):
        TextClassifier(tf="tfidf").fit(["a"], ["x"])
    with pytest.raises(op.UsageError) as caught:
        TextClassifier(solver="magic").fit(["a"], ["x"])
    assert caught.value.code == "learn.options"
    with pytest.raises(op.ModelError):
        TextClassifier().predict(["a"])


# ---- choices ----


def choices(tasks: int = 1500, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, tasks)
    x = rng.normal(size=(sizes.sum(), 3)).astype(np.float32)
    utility = x @ [1.5, -1.0, 0.0] + rng.gumbel(size=len(x))
    parts = np.split(utility, np.cumsum(sizes)[:-1])
    chosen = np.array([int(np.argmax(part)) for part in parts])
    return x, chosen, sizes, parts


def test_choice_model_finds_the_weights_and_gives_softmax() -> None:
    x, chosen, sizes, _ = choices()
    mine = ChoiceModel(l2=1e-3, standardise=False).fit(x, chosen, groups=sizes, feature_names=["price", "wait", "noise"])
    np.testing.assert_allclose(mine.coef_, [1.5, -1.0, 0.0], atol=0.2)
    assert mine.feature_names == ["price", "wait", "noise"]
    expected = [
        scipy_special.softmax(part) for part in np.split(x.astype(float) @ mine.coef_.astype(float), np.cumsum(sizes)[:-1])
    ]
    np.testing.assert_allclose(mine.predict_proba(x, groups=sizes), np.concatenate(expected), atol=1e-6)
    np.testing.assert_allclose(mine.score(x, groups=sizes), np.log(mine.predict_proba(x, groups=sizes)), atol=1e-12)
    assert np.all(mine.outside_probability(x, groups=sizes) == 0)


def test_choice_model_with_text_keys_and_outside_option() -> None:
    rng = np.random.default_rng(3)
    actions = ["refund", "close", "ask"]
    texts, chosen = [], []
    for _ in range(300):
        what = rng.integers(0, 4)
        texts.append(["please refund my money", "close this now", "how does it work", "something strange"][what])
        chosen.append(what if what < 3 else -1)
    keys = {"id": actions * 300}
    sizes = np.full(300, 3)
    mine = ChoiceModel(outside=True, bits=10, l2=0.1).fit(None, chosen, groups=sizes, keys=keys, texts=texts)
    p = mine.predict_proba(None, groups=[3, 3], keys={"id": actions * 2}, texts=["refund please", "something strange"]).reshape(
        2, 3
    )
    outside = mine.outside_probability(
        None, groups=[3, 3], keys={"id": actions * 2}, texts=["refund please", "something strange"]
    )
    np.testing.assert_allclose(p.sum(1) + outside, 1.0)
    assert p[0].argmax() == 0 and p[0, 0] > 0.8
    assert outside[1] > 0.8
    again = pickle.loads(pickle.dumps(mine))
    np.testing.assert_array_equal(
        again.score(None, groups=sizes, keys=keys, texts=texts), mine.score(None, groups=sizes, keys=keys, texts=texts)
    )
    # A value that training did not see counts nothing; None is no value at all.
    unknown = mine.score(None, groups=[2], keys={"id": ["never", None]}, texts=["refund"])
    assert unknown[0] == unknown[1]
    assert "<table>" in mine._repr_html_()


@pytest.mark.parametrize(
    "change",
    [
        {"groups": [2, 2]},
        {"keys": {}},
        {"keys": {"id": ["a"]}},
        {"texts": None},
        {"texts": ["a"]},
        {"X": np.zeros((3, 2))},
        {"X": np.zeros((2, 1))},
        {"X": np.zeros((3, 1), int)},
    ],
)
def test_choice_models_name_what_does_not_fit(change: dict[str, Any]) -> None:
    given: dict[str, Any] = {"X": np.zeros((3, 1)), "groups": [2, 1], "keys": {"id": ["a", "b", "a"]}, "texts": ["x y", "y"]}
    mine = ChoiceModel(bits=8, min_count=1).fit(
        given["X"], [0, 0], groups=given["groups"], keys=given["keys"], texts=given["texts"]
    )
    mine.score(given.pop("X"), **given)
    given = {"X": np.zeros((3, 1)), **given, **change}
    with pytest.raises(op.SchemaError) as caught:
        mine.score(given.pop("X"), **given)
    assert caught.value.where


def test_choices_that_are_no_positions_are_refused() -> None:
    with pytest.raises(op.UsageError) as caught:
        ChoiceModel().fit(np.zeros((3, 1)), [2, 0], groups=[2, 1])
    assert caught.value.code == "learn.label"


def test_build_info() -> None:
    about = _core.build_info()
    assert about["version"] == op.__version__
    assert about["linear_kernels"][-1] == "scalar"
    assert about["tree_engines"] == Ranker.engines()
    assert about["dependencies"]["fmt"].count(".") >= 1
    assert about["limits"]["text_bytes"] == 1 << 20


def test_threads_share_models(ranker: Ranker) -> None:
    x = rows(21, 4000).astype(np.float32)
    expected = ranker.score(x)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(lambda _: ranker.score(x), range(16)):
            np.testing.assert_array_equal(scores, expected)
