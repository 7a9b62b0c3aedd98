"""Models unlike the reference: none of them may be slower than LightGBM. Trained from a seed, kept in the build folder."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring import CACHE, Array, version_of

#: The ranking lists that come with the project's data, when they are there.
LISTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "lambdarank"

_VERSION = 1  # raise it when the data are made in another way


@dataclass(frozen=True)
class Other:
    """A model's file, rows to score, and what is special about them."""

    name: str
    path: Path
    rows: Array


@dataclass(frozen=True)
class _Recipe:
    name: str
    rows: Callable[[np.random.Generator, int], Array]
    settings: dict[str, Any]
    trees: int
    train_rows: int
    categories: tuple[int, ...] = ()


def _plain(draw: np.random.Generator, n: int, width: int = 20) -> Array:
    return draw.normal(size=(n, width))


def _with_gaps(draw: np.random.Generator, n: int) -> Array:
    rows = _plain(draw, n)
    rows[draw.random(rows.shape) < 0.2] = np.nan
    return rows


def _with_zeros(draw: np.random.Generator, n: int) -> Array:
    rows = _with_gaps(draw, n)
    rows[draw.random(rows.shape) < 0.3] = 0
    return rows


def _with_categories(draw: np.random.Generator, n: int) -> Array:
    rows = _plain(draw, n)
    for column, levels in enumerate((5, 40, 200, 1000)):
        rows[:, column] = draw.integers(0, levels, n)
    return rows


def _few(draw: np.random.Generator, n: int) -> Array:
    return _plain(draw, n, 6)


_RECIPES = (
    _Recipe("categories of 5, 40, 200 and 1,000 levels", _with_categories, {"num_leaves": 31}, 200, 6_000, (0, 1, 2, 3)),
    _Recipe("a fifth of the values missing", _with_gaps, {"num_leaves": 31}, 300, 6_000),
    _Recipe("zero as missing", _with_zeros, {"num_leaves": 31, "zero_as_missing": True}, 300, 6_000),
    _Recipe("more than 255 thresholds a feature", _few, {"num_leaves": 127, "max_bin": 4_095, "min_data_in_bin": 1}, 200, 20_000),
    _Recipe("10,000 trees of 4 leaves", _plain, {"num_leaves": 4, "learning_rate": 0.02}, 10_000, 1_000),
    _Recipe("one tree of 31 leaves", _plain, {"num_leaves": 31}, 1, 2_000),
    _Recipe("5 classes, 100 trees each", _plain, {"num_leaves": 31, "objective": "multiclass", "num_class": 5}, 100, 3_000),
    _Recipe(
        "a forest of 100 deep trees",
        _plain,
        {
            "boosting": "rf",
            "num_leaves": 2_047,
            "min_data_in_leaf": 1,
            "bagging_fraction": 0.6,
            "bagging_freq": 1,
            "feature_fraction": 0.5,
        },
        100,
        6_000,
    ),
)


def others(quick: bool) -> list[Other]:
    """In the quick form, the small ones, with a fifth of their trees."""
    made = []
    for recipe in _RECIPES:
        if not (quick and recipe.trees * recipe.train_rows > 2_000_000):
            made.append(_made(recipe, max(1, recipe.trees // 5) if quick else recipe.trees))
    if LISTS.is_dir():
        made.append(_lambdarank(20 if quick else 100))
    return made


def _made(recipe: _Recipe, trees: int) -> Other:
    def train() -> Any:
        import lightgbm

        draw = np.random.default_rng(3)
        rows = recipe.rows(draw, recipe.train_rows)
        worth = np.nansum(np.sin(2 * rows) * draw.normal(size=rows.shape[1]), axis=1) + draw.normal(size=len(rows))
        classes = recipe.settings.get("num_class")
        labels = np.argsort(np.argsort(worth)) * classes // len(worth) if classes else worth
        settings = {"verbose": -1, "num_threads": 1, "seed": 1, "deterministic": True, "force_col_wise": True, **recipe.settings}
        return lightgbm.train(settings, lightgbm.Dataset(rows, labels, categorical_feature=list(recipe.categories)), trees)

    path = _kept(recipe.name, [repr(recipe.settings), trees, recipe.train_rows], train)
    return Other(recipe.name, path, recipe.rows(np.random.default_rng(4), 2_000))


def _lambdarank(trees: int) -> Other:
    def train() -> Any:
        import lightgbm

        rows, labels = _read_lists("rank.train.gz")
        groups = np.loadtxt(LISTS / "rank.train.query", dtype=int)
        settings = {
            "objective": "lambdarank",
            "num_leaves": 31,
            "min_data_in_leaf": 50,
            "verbose": -1,
            "num_threads": 1,
            "seed": 1,
        }
        return lightgbm.train(settings, lightgbm.Dataset(rows, labels, group=groups), trees)

    path = _kept("lambdarank", [trees], train)
    return Other("ranking lists of LightGBM's example, 300 sparse features", path, _read_lists("rank.test.gz")[0])


def _read_lists(name: str) -> tuple[Array, Array]:
    lines = gzip.decompress((LISTS / name).read_bytes()).decode().splitlines()
    rows = np.zeros((len(lines), 300))
    labels = np.zeros(len(lines))
    for i, line in enumerate(lines):
        label, *pairs = line.split()
        labels[i] = float(label)
        for pair in pairs:
            feature, value = pair.split(":")
            rows[i, int(feature) - 1] = float(value)
    return rows, labels


def _kept(name: str, parameters: list[Any], train: Callable[[], Any]) -> Path:
    key = json.dumps([name, parameters, version_of("lightgbm"), _VERSION])
    path = CACHE / f"other-{hashlib.sha256(key.encode()).hexdigest()[:12]}.txt"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        train().save_model(str(path))
    return path
