"""The next-action job: from the log to a bundle with a certificate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from opspilot.demo import star_bundle, star_documents, star_models, star_policies, star_splits
from opspilot.demo.star_bundle import Confidence
from opspilot.demo.star_catalogue import catalogue
from opspilot.demo.star_certify import Cases, Certified, certify_and_build
from opspilot.demo.star_data import NOW, Decision, Record
from opspilot.demo.star_splits import CALIBRATE, CERTIFY, TRAIN, StarLog
from opspilot.features import Features, TrainingSet

Progress = Callable[[str, float], None]
_PARITY_ROWS: Final = 20


@dataclass
class Clock:
    """Seconds per phase, and where to report them."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[Callable[[float], None]]:
        """Times a phase; what it yields reports how much of it is done."""
        self.progress(name, 0.0)
        began = time.perf_counter()
        yield lambda done: self.progress(name, done)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
        self.progress(name, 1.0)


def train(log: StarLog, clock: Clock, folder: Path | None = None, **settings: Any) -> Certified:
    """Trains, calibrates, certifies and builds.  ``folder`` receives the readable bundle; ``settings`` go to the trees."""
    decisions = log.part(TRAIN)
    actions = catalogue(log.tasks, decisions)
    parts, features = fit_models(decisions, actions, log.part(CALIBRATE), clock, **settings)
    parts |= _documents(log.tasks, actions)
    model = star_bundle.model_fingerprint(features, parts)
    with clock.phase("calibrate and certify"):
        raw = Confidence(None, None, model, (log.first_us, log.last_us))
        return certify_and_build(parts, raw, Cases(log.part(CALIBRATE)), Cases(log.part(CERTIFY)), folder)


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
        "rank/stages.json": star_bundle.stages(("intent", "choice", "trees")),
        "policy/compliance.json": star_policies.compliance(tasks),
        "policy/business.json": star_policies.business(),
        "baseline.json": star_policies.baseline(),
        "rollout.json": {"stage": "shadow", "note": "the first bundle decides and records; people act"},
    }
    return {name: star_bundle.document(content) for name, content in documents.items()}


def training_set(tasks: Sequence[Record], actions: Sequence[Record]) -> TrainingSet:
    """Tasks with their candidates as the library's tables."""
    data = TrainingSet(star_documents.schema(), actions)
    return data.add_tasks(list(tasks), NOW).generate(star_documents.candidates())


def fit_models(
    decisions: Sequence[Decision],
    actions: Sequence[Record],
    dev: Sequence[Decision],
    clock: Clock,
    *,
    folds: int = star_splits.FOLDS,
    **trees: Any,
) -> tuple[dict[str, bytes], Features]:
    """features.json, the models, and the parity rows of dev that the same run stores."""
    with clock.phase("read into tables"):
        data = training_set([d.task for d in decisions], actions)
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
        categories = ("kind", "action")
        model = star_models.fit_trees(features.columns, x.dense, staged, choices, categories, progress=done, **trees)
    return {
        "features.json": features.document,
        "rank/intent.model": intent,
        "rank/choice.model": choice,
        "rank/trees.txt": model,
        "parity.jsonl": _parity(features, [d.task for d in dev], actions),
    }, features


def _parity(features: Features, dev: Sequence[Record], actions: Sequence[Record]) -> bytes:
    """Rows of dev as training computes them; some with stale, some with missing fields, which become NaN."""
    tasks = list(dev[:: max(1, len(dev) // _PARITY_ROWS)][:_PARITY_ROWS])
    notes = ["as logged"] * len(tasks)
    answered = [task for task in dev if task["api_at"] is not None][:4]
    tasks += [{**task, "api_at": NOW - 7_200_000_000} for task in answered]
    notes += ["an answer two hours old: stale"] * len(answered)
    tasks += [{**task, "api_at": None, "api_text": None} for task in answered]
    notes += ["an answer without time and text: NaN and defaults"] * len(answered)
    data = training_set(tasks, actions)
    data.set_chosen([None] * len(tasks))
    data.set_folds(np.zeros(len(tasks), dtype=np.uint32))
    return star_bundle.parity_rows(features, features.transform(data), data.offsets.tolist(), tasks, notes)
