"""explain: what made the score of a task's best candidate, and which clauses of which rules decided."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

import opspilot as op
from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json


@app.command()
def explain(
    bundle: Path,
    task: Annotated[str, typer.Option(help="File with one task as a JSON object; - for standard input.")],
    candidates: Annotated[Path | None, typer.Option(help="File with a JSON array of candidates; left out: generated.")] = None,
    now: Annotated[int | None, typer.Option(help="Microseconds since 1970 UTC; left out: the clock.")] = None,
    about: Annotated[
        str | None, typer.Option(help="Candidate whose rules to explain; left out: the best one and those that are refused.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Decides one task and says which features made the score of its best candidate, and why rules acted, down to the clause."""
    engine = op.Engine(op.Bundle.load(bundle))
    content = sys.stdin.buffer.read() if task == "-" else Path(task).read_bytes()
    offered = candidates.read_bytes() if candidates is not None else None
    at = now if now is not None else time.time_ns() // 1000
    decision = engine.decide(content, offered, now=at, explain=True, clauses=True, about=about)
    if about is not None and not any(c.action == about for c in decision.ranked):
        raise output.Failed(f"no candidate of this task is called {about!r}", output.USAGE, code="usage.about", where="--about")
    why = decision.explain()
    if as_json:
        output.show_json(why.to_dict())
    else:
        output.console.print(why.describe(), markup=False, soft_wrap=True)
