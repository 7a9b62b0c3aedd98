"""The parts of the demo's bundle, and the certificate that stands in it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from opspilot import _core, parity
from opspilot.calibrate import Platt, Threshold
from opspilot.deciding import Bundle
from opspilot.demo.star_data import NOW
from opspilot.features import Features, Transformed

Json = dict[str, Any]
Parts = Mapping[str, bytes]

#: A best candidate less probable than this is not even suggested.
ABSTAIN_BELOW: Final = 0.15
_YEAR_US: Final = 365 * 86_400_000_000
#: The log does not grow older: its certificate holds long enough to try the bundle years later.
_VALID_YEARS: Final = 20
UNIT: Final = "one decision per dialogue, drawn by a hash of the dialogue"
NOT_COVERED: Final = (
    "other operators, other tasks, later times; dialogues count alike, so a long one weighs no more than a short one"
)


def document(value: object) -> bytes:
    """A document as it stands in a folder: readable, and the same bytes on every run."""
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def stages(models: Sequence[str]) -> Json:
    """rank/stages.json: the last model ranks, the first takes over when it fails."""
    declared = {
        "intent": {"kind": "text_classifier", "model": "rank/intent.model", "classes_from": "action.id"},
        "slate": {"kind": "text_classifier", "model": "rank/slate.model", "classes_from": "action.id"},
        "choice": {"kind": "choice", "model": "rank/choice.model"},
        "trees": {"kind": "trees", "model": "rank/trees.txt"},
    }
    listed = [{"name": name, **declared[name]} for name in models]
    document: Json = {"version": 1, "stages": listed, "rank_by": models[-1], "linear": models[0]}
    return document | ({"override": "intent"} if "intent" in models else {})


def model_fingerprint(features: Features, parts: Parts) -> str:
    """What a bundle calls its models: features and everything under rank/.  Certificates are bound to it."""
    digest = hashlib.sha256(features.fingerprint.encode())
    for name in sorted(parts):
        if name.startswith("rank/"):
            digest.update(name.encode())
            digest.update(hashlib.sha256(parts[name]).digest())
    return digest.hexdigest()


@dataclass(frozen=True)
class Confidence:
    """calibration.json before it is written: the curve, and one certified threshold."""

    curve: Platt | None
    threshold: Threshold | None
    model: str
    window: tuple[int, int]
    abstain_below: float = ABSTAIN_BELOW

    def document(self) -> Json:
        calibrator: Json = {"kind": "none", "input": "probability"}
        if self.curve is not None:
            calibrator = {"kind": "platt", "input": "probability", "a": self.curve.a_, "b": self.curve.b_}
        document: Json = {"version": 1, "calibrator": calibrator, "abstain_below": self.abstain_below, "thresholds": []}
        if self.threshold is not None:
            fingerprint = _core.calibrator_fingerprint(json.dumps(document).encode())
            document["thresholds"].append(self._threshold(self.threshold, fingerprint))
        return document

    def _threshold(self, certified: Threshold, calibrator_fingerprint: str) -> Json:
        certificate: Json = {
            "model_fingerprint": self.model,
            "calibrator": "none" if self.curve is None else "platt",
            "calibrator_fingerprint": calibrator_fingerprint,
            "sampling_unit": UNIT,
            "not_covered": NOT_COVERED,
            "n": certified.n,
            "automated": certified.automated,
            "errors": certified.errors,
            "needed": certified.needed,
            "alpha": certified.max_risk,
            "delta": round(1.0 - certified.confidence, 12),
            "coverage": certified.coverage,
            "risk_upper": certified.risk_upper,
            "data_from": self.window[0],
            "data_to": self.window[1],
            "created_at": NOW,
            "expires_at": NOW + _VALID_YEARS * _YEAR_US,
        }
        return {"scope": "auto", "value": certified.value, "certificate": certificate}


def draft_of(confidence: Confidence) -> Confidence:
    """A stand-in with the line at 0, to learn what the engine would do above any line.  Never saved, never served."""
    stand_in = Threshold(
        value=0.0, sufficient=True, coverage=1.0, risk_upper=1e-5, n=1_000_000, automated=1_000_000, errors=0, needed=59,
        max_risk=0.05, confidence=0.95, reason="draft",
    )  # fmt: skip
    return replace(confidence, threshold=stand_in)


def golden_row(task: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]] | None = None) -> bytes:
    """A line of golden.jsonl; the builder writes the answer."""
    row: Json = {"task": task, "now": NOW}
    if candidates is not None:
        row["candidates"] = list(candidates)
    return (json.dumps(row, ensure_ascii=False) + "\n").encode()


def parity_rows(
    features: Features,
    x: Transformed,
    offsets: Sequence[int],
    tasks: Sequence[Mapping[str, Any]],
    notes: Sequence[str],
    candidates: Sequence[Sequence[Mapping[str, Any]]] | None = None,
) -> bytes:
    """parity.jsonl from the matrices of the training run."""
    lines = []
    for t, (task, note) in enumerate(zip(tasks, notes, strict=True)):
        index, value = x.index[x.offsets[t] : x.offsets[t + 1]], x.value[x.offsets[t] : x.offsets[t + 1]]
        sparse: dict[str, tuple[parity.Words, parity.Floats]] = {}
        base = 0
        for name, dimension in features.blocks:
            own = (index >= base) & (index < base + dimension)
            sparse[name] = (index[own] - base, value[own])
            base += dimension
        values = x.dense[offsets[t] : offsets[t + 1]]
        given = None if candidates is None else candidates[t]
        lines.append(parity.row(task, NOW, features.columns, values, sparse, given, note))
    return b"".join(lines)


def build(parts: Parts, folder: Path | None = None) -> Bundle:
    """Writes the parts to a folder (a temporary one if none is given) and builds the bundle."""
    if folder is None:
        with tempfile.TemporaryDirectory() as scratch:
            return build(parts, Path(scratch))
    for name, content in parts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return Bundle.build(folder)
