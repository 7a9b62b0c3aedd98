#!/usr/bin/env python3
"""Policies published ten times a second while threads decide: decisions that failed, decisions that mixed two versions, and how
long a publication takes. Then 1,000 rules in one publication.

publish_under_load.py [--seconds S] [--threads N] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from typing import Any

from policy_rules import TASK, VARIABLES, described_actions, rules

import opspilot as op

NOW = 1_700_000_000_000_000
CANDIDATES = 200
_TYPES = {"list(string)": "list<string>"}


def schema() -> dict[str, Any]:
    out: dict[str, Any] = {"task": [], "action": [], "candidate": []}
    for name, kind in VARIABLES.items():
        role, _, field = name.partition(".")
        if field and field != "id":
            out[role].append({"name": field, "type": _TYPES.get(kind, kind), "optional": True})
    return out


def document(count: int, queue: str) -> dict[str, Any]:
    """Rules that leave the order alone, and one that names a queue: which version decided can be read off the decision."""
    made = [
        {"id": f"r{i}", "when": rule.cel, "effect": "require_approval", "because": f"rule {i}"}
        for i, rule in enumerate(rules(count))
    ]
    route = {"id": "version", "when": "true", "effect": "route", "queue": queue, "because": "names the version"}
    return {"layer": "client", "version": queue, "rules": [*made, route]}


def bundle() -> op.Bundle:
    rows = [{key: value for key, value in row.items() if value is not None} for row in described_actions(CANDIDATES)]
    for i, row in enumerate(rows):
        row.setdefault("id", f"a{i}")
    ask = {"id": "first", "when": "true", "effect": "boost", "by": 1.0, "because": "All alike."}
    parts: dict[str, Any] = {
        "bundle.json": {"name": "load", "version": "1"},
        "schema.json": schema(),
        "catalogue.json": rows,
        "candidates.json": {"generators": [{"kind": "all"}]},
        "policy/client.json": document(50, "v0"),
        "baseline.json": {"layer": "business", "version": "1", "rules": [ask]},
        "rollout.json": {"stage": "live"},
        "golden.jsonl": None,
    }
    golden = b"".join(json.dumps({"task": TASK, "now": NOW + i}).encode() + b"\n" for i in range(64))
    return op.Bundle.draft({name: golden if part is None else json.dumps(part).encode() for name, part in parts.items()})


def under_load(engine: op.Engine, seconds: float, threads: int) -> dict[str, Any]:
    # What each version gives is learned before anything runs at the same time.
    versions: dict[str, str] = {}
    documents = [document(50, "v0"), document(50, "v1")]
    for made in documents:
        engine.swap(policy=made, now=NOW)
        decided = engine.decide(TASK, now=NOW)
        versions[decided.versions["policy"]] = made["version"]
    stop = threading.Event()
    counts = {"decisions": 0, "failed": 0, "mixed": 0}
    lock = threading.Lock()

    def decide() -> None:
        own = {"decisions": 0, "failed": 0, "mixed": 0}
        task = json.dumps(TASK).encode()
        while not stop.is_set():
            try:
                decided = engine.decide(task, now=NOW)
            except op.Error:
                own["failed"] += 1
                continue
            own["decisions"] += 1
            own["mixed"] += decided.queue != versions.get(decided.versions["policy"])
        with lock:
            for name, count in own.items():
                counts[name] += count

    workers = [threading.Thread(target=decide) for _ in range(threads)]
    for worker in workers:
        worker.start()
    took = []
    end = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < end:
        begun = time.monotonic()
        engine.swap(policy=documents[turn % 2], now=NOW)
        took.append(time.monotonic() - begun)
        turn += 1
        time.sleep(max(0.0, 0.1 - (time.monotonic() - begun)))
    stop.set()
    for worker in workers:
        worker.join()
    return {
        "seconds": seconds,
        "threads": threads,
        "rules": 51,
        "candidates": CANDIDATES,
        "publications": turn,
        **counts,
        "publish_ms_median": 1e3 * statistics.median(took),
        "publish_ms_max": 1e3 * max(took),
    }


def thousand(engine: op.Engine) -> dict[str, Any]:
    big = op.policy.named_documents(document(999, "big"))
    took = []
    for _ in range(5):
        begun = time.monotonic()
        engine._core.publish(big, [], NOW)
        took.append(time.monotonic() - begun)
    return {"rules": 1000, "publish_ms_min": 1e3 * min(took), "publish_ms_median": 1e3 * statistics.median(took)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    engine = op.Engine(bundle())
    load, big = under_load(engine, options.seconds, options.threads), thousand(engine)
    if options.json:
        print(json.dumps({"under_load": load, "thousand_rules": big}))
    else:
        print(
            f"{load['publications']} publications of {load['rules']} rules in {load['seconds']:.0f} s, {load['threads']} threads:"
        )
        print(
            f"{load['decisions']:,} decisions of {load['candidates']} candidates, {load['failed']} failed, {load['mixed']} mixed"
        )
        print(f"a publication: {load['publish_ms_median']:.1f} ms (median), {load['publish_ms_max']:.1f} ms (largest)")
        print(f"1,000 rules: {big['publish_ms_median']:.0f} ms (median of 5), {big['publish_ms_min']:.0f} ms (smallest)")
    return 0 if load["failed"] == load["mixed"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
