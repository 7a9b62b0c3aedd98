"""The demo without data: a simulated operation, trained, certified and judged as the STAR logs are, with the truth beside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opspilot.calibrate import Platt, automation_threshold, naive_threshold
from opspilot.deciding import Bundle, Engine
from opspilot.demo import judging, simulate_documents, star_bundle, star_models
from opspilot.demo.judging import Decided, Level, decide_all
from opspilot.demo.simulate import SimulatedTask, SupportOperation
from opspilot.demo.star_bundle import Confidence
from opspilot.demo.star_data import NOW, Decision
from opspilot.demo.star_train import Clock
from opspilot.features import Features, TrainingSet

Json = dict[str, Any]
Progress = Callable[[str, float], None]

TASKS: Final = 60_000
CONFIDENCE: Final = 0.95
UNIT: Final = "at most one decision per case, drawn so that every decision is equally likely"
NOT_COVERED: Final = "other clients, other operators, what changes after the certificate was made (see the drift below)"
_LEVELS: Final = {"at_5": 0.05, "at_10": 0.10}
#: Shares of the cases before the drift.
_PARTS: Final = (("train", 32), ("calibrate", 40), ("certify", 80), ("test", 100))
_STAGES: Final[Json] = {
    "version": 1,
    "stages": [
        {"name": "intent", "kind": "text_classifier", "model": "rank/intent.model", "classes_from": "action.id"},
        {"name": "choice", "kind": "choice", "model": "rank/choice.model"},
        {"name": "trees", "kind": "trees", "model": "rank/trees.txt"},
    ],
    "rank_by": "trees",
    "linear": "intent",
    "override": "intent",
}
_VERDICTS: Final = ("auto_execute", "require_approval", "suggest", "escalate", "abstain")
#: The strictest certificate that automates at least this share stands in the bundle.
_WORTHWHILE: Final = 0.1
_FOLDS: Final = 4
_SOME: Final = 24


def run(out: Path | None, progress: Progress, seed: int = 1, tasks: int = TASKS) -> tuple[Bundle, Json]:
    """Simulates, trains, certifies, judges. Writes bundle.opspilot, bundle/, decisions.log and cases.csv to ``out``
    unless it is None."""
    clock = Clock(progress)
    with clock.phase("simulate"):
        parts = _divide(SupportOperation(seed), tasks)
    bundle_parts, features = _train([task.decision for task in parts["train"]], clock)
    with clock.phase("calibrate"):
        model = star_bundle.model_fingerprint(features, bundle_parts)
        calibrate = [task.decision for task in parts["calibrate"]]
        raw = Confidence(None, None, model, _window())
        before = _decide(bundle_parts, star_bundle.draft_of(raw), calibrate)
        curve = Platt().fit(_logit(before.probability), before.right)
        calibrated = _decide(bundle_parts, star_bundle.draft_of(Confidence(curve, None, model, _window())), calibrate)
        doubtful = round(float(np.quantile(calibrated.probability, 0.01)), 3)
    with clock.phase("certify"):
        certify = [task.decision for task in parts["certify"]]
        draft = star_bundle.draft_of(Confidence(curve, None, model, _window()))
        levels = _certify(_decide(bundle_parts, draft, certify, doubtful), certify)
    with clock.phase("build the bundle"):
        served = next((name for name in _LEVELS if levels[name].certified.coverage >= _WORTHWHILE), "at_10")
        certified = levels[served].certified
        final = Confidence(curve, certified if certified.sufficient else None, model, _window())
        bundle_parts["calibration.json"] = _calibration(final, doubtful)
        seen = calibrate + certify + [task.decision for task in parts["train"]]
        bundle_parts["golden.jsonl"] = _golden(seen, _decide(bundle_parts, draft, seen, doubtful), certified.value)
        bundle_parts["parity.jsonl"] = _parity(features, calibrate)
        bundle = star_bundle.build(bundle_parts, None if out is None else out / "bundle")
        if out is not None:
            bundle.save(out / "bundle")
            bundle.save(out / "bundle.opspilot")
    log: list[bytes] = []
    result = _judge(bundle, bundle_parts, {**parts}, levels, _line_zero(bundle_parts, draft, doubtful), clock, log)
    result["automation"] |= {"served": served, "not_covered": NOT_COVERED}
    result["seed"] = seed
    if out is not None:
        (out / "decisions.log").write_bytes(b"".join(log))
        (out / "cases.csv").write_bytes(judging.cases([task.decision for task in parts["test"]]))
    result["seconds"] = {name: round(value, 2) for name, value in clock.seconds.items()}
    result["seconds"]["total"] = round(sum(clock.seconds.values()), 2)
    return bundle, result


def _divide(operation: SupportOperation, count: int) -> dict[str, list[SimulatedTask]]:
    """Cases that end before the drift are divided by a hash; those that begin after it show what a certificate does not cover."""
    cases: dict[int, list[SimulatedTask]] = {}
    for task in operation.tasks(count):
        cases.setdefault(task.label.dialogue, []).append(task)
    drift = operation.drift_at
    out: dict[str, list[SimulatedTask]] = {name: [] for name in (*dict(_PARTS), "after")}
    for number, own in cases.items():
        if drift is None or own[-1].at < drift:
            place = _hash("part", number) % 100
            out[next(name for name, end in _PARTS if place < end)] += own
        elif own[0].at >= drift:
            out["after"] += own
    return out


def _train(decisions: Sequence[Decision], clock: Clock) -> tuple[dict[str, bytes], Features]:
    """Features, text classifier, choice model and trees, by the same path as the STAR logs."""
    actions = simulate_documents.catalogue()
    with clock.phase("fit features"):
        data = _training_set(decisions)
        chosen = data.set_chosen([None if d.label.override else d.label.action for d in decisions])
        folds = np.array([_hash("fold", d.label.dialogue) % _FOLDS for d in decisions], dtype=np.uint32)
        data.set_folds(folds)
        choices = star_models.choices_of(data, chosen)
        features = Features.fit(simulate_documents.features(), data)
        x = features.transform(data, out_of_fold=True, threads=star_models.THREADS)
    with clock.phase("text classifier"):
        intent, by_intent = star_models.fit_classifier(features, x, choices, data.action_ids, folds)
    with clock.phase("choice model"):
        choice, by_choice = star_models.fit_choice(features, x, choices, actions, folds)
    with clock.phase("trees") as done:
        staged = star_models.stage_columns(by_intent, choices) | star_models.stage_columns(by_choice, choices)
        trees = star_models.fit_trees(
            features.columns, x.dense, staged, choices, ("kind", "action"), rounds=80, num_threads=1, progress=done
        )
    documents = {
        "bundle.json": {
            "name": "simulated-support",
            "version": "1",
            "description": "What an operator of a simulated support operation does next.",
            "provenance": {"data": "opspilot.demo.simulate"},
        },
        "schema.json": simulate_documents.schema(),
        "catalogue.json": actions,
        "candidates.json": simulate_documents.candidates(),
        "rank/stages.json": _STAGES,
        "policy/compliance.json": simulate_documents.compliance(),
        "policy/business.json": simulate_documents.business(),
        "baseline.json": simulate_documents.baseline(),
        "rollout.json": {"stage": "shadow", "note": "the first bundle decides and records; people act"},
    }
    parts = {name: star_bundle.document(content) for name, content in documents.items()}
    parts |= {
        "features.json": features.document,
        "rank/intent.model": intent,
        "rank/choice.model": choice,
        "rank/trees.txt": trees,
    }
    return parts, features


def _training_set(decisions: Sequence[Decision]) -> TrainingSet:
    data = TrainingSet(simulate_documents.schema(), simulate_documents.catalogue())
    data.add_tasks([d.task for d in decisions], NOW)
    return data.generate(simulate_documents.candidates())


def _calibration(confidence: Confidence, doubtful: float) -> bytes:
    about = confidence.document()
    about["abstain_below"] = doubtful
    for threshold in about["thresholds"]:
        threshold["certificate"] |= {"sampling_unit": UNIT, "not_covered": NOT_COVERED}
    return star_bundle.document(about)


def _line_zero(parts: judging.Parts, draft: Confidence, doubtful: float) -> dict[str, bytes]:
    """The bundle's parts, but every line at 0: there ``auto_execute`` is what policies leave open."""
    return {**parts, "calibration.json": _calibration(draft, doubtful)}


