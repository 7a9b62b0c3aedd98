#!/usr/bin/env python3
"""How long two policies of 50 rules take over a log of a million decisions of 20 candidates.

    python benchmarks/bench_policy_diff.py                     # tasks with their candidates, two threads
    python benchmarks/bench_policy_diff.py --form records      # decision records over a catalogue of 2,000 actions
    python benchmarks/bench_policy_diff.py --form tables       # Arrow tables

The log is a pool of distinct decisions, given again and again until there are as many as asked for, so that it fits memory; it
is read from there and not from a disk. Prints one line per run: seconds, decisions and megabytes a second, peak memory.
"""

from __future__ import annotations

import argparse
import atexit
import io
import json
import random
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import opspilot as op

SCHEMA = {
    "task": [
        {"name": "tier", "type": "string"},
        {"name": "amount", "type": "double"},
        {"name": "priority", "type": "int"},
        {"name": "region", "type": "string"},
        {"name": "allowed", "type": "list<string>"},
        {"name": "penalty", "type": "double"},
        {"name": "language", "type": "string"},
    ],
    "action": [
        {"name": "kind", "type": "string"},
        {"name": "name", "type": "string"},
        {"name": "risk", "type": "double"},
        {"name": "requires_approval", "type": "bool"},
        {"name": "region", "type": "string", "optional": True},
        {"name": "skill", "type": "int"},
        {"name": "load", "type": "int"},
        {"name": "cost", "type": "double"},
        {"name": "channel", "type": "string"},
    ],
}
EFFECTS = ("require_approval", "boost", "suggest_only", "forbid", "penalise", "escalate")


def condition(i: int, shift: int) -> str:
    """The shapes that policies have, in turn; ``shift`` moves their constants."""
    c = i // 8
    return (
        f"task.tier == '{('gold', 'silver')[c % 2]}' && action.risk > {0.2 + 0.1 * c + 0.05 * shift:.2f} && "
        f"!(action.kind in ['k{c}', 'k{c + 4}'])",
        f"task.amount < {100 * (c + 1 + shift)}.0 || action.requires_approval",
        f"action.name.startsWith('n{c % 10}') && task.priority >= {c % 4 + shift}",
        f"action.name.matches('^n[0-9]*{(c + shift) % 10}.*x$')",
        f"has(action.region) && action.region == task.region && action.skill > {c + shift}",
        f"action.kind in task.allowed && action.load < {10 * (c + 3 + shift)}",
        f"action.cost * 2.0 + task.penalty * 0.5 > {10 * (c + 4 + shift)}.0",
        f"task.language in ['l{(c + shift) % 2}'] && action.channel != 'c{c % 3}'",
    )[i % 8]


