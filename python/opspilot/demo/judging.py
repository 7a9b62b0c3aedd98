"""What came of the test decisions, in the shape that reports and ``opspilot demo --json`` show (see opspilot.report)."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from opspilot._bench import percentile
from opspilot.calibrate import NaiveThreshold, Threshold
from opspilot.deciding import Bundle, Engine
from opspilot.demo.star_data import NOW, Decision
from opspilot.errors import Error
from opspilot.evaluate import StageScores, stage_scores

Json = dict[str, Any]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Parts = Mapping[str, bytes]

_BATCH = 4096
_BINS = 10
_CURVE_POINTS = 400


@dataclass(frozen=True)
class Level:
    """What was certified for one risk, and what a careless reading of the same decisions would have claimed."""

    risk: float
    certified: Threshold
    row_wise: Threshold
    naive: NaiveThreshold


@dataclass(frozen=True)
class Decided:
    """What a bundle whose line is 0 answered: its ``auto_execute`` is what policies leave open to automation."""

    action: Sequence[str]
    probability: Floats
    proposed: Sequence[str]
    right: Flags
    open: Flags


@dataclass(frozen=True)
class OneByOne:
    """Decisions made one after the other: what served decisions look like, and how long they took."""

    verdicts: Sequence[str]
    top3: Sequence[tuple[str, ...]]
    rules: Sequence[frozenset[str]]
    milliseconds: Sequence[float]


def decide_all(bundle: Bundle, decisions: Sequence[Decision]) -> Decided:
    """Decides in batches, and compares with what the log says; an override is never right."""
    engine = Engine(bundle)
    action: list[str] = []
    proposed: list[str] = []
    probability: list[float] = []
    for first in range(0, len(decisions), _BATCH):
        answers = engine.decide_batch([d.task for d in decisions[first : first + _BATCH]], now=NOW)
        action += [found or "" for found in answers.column("action")]
        proposed += answers.column("proposed")
        probability += [0.0 if p is None else p for p in answers.column("probability")]
    right = np.array([d.label.action == a for d, a in zip(decisions, action, strict=True)], dtype=bool)
    return Decided(
        action, np.array(probability, dtype=np.float64), proposed, right, np.array([v == "auto_execute" for v in proposed])
    )


def one_by_one(bundle: Bundle, decisions: Sequence[Decision], log: list[bytes] | None = None, rung: str = "full") -> OneByOne:
    """Decides each task by itself. ``log`` receives records, and what the operator did. The clock runs for the decision alone."""
    engine = Engine(bundle)
    verdicts, top3, rules, milliseconds = [], [], [], []
    for decision in decisions:
        began = time.perf_counter()
        made = engine.decide(decision.task, now=NOW, rung=rung)
        milliseconds.append(1e3 * (time.perf_counter() - began))
        verdicts.append(made.proposed)
        top3.append(tuple(candidate.action for candidate in made.ranked[:3] if candidate.allowed))
        acted = (reason.get("rule") for candidate in made.ranked for reason in candidate.reasons)
        rules.append(frozenset(rule for rule in acted if rule))
        if log is not None:
            log.append(made.record())
            log.append(engine.record_outcome(made.id, _done(decision, made.action), now=NOW))
    return OneByOne(verdicts, top3, rules, milliseconds)


def _done(decision: Decision, action: str | None) -> Json:
    """What the operator did, as an outcome: an override is no action of the catalogue."""
    label = decision.label
    if label.override:
        return {"kind": "overridden"}
    return {"kind": "accepted"} if label.action == action else {"kind": "overridden", "action": label.action}


def cases(decisions: Sequence[Decision]) -> bytes:
    """Which case each task is of, as CSV: what ``opspilot calibrate --one-per case`` draws one decision of."""
    return "".join(["task,case\n", *(f"{d.task['id']},{d.label.dialogue}\n" for d in decisions)]).encode()


def hits(decisions: Sequence[Decision], top3: Sequence[tuple[str, ...]]) -> Json:
    """Top-1 and top-3 over the decisions that a catalogue entry answers."""
    rows = [(d.label.action, first) for d, first in zip(decisions, top3, strict=True) if not d.label.override]
    n = len(rows)
    return {
        "n": n,
        "top1": sum(first[:1] == (action,) for action, first in rows) / n,
        "top3": sum(action in first for action, first in rows) / n,
    }


def stages(bundle: Bundle, decisions: Sequence[Decision]) -> Json:
    """Ranking metrics of generation, of every stage by itself and of the final order; overrides have no right action."""
    engine, parts = Engine(bundle), []
    for first in range(0, len(decisions), _BATCH):
        parts.append(stage_scores(engine, [d.task for d in decisions[first : first + _BATCH]], now=NOW))
    chosen = [None if d.label.override else d.label.action for d in decisions]
    return StageScores.joined(parts).metrics(chosen).to_dict()


def automation(levels: Mapping[str, Level], decided: Decided, unit: str, confidence: float, weight: Floats | None = None) -> Json:
    """The shares that may run without a person, and what came of them on test.

    ``weight`` per decision makes units count alike however many decisions they hold, as the certificate counts them:
    ``test_error`` counts decisions, ``test_error_by_unit`` counts units.
    """
    out: Json = {"n": len(decided.right), "confidence": confidence, "unit": unit}
    for name, level in levels.items():
        line = level.certified.value if level.certified.sufficient else None
        served = automated(decided, line)
        naive, row_wise = automated(decided, level.naive.value), automated(decided, level.row_wise.value)
        out[name] = {
            "max_risk": level.risk,
            "sufficient": level.certified.sufficient,
            "share": float(served.mean()),
            "risk_upper": level.certified.risk_upper if level.certified.sufficient else None,
            "test_error": error(decided, served),
            "test_error_by_unit": error(decided, served, weight),
            "automated": int(served.sum()),
            "wrong": int((served & ~decided.right).sum()),
            "threshold": line,
            "certificate": {key: getattr(level.certified, key) for key in ("n", "automated", "errors", "coverage", "needed")},
            "naive_share": float(naive.mean()),
            "naive_test_error": error(decided, naive),
            "naive_threshold": level.naive.value,
            "naive_rowwise": {
                **{key: getattr(level.row_wise, key) for key in ("n", "automated", "errors")},
                "risk_upper": level.row_wise.risk_upper if level.row_wise.sufficient else None,
                "share": float(row_wise.mean()),
                "test_error": error(decided, row_wise),
            },
        }
    return out


def automated(decided: Decided, line: float | None) -> Flags:
    """Which decisions run without a person above this line."""
    return decided.open & (decided.probability > (np.inf if line is None else line))


def error(decided: Decided, chosen: Flags, weight: Floats | None = None) -> float | None:
    """Share of errors among the chosen, weighted when weights are given; None when none is chosen."""
    if not chosen.any():
        return None
    return float(np.average(~decided.right[chosen], weights=None if weight is None else weight[chosen]))


def unit_weights(units: Sequence[object]) -> Floats:
    """One over the number of decisions of each decision's unit: then all units count alike."""
    counts = Counter(units)
    return np.array([1.0 / counts[unit] for unit in units])