def _decide(parts: judging.Parts, draft: Confidence, decisions: Sequence[Decision], doubtful: float = 0.0) -> Decided:
    return decide_all(Bundle.draft(_line_zero(parts, draft, doubtful)), decisions)


def _certify(decided: Decided, decisions: Sequence[Decision]) -> dict[str, Level]:
    """Decisions of different cases certify; decisions that policies keep from automation count as below every line."""
    score, error = np.where(decided.open, decided.probability, 0.0), ~decided.right
    drawn = _one_per_case(decisions)
    out = {}
    for name, risk in _LEVELS.items():
        certified, row_wise = (
            automation_threshold(s, e, max_risk=risk, confidence=CONFIDENCE, start_probability=s)
            for s, e in ((score[drawn], error[drawn]), (score, error))
        )
        out[name] = Level(risk, certified, row_wise, naive_threshold(score, error, max_risk=risk))
    return out


def _one_per_case(decisions: Sequence[Decision]) -> npt.NDArray[np.intp]:
    """A place is drawn for every case by a hash; the decision at this place is taken, and none when the case ends before.

    So every decision is taken with the same probability. One decision of each case would weight cases alike, not decisions:
    long cases, which are the harder ones, would count too little, and the certificate would not hold for what is automated.
    """
    longest = 1 + max(d.label.turn for d in decisions)
    return np.array(
        [i for i, d in enumerate(decisions) if _hash("draw", d.label.dialogue) % longest == d.label.turn], dtype=np.intp
    )


def _hash(purpose: str, case: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}:{case}".encode()).digest()[:8], "big")


