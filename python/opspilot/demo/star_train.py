"""The next-action job: from the log to a bundle with a certificate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opspilot.calibrate import NaiveThreshold, Platt, Threshold, automation_threshold, naive_threshold
from opspilot.deciding import Bundle
from opspilot.demo import star_bundle, star_documents, star_models, star_policies, star_splits
from opspilot.demo.star_bundle import Confidence
from opspilot.demo.star_catalogue import catalogue
from opspilot.demo.star_data import NOW, Decision, Record
from opspilot.demo.star_decide import Decided, decide_all
from opspilot.demo.star_splits import CALIBRATE, CERTIFY, TRAIN, StarLog
from opspilot.features import Features, TrainingSet

Progress = Callable[[str, float], None]
RISKS: Final = (0.05, 0.1)
CONFIDENCE: Final = 0.95
_VERDICTS: Final = ("auto_execute", "require_approval", "suggest", "escalate", "abstain")
_GOLDEN_EACH: Final = 16
_PARITY_ROWS: Final = 20
_MODELS: Final = ("intent", "choice", "trees")


@dataclass
class Clock:
    """Seconds per phase, and where to report them."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Any:
        self.progress(name, 0.0)
        began = time.perf_counter()
        yield lambda done: self.progress(name, done)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
        self.progress(name, 1.0)


@dataclass(frozen=True)
class Certification:
    """What was certified, and what a less careful reading of the same decisions would have claimed."""

    risk: float
    certified: Threshold
    row_wise: Threshold
    naive: NaiveThreshold


@dataclass(frozen=True)
class NextAction:
    """The trained job."""

    bundle: Bundle
    curve: Platt
    certifications: Mapping[float, Certification]
    certify_dialogues: int
    certify_decisions: int
    calibrated: Decided


def train(log: StarLog, clock: Clock, folder: Path | None = None, **settings: Any) -> NextAction:
    """Trains, calibrates, certifies and builds.  ``folder`` receives the readable bundle."""
    decisions = log.part(TRAIN)
    actions = catalogue(log.tasks, decisions)
    parts, features = _models(log, decisions, actions, clock, **settings)
    parts |= _documents(log.tasks, actions)
    model = star_bundle.model_fingerprint(features, parts)
    window = (log.first_us, log.last_us)

    with clock.phase("calibrate"):
        calibrate = log.part(CALIBRATE)
        raw = Confidence(None, None, model, window)
        before = _decide(parts, star_bundle.draft_of(raw), calibrate, calibrate)
        curve = Platt().fit(_logit(before.probability), before.right)
    with clock.phase("certify"):
        certify = log.part(CERTIFY)
        draft = Confidence(curve, None, model, window)
        calibrated = _decide(parts, star_bundle.draft_of(draft), calibrate, calibrate)
        certifications = _certify(_decide(parts, star_bundle.draft_of(draft), calibrate, certify), certify)
    with clock.phase("build the bundle"):
        final = Confidence(curve, _served(certifications), model, window)
        parts["calibration.json"] = star_bundle.document(final.document())
        parts["golden.jsonl"] = _golden(calibrate, calibrated, final)
        bundle = star_bundle.build(parts, folder)
        if bundle.model_fingerprint != model:
            raise RuntimeError("the certificate is bound to other models than the bundle holds")
    dialogues = len({d.label.dialogue for d in certify})
    return NextAction(bundle, curve, certifications, dialogues, len(certify), calibrated)


def _documents(tasks: Mapping[str, Any], actions: Sequence[Record]) -> dict[str, bytes]:
    documents = {
        "bundle.json": {
            "name": "star-next-action",
            "version": "1",
            "description": "What an operator does next in a conversation of the STAR log.",
            "provenance": {"data": "RasaHQ/STAR at 3058975092cdd09798e4a3a9e4ae135755824545, MIT licence"},
        },
        "schema.json": star_documents.schema(),
        "catalogue.json": actions,
        "candidates.json": star_documents.candidates(),
        "rank/stages.json": star_bundle.stages(_MODELS),
        "policy/compliance.json": star_policies.compliance(tasks),
        "policy/business.json": star_policies.business(),
        "baseline.json": star_policies.baseline(),
        "rollout.json": {"stage": "shadow", "note": "the first bundle decides and records; people act"},
    }
    return {name: star_bundle.document(content) for name, content in documents.items()}


def training_set(decisions: Sequence[Decision], actions: Sequence[Record]) -> TrainingSet:
    """Decisions with their candidates as the library's tables."""
    data = TrainingSet(star_documents.schema(), actions)
    data.add_tasks([d.task for d in decisions], NOW)
    return data.generate(star_documents.candidates())


