"""The demo on the STAR logs: both jobs trained, certified, and judged on test."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from opspilot.deciding import Bundle
from opspilot.demo import judging, star_bundle, star_slate, star_splits, star_train
from opspilot.demo.star_certify import CONFIDENCE, Certified
from opspilot.demo.star_decide import decide_all
from opspilot.demo.star_splits import TEST, StarLog
from opspilot.demo.star_train import Clock, Progress

Json = dict[str, Any]

#: What the task asks for, and what simpler models reach on the same decisions (README of the data).
_GOAL: Final = {"top1": 0.77, "top3": 0.93}
_REFERENCE: Final = (
    {"name": "counts of (task, two last actions)", "top1": 0.554, "top3": 0.840},
    {"name": "linear SVM on text", "top1": 0.685, "top3": 0.891},
    {"name": "linear SVM on text, API results and interactions", "top1": 0.746, "top3": 0.911},
)
_PLOTTED: Final = 5000


def run(folder: Path, out: Path | None, progress: Progress, **settings: Any) -> tuple[Bundle, Json]:
    """Trains, certifies and judges on the logs in ``folder``; writes bundle.opspilot, bundle/, decisions.log and
    cases.csv to ``out``.

    ``settings``: ``moved`` dialogues from train to certification; the others go to the training of the trees.
    """
    clock = Clock(progress)
    with clock.phase("read the log"):
        log = star_splits.read_log(folder, settings.pop("moved", star_splits.MOVED))
    job = star_train.train(log, clock, None if out is None else out / "bundle", **settings)
    result = judge(log, job, clock, None if out is None else out / "decisions.log")
    result["slate"] = star_slate.run(log, clock)
    if out is not None:
        job.bundle.save(out / "bundle")
        job.bundle.save(out / "bundle.opspilot")
    result["seconds"] = {name: round(value, 2) for name, value in clock.seconds.items()}
    result["seconds"]["total"] = round(sum(clock.seconds.values()), 2)
    return job.bundle, result


def judge(log: StarLog, job: Certified, clock: Clock, records: Path | None = None) -> Json:
    """Decides every decision of test, overrides included: those are errors where they would have been automated."""
    test = log.part(TEST)
    lines: list[bytes] = []
    with clock.phase("decide"):
        single = judging.one_by_one(job.bundle, test, lines)
        charts = judging.one_by_one(job.bundle, test, rung="baseline")
        decided = decide_all(Bundle.draft(job.line_zero), test)
        stages = judging.stages(job.bundle, test)
    with clock.phase("what rules change"):
        rules, together = judging.rules(job.parts, test, single.rules)
    if records is not None:
        records.write_bytes(b"".join(lines))
        records.with_name("cases.csv").write_bytes(judging.cases(test))
    bins, ece = judging.reliability(decided)
    verdicts = judging.verdicts_by([d.task["current_task"] or "open" for d in test], single.verdicts)
    weight = judging.unit_weights([d.label.dialogue for d in test])
    automation = judging.automation(job.levels, decided, star_bundle.UNIT, CONFIDENCE, weight)
    return {
        "source": "STAR operator logs",
        "simulated": False,
        "licence": "RasaHQ/STAR, MIT",
        "parts": _parts(log),
        "next_action": {**judging.hits(test, single.top3), "goal": dict(_GOAL), "reference": list(_REFERENCE)},
        "baseline": {"name": "flow charts alone", **judging.hits(test, charts.top3)},
        "stages": stages,
        "automation": {**automation, "served": job.served, "not_covered": star_bundle.NOT_COVERED},
        "latency_ms": judging.latency(single.milliseconds),
        "verdicts": dict(Counter(single.verdicts)),
        "rules": rules,
        "policy_changes": together,
        "plots": {
            "reliability": bins,
            "ece": ece,
            "risk_coverage": judging.risk_coverage(decided),
            "verdicts_by_task": verdicts,
            "latency_ms": [round(value, 4) for value in single.milliseconds[:_PLOTTED]],
        },
    }


def _parts(log: StarLog) -> Json:
    counts: dict[str, Json] = {}
    for name in dict.fromkeys(log.part_of.values()):
        own = log.part(name)
        counts[name] = {"dialogues": len({d.label.dialogue for d in own}), "decisions": len(own)}
    return counts
