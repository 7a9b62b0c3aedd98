"""From models to a bundle that may decide: calibrated on one set of dialogues, certified on another, by the engine itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from opspilot.calibrate import Platt, Threshold, automation_threshold, naive_threshold
from opspilot.deciding import Bundle
from opspilot.demo import star_bundle, star_splits
from opspilot.demo.judging import Decided, Level
from opspilot.demo.star_bundle import Confidence, Parts
from opspilot.demo.star_data import Decision, Record
from opspilot.demo.star_decide import decide_all, verdicts_at

LEVELS: Final[Mapping[str, float]] = {"at_5": 0.05, "at_10": 0.1}
CONFIDENCE: Final = 0.95
_VERDICTS: Final = ("auto_execute", "require_approval", "suggest", "escalate", "abstain")
_GOLDEN_EACH: Final = 14
_GOLDEN: Final = 70


@dataclass(frozen=True)
class Cases:
    """Decisions of the log, and their candidates where the host brings them."""

    decisions: Sequence[Decision]
    candidates: Sequence[Sequence[Record]] | None = None


@dataclass(frozen=True)
class Certified:
    """A bundle with its certificate, the parts it is made of, and how it came to it."""

    bundle: Bundle
    parts: Parts
    line_zero: Parts
    """The same parts, but every line at 0: there ``auto_execute`` is what policies leave open."""
    levels: Mapping[str, Level]
    served: str


def certify_and_build(parts: Parts, raw: Confidence, calibrate: Cases, certify: Cases, folder: Path | None = None) -> Certified:
    """``parts`` lack calibration.json and golden.jsonl; ``raw`` lacks curve and threshold.

    Scores are the probabilities that the engine itself serves, with all policies applied; an error is a best action that
    was not taken, an override included.
    """
    before = _decide(_line_zero(parts, raw), calibrate)
    curve = Platt().fit(_logit(before.probability), before.right)
    line_zero = _line_zero(parts, replace(raw, curve=curve))
    levels = _levels(_decide(line_zero, certify), certify.decisions)
    name = next((name for name in LEVELS if levels[name].certified.sufficient), "at_10")
    certified = levels[name].certified
    final = replace(raw, curve=curve, threshold=certified)
    complete = {**parts, "calibration.json": star_bundle.document(final.document())}
    complete["golden.jsonl"] = _golden(calibrate, _decide(line_zero, calibrate), certified)
    bundle = star_bundle.build(complete, folder)
    if bundle.model_fingerprint != raw.model:
        raise RuntimeError("the certificate is bound to other models than the bundle holds")
    return Certified(bundle, complete, line_zero, levels, name)


def _line_zero(parts: Parts, confidence: Confidence) -> dict[str, bytes]:
    return {**parts, "calibration.json": star_bundle.document(star_bundle.draft_of(confidence).document())}


def _decide(parts: Parts, cases: Cases) -> Decided:
    return decide_all(Bundle.draft(parts), cases.decisions, cases.candidates)


def _levels(decided: Decided, decisions: Sequence[Decision]) -> dict[str, Level]:
    """One decision per dialogue certifies; decisions that policies keep from automation count as below every line."""
    score = np.where(decided.open, decided.probability, 0.0)
    error = ~decided.right
    drawn = star_splits.one_per_dialogue(decisions)
    out = {}
    for name, risk in LEVELS.items():
        certified, row_wise = (
            automation_threshold(s, e, max_risk=risk, confidence=CONFIDENCE, start_probability=s)
            for s, e in ((score[drawn], error[drawn]), (score, error))
        )
        out[name] = Level(risk, certified, row_wise, naive_threshold(score, error, max_risk=risk))
    return out


def _golden(cases: Cases, decided: Decided, certified: Threshold) -> bytes:
    """Tasks whose answers cover every verdict, and some more as they come."""
    verdicts = verdicts_at(decided, certified.value)
    rows = [i for wanted in _VERDICTS for i in [i for i, v in enumerate(verdicts) if v == wanted][:_GOLDEN_EACH]]
    rows += range(0, len(verdicts), len(verdicts) // _GOLDEN)
    given = cases.candidates
    kept = list(dict.fromkeys(rows))[:_GOLDEN]
    return b"".join(star_bundle.golden_row(cases.decisions[i].task, None if given is None else given[i]) for i in kept)


def _logit(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    least = np.finfo(np.float64).eps
    p = np.clip(p, least, 1.0 - least)
    value: npt.NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return value