def _models(
    log: StarLog, decisions: Sequence[Decision], actions: Sequence[Record], clock: Clock, folds: int = star_splits.FOLDS, **trees: Any
) -> tuple[dict[str, bytes], Features]:
    """features.json, the models, and the parity rows that the same run stores."""
    with clock.phase("read into tables"):
        data = training_set(decisions, actions)
        chosen = data.set_chosen([None if d.label.override else d.label.action for d in decisions])
        fold = star_splits.folds(decisions, folds)
        data.set_folds(fold)
        choices = star_models.choices_of(data, chosen)
    with clock.phase("fit features"):
        features = Features.fit(star_documents.features(), data)
    with clock.phase("transform"):
        x = features.transform(data, out_of_fold=True, threads=star_models.THREADS)
    with clock.phase("text classifier"):
        intent, by_intent = star_models.fit_classifier(features, x, choices, data.action_ids, fold)
    with clock.phase("choice model"):
        choice, by_choice = star_models.fit_choice(features, x, choices, actions, fold)
    with clock.phase("trees") as done:
        staged = star_models.stage_columns(by_intent, choices) | star_models.stage_columns(by_choice, choices)
        model = star_models.fit_trees(
            features.columns, x.dense, staged, choices, ("kind", "action"), progress=done, **trees
        )
    parts = {
        "features.json": features.document,
        "rank/intent.model": intent,
        "rank/choice.model": choice,
        "rank/trees.txt": model,
        "parity.jsonl": _parity(features, log.part(CALIBRATE), actions),
    }
    return parts, features


def _parity(features: Features, decisions: Sequence[Decision], actions: Sequence[Record]) -> bytes:
    """Rows of dev as training computes them; some with stale, some with missing fields, which become NaN."""
    step = max(1, len(decisions) // _PARITY_ROWS)
    tasks = [d.task for d in decisions[::step]][:_PARITY_ROWS]
    notes = ["as logged"] * len(tasks)
    answered = [d.task for d in decisions if d.task["api_at"] is not None][:4]
    tasks += [{**task, "api_at": NOW - 7_200_000_000} for task in answered]
    notes += ["an answer two hours old: stale"] * len(answered)
    tasks += [{**task, "api_at": None, "api_text": None} for task in answered]
    notes += ["an answer without time and text: NaN and defaults"] * len(answered)
    data = training_set([Decision(task, decisions[0].label) for task in tasks], actions)
    data.set_chosen([None] * len(tasks))
    data.set_folds(np.zeros(len(tasks), dtype=np.uint32))
    x = features.transform(data)
    return star_bundle.parity_rows(features, x, data.offsets.tolist(), tasks, notes)


def _decide(parts: Mapping[str, bytes], confidence: Confidence, golden: Sequence[Decision], decisions: Sequence[Decision]) -> Decided:
    """Decides with a draft: the final parts, but another calibration.json."""
    drafted = {**parts, "calibration.json": star_bundle.document(confidence.document())}
    drafted["golden.jsonl"] = b"".join(star_bundle.golden_row(d.task) for d in golden[:2000])
    return decide_all(star_bundle.build(drafted), decisions)


def _certify(decided: Decided, decisions: Sequence[Decision]) -> dict[float, Certification]:
    """One decision per dialogue certifies; decisions that policies keep from automation count as below every line."""
    score = np.where(decided.open, decided.probability, 0.0)
    error = ~decided.right
    drawn = star_splits.one_per_dialogue(decisions)
    out = {}
    for risk in RISKS:
        certified, row_wise = (
            automation_threshold(s, e, max_risk=risk, confidence=CONFIDENCE, start_probability=s)
            for s, e in ((score[drawn], error[drawn]), (score, error))
        )
        out[risk] = Certification(risk, certified, row_wise, naive_threshold(score, error, max_risk=risk))
    return out


def _served(certifications: Mapping[float, Certification]) -> Threshold:
    """The strictest certificate that suffices; the loosest when none does."""
    for risk in RISKS:
        if certifications[risk].certified.sufficient:
            return certifications[risk].certified
    return certifications[RISKS[-1]].certified


def _golden(decisions: Sequence[Decision], decided: Decided, final: Confidence) -> bytes:
    """Tasks of dev whose answers cover every verdict."""
    line = None if final.threshold is None else final.threshold.value
    verdicts = decided.verdicts_at(line)
    lines = []
    for verdict in _VERDICTS:
        rows = [i for i, v in enumerate(verdicts) if v == verdict][:_GOLDEN_EACH]
        lines += [star_bundle.golden_row(decisions[i].task) for i in rows]
    return b"".join(lines)


def _logit(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    least = np.finfo(np.float64).eps
    p = np.clip(p, least, 1.0 - least)
    value: npt.NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return value
