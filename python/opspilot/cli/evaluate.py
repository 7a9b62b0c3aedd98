"""evaluate: how well each stage of a bundle ranks what people chose."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, cast

import typer
from rich.table import Table

import opspilot as op
from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json
from opspilot.evaluate import CUTOFFS, StageMetrics, StageScores, Ties, stage_scores

_KEYS: Final = ("task", "candidates", "now", "chosen", "expect")
_BATCH: Final = 4096


@dataclass
class _Batch:
    """Lines that are decided together: of one time, with candidates or without."""

    now: int
    own_candidates: bool
    first: int
    tasks: list[Any] = field(default_factory=list)
    candidates: list[dict[str, Any]] = field(default_factory=list)


@app.command()
def evaluate(
    bundle: Path,
    log: Annotated[
        str,
        typer.Argument(
            help='JSON Lines, one decision each: {"task": …, "candidates": …?, "now": …, "chosen": "id" or null}; - for '
            "standard input. Golden rows with what was chosen are such lines."
        ),
    ],
    now: Annotated[int | None, typer.Option(help="For lines without a time: microseconds since 1970 UTC.")] = None,
    k: Annotated[list[int] | None, typer.Option("--k", help="Cut-offs; may be repeated.", show_default="1, 3, 10")] = None,
    ties: Annotated[str, typer.Option(help="Equal scores: expected (the mean over their orders) or position.")] = "expected",
    as_json: Json = False,
) -> None:
    """Ranking metrics of candidate generation, of every stage by itself, and of the final order after policies."""
    if ties not in ("expected", "position"):
        raise output.Failed(f"--ties {ties} is not known; one of: expected, position", output.USAGE, code="usage.option")
    engine = op.Engine(op.Bundle.load(bundle))
    chosen: list[str | None] = []
    parts = []
    with output.working("deciding"), sys.stdin.buffer if log == "-" else Path(log).open("rb") as lines:
        for batch in _batches(lines, now, chosen):
            offered = batch.candidates if batch.own_candidates else None
            try:
                parts.append(stage_scores(engine, batch.tasks, offered, now=batch.now))
            except op.Error as problem:
                problem.where = f"lines {batch.first} to {batch.first + len(batch.tasks) - 1} {problem.where}"
                raise
    metrics = StageScores.joined(parts).metrics(chosen, k=k or CUTOFFS, ties=cast(Ties, ties))
    if as_json:
        output.show_json(metrics.to_dict())
        return
    output.console.print(table(metrics))
    output.console.print(summary(metrics.generation), markup=False, soft_wrap=True)


def _batches(lines: BinaryIO, now: int | None, chosen: list[str | None]) -> Iterator[_Batch]:
    """Lines in order, those of one time together; what was chosen goes to ``chosen``."""
    batch: _Batch | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _row(line, number)
        at = row.get("now", now)
        if at is None:
            raise _bad(number, "no time", 'give every line "now", microseconds since 1970 UTC, or --now')
        own = "candidates" in row
        if batch is None or (at, own) != (batch.now, batch.own_candidates) or len(batch.tasks) == _BATCH:
            if batch is not None:
                yield batch
            batch = _Batch(at, own, number)
        if own:
            batch.candidates += [{"task_index": len(batch.tasks), **candidate} for candidate in row["candidates"]]
        batch.tasks.append(row["task"])
        chosen.append(row["chosen"])
    if batch is not None:
        yield batch


def _row(line: bytes, number: int) -> dict[str, Any]:
    """One line, with the forms that are read here; tasks and candidates are the engine's to check."""
    try:
        row = json.loads(line)
    except ValueError as problem:
        raise _bad(number, f"no JSON: {problem}", "one JSON object per line") from None
    if not isinstance(row, dict):
        raise _bad(number, "no object", "one JSON object per line")
    for key in row:
        if key not in _KEYS:
            raise _bad(number, f"no key is called '{key}'", f"one of: {', '.join(_KEYS)}")
    for key in ("task", "chosen"):
        if key not in row:
            raise _bad(number, f"no '{key}'", 'give "chosen" the id of the right action, null where it was none of the catalogue')
    if not (row["chosen"] is None or isinstance(row["chosen"], str)):
        raise _bad(number, "'chosen' is no id", "give the id of the right action, or null")
    given = row.get("candidates", [])
    if not isinstance(given, list) or not all(isinstance(candidate, dict) for candidate in given):
        raise _bad(number, "'candidates' is no list of objects", "leave it out to generate candidates")
    if not isinstance(row.get("now", 0), int):
        raise _bad(number, "'now' is no integer", "microseconds since 1970 UTC")
    return row


def _bad(number: int, message: str, hint: str) -> output.Failed:
    where = f"line {number}"
    return output.Failed(f"{where}: {message}; {hint}", output.BAD_INPUT, code="evaluate.line", where=where, hint=hint)


def table(metrics: StageMetrics) -> Table:
    """A row per stage. With one right action per task recall@k is hit@k: one column stands for both."""
    shown = Table(title=f"{metrics.generation['offered']:,} tasks whose right action was offered", title_justify="left")
    names = columns(metrics.as_offered)
    for name in ("stage", *names):
        title = name.upper() if name.startswith(("mrr", "ndcg")) else name
        shown.add_column(title, justify="left" if name == "stage" else "right", no_wrap=True)
    for row in metrics.rows():
        shown.add_row(str(row["stage"]), *(_figure(row[name]) for name in names), end_section=row is metrics.as_offered)
    return shown


def columns(row: Mapping[str, Any]) -> list[str]:
    """What a table shows of a row: NDCG at the largest cut-off alone."""
    hits = [name for name in row if name.startswith("hit@")]
    discounted = [name for name in row if name.startswith("ndcg@")]
    return [*hits, "mrr", *discounted[-1:], "scored"]


def summary(generation: Mapping[str, Any]) -> str:
    """Candidate generation, measured alone."""
    if generation["recall"] is None:
        return "no task has a right action"
    return (
        f"candidates: {generation['candidates']:.1f} per task; they hold the right action of "
        f"{100 * generation['recall']:.2f} % of {generation['tasks']:,} tasks (recall of generation)"
    )


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
