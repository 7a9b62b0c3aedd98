"""Trees of scikit-learn in random configurations: the same scores, bit for bit."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot import _core

ensemble = pytest.importorskip("sklearn.ensemble")
dummy = pytest.importorskip("sklearn.dummy")
linear_model = pytest.importorskip("sklearn.linear_model")
tree = pytest.importorskip("sklearn.tree")
threadpoolctl = pytest.importorskip("threadpoolctl")

Array = np.ndarray[Any, Any]
Made = tuple[Any, Array, list[int], bool]  # the fitted model, rows to score, categorical columns, whether NaN may be scored


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of tiny fits wait for each other longer than they work."""
    with threadpoolctl.threadpool_limits(1):
        yield


SPECIAL = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-300, 1e30, -1e30, 0.5, 2.0])


def table(rng: np.random.Generator) -> Array:
    rows, columns = int(rng.integers(60, 300)), int(rng.integers(2, 8))
    x = rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-4, 5, columns)
    for j in range(1, columns):
        if rng.random() < 0.25:
            x[:, j] = rng.integers(0, 5, rows)
    return x


def signal_of(rng: np.random.Generator, x: Array) -> Array:
    z = np.nan_to_num(x) / (np.abs(np.nan_to_num(x)).max(axis=0) + 1e-9)
    return z @ rng.normal(size=x.shape[1]) + np.sin(5 * z[:, 0]) + 0.2 * rng.normal(size=len(x))


def classes_of(rng: np.random.Generator, signal: Array) -> Array:
    count = int(rng.integers(2, 6))
    labels = np.digitize(signal, np.quantile(signal, np.linspace(0, 1, count + 1))[1:-1])
    return np.array(["no", "yes", "maybe", "later", "never"])[labels] if rng.random() < 0.3 else labels


def with_missing(rng: np.random.Generator, x: Array) -> Array:
    x[rng.random(x.shape) < 0.1] = np.nan
    return x


def some(rng: np.random.Generator, **options: Any) -> dict[str, Any]:
    """A third of the options."""
    return {key: value for key, value in options.items() if rng.random() < 1 / 3}


def shape(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "max_depth": [None, *range(1, 11)][rng.integers(11)],
        "random_state": int(rng.integers(1 << 30)),
        **some(
            rng,
            max_leaf_nodes=int(rng.integers(2, 40)),
            min_samples_leaf=int(rng.integers(1, 40)),
            min_samples_split=int(rng.integers(2, 60)),
            max_features=float(rng.uniform(0.3, 1)),
            min_impurity_decrease=float(rng.choice([0.0, 1e-3, 1e9])),
            ccp_alpha=float(rng.uniform(0, 0.02)),
        ),
    }


def weights(rng: np.random.Generator, n: int) -> Array | None:
    return rng.uniform(0.0, 3, n) if rng.random() < 0.4 else None


def gradient_boosting(rng: np.random.Generator) -> Made:
    x = table(rng)
    signal = signal_of(rng, x)
    c = {**shape(rng), "n_estimators": int(rng.integers(1, 15)), "learning_rate": float(rng.uniform(0.01, 1))}
    c |= some(rng, subsample=0.7, criterion="squared_error")
    if rng.random() < 0.5:
        y = classes_of(rng, signal)
        binary = len(set(y)) == 2
        c["loss"] = str(rng.choice(["log_loss", "exponential"])) if binary else "log_loss"
        first = rng.choice(
            [None, "zero", dummy.DummyClassifier(strategy="most_frequent"), dummy.DummyClassifier(strategy="prior")]
        )
        model = ensemble.GradientBoostingClassifier(init=first, **c)
    else:
        y = signal
        c["loss"] = str(rng.choice(["squared_error", "absolute_error", "huber", "quantile"]))
        first = rng.choice(
            [None, "zero", dummy.DummyRegressor(strategy="median"), dummy.DummyRegressor(strategy="quantile", quantile=0.2)]
        )
        model = ensemble.GradientBoostingRegressor(init=first, **c)
    return model.fit(x, y, sample_weight=weights(rng, len(x))), x, [], False