def policy(rules: int, edited: int) -> dict[str, Any]:
    """``edited``: so many of the rules have other constants."""
    return {
        "layer": "business",
        "version": str(edited),
        "rules": [
            {
                "id": f"r{i}",
                "when": condition(i, 1 if i % 5 == 0 and i // 5 < edited else 0),
                "effect": (effect := EFFECTS[i % len(EFFECTS)]),
                "because": f"shape {i % 8}",
                **({"by": 0.1} if effect in ("boost", "penalise") else {}),
            }
            for i in range(rules)
        ],
    }


def action(draw: random.Random, name: str) -> dict[str, Any]:
    row = {
        "id": name,
        "kind": f"k{draw.randrange(12)}",
        "name": f"n{draw.randrange(1000)}{draw.choice('xyz')}",
        "risk": round(draw.random(), 3),
        "requires_approval": draw.random() < 0.2,
        "skill": draw.randrange(10),
        "load": draw.randrange(100),
        "cost": round(draw.random() * 60, 2),
        "channel": f"c{draw.randrange(4)}",
    }
    if draw.random() < 0.7:
        row["region"] = f"g{draw.randrange(5)}"
    return row


def task(draw: random.Random, i: int) -> dict[str, Any]:
    return {
        "id": f"T{i}",
        "client": f"client-{draw.randrange(40)}",
        "tier": draw.choice(("gold", "silver", "free")),
        "amount": round(draw.random() * 900, 2),
        "priority": draw.randrange(5),
        "region": f"g{draw.randrange(5)}",
        "allowed": [f"k{draw.randrange(12)}" for _ in range(3)],
        "penalty": round(draw.random() * 50, 2),
        "language": f"l{draw.randrange(3)}",
    }


def record(draw: random.Random, i: int, catalogue: list[dict[str, Any]], candidates: int) -> dict[str, Any]:
    """As the engine writes it, all candidates listed."""
    made = task(draw, i)
    reason = {"code": "policy.boost", "rule": "r1", "layer": "business", "text": "shape 1", "failed": False}
    ranked = [
        {
            "action": row["id"],
            "score": round(draw.random(), 6),
            "probability": round(draw.random(), 6),
            "verdict": "suggest",
            "allowed": True,
            "reasons": [reason] * draw.randrange(3),
        }
        for row in draw.sample(catalogue, candidates)
    ]
    return {
        "v": 1,
        "type": "decision",
        "id": f"{draw.getrandbits(128):032x}",
        "time": 1_700_000_000_000_000 + i,
        "client": made["client"],
        "task": made["id"],
        "stage": "live",
        "versions": {"bundle": "0" * 64, "policy": "0" * 64},
        "reasons": [],
        "candidates": candidates,
        "ranked": ranked,
        "fields": made,
    }


class Again(io.RawIOBase):
    """A pool of lines, given so many times."""

    def __init__(self, pool: bytes, times: int) -> None:
        self._pool, self._left, self._at = memoryview(pool), times, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._left == 0:
            return b""
        piece = bytes(self._pool[self._at : self._at + size])
        self._at += len(piece)
        if self._at == len(self._pool):
            self._at, self._left = 0, self._left - 1
        return piece


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=("situations", "records", "tables"), default="situations")
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--rules", type=int, default=50)
    parser.add_argument("--pool", type=int, default=20_000, help="distinct decisions")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1)
    given = parser.parse_args()
    draw = random.Random(1)
    pool = min(given.pool, given.decisions)
    times = given.decisions // pool
    catalogue = [action(draw, f"a{i}") for i in range(2000)]
    old, new = policy(given.rules, 0), policy(given.rules, 10)
    megabytes = 0.0
    for _ in range(given.runs):
        if given.form == "tables":
            import pyarrow

            rows = [task(draw, i) for i in range(pool)]
            picked = [draw.sample(catalogue, given.candidates) for _ in range(pool)]
            tasks = pyarrow.Table.from_pylist([{**row, "now": 1_700_000_000_000_000 + i} for i, row in enumerate(rows)])
            columns = {name: [row.get(name) for rows_of in picked for row in rows_of] for name in catalogue[0]}
            columns["region"] = [row.get("region") for rows_of in picked for row in rows_of]
            candidates = pyarrow.table(columns)
            began, spent = time.perf_counter(), time.process_time()
            decisions = 0
            for _ in range(times):  # the index counts the tasks of one table, so a pool is one log
                index = pyarrow.array([i for i in range(pool) for _ in range(given.candidates)])
                found = op.policy.diff(
                    old, new, (tasks, candidates.append_column("task_index", index)), schema=SCHEMA, threads=given.threads
                )
                decisions += found.decisions
        else:
            bundle = None
            if given.form == "records":
                lines = (json.dumps(record(draw, i, catalogue, given.candidates)) for i in range(pool))
                bundle = _catalogue_folder(catalogue, old)
            else:
                lines = (
                    json.dumps(
                        {
                            "task": task(draw, i),
                            "candidates": draw.sample(catalogue, given.candidates),
                            "now": 1_700_000_000_000_000 + i,
                        }
                    )
                    for i in range(pool)
                )
            text = "".join(line + "\n" for line in lines).encode()
            megabytes = len(text) * times / 1e6
            began, spent = time.perf_counter(), time.process_time()
            found = op.policy.diff(
                old,
                new,
                Again(text, times),
                schema=SCHEMA,
                bundle=bundle,
                threads=given.threads,  # type: ignore[arg-type]
            )
            decisions = found.decisions
        seconds, spent = time.perf_counter() - began, time.process_time() - spent
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{given.form}: {decisions:,} decisions of {given.candidates}, {given.rules} rules, {given.threads} threads: "
            f"{seconds:.1f} s ({spent:.1f} s of processor), {decisions / seconds:,.0f} decisions/s"
            + (f", {megabytes / seconds:,.0f} MB/s of {megabytes:,.0f} MB" if megabytes else "")
            + f"; {found.changed:,} change in the last log, {found.unreadable} unreadable; peak {peak:,.0f} MiB"
        )


def _catalogue_folder(catalogue: list[dict[str, Any]], old: dict[str, Any]) -> Any:
    """A folder that stands for a bundle: schema, catalogue and a policy."""
    folder = Path(tempfile.mkdtemp(prefix="opspilot-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "policy").mkdir()
    (folder / "policy" / "business.json").write_text(json.dumps(old))
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    (folder / "catalogue.json").write_text(json.dumps(catalogue))
    return folder


if __name__ == "__main__":
    main()
