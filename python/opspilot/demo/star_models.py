"""The three models of the next-action job: a text classifier and a choice model, both out of fold, and trees on top."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot.demo.star_data import OVERRIDE
from opspilot.features import Features, TrainingSet, Transformed

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

THREADS: Final = 2
#: Candidates per decision that the trees learn from: the best of the text classifier.
SHORTLIST: Final = 12
_LINEAR: Final[Mapping[str, Any]] = {"solver": "adagrad", "l2": 12.0, "learning_rate": 0.05, "epochs": 4, "seed": 1}
#: Weights kept in each model; they decide the size of the bundle.
_CLASSIFIER_ENTRIES: Final = 1_700_000
_CHOICE_ENTRIES: Final = 250_000
_TREES: Final[Mapping[str, Any]] = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_cat_to_onehot": 4,
    "cat_smooth": 20.0,
    "min_data_per_group": 100,
    "boost_from_average": False,
    "num_threads": THREADS,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


@dataclass(frozen=True)
class StageScores:
    """A stage's log-probabilities of every candidate, and its probability of an override per decision."""

    name: str
    score: Floats
    override: Floats


@dataclass(frozen=True)
class Choices:
    """Decisions with their candidates as arrays: rows of the catalogue, and the chosen place (-1: an override)."""

    offsets: Integers
    rows: npt.NDArray[np.uint32]
    chosen: npt.NDArray[np.int32]

    @property
    def sizes(self) -> Integers:
        return np.diff(self.offsets)


def fit_classifier(
    features: Features,
    x: Transformed,
    choices: Choices,
    ids: Sequence[str],
    folds: npt.NDArray[np.uint32],
    *,
    name: str = "intent",
    override: bool = True,
    **options: Any,
) -> tuple[bytes, StageScores]:
    """Softmax over each decision's own candidates, and "override" where that can happen, on all sparse blocks."""
    classes, ends, allowed = [*ids], choices.offsets, choices.rows
    own = np.ones(len(allowed), dtype=bool)
    if override:
        classes.append(OVERRIDE)
        ends = choices.offsets + np.arange(len(choices.offsets))
        allowed = np.insert(choices.rows, choices.offsets[1:], len(ids)).astype(np.uint32)
        own = np.ones(len(allowed), dtype=bool)
        own[ends[1:] - 1] = False
    labels = allowed[ends[:-1] + np.where(choices.chosen < 0, choices.sizes, choices.chosen)]
    data = _core.ClassifierData(
        features.blocks, classes, x.offsets, x.index, x.value, labels, ends, allowed, fingerprint=features.fingerprint
    )
    settings = {**_LINEAR, "max_entries": _CLASSIFIER_ENTRIES, **options}
    model, found, _ = data.cross_fit(settings, folds, THREADS)
    none = np.exp(found[~own]) if override else np.zeros(len(choices.chosen))
    return model, StageScores(name, found[own], none)


def fit_choice(
    features: Features,
    x: Transformed,
    choices: Choices,
    catalogue: Sequence[Mapping[str, Any]],
    folds: npt.NDArray[np.uint32],
) -> tuple[bytes, StageScores]:
    """Conditional logit on the context block; what actions of one role or stage have in common is learned once."""
    (block, dimension), *_ = features.blocks
    within = x.index < dimension
    offsets = np.concatenate([[0], np.cumsum(within)])[x.offsets]
    keys, columns, first = [], [], 0
    for field in ("id", "role", "stage"):
        values = sorted({str(action[field]) for action in catalogue})
        slot = {value: first + i for i, value in enumerate(values)}
        columns.append(np.array([slot[action[field]] for action in catalogue], dtype=np.uint32)[choices.rows])
        keys.append((field, values))
        first += len(values)
    data = _core.ChoiceData(
        [(block, dimension)],
        offsets,
        x.index[within],
        x.value[within],
        choices.offsets,
        keys,
        np.stack(columns, axis=1),
        True,
        [],
        np.zeros(0, dtype=np.float32),
        choices.chosen,
        fingerprint=features.fingerprint,
    )
    model, found, outside, _ = data.cross_fit({**_LINEAR, "max_entries": _CHOICE_ENTRIES}, folds, THREADS)
    return model, StageScores("choice", found, np.exp(outside))


