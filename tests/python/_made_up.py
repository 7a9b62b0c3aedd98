"""A result with every part of a demo's page, made up."""

from __future__ import annotations

import random
from typing import Any

TASKS = tuple(
    f"{domain}_{kind}"
    for domain in ("bank", "hotel", "ride", "party", "doctor", "plane", "restaurant", "apartment")
    for kind in ("book", "change", "search")
)


def _stage(name: str, first: float) -> dict[str, Any]:
    figures = {f"{metric}@{k}": min(1.0, first + 0.05 * k) for metric in ("hit", "recall", "ndcg") for k in (1, 3, 10)}
    return {"stage": name, "tasks": 12999, "mrr": first + 0.08, "map": first + 0.08, "scored": 1.0, **figures, "hit@1": first}


def demo_result(sufficient_at_5: bool = False) -> dict[str, Any]:
    draw = random.Random(7)
    bins = []
    for i in range(10):
        mean = (i + 0.5) / 10
        bins.append(
            {
                "low": i / 10,
                "high": (i + 1) / 10,
                "mean_probability": mean,
                "accuracy": mean + draw.gauss(0, 0.02),
                "n": 300 + 310 * i,
            }
        )
    coverage = [(i + 1) / 200 for i in range(200)]
    at_5 = {
        "max_risk": 0.05,
        "sufficient": sufficient_at_5,
        "share": 0.181 if sufficient_at_5 else 0.0,
        "risk_upper": 0.0478 if sufficient_at_5 else None,
        "test_error": 0.0381 if sufficient_at_5 else None,
        "automated": 2669 if sufficient_at_5 else 0,
        "wrong": 102 if sufficient_at_5 else 0,
        "threshold": 0.9312 if sufficient_at_5 else None,
        "certificate": {"n": 895, "automated": 151, "errors": 2, "needed": 59},
        "naive_share": 0.271,
        "naive_test_error": 0.0537,
        "naive_threshold": 0.891,
        "naive_rowwise": {
            "n": 11204,
            "automated": 2011,
            "errors": 84,
            "risk_upper": 0.0497,
            "share": 0.229,
            "test_error": 0.0441,
        },
    }
    at_10 = {
        "max_risk": 0.10,
        "sufficient": True,
        "share": 0.371,
        "risk_upper": 0.0978,
        "test_error": 0.0731,
        "automated": 5472,
        "wrong": 400,
        "threshold": 0.8347,
        "certificate": {"n": 895, "automated": 331, "errors": 22, "needed": 29},
        "naive_share": 0.478,
        "naive_test_error": 0.1041,
        "naive_threshold": 0.741,
        "naive_rowwise": {
            "n": 11204,
            "automated": 4011,
            "errors": 361,
            "risk_upper": 0.0991,
            "share": 0.431,
            "test_error": 0.0912,
        },
    }
    by_task = {}
    for task in TASKS:
        total = draw.randint(120, 1100)
        auto, approval = draw.random() * 0.5, draw.random() * 0.2
        counts = {"auto_execute": int(total * auto), "require_approval": int(total * approval), "abstain": int(total * 0.04)}
        by_task[task] = {**counts, "suggest": total - sum(counts.values())}
    by_task["bank_fraud_report"] = {"escalate": 612, "suggest": 11}
    rules = [
        ("fraud-to-desk", "compliance", "escalate", "A bank fraud report always goes to a person.", 612, 612),
        (
            "booking-needs-approval",
            "compliance",
            "require_approval",
            "A booking binds the customer; a person approves it.",
            311,
            4021,
        ),
        (
            "person-took-over",
            "business",
            "suggest_only",
            "The operator has been writing himself; the machine only suggests.",
            96,
            801,
        ),
        ("follow-the-chart", "business", "boost", "The flow chart prescribes this step next.", 41, 9012),
        (
            "no-second-booking",
            "compliance",
            "suggest_only",
            "This task has been booked already; a second booking is a person's choice.",
            0,
            17,
        ),
    ]
    latency = [draw.lognormvariate(-0.9, 0.35) for _ in range(4000)] + [9.0, 14.2]
    return {
        "source": "STAR operator logs",
        "simulated": False,
        "licence": "RasaHQ/STAR, MIT licence (Mosig, Mehri, Kober 2020)",
        "parts": {"train": {"dialogues": 3712, "decisions": 47012}, "test": {"dialogues": 1182, "decisions": 14748}},
        "next_action": {
            "n": 13131,
            "top1": 0.7761,
            "top3": 0.9393,
            "goal": {"top1": 0.77, "top3": 0.93},
            "reference": [
                {"name": "counts of task and two previous actions (measured)", "top1": 0.554, "top3": 0.84},
                {"name": "linear SVM on text (measured)", "top1": 0.685, "top3": 0.891},
            ],
        },
        "slate": {"n": 8898, "top1": 0.9671, "top1_without_position": 0.9638, "logged_order": 0.8622, "goal": {"top1": 0.92}},
        "stages": {
            "tasks": 14748,
            "generation": {"tasks": 13131, "offered": 12999, "recall": 0.98995, "candidates": 31.4},
            "as_offered": _stage("as offered", 0.0312),
            "stages": [_stage("intent", 0.6931), _stage("choice", 0.7102), _stage("trees", 0.7811)],
            "final": _stage("final order", 0.7839),
        },
        "baseline": {"name": "flow charts alone", "n": 13131, "top1": 0.391, "top3": 0.622},
        "automation": {
            "n": 14748,
            "confidence": 0.95,
            "unit": "one seeded decision per dialogue",
            "served": "at_10",
            "at_5": at_5,
            "at_10": at_10,
        },
        "latency_ms": {"p50": 0.41, "p99": 0.93, "n": 4002, "per_s": 2210.4},
        "rules": [
            dict(zip(("id", "layer", "effect", "because", "verdict_changes", "matched"), rule, strict=True)) for rule in rules
        ],
        "policy_changes": {"verdicts": 1044, "top_action": 218},
        "seconds": {"read": 5.4, "transform": 14.2, "text classifier": 61.0, "trees": 31.7},
        "plots": {
            "reliability": bins,
            "ece": 0.0113,
            "risk_coverage": {"coverage": coverage, "risk": [0.015 + 0.3 * c**1.6 for c in coverage]},
            "verdicts_by_task": by_task,
            "latency_ms": latency,
        },
    }
