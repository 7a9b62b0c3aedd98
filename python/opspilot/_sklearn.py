"""Trees of scikit-learn as arrays for the builder. Only numbers are taken from an estimator; every check is the builder's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot.errors import ModelError, UsageError

#: output (-1: a value for each), left, right, feature, threshold, nan_left, values, covers, category_set, sets
Tree = tuple[Any, ...]


def core_of(model: Any) -> _core.TreeRanker:
    """The ensemble of a fitted estimator. Raises ``UsageError`` for other types, ``ModelError`` for what is not supported."""
    convert = _converter(model)
    if convert is None:
        raise UsageError(
            f"a model of type {type(model).__name__}",
            code="usage.model",
            where="x",
            hint="give a fitted GradientBoosting, HistGradientBoosting, RandomForest, ExtraTrees, DecisionTree or ExtraTree "
            "estimator of scikit-learn, or what Ranker.save wrote of one",
        )
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError:
        raise ModelError(f"this {type(model).__name__} is not fitted", code="model.not_fitted", hint="call fit first") from None
    return convert(model)


def _converter(model: Any) -> Callable[[Any], _core.TreeRanker] | None:
    try:
        from sklearn import ensemble, tree
    except ImportError:
        return None
    families: list[tuple[tuple[type, ...], Callable[[Any], _core.TreeRanker]]] = [
        ((ensemble.GradientBoostingClassifier, ensemble.GradientBoostingRegressor), _gradient_boosting),
        ((ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor), _hist_gradient_boosting),
        ((ensemble.RandomForestClassifier, ensemble.RandomForestRegressor), _forest),
        ((ensemble.ExtraTreesClassifier, ensemble.ExtraTreesRegressor), _forest),
        ((tree.DecisionTreeClassifier, tree.DecisionTreeRegressor), _single_tree),
    ]
    return next((convert for classes, convert in families if isinstance(model, classes)), None)


def _names(model: Any) -> list[str]:
    given = getattr(model, "feature_names_in_", None)
    return [str(name) for name in given] if given is not None else [f"x{j}" for j in range(model.n_features_in_)]


def _covers(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Weights of rows may be negative in scikit-learn; those explain nothing."""
    return weights if np.all(np.isfinite(weights) & (weights >= 0)) else np.empty(0)


def _numeric(tree: Any, output: int, values: npt.NDArray[Any]) -> Tree:
    nowhere = np.full(tree.node_count, -1)
    return (
        output,
        tree.children_left,
        tree.children_right,
        tree.feature,
        tree.threshold,
        tree.missing_go_to_left,
        values,
        _covers(tree.weighted_n_node_samples),
        nowhere,
        [],
    )


# ---- single trees and forests: means over trees, rows in float32 ----


def _outputs(model: Any) -> tuple[int, str]:
    """How many values a leaf has, and what they are."""
    if not hasattr(model, "classes_"):
        return int(model.n_outputs_), str(model.criterion)
    if model.n_outputs_ > 1:
        raise ModelError(
            f"a classifier of {model.n_outputs_} targets at once",
            code="model.multi_output_classifier",
            hint="train one classifier per target",
        )
    return int(model.n_classes_), "probability"


def _leaf_values(tree: Any, outputs: int) -> npt.NDArray[Any]:
    """One target: a value per class; several: a value per target. ``tree.value`` is (nodes, targets, classes)."""
    return np.ascontiguousarray(tree.value.reshape(tree.node_count, -1)[:, :outputs])


def _forest(model: Any) -> _core.TreeRanker:
    outputs, objective = _outputs(model)
    trees = (_numeric(e.tree_, -1, _leaf_values(e.tree_, outputs)) for e in model.estimators_)
    return _core.TreeRanker.from_arrays(_names(model), outputs, objective, True, True, [0.0] * outputs, trees)


def _single_tree(model: Any) -> _core.TreeRanker:
    outputs, objective = _outputs(model)
    tree = _numeric(model.tree_, -1, _leaf_values(model.tree_, outputs))
    return _core.TreeRanker.from_arrays(_names(model), outputs, objective, False, True, [0.0] * outputs, [tree])


# ---- gradient boosting: a constant, then steps of learning_rate, rows in float32 ----

_CONSTANT_CLASSIFIERS = ("prior", "most_frequent", "constant")