def stage_columns(stage: StageScores, choices: Choices) -> dict[str, Floats32]:
    """What a stage gives to the trees, as serving computes it: score, rank, margin over the best other, override."""
    score, rank, margin = stage.score, np.empty(len(stage.score)), np.empty(len(stage.score))
    for first, last in zip(choices.offsets[:-1], choices.offsets[1:], strict=True):
        own = score[first:last]
        ordered = np.sort(own)
        rank[first:last] = len(own) - np.searchsorted(ordered, own, side="right")
        if len(own) > 1:
            margin[first:last] = own - np.where(own == ordered[-1], ordered[-2], ordered[-1])
        else:
            margin[first:last] = 0.0
    prefix = f"stage.{stage.name}"
    columns = {prefix: score, f"{prefix}.rank": rank, f"{prefix}.margin": margin}
    if stage.override.any():
        columns[f"{prefix}.override"] = np.repeat(stage.override, choices.sizes)
    return {name: values.astype(np.float32) for name, values in columns.items()}


def fit_trees(
    columns: Sequence[str],
    dense: Floats32,
    staged: Mapping[str, Floats32],
    choices: Choices,
    categories: Sequence[str],
    *,
    rounds: int = 300,
    shortlist: int = SHORTLIST,
    progress: Callable[[float], None] = lambda _: None,
    **parameters: Any,
) -> bytes:
    """LightGBM under a softmax over each decision's candidates.  Decisions that ended in an override teach it nothing."""
    import lightgbm  # a package of the extra "demo"

    rank = next(values for name, values in staged.items() if name.endswith(".rank"))
    kept = (rank < shortlist) & np.repeat(choices.chosen >= 0, choices.sizes)
    label = np.zeros(len(rank), dtype=np.float32)
    label[(choices.offsets[:-1] + choices.chosen)[choices.chosen >= 0]] = 1.0
    decision = np.repeat(np.arange(len(choices.chosen)), choices.sizes)
    answered = np.bincount(decision[kept], weights=label[kept], minlength=len(choices.chosen)) > 0
    kept &= answered[decision]
    groups = np.bincount(decision[kept], minlength=len(choices.chosen))
    names = [*columns, *staged]
    rows = np.empty((int(kept.sum()), len(names)), dtype=np.float32)
    rows[:, : len(columns)] = dense[kept]
    for j, values in enumerate(staged.values(), start=len(columns)):
        rows[:, j] = values[kept]
    data = lightgbm.Dataset(
        rows, label[kept], feature_name=names, categorical_feature=list(categories), free_raw_data=True, params={"verbose": -1}
    )
    settings = {**_TREES, **parameters, "objective": softmax_objective(groups[groups > 0], label[kept])}

    def report(env: Any) -> None:
        progress((env.iteration + 1) / rounds)

    booster = lightgbm.train(settings, data, rounds, callbacks=[report])
    text: str = booster.model_to_string()
    return text.encode()


def softmax_objective(sizes: npt.NDArray[Any], label: Floats32) -> Callable[[Floats, Any], tuple[Floats, Floats]]:
    """Gradient and curvature of -log softmax of the chosen candidate, group by group."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    group = np.repeat(np.arange(len(sizes)), sizes)

    def objective(score: Floats, _: Any) -> tuple[Floats, Floats]:
        weight = np.exp(score - np.maximum.reduceat(score, starts)[group])
        p = weight / np.add.reduceat(weight, starts)[group]
        return p - label, np.maximum(p * (1.0 - p), 1e-6)

    return objective


def choices_of(data: TrainingSet, chosen: npt.NDArray[np.int32]) -> Choices:
    """The arrays of a training set."""
    return Choices(np.asarray(data.offsets, dtype=np.int64), data.rows, chosen)
