"""The reference decision: 2,000 actions of a catalogue for one task, 96 features (40 of the task, 24 of the action, 32 of the
pair), 500 trees of 64 leaves, 50 rules, a calibration curve and a threshold. Made from a seed, without any training."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._bench import percentile
from opspilot._bench.conditions import CONDITION_FIELDS, conditions, described_actions
from opspilot._bench.conditions import TASK as CONDITION_TASK

Json = dict[str, Any]

#: Features of the task, of the action and of the pair.
WIDTHS: Final = (40, 24, 32)
ACTIONS: Final = 2_000
TREES: Final = 500
LEAVES: Final = 64
#: Of the splits, by group: those of the reference ranking.
SHARES: Final = (0.27, 0.27, 0.46)
THRESHOLDS: Final = 255
NOW: Final = 1_700_000_000_000_000
_EFFECTS: Final[tuple[Json, ...]] = (
    {"effect": "forbid"},
    {"effect": "suggest_only"},
    {"effect": "boost", "by": 0.01},
    {"effect": "penalise", "by": 0.02},
    {"effect": "require_approval"},
    {"effect": "boost", "by": 0.005},
    {"effect": "forbid"},
    {"effect": "route", "queue": "desk"},
)
_YEAR_US: Final = 365 * 86_400_000_000


def measure(seconds: float, model: bytes | None = None) -> Json:
    """Every stage by itself, the whole decision with its record, and how many more two threads decide. ``model``: the text of a
    LightGBM model over ``column_names`` instead of the ensemble made here."""
    made = parts()
    if model is not None:
        made["rank/trees.txt"] = model
    timer = _core.StageTimer(made)
    draw = np.random.default_rng(5)
    tasks = [json.dumps(task(draw, i)) for i in range(16)]
    offered = _core.table_of(pairs(draw, ACTIONS))
    taken = timer.run(tasks[0].encode(), offered, NOW, seconds)
    whole = taken.pop("decision")
    alone = {name: _milliseconds(list_of) for name, list_of in taken.items()}
    one, two = (
        np.median([timer.rate(tasks, offered, NOW, seconds / 10, threads) for _ in range(5)], axis=0) for threads in (1, 2)
    )
    total = sum(stage["p50"] for stage in alone.values())
    decision = _milliseconds(whole)
    return {
        "candidates": ACTIONS,
        "features": sum(WIDTHS),
        "trees": TREES,
        "rules": len(_rules()),
        "stages_ms": alone,
        "sum_ms": round(total, 4),
        "decision_ms": decision,
        "whole_by_sum": round(decision["p50"] / total, 3),
        "p99_by_p50": round(decision["p99"] / decision["p50"], 2),
        "decisions_per_s": {"one thread": round(one[0], 1), "two threads": round(two[0], 1)},
        # What two threads decide beside one: by the clock, and by what each decision took of the processors, which other
        # programs on the machine do not change.
        "two_by_one": {"clock": round(two[0] / one[0], 3), "processor": round(2 * one[1] / two[1], 3)},
    }


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    at = {"min": ordered[0], "p50": percentile(ordered, 0.5), "p99": percentile(ordered, 0.99)}
    return {name: round(1e3 * value, 4) for name, value in at.items()}


def parts(actions: int = ACTIONS, trees: int = TREES, seed: int = 1) -> dict[str, bytes]:
    """What ``Bundle.draft`` compiles."""
    draw = np.random.default_rng(seed)
    names = column_names()
    documents: Json = {
        "bundle.json": {"name": "reference-decision", "version": "1", "description": "Made from a seed, to be timed."},
        "schema.json": _schema(),
        "catalogue.json": _catalogue(draw, actions),
        "features.json": {
            "version": 1,
            "transforms": [{"name": name, "op": "number", "input": field} for name, field in names.items()],
        },
        "rank/stages.json": {
            "version": 1,
            "stages": [{"name": "rank", "kind": "trees", "model": "rank/trees.txt"}],
            "rank_by": "rank",
        },
        "policy/business.json": {"layer": "business", "version": "1", "rules": _rules()},
        "calibration.json": _calibration(),
        "rollout.json": {"stage": "live"},
    }
    return {name: json.dumps(value).encode() for name, value in documents.items()} | {
        "rank/trees.txt": ensemble(list(names), trees, seed).encode()
    }


def column_names() -> dict[str, str]:
    """The model's columns, and the fields that they are read from."""
    groups = zip(("task", "action", "candidate"), ("t", "a", "p"), WIDTHS, strict=True)
    return {f"{letter}{j}": f"{role}.{letter}{j}" for role, letter, width in groups for j in range(width)}


def task(draw: np.random.Generator, number: int) -> Json:
    return {"id": f"t{number}", **CONDITION_TASK, **{f"t{j}": float(v) for j, v in enumerate(_values(draw, 1, WIDTHS[0])[0])}}


def pairs(draw: np.random.Generator, actions: int) -> dict[str, Any]:
    """The candidates that a host brings, as columns: ids of the catalogue, and the fields of the pair."""
    values = _values(draw, actions, WIDTHS[2])
    return {"id": [f"a{i}" for i in range(actions)], **{f"p{j}": values[:, j].copy() for j in range(WIDTHS[2])}}