def _golden(decisions: Sequence[Decision], decided: Decided, line: float | None) -> bytes:
    """Tasks whose answers cover every verdict."""
    above = decided.probability > (np.inf if line is None else line)
    widths = ("auto_execute", "require_approval")
    verdicts = ["suggest" if v in widths and not a else v for v, a in zip(decided.proposed, above, strict=True)]
    lines = []
    for verdict in _VERDICTS:
        for i in [i for i, found in enumerate(verdicts) if found == verdict][:_SOME]:
            lines.append(json.dumps({"task": decisions[i].task, "now": NOW}, ensure_ascii=False).encode() + b"\n")
    return b"".join(lines)


def _parity(features: Features, decisions: Sequence[Decision]) -> bytes:
    """Feature vectors as training computes them, stored to be compared with what serving computes."""
    some = decisions[:: max(1, len(decisions) // _SOME)][:_SOME]
    data = _training_set(some)
    data.set_chosen([None] * len(some))
    data.set_folds(np.zeros(len(some), dtype=np.uint32))
    x = features.transform(data)
    return star_bundle.parity_rows(features, x, data.offsets.tolist(), [d.task for d in some], ["as simulated"] * len(some))


def _judge(
    bundle: Bundle,
    served: judging.Parts,
    parts: dict[str, list[SimulatedTask]],
    levels: dict[str, Level],
    line_zero: dict[str, bytes],
    clock: Clock,
    log: list[bytes],
) -> Json:
    test = [task.decision for task in parts["test"]]
    after = [task.decision for task in parts["after"]]
    with clock.phase("decide"):
        draft = Bundle.draft(line_zero)
        decided, later = decide_all(draft, test), decide_all(draft, after)
        single = judging.one_by_one(bundle, test, log)
        rules_alone = judging.one_by_one(bundle, test, rung="baseline")
        stages = judging.stages(bundle, test)
    with clock.phase("what rules change"):
        by_rule, together = judging.rules(served, test, single.rules)
    bins, ece = judging.reliability(decided)
    counts = {name: {"dialogues": len({t.label.dialogue for t in own}), "decisions": len(own)} for name, own in parts.items()}
    return {
        "source": "simulated support operation",
        "simulated": True,
        "parts": counts,
        "next_action": judging.hits(test, single.top3),
        "slate": _slate(bundle, test),
        "baseline": {"name": "rules alone", **judging.hits(test, rules_alone.top3)},
        "stages": stages,
        "automation": judging.automation(levels, decided, UNIT, CONFIDENCE),
        "latency_ms": judging.latency(single.milliseconds),
        "verdicts": judging.verdicts_by(["all"] * len(test), single.verdicts)["all"],
        "rules": by_rule,
        "policy_changes": together,
        "truth": _truth(levels, (decided, parts["test"]), (later, parts["after"])),
        "plots": {
            "reliability": bins,
            "ece": ece,
            "risk_coverage": judging.risk_coverage(decided),
            "verdicts_by_task": judging.verdicts_by([task.truth.intent for task in parts["test"]], single.verdicts),
            "latency_ms": [round(value, 4) for value in single.milliseconds[:5000]],
        },
    }


def _slate(bundle: Bundle, test: Sequence[Decision]) -> Json:
    """The suggestions that were shown, ranked by the bundle as candidates that the host brings."""
    shown = [d for d in test if d.label.options]
    rows = [{"task_index": i, "id": action} for i, d in enumerate(shown) for action in sorted(d.label.options)]
    best = Engine(bundle).decide_batch([d.task for d in shown], rows, now=NOW).column("action")
    right = sum(d.label.action == action for d, action in zip(shown, best, strict=True))
    first = sum(d.label.rank == 0 for d in shown)
    return {"n": len(shown), "top1": right / len(shown), "logged_order": first / len(shown)}


def _truth(levels: dict[str, Level], *periods: tuple[Decided, Sequence[SimulatedTask]]) -> Json:
    """The true error of what runs without a person: not what the log says, but what was right."""
    rows: list[Json] = []
    for name, (decided, tasks) in zip(("before the drift", "after the drift"), periods, strict=True):
        wrong = np.array([task.truth.error_of(action) for task, action in zip(tasks, decided.action, strict=True)])
        for kind in ("certified", "naive"):
            row: Json = {"name": f"true error, {kind}, {name}", "n": len(tasks)}
            for level_name, level in levels.items():
                line = level.certified.value if kind == "certified" else level.naive.value
                chosen = judging.automated(decided, line)
                row[level_name] = float(wrong[chosen].mean()) if chosen.any() else None
            rows.append(row)
    text = (
        "The simulator knows how probable every action is to be right, whatever operators did and the log says. "
        "Operators err and logs "
        "are noisy, so that the error on test is above the true one. The drift lies outside of what the certificates cover."
    )
    return {"text": text, "rows": rows}


def _logit(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    least = np.finfo(np.float64).eps
    clipped = np.clip(p, least, 1.0 - least)
    value: npt.NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return value


def _window() -> tuple[int, int]:
    return NOW - 30 * 86_400_000_000, NOW