def hist_gradient_boosting(rng: np.random.Generator) -> Made:
    x = table(rng)
    signal = signal_of(rng, x)
    categorical: list[int] = []
    if rng.random() < 0.5:
        categorical = sorted({int(j) for j in rng.integers(1, x.shape[1], 2)})
        for j in categorical:
            codes = np.sort(rng.choice(int(rng.choice([12, 300])), int(rng.integers(2, 12)), replace=False))
            x[:, j] = rng.choice(codes, len(x))
            signal = signal + (x[:, j] % 3 == 0)
    if rng.random() < 0.5:
        x = with_missing(rng, x)
    c = {
        "max_iter": int(rng.integers(1, 15)),
        "random_state": int(rng.integers(1 << 30)),
        "categorical_features": categorical or None,
        **some(
            rng,
            learning_rate=float(rng.uniform(0.01, 1)),
            max_leaf_nodes=int(rng.integers(2, 40)),
            max_depth=int(rng.integers(1, 11)),
            min_samples_leaf=int(rng.integers(1, 40)),
            l2_regularization=float(rng.uniform(0, 5)),
            max_bins=int(rng.integers(12, 256)),
            max_features=float(rng.uniform(0.3, 1)),
            interaction_cst="no_interactions",
            early_stopping=True,
        ),
    }
    if not categorical and rng.random() < 0.3:
        c["monotonic_cst"] = rng.integers(-1, 2, x.shape[1])
    if rng.random() < 0.5:
        y = classes_of(rng, signal)
        if len(set(y)) > 2:
            c.pop("monotonic_cst", None)
        model = ensemble.HistGradientBoostingClassifier(**c, **some(rng, class_weight="balanced"))
    else:
        loss = str(rng.choice(["squared_error", "absolute_error", "poisson", "gamma", "quantile"]))
        y = np.exp(np.clip(signal, -3, 3)) if loss in ("poisson", "gamma") else signal
        model = ensemble.HistGradientBoostingRegressor(loss=loss, **c, **({"quantile": 0.3} if loss == "quantile" else {}))
    return model.fit(x, y, sample_weight=weights(rng, len(x))), x, categorical, True


def averages(rng: np.random.Generator, forest: bool) -> Made:
    x = table(rng)
    signal = signal_of(rng, x)
    missing = rng.random() < 0.4
    if missing:
        x = with_missing(rng, x)
    c = shape(rng)
    if forest:
        c["n_estimators"] = int(rng.integers(1, 15))
        c["bootstrap"] = bool(rng.random() < 0.6)
        c |= some(rng, max_samples=0.6) if c["bootstrap"] else {}
    else:
        c |= some(rng, splitter="random")
    kind = bool(rng.random() < 0.5)
    if rng.random() < 0.5:
        y = classes_of(rng, signal)
        c |= some(rng, criterion=str(rng.choice(["gini", "entropy", "log_loss"])), class_weight="balanced")
        classes = (
            (ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier)
            if forest
            else (tree.DecisionTreeClassifier, tree.ExtraTreeClassifier)
        )
    else:
        y = np.c_[signal, -signal, x[:, 0] > 0] if rng.random() < 0.3 else signal
        y = np.nan_to_num(y)
        criterion = str(rng.choice(["squared_error", "friedman_mse", "poisson"]))
        if criterion == "poisson":
            y = np.exp(np.clip(y, -3, 3))
        c["criterion"] = "squared_error" if criterion == "friedman_mse" else criterion
        classes = (
            (ensemble.RandomForestRegressor, ensemble.ExtraTreesRegressor)
            if forest
            else (tree.DecisionTreeRegressor, tree.ExtraTreeRegressor)
        )
    if not missing and y.ndim == 1 and len(set(y)) == 2 and rng.random() < 0.5:
        c["monotonic_cst"] = rng.integers(-1, 2, x.shape[1])
    return classes[kind](**c).fit(x, y, sample_weight=weights(rng, len(x))), x, [], missing


