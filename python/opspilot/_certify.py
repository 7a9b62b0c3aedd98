"""Certificates for targets, from labelled scores: what ``opspilot calibrate`` prints, writes and draws.

A target is a text: ``risk<=0.01`` (of what is automated) or ``recall(safety)>=0.97`` (of a class that must not be missed).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._decision_log import DecisionLog, _rows
from opspilot.calibrate import RecallFloor, Threshold, automation_threshold, naive_threshold, recall_floor
from opspilot.errors import CalibrationError, UsageError

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


@dataclass
class Labelled:
    """Rows to certify on: one item each, drawn like the traffic."""

    source: str
    score: Floats | None = None
    error: Floats | None = None
    flags: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    """By class: scores that it is of the class, and whether it is."""
    groups: list[str] | None = None
    by: str = ""
    time: list[int] | None = None
    model: str = ""
    left_out: int = 0
    """Rows of which the outcome is not known."""
    blocked: int = 0
    """Rows that rules keep from automation: below every line."""


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


def from_rows(file: str | Path, targets: Sequence[Target], by: str | None) -> Labelled:
    """A CSV file with a header, or JSON Lines, one item per row: ``score`` and ``error`` (1 = wrong; or ``right``);
    for recall(NAME) a score in a column ``NAME``, and in ``label`` NAME or another class; and a column of groups."""
    path = Path(file)
    rows = _rows(path)
    out = Labelled(path.name)
    if any(not t.of for t in targets):
        out.score = _numbers(rows, "score", path)
        out.error = _numbers(rows, "error", path) if "error" in rows[0] else 1.0 - _numbers(rows, "right", path)
    for name in {t.of for t in targets if t.of}:
        labels = [str(_value(row, "label", path, i)) for i, row in enumerate(rows)]
        out.flags[name] = (_numbers(rows, name, path), np.array([float(label == name) for label in labels]))
    if by is not None:
        out.groups, out.by = [str(_value(row, by, path, i)) for i, row in enumerate(rows)], by
    if rows and "time" in rows[0]:
        out.time = [int(time) for time in _numbers(rows, "time", path)]
    return out


def from_log(log: DecisionLog, wrong: Sequence[str], by: str | None, source: str) -> Labelled:
    """Decisions of a log whose outcome is known: the probability of the best action, and whether people did otherwise. What rules
    keep from automation is below every line. Raises ``UsageError`` when the log mixes models: a certificate is of one."""
    errors = log.wrong(wrong)
    kept = np.flatnonzero(~np.isnan(errors) & np.array([p is not None for p in log.probability], np.bool_))
    models = sorted({log.model[i] for i in kept})
    if len(models) > 1:
        raise UsageError(
            f"decisions of {len(models)} models",
            code="usage.models",
            where=source,
            hint="give the log of one: a certificate is of one",
        )
    opened = np.array([log.open[i] for i in kept], np.bool_)
    probability = np.array([log.probability[i] for i in kept], np.float64)
    out = Labelled(source, np.where(opened, probability, 0.0), errors[kept])
    out.model = models[0] if models else ""
    out.time = [log.time[i] for i in kept]
    out.left_out, out.blocked = len(log) - len(kept), int((~opened).sum())
    if by is not None:
        found = log.by(by)
        out.groups, out.by = [found[i] or "(not known)" for i in kept], by
    return out


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
    believed = data.score if _are_probabilities(data.score) else None
    made = automation_threshold(
        data.score, data.error, max_risk=t.bound, confidence=confidence, start_probability=believed, groups=data.groups
    )
    naive = naive_threshold(data.score, data.error, max_risk=t.bound)
    return {
        "target": t.text,
        "kind": "risk",
        "bound": t.bound,
        **_threshold(made),
        "message": _insufficient(made),
        "naive": {
            "value": naive.value,
            "coverage": naive.coverage,
            "risk": naive.risk,
            "errors": naive.errors,
            "n": naive.automated,
        },
        "groups": [{"group": str(name), **_threshold(g), "message": _insufficient(g)} for name, g in made.groups.items()],
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
        "message": "" if made.sufficient else f"Insufficient: {made.needed} positives needed, {made.positives} given",
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


def _insufficient(t: Threshold) -> str:
    if t.sufficient:
        return ""
    if t.reason == "too_few":
        return f"Insufficient: {t.needed} automated items without an error needed, {t.n} given"
    if t.reason == "ties":
        return f"Insufficient: {t.needed} items needed above a score, too many share one"
    return f"Insufficient: errors among the best-scored items are too frequent for the risk, of {t.n} given"


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
    probabilities = _are_probabilities(data.score)
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


def document(
    made: Mapping[str, Any],
    data: Labelled,
    *,
    model: str,
    unit: str,
    not_covered: str,
    created_us: int,
    valid_days: int,
) -> bytes:
    """calibration.json with what was certified; a target that was not is written as a line at which nothing is automated. Scores
    are taken for probabilities, as the engine serves them. Raises ``CalibrationError`` when they are none."""
    if data.score is not None and not _are_probabilities(data.score):
        raise CalibrationError(
            "scores are no probabilities", code="calibration.not_probabilities", where="score", hint="calibrate them first"
        )
    risks = [result for result in made["targets"] if result["kind"] == "risk"]
    if len(risks) > 1:
        raise CalibrationError(
            "two risks for one line", code="calibration.duplicate", where="target", hint="write a document for one of them"
        )
    window = (made["data_from"] or created_us, made["data_to"] or created_us)
    thresholds = [
        {
            "scope": "auto",
            "value": risk["value"],
            "certificate": {
                "model_fingerprint": model,
                "calibrator": "none",
                "sampling_unit": unit,
                "not_covered": not_covered,
                **{key: risk[key] for key in ("n", "automated", "errors", "needed", "coverage", "risk_upper")},
                "alpha": risk["bound"],
                "delta": 1.0 - risk["confidence"],
                "data_from": window[0],
                "data_to": window[1],
                "created_at": created_us,
                "expires_at": created_us + valid_days * _DAY_US,
            },
        }
        for risk in risks
    ]
    floors = [
        {
            "label": floor["of"],
            "min_recall": floor["bound"],
            **{key: floor[key] for key in ("value", "confidence", "positives", "misses_allowed", "needed")},
        }
        for floor in made["targets"]
        if floor["kind"] == "recall"
    ]
    about = {
        "version": 1,
        "calibrator": {"kind": "none", "input": "probability"},
        "thresholds": thresholds,
        "recall_floors": floors,
    }
    return _core.check_calibration(json.dumps(about).encode()).encode() + b"\n"


def _are_probabilities(score: Floats) -> bool:
    return bool(len(score)) and bool(((score >= 0) & (score <= 1)).all())


def _value(row: Mapping[str, Any], name: str, path: Path, number: int) -> Any:
    if name not in row or row[name] is None or row[name] == "":
        have = ", ".join(row)
        raise UsageError(
            f"no '{name}'", code="usage.column", where=f"{path} row {number + 1}", hint=f"columns are: {have}" if have else ""
        )
    return row[name]


def _numbers(rows: Sequence[Mapping[str, Any]], name: str, path: Path) -> Floats:
    if not rows:
        raise UsageError("no rows", code="usage.rows", where=str(path), hint="give a header and a row per item")
    out = np.empty(len(rows))
    for number, row in enumerate(rows):
        value = _value(row, name, path, number)
        try:
            out[number] = float(value)
        except (TypeError, ValueError):
            raise UsageError(
                f"'{name}' is {value!r}", code="usage.column", where=f"{path} row {number + 1}", hint="give a number"
            ) from None
    return out
