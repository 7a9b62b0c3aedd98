"""How long whole decisions of a bundle take, on its own golden tasks, with as many candidates as asked for."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from opspilot import _core
from opspilot._bench import percentile
from opspilot.deciding import Bundle, Engine
from opspilot.errors import BundleError

_TASKS = 64


def measure(bundle: Bundle, counts: Sequence[int], seconds: float = 2.0) -> list[dict[str, Any]]:
    """One entry for generated candidates, one per count for candidates that the host brings; each takes about ``seconds``.

    A decision is measured from the bytes of a JSON task (and of the candidates) to the answer with its reasons. In turn with it
    the same decision is taken at rung "human", which leaves out features, models and calibration, and still reads, applies every
    rule and answers: ``ranking_share`` is the part of the median that goes away then. There is no finer split, because the
    library has no clock.
    """
    golden = [json.loads(line) for line in bundle.part("golden.jsonl").splitlines() if line.strip()]
    if not golden:
        raise BundleError("no golden rows to decide on", code="bundle.golden_rows", where="golden.jsonl", hint="build the bundle")
    engine = Engine(bundle)
    tasks = [
        (json.dumps(row["task"], ensure_ascii=False).encode(), row["now"]) for row in golden[:: max(1, len(golden) // _TASKS)]
    ]
    out = [_measured(engine, tasks, None, "generated", seconds)]
    extra = _candidate_fields(bundle)
    catalogue = json.loads(bundle.part("catalogue.json") or b"[]")
    for count in counts:
        rows = candidates(catalogue, count)
        content = json.dumps([{**row, **extra} for row in rows], ensure_ascii=False).encode()
        out.append(_measured(engine, tasks, content, "host", seconds) | {"candidate_bytes": len(content)})
    return out


def candidates(catalogue: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
    """So many candidates as a host brings them: ids alone where the catalogue is large enough, else its rows again and again
    under ids of their own, with all their fields."""
    if not catalogue:
        raise BundleError("no catalogue to take candidates from", code="bundle.no_catalogue", where="catalogue.json")
    if count <= len(catalogue):
        return [{"id": action["id"]} for action in catalogue[:count]]
    size = len(catalogue)
    return [{**catalogue[i % size], "id": f"{catalogue[i % size]['id']}#{i // size}"} for i in range(count)]


def _candidate_fields(bundle: Bundle) -> dict[str, Any]:
    """Stand-ins for the fields that a pair of task and action must have."""
    stand_in: dict[str, Any] = {"bool": False, "int": 0, "double": 0.0, "string": "", "list<string>": [], "timestamp": 0}
    fields = json.loads(bundle.part("schema.json")).get("candidate", [])
    return {field["name"]: stand_in[field["type"]] for field in fields if not field.get("optional")}


def _measured(
    engine: Engine, tasks: Sequence[tuple[bytes, int]], rows: bytes | None, source: str, seconds: float
) -> dict[str, Any]:
    offered = sorted(len(engine.decide(task, rows, now=now).ranked) for task, now in tasks[:16])  # warms up, too
    taken: list[float] = []
    without: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < len(tasks):
        for task, now in tasks:
            began = time.perf_counter()
            engine.decide(task, rows, now=now)
            between = time.perf_counter()
            engine.decide(task, rows, now=now, rung="human")
            without.append(time.perf_counter() - between)
            taken.append(between - began)
    ordered, unranked = sorted(taken), sorted(without)
    p50, rest = percentile(ordered, 0.5), percentile(unranked, 0.5)
    return {
        "candidates": offered[len(offered) // 2],
        "source": source,
        "decisions": len(ordered),
        "min_ms": round(1e3 * ordered[0], 4),
        "p50_ms": round(1e3 * p50, 4),
        "p99_ms": round(1e3 * percentile(ordered, 0.99), 4),
        "decisions_per_s": round(len(ordered) / sum(ordered), 1),
        "p50_without_ranking_ms": round(1e3 * rest, 4),
        "ranking_share": round(max(0.0, 1 - rest / p50), 3),
    }


def engines() -> dict[str, Any]:
    """What computes here: of each list of kernels the first that this machine can run, which is the one that is used."""
    about = _core.build_info()
    return {
        "trees": about["tree_engines"][0],
        "linear": about["linear_kernels"][0],
        "compiler": about["compiler"],
        "processor": processor(),
    }


def processor() -> str:
    """As the system names it, or the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
