#!/usr/bin/env python3
"""The reference ranking: 2,000 candidates of one task, scored by a LightGBM lambdarank model of 500 trees × 64 leaves. Made
from a seed, kept in the build folder, and checked against what it is meant to be.

reference_model.py [--trees 500]   (needs LightGBM; prints what the model is)
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring import CACHE, Array, timed, version_of

#: Features of the task, of the action and of the pair; the first ones of each are flags, the others real-valued.
WIDTHS = (40, 24, 32)
FLAGS = (22, 8, 6)
CANDIDATES = 2_000
_VERSION = 1  # raise it when the data are made in another way
_QUERIES, _DOCUMENTS = 400, 40  # of the training set
_SETTINGS: dict[str, Any] = {
    "objective": "lambdarank",
    "num_leaves": 64,
    "learning_rate": 0.05,
    "max_bin": 255,
    "min_data_in_leaf": 2,
    "lambdarank_truncation_level": _DOCUMENTS,
    # Gains are weighed so that the splits fall as they should: on real values first, and by group.
    "feature_contri": [
        share
        for width, flags, of_flags, of_reals in zip(WIDTHS, FLAGS, (0.9, 0.7, 0.7), (1.0, 0.95, 0.96), strict=True)
        for share in [of_flags] * flags + [of_reals] * (width - flags)
    ],
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "seed": 1,
    "verbose": -1,
}


@dataclass(frozen=True)
class Reference:
    """The model's file, and one task with its candidates: row i is ``actions[index[i]]`` with ``pairs[i]``."""

    path: Path
    trees: int
    task: Array
    actions: Array
    index: Array
    pairs: Array

    def rows(self, count: int = CANDIDATES) -> Array:
        """The joined float32 rows of the first candidates, as a plain batch has them."""
        task = np.broadcast_to(self.task, (count, len(self.task)))
        return np.ascontiguousarray(np.concatenate([task, self.actions[self.index[:count]], self.pairs[:count]], axis=1))


def reference(trees: int = 500) -> Reference:
    """Trained once per set of parameters; checked whenever it has its 500 trees."""
    key = json.dumps([_SETTINGS, WIDTHS, FLAGS, _QUERIES, _DOCUMENTS, trees, version_of("lightgbm"), _VERSION])
    path = CACHE / f"reference-{trees}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.txt"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        rows, labels = training_set()
        train(rows, labels, trees, path)
    draw = np.random.default_rng(5)
    made = Reference(
        path=path,
        trees=trees,
        task=_block(draw, 1, 0)[0],
        actions=_block(draw, CANDIDATES, 1),
        index=draw.permutation(CANDIDATES),
        pairs=_block(draw, CANDIDATES, 2),
    )
    if trees == 500:
        check(made)
    return made


def of_trees(trees: int) -> Path:
    """The reference model's first trees, or all of them and more after them."""
    whole = reference().path
    if trees == 500:
        return whole
    path = whole.with_name(f"{whole.stem}-of-{trees}.txt")
    if not path.exists():
        import lightgbm

        if trees < 500:
            lightgbm.Booster(model_file=str(whole)).save_model(str(path), num_iteration=trees)
        else:
            train(*training_set(), trees - 500, path, begin=whole)
    return path


def is_kept() -> bool:
    """Whether the whole model was trained before."""
    return any(CACHE.glob("reference-500-*.txt"))


