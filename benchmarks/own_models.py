"""Trainers with models of their own, which LightGBM cannot score: as many trees and leaves as the reference, from its training
set, beside ours reading the same model where an importer is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import CACHE, Absent, Array, Contender, LaterError, attempt, timed, version_of
from reference_model import training_set

TREES, LEAVES = 500, 64
#: Raise it when the models are trained in another way.
_VERSION = 1


def cases(rows32: Array, train: bool) -> dict[str, list[Contender | Absent]]:
    """Per trainer the contenders, its own engine first. Without ``train`` only models that are kept are measured."""
    makers: dict[str, Callable[[Array, bool], Sequence[Contender | Absent]]] = {
        f"XGBoost's own model, {TREES} trees of {LEAVES} leaves": _xgboost,
        f"CatBoost's own model, {TREES} oblivious trees of {LEAVES} leaves": _catboost,
        f"YDF's own model, {TREES} trees of at most {LEAVES} leaves": _ydf,
    }
    out: dict[str, list[Contender | Absent]] = {}
    for name, make in makers.items():
        try:
            out[name] = list(make(rows32, train))
        except ImportError as problem:
            out[name] = [Absent(name.split("'")[0], f"not installed ({problem})")]
        except LaterError as problem:
            out[name] = [Absent(name.split("'")[0], str(problem))]
    return out


def _kept(name: str, version: str, suffix: str, train: bool) -> Path:
    path = CACHE / f"own-{name}-{version}-{_VERSION}{suffix}"
    if not path.exists() and not train:
        raise LaterError("trains for a minute: only in the full form, or once it is kept")
    CACHE.mkdir(parents=True, exist_ok=True)
    return path


def _ours(reader: str, model: Any, rows32: Array, expected: Array) -> list[Contender | Absent]:
    from opspilot.models import Ranker

    if not hasattr(Ranker, reader):
        return [Absent("opspilot", f"this build has no Ranker.{reader}")]
    ranker, seconds = timed(lambda: getattr(Ranker, reader)(model))
    engines = Ranker.engines()

    def on(engine: str) -> Contender:
        return Contender(
            f"opspilot, {engine}",
            lambda: ranker.score(rows32, engine),
            expected,
            same_bits=True,
            prepared_s=seconds if engine == engines[0] else None,
        )

    return [on(engine) for engine in engines]


def _xgboost(rows32: Array, train: bool) -> list[Contender | Absent]:
    import xgboost

    version = version_of("xgboost")
    path = _kept("xgboost", version, ".ubj", train)
    settings = {
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "max_leaves": LEAVES,
        "max_depth": 0,
        "max_bin": 255,
        "min_child_weight": 1,
        "eta": 0.05,
        "nthread": 1,
        "seed": 1,
    }
    if not path.exists():
        rows, labels = training_set()
        xgboost.train(settings, xgboost.DMatrix(rows, labels, nthread=1), TREES).save_model(path)
    model = xgboost.Booster({"nthread": 1}, model_file=path)
    own = Contender("XGBoost inplace_predict", lambda: model.inplace_predict(rows32, predict_type="margin"), version=version)
    return [own, *_ours("from_xgboost", path, rows32, np.asarray(own.run(), dtype=np.float64))]


def _catboost(rows32: Array, train: bool) -> list[Contender | Absent]:
    import catboost

    version = version_of("catboost")
    path = _kept("catboost", version, ".cbm", train)
    if not path.exists():
        rows, labels = training_set()
        fresh = catboost.CatBoost(
            {
                "loss_function": "RMSE",
                "iterations": TREES,
                "depth": 6,
                "thread_count": 1,
                "random_seed": 1,
                "allow_writing_files": False,
            }
        )
        fresh.fit(catboost.Pool(rows, labels), silent=True)
        fresh.save_model(str(path))
    model = catboost.CatBoost()
    model.load_model(str(path))
    pool = catboost.Pool(rows32)

    def predict(data: Any) -> Any:
        return model.predict(data, prediction_type="RawFormulaVal", thread_count=1)

    expected = predict(pool)
    return [
        Contender("CatBoost, from its Pool", lambda: predict(pool), version=version),
        Contender("CatBoost, from numpy", lambda: predict(rows32), expected, version=version),
        *_ours("from_catboost", model, rows32, expected),
    ]


def _ydf(rows32: Array, train: bool) -> list[Contender | Absent]:
    def make() -> Contender:
        import ydf

        path = _kept("ydf", version_of("ydf"), "", train)
        ydf.verbose(0)
        if not path.exists():
            rows, labels = training_set()
            learner = ydf.GradientBoostedTreesLearner(
                label="grade",
                task=ydf.Task.REGRESSION,
                num_trees=TREES,
                max_depth=7,  # counts nodes: six splits from root to leaf
                validation_ratio=0.0,
                early_stopping="NONE",
                discretize_numerical_columns=True,
                num_threads=1,
            )
            learner.train({"x": rows, "grade": labels.astype(np.float32)}).save(str(path))
        model, seconds = timed(lambda: ydf.load_model(str(path)))
        data = ydf.create_vertical_dataset(
            {"x": rows32}, data_spec=model.data_spec(), required_columns=model.input_feature_names()
        )
        engine = model.list_compatible_engines()[0].removeprefix("GradientBoostedTrees")
        return Contender(
            f"YDF {engine}",
            lambda: model.predict(data, num_threads=1),
            version=version_of("ydf"),
            prepared_s=seconds,
        )

    return [attempt("YDF", make)]