FAMILIES: dict[str, Callable[[np.random.Generator], Made]] = {
    "GradientBoosting": gradient_boosting,
    "HistGradientBoosting": hist_gradient_boosting,
    "forests": lambda rng: averages(rng, True),
    "trees": lambda rng: averages(rng, False),
}


def thresholds(model: Any) -> list[tuple[int, float]]:
    """Of the first trees; none where an encoder has moved the columns."""
    if hasattr(model, "_predictors"):
        if model.is_categorical_ is not None:
            return []
        nodes = np.concatenate([p.nodes for step in model._predictors[:3] for p in step])
        nodes = nodes[nodes["is_leaf"] == 0]
        return list(zip(nodes["feature_idx"], nodes["num_threshold"], strict=True))
    trees = np.ravel(getattr(model, "estimators_", [model]))[:3]
    return [(f, t) for e in trees for f, t in zip(e.tree_.feature, e.tree_.threshold, strict=True) if f >= 0]


def probes(rng: np.random.Generator, made: Made) -> Array:
    model, x, categorical, nan = made
    rows = x[rng.integers(0, len(x), 200)].copy()
    place = rng.random(rows.shape) < 0.1
    rows[place] = rng.choice([*SPECIAL, np.nan] if nan else SPECIAL, int(place.sum()))
    if hasattr(model, "_predictors"):
        rows[rng.random(rows.shape) < 0.03] = rng.choice([np.inf, -np.inf])
    for feature, threshold in thresholds(model)[:200]:
        kind = rng.choice([np.float32, np.float64])
        value = np.nextafter(kind(threshold), kind(rng.choice([-np.inf, np.inf, threshold])))
        if hasattr(model, "_predictors") or np.isfinite(np.float32(value)):
            rows[rng.integers(len(rows)), feature] = value
    for j in categorical:  # known, unknown, missing
        rows[:, j] = rng.choice([*np.unique(x[:, j]), -1, 5, 301, np.nan], len(rows))
    return rows


def expected_of(model: Any, rows: Array) -> Array:
    for method in ("decision_function", "predict_proba", "predict"):
        if hasattr(model, method):
            return np.asarray(getattr(model, method)(rows))
    raise AssertionError


def compare(family: str, seeds: range) -> None:
    refused: list[str] = []
    for seed in seeds:
        rng = np.random.default_rng([seed, len(family)])
        made = FAMILIES[family](rng)
        model = made[0]
        try:
            ranker = op.Ranker.from_sklearn(model)
        except op.errors.ModelError as error:
            refused.append(f"seed {seed}: {error}")
            continue
        rows = probes(rng, made)
        for dtype in (np.float64, np.float32):
            given = rows.astype(dtype)
            scores = ranker.score(given)
            if getattr(model, "loss", "") in ("poisson", "gamma"):
                scores = np.exp(scores)
            np.testing.assert_array_equal(scores, expected_of(model, given), err_msg=f"seed {seed} {model}")
        again = op.Ranker.from_sklearn(ranker.to_bytes())
        np.testing.assert_array_equal(again.score(rows), ranker.score(rows))
        assert again.to_bytes() == ranker.to_bytes()
    print(f"{family}: {len(seeds) - len(refused)} of {len(seeds)} configurations scored, all bits equal")
    assert len(refused) <= 0.05 * len(seeds), refused


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_bits_as_sklearn(family: str) -> None:
    compare(family, range(75))


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_bits_as_sklearn_in_many_configurations(family: str) -> None:
    compare(family, range(75, 400))


def small(seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, 3))
    return x, x[:, 0] + rng.normal(size=200)