def training_set() -> tuple[Array, Array]:
    """Rows, query after query, and their grades 0-4: steps of single features, and products of the task with the others."""
    draw = np.random.default_rng(0)
    task, actions = _block(draw, _QUERIES, 0), _block(draw, CANDIDATES, 1)
    index = np.concatenate([draw.permutation(CANDIDATES)[:_DOCUMENTS] for _ in range(_QUERIES)])
    pairs = _block(draw, len(index), 2)
    query = np.repeat(np.arange(_QUERIES), _DOCUMENTS)
    effect = np.random.default_rng(1)
    with_actions, with_pairs = (effect.normal(size=(WIDTHS[0], width)) / WIDTHS[0] ** 0.5 for width in WIDTHS[1:])
    of_task = _steps(effect, task)
    worth = 1.0 * _steps(effect, actions).sum(1)[index] + 1.5 * _steps(effect, pairs).sum(1)
    worth += 0.5 * ((of_task @ with_actions)[query] * actions[index]).sum(1)
    worth += 0.7 * ((of_task @ with_pairs)[query] * pairs).sum(1)
    worth += 0.5 * worth.std() * draw.normal(size=len(worth))
    rank = worth.reshape(_QUERIES, _DOCUMENTS).argsort(1).argsort(1)
    return np.concatenate([task[query], actions[index], pairs], axis=1), (rank * 5 // _DOCUMENTS).ravel()


def train(rows: Array, labels: Array, trees: int, path: Path, begin: Path | None = None) -> None:
    """Writes a model of so many trees, after those of ``begin`` when it is given."""
    import lightgbm

    data = lightgbm.Dataset(rows, labels, group=np.full(_QUERIES, _DOCUMENTS))
    lightgbm.train(_SETTINGS, data, trees, init_model=begin and str(begin)).save_model(str(path))


def splits_of(path: Path) -> tuple[Array, Array]:
    """Feature and threshold of every split of a model file."""
    lines = path.read_text().splitlines()

    def numbers(key: str) -> Array:
        return np.array([word for line in lines if line.startswith(key) for word in line[len(key) :].split()], dtype=float)

    return numbers("split_feature=").astype(int), numbers("threshold=")


def check(made: Reference) -> dict[str, Any]:
    """What the reference ranking is meant to be. Raises ``ValueError`` for a model that is not."""
    feature, threshold = splits_of(made.path)
    ends = np.cumsum(WIDTHS)
    group = np.searchsorted(ends, feature, side="right")
    shares = [float(np.mean(group == g)) for g in range(3)]
    real = [j for g in range(3) for j in range(ends[g] - WIDTHS[g] + FLAGS[g], ends[g])]
    distinct = [len(np.unique(threshold[feature == j])) for j in range(sum(WIDTHS))]
    facts: dict[str, Any] = {
        "splits": len(feature),
        "shares": [round(share, 4) for share in shares],
        "median_thresholds": float(np.median([distinct[j] for j in real])),
        "most_thresholds": max(distinct),
        "real_valued": len(real),
        "unused_features": distinct.count(0),
        "rows": len(made.index),
        "distinct_rows": len(np.unique(made.rows(), axis=0)),
        "bytes": made.path.stat().st_size,
    }
    wanted = (0.27, 0.27, 0.46)
    if (
        facts["splits"] != 31_500
        or any(abs(share - want) > 0.03 for share, want in zip(shares, wanted, strict=True))
        or facts["median_thresholds"] < 200
        or facts["distinct_rows"] != CANDIDATES
    ):
        raise ValueError(f"not the reference model: {facts}")
    return facts


def _block(draw: np.random.Generator, rows: int, group: int) -> Array:
    values = draw.normal(size=(rows, WIDTHS[group])).astype(np.float32)
    values[:, : FLAGS[group]] = values[:, : FLAGS[group]] > 0.5
    return values


def _steps(draw: np.random.Generator, values: Array, levels: int = 48) -> Array:
    """Each column as a step function of its rank, with random levels: trees need thresholds everywhere to follow it."""
    rank = values.argsort(0, kind="stable").argsort(0) * levels // len(values)
    return np.take_along_axis(draw.normal(size=(levels, values.shape[1])), rank, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=500)
    made, seconds = timed(lambda: reference(parser.parse_args().trees))
    print(f"{made.path} ({seconds:.1f} s)")
    if made.trees == 500:
        print(json.dumps(check(made)))


if __name__ == "__main__":
    main()