def ensemble(names: list[str], trees: int, seed: int) -> str:
    """Trees as LightGBM writes them: grown leaf by leaf at random, thresholds among 255 quantiles of each column."""
    pick = random.Random(seed)
    quantiles = np.linspace(-1.0, 1.0, THRESHOLDS + 2)[1:-1]
    starts = np.concatenate([[0], np.cumsum(WIDTHS)])
    blocks = []
    for number in range(trees):
        blocks.append(_tree(number, pick, quantiles, starts))
    head = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={len(names) - 1}",
        "objective=lambdarank",
        "feature_names=" + " ".join(names),
        "feature_infos=" + " ".join(["[-1:1]"] * len(names)),
        "tree_sizes=" + " ".join(str(len(block)) for block in blocks),
        "",
    ]
    return (
        "\n".join(head)
        + "\n"
        + "".join(blocks)
        + "end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n\npandas_categorical:null\n"
    )


def _tree(number: int, pick: random.Random, quantiles: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]) -> str:
    left, right, feature, threshold = [-1], [-2], [_feature(pick, starts)], [float(pick.choice(quantiles))]
    parents: list[tuple[int, bool]] = [(0, True), (0, False)]  # per leaf: the split above it, and on which side it hangs
    while len(parents) < LEAVES:
        leaf = pick.randrange(len(parents))
        split, on_left = parents[leaf]
        (left if on_left else right)[split] = len(feature)
        parents[leaf] = (len(feature), True)
        parents.append((len(feature), False))
        left.append(~leaf)
        right.append(~(len(parents) - 1))
        feature.append(_feature(pick, starts))
        threshold.append(float(pick.choice(quantiles)))
    lines = [
        f"Tree={number}",
        f"num_leaves={LEAVES}",
        "num_cat=0",
        "split_feature=" + " ".join(map(str, feature)),
        "split_gain=" + " ".join(["1"] * len(feature)),
        "threshold=" + " ".join(map(repr, threshold)),
        "decision_type=" + " ".join(["2"] * len(feature)),
        "left_child=" + " ".join(map(str, left)),
        "right_child=" + " ".join(map(str, right)),
        "leaf_value=" + " ".join(repr(pick.gauss(0, 0.05)) for _ in range(LEAVES)),
        "leaf_weight=" + " ".join(["1"] * LEAVES),
        "leaf_count=" + " ".join(["1"] * LEAVES),
        "internal_value=" + " ".join(["0"] * len(feature)),
        "internal_weight=" + " ".join(["1"] * len(feature)),
        "internal_count=" + " ".join(["2"] * len(feature)),
        "is_linear=0",
        "shrinkage=1",
        "",
        "",
    ]
    return "\n".join(lines) + "\n"


def _feature(pick: random.Random, starts: npt.NDArray[np.int64]) -> int:
    group = pick.choices(range(3), SHARES)[0]
    return int(starts[group]) + pick.randrange(WIDTHS[group])


def _values(draw: np.random.Generator, rows: int, columns: int) -> npt.NDArray[np.float64]:
    return draw.uniform(-1, 1, (rows, columns)).astype(np.float32).astype(np.float64)


def _schema() -> Json:
    fields: dict[str, list[Json]] = {"task": [{"name": "id", "type": "string"}], "action": [], "candidate": []}
    for path, kind in CONDITION_FIELDS.items():
        role, _, name = path.partition(".")
        fields[role].append({"name": name, "type": kind} | ({"optional": True} if path == "action.region" else {}))
    for path in column_names().values():
        role, _, name = path.partition(".")
        fields[role].append({"name": name, "type": "double"})
    return fields


def _catalogue(draw: np.random.Generator, actions: int) -> list[Json]:
    values = _values(draw, actions, WIDTHS[1])
    return [
        {**about, **{f"a{j}": float(v) for j, v in enumerate(row)}}
        for about, row in zip(described_actions(actions), values, strict=True)
    ]


def _rules() -> list[Json]:
    made = []
    for number, condition in enumerate(conditions(50)):
        rule = {"id": f"rule-{number}", "when": condition, "because": "A condition of one of the shapes that policies have."}
        made.append(rule | _EFFECTS[number % len(_EFFECTS)])
    return made


def _calibration() -> Json:
    certificate = {
        "model_fingerprint": "",
        "calibrator": "platt",
        "sampling_unit": "none: nothing was measured",
        "not_covered": "everything",
        "n": 1_000_000,
        "automated": 1_000_000,
        "errors": 0,
        "needed": 59,
        "alpha": 0.05,
        "delta": 0.05,
        "coverage": 1.0,
        "risk_upper": 1e-5,
        "data_from": NOW - 1,
        "data_to": NOW,
        "created_at": NOW,
        "expires_at": NOW + _YEAR_US,
    }
    return {
        "version": 1,
        "calibrator": {"kind": "platt", "input": "probability", "a": -1.0, "b": 0.0},
        "thresholds": [{"scope": "auto", "value": 0.5, "certificate": certificate}],
    }