def reliability(decided: Decided) -> tuple[list[Json], float]:
    """Bins of stated probability, and the expected calibration error over them."""
    place = np.minimum((decided.probability * _BINS).astype(int), _BINS - 1)
    bins, ece = [], 0.0
    for b in range(_BINS):
        own = place == b
        if not own.any():
            continue
        stated, right, n = float(decided.probability[own].mean()), float(decided.right[own].mean()), int(own.sum())
        bins.append({"low": b / _BINS, "high": (b + 1) / _BINS, "mean_probability": stated, "accuracy": right, "n": n})
        ece += n / len(place) * abs(stated - right)
    return bins, ece


def risk_coverage(decided: Decided) -> Json:
    """Error above every line, of the decisions that policies leave open; coverage is of all decisions."""
    order = np.argsort(-decided.probability[decided.open], kind="stable")
    wrong = np.cumsum(~decided.right[decided.open][order])
    count = np.arange(1, len(order) + 1)
    least = min(len(order), max(20, len(decided.right) // 200))  # the first few rows show nothing but luck
    points = np.unique(np.linspace(least, len(order), _CURVE_POINTS).astype(int)) - 1
    points = points[points >= 0]
    return {"coverage": (count / len(decided.right))[points].tolist(), "risk": (wrong / count)[points].tolist()}


def verdicts_by(groups: Sequence[str], verdicts: Sequence[str]) -> Json:
    """Counts of verdicts per group."""
    counts: dict[str, Counter[str]] = {}
    for group, verdict in zip(groups, verdicts, strict=True):
        counts.setdefault(group, Counter())[verdict] += 1
    return {group: dict(count) for group, count in sorted(counts.items())}


def latency(milliseconds: Sequence[float]) -> Json:
    """Percentiles of single decisions."""
    ordered = sorted(milliseconds)
    return {
        "p50": percentile(ordered, 0.5),
        "p99": percentile(ordered, 0.99),
        "mean": sum(ordered) / len(ordered),
        "n": len(ordered),
        "per_s": 1e3 * len(ordered) / sum(ordered),
    }


def rules(parts: Parts, decisions: Sequence[Decision], acted: Sequence[frozenset[str]]) -> tuple[list[Json], Json]:
    """By rule: on how many decisions it acted, and how many verdicts would be others without it. Then all rules together.

    A rule that acted on no candidate of a decision cannot change it, so only the others are decided again.
    """
    with_all = decide_all(Bundle.draft(parts), decisions)
    names = [name for name in parts if name.startswith("policy/")]
    documents = {name: json.loads(parts[name]) for name in names}
    matched = Counter(rule for found in acted for rule in found)
    found: list[Json] = []
    for name, document in documents.items():
        for rule in document["rules"]:
            kept = [other for other in document["rules"] if other is not rule]
            touched = [i for i, found_rules in enumerate(acted) if rule["id"] in found_rules]
            without = decide_all(_with_rules(parts, {name: kept}, documents), [decisions[i] for i in touched])
            changes = _differ([with_all.proposed[i] for i in touched], without.proposed)
            entry: Json = {"id": rule["id"], "layer": document["layer"], "effect": rule["effect"], "because": rule["because"]}
            entry |= {"matched": matched[rule["id"]], "verdict_changes": changes}
            found.append(entry)
    bare = decide_all(_with_rules(parts, {name: [] for name in names}, documents), decisions)
    together = {"verdicts": _differ(with_all.proposed, bare.proposed), "top_action": _differ(with_all.action, bare.action)}
    return found, together


def _with_rules(parts: Parts, changed: Mapping[str, list[Json]], documents: Mapping[str, Json]) -> Bundle:
    """A draft with other rules; documents left without any are left out. Tests and invariants speak of all rules: they go."""
    drafted = dict(parts)
    for name, kept in changed.items():
        rest = {key: value for key, value in documents[name].items() if key not in {"tests", "invariants"}}
        if kept:
            drafted[name] = json.dumps({**rest, "rules": kept}).encode()
        else:
            del drafted[name]
    try:
        return Bundle.draft(drafted)
    except Error as problem:
        problem.add_note(f"with other rules in {', '.join(changed)}")
        raise


def _differ(a: Sequence[object], b: Sequence[object]) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))
