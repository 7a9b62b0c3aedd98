"""Models that are trained here, linear, of texts and of choices, against scikit-learn and scipy."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import opspilot as op
from opspilot import _core
from opspilot.models import ChoiceModel, LinearRanker, Ranker, TextClassifier

scipy_sparse = pytest.importorskip("scipy.sparse")
scipy_special = pytest.importorskip("scipy.special")
linear_model = pytest.importorskip("sklearn.linear_model")

# ---- linear ----


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(800, 6)).astype(np.float32)
    y = (x @ [1.0, -2.0, 0.5, 0.0, 0.0, 1.0] + rng.logistic(size=800) > 0.3).astype(int)
    mine = LinearRanker(l2=0.5, standardise=False).fit(x, y)
    theirs = linear_model.LogisticRegression(C=2.0, tol=1e-10, max_iter=1000).fit(x.astype(float), y)  # in float32 it stops early
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
