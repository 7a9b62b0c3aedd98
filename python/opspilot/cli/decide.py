"""decide: one task through a bundle."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

import opspilot as op
from opspilot._describe import as_text
from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json


@app.command()
def decide(
    bundle: Path,
    task: Annotated[str, typer.Option(help="File with one task as a JSON object; - for standard input.")],
    candidates: Annotated[Path | None, typer.Option(help="File with a JSON array of candidates; left out: generated.")] = None,
    now: Annotated[int | None, typer.Option(help="Microseconds since 1970 UTC; left out: the clock.")] = None,
    rung: Annotated[str, typer.Option(help="Highest rung: full, linear, baseline or human.")] = "full",
    top: Annotated[int, typer.Option(help="Candidates to show.")] = 5,
    as_json: Json = False,
) -> None:
    """Decides one task and says why."""
    engine = op.Engine(op.Bundle.load(bundle))
    content = sys.stdin.buffer.read() if task == "-" else Path(task).read_bytes()
    offered = candidates.read_bytes() if candidates is not None else None
    at = now if now is not None else time.time_ns() // 1000
    decision = engine.decide(content, offered, now=at, rung=rung)
    if as_json:
        output.show_json(json.loads(decision.record(top)))
        return
    about = decision.to_dict()
    about.pop("versions")
    about["ranked"] = [
        {**row, "reasons": ", ".join(reason.get("rule") or reason["code"] for reason in row["reasons"])}
        for row in about["ranked"][:top]
    ]
    about["reasons"] = [{"code": r["code"], "rule": r.get("rule", ""), "text": r["text"]} for r in about["reasons"]]
    output.console.print(as_text(about), markup=False, soft_wrap=True)
