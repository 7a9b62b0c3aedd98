"""Models of other libraries as the bytes that those libraries write of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from opspilot._arrays import read_content
from opspilot.errors import ModelError, UsageError


def lightgbm_text(x: Any) -> bytes:
    """The text of a ``Booster`` or an ``LGBMModel``."""
    booster = x if hasattr(x, "model_to_string") else getattr(x, "booster_", None)
    if booster is None:
        raise UsageError(
            f"a model of type {type(x).__name__}",
            code="usage.model",
            where="x",
            hint="give a Booster, an LGBMModel, a path or bytes",
        )
    return bytes(booster.model_to_string().encode())


def xgboost_content(x: Any, iteration_range: tuple[int, int] | None) -> bytes:
    """The UBJ bytes of a booster's rounds."""
    if isinstance(x, (str, Path, bytes, bytearray)):
        try:
            import xgboost
        except ModuleNotFoundError:
            raise UsageError(
                "iteration_range of a file needs xgboost, which is not installed",
                code="usage.model",
                where="iteration_range",
                hint="pip install xgboost, or slice the booster before saving it",
            ) from None
        booster = xgboost.Booster()
        booster.load_model(x if isinstance(x, bytearray) else bytearray(read_content(x)))
    elif hasattr(x, "save_raw"):
        booster = x
    elif hasattr(x, "get_booster"):
        booster = x.get_booster()
        missing = getattr(x, "missing", None)
        if missing is not None and not np.isnan(missing):
            raise ModelError(
                f"the estimator takes {missing} for missing, which its booster does not say",
                code="model.missing_value",
                where="x",
                hint="replace the value by NaN before training and scoring, or give x.get_booster() and do so before scoring",
            )
        # The attribute is there only when training stopped early.
        best = getattr(x, "best_iteration", None)
        if iteration_range is None and best is not None:
            iteration_range = (0, int(best) + 1)
    else:
        raise UsageError(
            f"a model of type {type(x).__name__}",
            code="usage.model",
            where="x",
            hint="give a Booster, an XGBModel, a path or bytes",
        )
    if iteration_range is not None:
        begin, end = iteration_range
        rounds = booster.num_boosted_rounds()
        end = rounds if end == 0 else end
        if not 0 <= begin < end <= rounds:
            raise UsageError(
                f"rounds {begin} to {end} of a model of {rounds}",
                code="usage.iteration_range",
                where="iteration_range",
                hint="give (begin, end) with 0 <= begin < end",
            )
        if (begin, end) != (0, rounds):
            booster = booster[begin:end]
    return bytes(booster.save_raw("ubj"))


def catboost_json(model: Any) -> bytes:
    """A CatBoost model as it writes itself."""
    if not hasattr(model, "save_model") or not hasattr(model, "get_scale_and_bias"):
        raise UsageError(
            f"a model of type {type(model).__name__}",
            code="usage.model",
            where="x",
            hint="give a fitted CatBoost, CatBoostClassifier, CatBoostRegressor or CatBoostRanker, a path or bytes",
        )
    if not model.is_fitted():
        raise ModelError(f"this {type(model).__name__} is not fitted", code="model.not_fitted", hint="call fit first")
    for kind, columns in (("text", model.get_text_feature_indices()), ("embedding", model.get_embedding_feature_indices())):
        if columns:
            raise ModelError(
                f"column {columns[0]} holds {kind}",
                code=f"model.{kind}_feature",
                hint="turn it into numbers before training",
            )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.json"
        model.save_model(str(target), format="json")
        return target.read_bytes()