def _gradient_boosting(model: Any) -> _core.TreeRanker:
    from sklearn.dummy import DummyClassifier, DummyRegressor

    init = model.init_
    constant = (
        isinstance(init, DummyRegressor)
        or (isinstance(init, DummyClassifier) and init.strategy in _CONSTANT_CLASSIFIERS)
        or (isinstance(init, str) and init == "zero")
    )
    if not constant:
        raise ModelError(
            f"the first estimate is a model of its own, {type(init).__name__}",
            code="model.init_estimator",
            hint="train with init=None or init='zero'",
        )
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]

    def trees() -> Iterator[Tree]:
        for step in model.estimators_:
            for k, e in enumerate(step):
                yield _numeric(e.tree_, k, model.learning_rate * e.tree_.value[:, 0, 0])

    return _core.TreeRanker.from_arrays(_names(model), len(start), str(model.loss), False, True, start.tolist(), trees())


# ---- histogram gradient boosting: rows in float64, categories ----


def _hist_gradient_boosting(model: Any) -> _core.TreeRanker:
    start = np.asarray(model._baseline_prediction).reshape(-1)
    if start.dtype != np.float64:
        raise ModelError(f"scores of type {start.dtype}", code="model.score_type", hint="train on targets of type float64")
    columns, categories = _columns(model)
    known, position = model._bin_mapper.make_known_categories_bitsets()

    def trees() -> Iterator[Tree]:
        for step in model._predictors:
            for k, predictor in enumerate(step):
                yield _hist_tree(predictor, k, columns, categories, known, position)

    loss = model.loss if isinstance(model.loss, str) else type(model.loss).__name__
    return _core.TreeRanker.from_arrays(_names(model), len(start), loss, False, False, start.tolist(), trees())


def _columns(model: Any) -> tuple[npt.NDArray[np.int64], dict[int, npt.NDArray[np.int64]]]:
    """Where each column of the trees stands in a row, and the categories of those that have some, by their code.

    With categories, an encoder turns them into codes and puts their columns first."""
    columns = np.arange(model.n_features_in_)
    categorical = model.is_categorical_
    preprocessor = getattr(model, "_preprocessor", None)
    if categorical is None or not np.any(categorical):
        return columns, {}
    if preprocessor is None:  # scikit-learn before 1.4: categories are their own codes
        return columns, {int(j): np.arange(256) for j in np.flatnonzero(categorical)}
    columns = np.concatenate([np.flatnonzero(categorical), np.flatnonzero(~categorical)])
    categories: dict[int, npt.NDArray[np.int64]] = {}
    for j, values in enumerate(preprocessor.named_transformers_["encoder"].categories_):
        numbers = np.asarray(values)
        if numbers.dtype.kind == "f":
            numbers = numbers[~np.isnan(numbers)]
        whole = numbers.dtype.kind in "iuf" and bool(np.all((numbers >= 0) & (numbers < 2**31) & (numbers == np.floor(numbers))))
        if not whole:
            raise ModelError(
                f"the categories of column {columns[j]} are {numbers.dtype}, such as {numbers[0]!r}",
                code="model.category_type",
                where=_names(model)[columns[j]],
                hint="train on whole numbers from 0 as categories",
            )
        categories[j] = numbers.astype(np.int64)
    return columns, categories


def _hist_tree(
    predictor: Any,
    output: int,
    columns: npt.NDArray[np.int64],
    categories: dict[int, npt.NDArray[np.int64]],
    known: npt.NDArray[np.uint32],
    position: npt.NDArray[np.uint32],
) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    left = np.where(leaf, -1, nodes["left"].astype(np.int64))
    right = np.where(leaf, -1, nodes["right"].astype(np.int64))
    nan_left = nodes["missing_go_to_left"].astype(bool)
    category_set = np.full(len(nodes), -1)
    sets: list[npt.NDArray[np.uint32]] = []
    for i in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf):
        feature = int(nodes["feature_idx"][i])
        codes = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][i]]
        if nan_left[i]:
            # What is unknown goes with what is missing: to the left. So the set is that of the other side.
            codes = known[position[feature]] & ~codes
            left[i], right[i] = right[i], left[i]
            nan_left[i] = False
        category_set[i] = len(sets)
        sets.append(_words(codes, categories[feature]))
    return (
        output,
        left,
        right,
        np.where(leaf, 0, columns[np.where(leaf, 0, nodes["feature_idx"])]),
        nodes["num_threshold"],
        nan_left,
        nodes["value"],
        nodes["count"],
        category_set,
        sets,
    )


def _words(codes: npt.NDArray[np.uint32], categories: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """The categories with these codes as a bit set, 32 a word."""
    bits = np.unpackbits(codes.astype("<u4").view(np.uint8), bitorder="little")[: len(categories)]
    members = categories[bits.astype(bool)]
    words = np.zeros(int(members.max()) // 32 + 1 if members.size else 0, np.uint32)
    np.bitwise_or.at(words, members // 32, np.left_shift(np.uint32(1), (members % 32).astype(np.uint32)))
    return words