def test_a_saved_model_and_a_data_frame(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    x, y = small()
    frame = pd.DataFrame(x, columns=["amount of all", "age", "kind"])
    ranker = op.Ranker.from_sklearn(ensemble.GradientBoostingClassifier(n_estimators=5).fit(frame, y > 0))
    assert ranker.feature_names == list(frame.columns)
    path = ranker.save(tmp_path / "model.trees")
    for source in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(op.Ranker.from_sklearn(source).score(x), ranker.score(x))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ranker)).score(x), ranker.score(x))
    with pytest.raises(op.errors.SchemaError):
        ranker.score(frame[["age", "amount of all", "kind"]])


def refusal(x: Any) -> op.errors.Error:
    with pytest.raises(op.errors.Error) as caught:
        op.Ranker.from_sklearn(x)
    return caught.value


def test_what_cannot_be_read_is_refused_by_name() -> None:
    x, y = small()
    boosted = ensemble.GradientBoostingRegressor(n_estimators=2, init=linear_model.LinearRegression()).fit(x, y)
    assert refusal(boosted).code == "model.init_estimator"
    guessed = ensemble.GradientBoostingClassifier(n_estimators=2, init=dummy.DummyClassifier(strategy="uniform")).fit(x, y > 0)
    assert refusal(guessed).code == "model.init_estimator"
    two = np.c_[y > 0, y > 1]
    for kind in (ensemble.RandomForestClassifier, tree.DecisionTreeClassifier):
        assert refusal(kind().fit(x, two)).code == "model.multi_output_classifier"
    coded = x.copy()
    coded[:, 2] = np.random.default_rng(0).choice([0.5, 1.5], len(x))
    halves = ensemble.HistGradientBoostingRegressor(max_iter=2, categorical_features=[2]).fit(coded, y)
    assert refusal(halves).code == "model.category_type"
    assert refusal(halves).where == "x2"
    assert refusal(ensemble.RandomForestRegressor()).code == "model.not_fitted"
    assert refusal(linear_model.LinearRegression().fit(x, y)).code == "usage.model"
    assert refusal(3).code == "usage.model"
    assert refusal(b"OPSPT").code == "model.magic"
    assert refusal(pickle.dumps(boosted)).code == "model.magic"


def test_categories_of_text_are_refused_by_name() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"n": small()[0][:, 0], "queue": pd.Categorical(["a", "b"] * 100)})
    model = ensemble.HistGradientBoostingRegressor(max_iter=2, categorical_features="from_dtype").fit(frame, small()[1])
    assert refusal(model).code == "model.category_type"
    assert refusal(model).where == "queue"


def test_the_builder_checks_the_arrays() -> None:
    def build(**changed: Any) -> Any:
        arrays: dict[str, Any] = {
            "output": 0,
            "left": [1, -1, -1],
            "right": [2, -1, -1],
            "feature": [0, -2, -2],
            "threshold": [0.5, 0.0, 0.0],
            "nan_left": [True, False, False],
            "values": [0.0, 1.0, 2.0],
            "covers": [2.0, 1.0, 1.0],
            "category_set": [-1, -1, -1],
            "sets": [],
        }
        arrays |= changed
        item = tuple(np.array(v) if isinstance(v, list) and k != "sets" else v for k, v in arrays.items())
        return _core.TreeRanker.from_arrays(["a"], 1, "", False, False, [0.0], [item])

    assert build().score(np.array([[0.0], [1.0], [np.nan]])).tolist() == [1, 2, 1]
    faults = {
        "model.child_range": {"left": [7, -1, -1]},
        "model.feature_range": {"feature": [-3, 0, 0]},
        "model.root_has_parent": {"left": [0, -1, -1]},
        "model.threshold_nan": {"threshold": [np.nan, 0.0, 0.0]},
        "model.leaf_not_finite": {"values": [0.0, np.inf, 0.0]},
        "model.cover": {"covers": [1.0, -1.0, 1.0]},
        "model.category_set": {"category_set": [0, -1, -1]},
        "model.output_range": {"output": 1},
        "schema.shape": {"values": [0.0, 1.0]},
    }
    for code, changed in faults.items():
        with pytest.raises(op.errors.Error) as caught:
            build(**changed)
        assert caught.value.code == code
