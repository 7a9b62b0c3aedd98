"""calibration.json with certificates from ``opspilot calibrate``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from opspilot import _core
from opspilot._certify import are_probabilities
from opspilot._labelled import UNKNOWN, Labelled
from opspilot.errors import CalibrationError

_DAY_US: Final = 86_400_000_000
#: Groups by this are kinds of actions, each of which has a line of its own in a bundle.
KIND: Final = "action.kind"
_RAW: Final = {"version": 1, "calibrator": {"kind": "none", "input": "probability"}, "thresholds": []}
_COUNTS: Final = ("n", "automated", "errors", "needed", "coverage", "risk_upper")
_FLOOR: Final = ("value", "confidence", "positives", "misses_allowed", "needed")


def document(
    made: Mapping[str, Any],
    data: Labelled,
    *,
    model: str,
    served: bytes | None = None,
    unit: str,
    not_covered: str,
    created_us: int,
    valid_days: int,
) -> bytes:
    """calibration.json with what was certified; a target that was not is written as a line at which nothing is automated. By
    kinds of actions every kind has its own line, and a kind that was not seen has none.

    ``served``: the calibration.json behind which the scores were made. Its calibrator stays, its lines are replaced, and its
    recall floors where there are new ones. Without it scores are taken for probabilities as they are. Raises ``CalibrationError``
    when they are none.
    """
    if data.score is not None and not are_probabilities(data.score):
        raise CalibrationError(
            "scores are no probabilities", code="calibration.not_probabilities", where="score", hint="calibrate them first"
        )
    risks = [result for result in made["targets"] if result["kind"] == "risk"]
    if len(risks) > 1:
        raise CalibrationError(
            "two risks for one line", code="calibration.duplicate", where="target", hint="write a document for one of them"
        )
    about = json.loads(_core.check_calibration(served if served is not None else json.dumps(_RAW).encode()))
    behind = {
        "calibrator": about["calibrator"]["kind"],
        "calibrator_fingerprint": _core.calibrator_fingerprint(json.dumps(about).encode()),
    }
    provenance = {
        "model_fingerprint": model,
        **behind,
        "sampling_unit": unit,
        "not_covered": not_covered,
        "data_from": made["data_from"] or created_us,
        "data_to": made["data_to"] or created_us,
        "created_at": created_us,
        "expires_at": created_us + valid_days * _DAY_US,
    }
    floors = [
        {"label": floor["of"], "min_recall": floor["bound"], **{key: floor[key] for key in _FLOOR}}
        for floor in made["targets"]
        if floor["kind"] == "recall"
    ]
    if risks:
        about["thresholds"] = [line for risk in risks for line in _lines(risk, provenance, data.by == KIND)]
    if floors:
        about["recall_floors"] = floors
    return _core.check_calibration(json.dumps(about).encode()).encode() + b"\n"


def _lines(risk: Mapping[str, Any], provenance: Mapping[str, Any], by_kind: bool) -> list[dict[str, Any]]:
    """One line, or one for each kind. The line of all together is none for kinds: it bounds what all of them do under it."""
    if not by_kind:
        return [_line(risk, risk["bound"], provenance)]
    known = [g for g in risk["groups"] if g["group"] != UNKNOWN]
    return [{**_line(g, risk["bound"], {**provenance, "level": f"kind {g['group']}"}), "kind": g["group"]} for g in known]


def _line(certified: Mapping[str, Any], bound: float, provenance: Mapping[str, Any]) -> dict[str, Any]:
    about = {"alpha": bound, "delta": 1.0 - certified["confidence"], **{key: certified[key] for key in _COUNTS}}
    return {"scope": "auto", "value": certified["value"], "certificate": {**provenance, **about}}


def check_model(data: Labelled, model: str, calibration: str = "") -> None:
    """Raises ``CalibrationError`` when another model, or another calibration, made the scores."""
    if data.model and data.model != model:
        raise CalibrationError(
            f"the decisions are of model {data.model}, and the certificate would be of {model}",
            code="calibration.foreign_model",
            where=data.source,
            hint="give the bundle that decided",
        )
    if data.calibration and calibration and data.calibration != calibration:
        raise CalibrationError(
            f"the probabilities are of calibration {data.calibration}, and the bundle has {calibration}",
            code="calibration.foreign_calibrator",
            where=data.source,
            hint="give the bundle that decided",
        )
