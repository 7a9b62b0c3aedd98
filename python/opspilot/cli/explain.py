"""explain: what made the score of a task's best candidate."""

from __future__ import annotations

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
def explain(
    bundle: Path,
    task: Annotated[str, typer.Option(help="File with one task as a JSON object; - for standard input.")],
    candidates: Annotated[Path | None, typer.Option(help="File with a JSON array of candidates; left out: generated.")] = None,
    now: Annotated[int | None, typer.Option(help="Microseconds since 1970 UTC; left out: the clock.")] = None,
    as_json: Json = False,
) -> None:
    """Decides one task and says which features made the score of its best candidate."""
    engine = op.Engine(op.Bundle.load(bundle))
    content = sys.stdin.buffer.read() if task == "-" else Path(task).read_bytes()
    offered = candidates.read_bytes() if candidates is not None else None
    at = now if now is not None else time.time_ns() // 1000
    decision = engine.decide(content, offered, now=at, explain=True)
    about = {"kind": "explanation", "id": decision.id, "verdict": decision.verdict, **(decision.explanation or {})}
    if as_json:
        output.show_json(about)
    else:
        output.console.print(as_text(about), markup=False, soft_wrap=True)
