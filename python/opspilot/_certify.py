"""Certificates for targets, from labelled scores: what ``opspilot calibrate`` prints, writes and draws.

A target is a text: ``risk<=0.01`` (of what is automated) or ``recall(safety)>=0.97`` (of a class that must not be missed).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._labelled import Labelled
from opspilot.calibrate import RecallFloor, Threshold, automation_threshold, naive_threshold, recall_floor
from opspilot.errors import UsageError

Floats = npt.NDArray[np.float64]

_TARGET: Final = re.compile(r"\s*(?:(risk)\s*<=|recall\(([^()]+)\)\s*>=)\s*([0-9.eE+-]+)\s*")
_CURVE_POINTS: Final = 400
_RESAMPLES: Final = 40
_DAY_US: Final = 86_400_000_000
_MONTH_DAYS: Final = 30


@dataclass(frozen=True)
class Target:
    """``of`` is the class whose recall is meant, "" for the risk of what is automated."""

    text: str
    of: str
    bound: float


def target(text: str) -> Target:
    """Reads one. Raises ``UsageError`` with both forms."""
    found = _TARGET.fullmatch(text)
    try:
        bound = float(found[3]) if found else 0.0
    except ValueError:
        bound = 0.0
    if found is None or not 0 < bound < 1:
        raise UsageError(
            f"'{text}' is no target", code="usage.target", where="target", hint="risk<=0.01, or recall(safety)>=0.97; fractions"
        )
    return Target(text.replace(" ", ""), (found[2] or "").strip(), bound)


def certify(data: Labelled, targets: Sequence[Target], *, confidence: float = 0.95, jointly: bool = True) -> dict[str, Any]:
    """A certificate for each target. ``jointly``: all of them hold together with the confidence, at an equal part of the failure
    probability each; else each by itself."""
    if not targets:
        raise UsageError("no target", code="usage.target", where="target", hint="give --target 'risk<=0.01'")
    if not 0 < confidence < 1:
        raise UsageError(f"a confidence of {confidence}", code="usage.confidence", where="confidence", hint="0.95, not 95")
    each = 1.0 - (1.0 - confidence) / (len(targets) if jointly else 1)
    results = [_risk(data, t, each) if not t.of else _recall(data, t, each) for t in targets]
    return {
        "source": data.source,
        "confidence": confidence,
        "jointly": jointly and len(targets) > 1,
        "left_out": data.left_out,
        "blocked": data.blocked,
        "repeats": data.repeats,
        "one_per": data.one_per or None,
        "model": data.model,
        "by": data.by or None,
        "data_from": min(data.time) if data.time else None,
        "data_to": max(data.time) if data.time else None,
        "sufficient": all(result["sufficient"] for result in results),
        "targets": results,
        "curve": _curve(data) if data.score is not None else None,
    }


def _risk(data: Labelled, t: Target, confidence: float) -> dict[str, Any]:
    assert data.score is not None and data.error is not None
    believed = data.score if are_probabilities(data.score) else None
    made = automation_threshold(
        data.score, data.error, max_risk=t.bound, confidence=confidence, start_probability=believed, groups=data.groups
    )
    naive = naive_threshold(data.score, data.error, max_risk=t.bound)
    return {
        "target": t.text,
        "kind": "risk",
        "bound": t.bound,
        **_threshold(made),
        "message": _stated(made),
        "naive": {
            "value": naive.value,
            "coverage": naive.coverage,
            "risk": naive.risk,
            "errors": naive.errors,
            "n": naive.automated,
        },
        "groups": [{"group": str(name), **_threshold(g), "message": _short(g)} for name, g in made.groups.items()],
        "more_labels": _more_labels(data, t, confidence),
    }


def _recall(data: Labelled, t: Target, confidence: float) -> dict[str, Any]:
    score, label = data.flags[t.of]
    made = recall_floor(score, label, min_recall=t.bound, confidence=confidence)
    return {
        "target": t.text,
        "kind": "recall",
        "of": t.of,
        "bound": t.bound,
        **{key: getattr(made, key) for key in made.__dataclass_fields__},
        "confidence": confidence,
        "message": _stated(made),
        "ladder": _ladder(made, t.bound, confidence),
    }


def _ladder(made: RecallFloor, bound: float, confidence: float) -> list[dict[str, int]]:
    """How many positives each number of misses needs: what more of them buy."""
    ladder, n = [], made.needed
    for misses in range(4):
        while float(_core.binomial_bounds([misses], [n], 1.0 - confidence)[1][0]) > 1.0 - bound:
            n += 1
        ladder.append({"misses": misses, "positives": n})
    return ladder


def _threshold(t: Threshold) -> dict[str, Any]:
    kept = ("value", "sufficient", "reason", "coverage", "risk_upper", "n", "automated", "errors", "needed", "confidence")
    return {key: getattr(t, key) for key in kept}


def _stated(made: Threshold | RecallFloor) -> str:
    return "" if made.sufficient else made.statement.removesuffix(".")


def _short(t: Threshold) -> str:
    """For a row of a table."""
    if t.sufficient:
        return ""
    if t.n <= t.needed:
        return f"Insufficient: {t.needed + 1} items needed, {t.n} given"
    return "Insufficient: too few distinct scores" if t.reason == "ties" else "Insufficient: too many errors among the best"


def _more_labels(data: Labelled, t: Target, confidence: float) -> list[dict[str, Any]]:
    """What more labels like these would buy: the certificate on sets drawn again from these rows. A forecast, no more."""
    assert data.score is not None and data.error is not None
    n = len(data.score)
    month = _labels_a_month(data)
    steps = [("as now", n)]
    steps += [("one more month", n + month), ("three more months", n + 3 * month)] if month else [("twice as many", 2 * n)]
    rng = np.random.default_rng(0)
    distinct = np.unique(data.score)
    gap = float(np.diff(distinct).min()) if len(distinct) > 1 else 1.0
    probabilities = are_probabilities(data.score)
    made = []
    for name, size in steps:
        coverage = []
        for _ in range(_RESAMPLES if size <= 200_000 else 5):
            drawn = np.sort(rng.integers(0, n, size))
            # Copies of one row are set apart by less than any two scores are, or they would count as ties.
            first = np.r_[True, drawn[1:] != drawn[:-1]]
            place = np.arange(size) - np.maximum.accumulate(np.where(first, np.arange(size), 0))
            score = data.score[drawn] - place * (gap / (4.0 * (place.max() + 1)))
            believed = np.clip(score, 0.0, 1.0) if probabilities else None
            again = automation_threshold(
                score, data.error[drawn], max_risk=t.bound, confidence=confidence, start_probability=believed
            )
            coverage.append(again.coverage if again.sufficient else 0.0)
        made.append(
            {
                "what": name,
                "labels": size,
                "certified": float(np.mean(np.array(coverage) > 0)),
                "coverage": float(np.mean(coverage)),
            }
        )
    return made


def _labels_a_month(data: Labelled) -> int:
    if not data.time or max(data.time) - min(data.time) < _DAY_US:
        return 0
    return round(len(data.time) * _MONTH_DAYS * _DAY_US / (max(data.time) - min(data.time)))


def _curve(data: Labelled) -> dict[str, list[float]]:
    """Error among the best-scored share of the rows, at whole tie blocks."""
    assert data.score is not None and data.error is not None
    order = np.argsort(-data.score, kind="stable")
    score, wrong = data.score[order], np.cumsum(data.error[order])
    ends = np.flatnonzero(np.r_[score[1:] != score[:-1], True])
    if len(ends) > _CURVE_POINTS:
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, _CURVE_POINTS).astype(np.int64))]
    count = ends + 1
    return {"coverage": (count / len(score)).tolist(), "risk": (wrong[ends] / count).tolist()}


def are_probabilities(score: Floats) -> bool:
    return bool(len(score)) and bool(((score >= 0) & (score <= 1)).all())
