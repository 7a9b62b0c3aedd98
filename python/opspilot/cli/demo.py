"""demo: the whole way from operator logs to a certified bundle and a report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from opspilot import report
from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json

#: Where the logs are looked for when neither --data nor OPSPILOT_DATA names a folder.
_DATA = Path("../shared/data")
_FILES = ("decisions.csv.gz", "dialogues.jsonl.gz", "tasks.json")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("opspilot-demo"),
    simulate: Annotated[bool, typer.Option("--simulate", help="A simulated operation instead of the STAR logs.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder with the STAR logs, or with a folder star of them.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
    as_json: Json = False,
) -> None:
    """Trains, certifies and judges on real operator logs (or simulated ones); writes a bundle, a log and a report."""
    folder = None if simulate else _find(data)
    out.mkdir(parents=True, exist_ok=True)
    with _progress() as progress:
        if folder is None:
            from opspilot.demo import simulate_run

            bundle, result = simulate_run.run(out, progress, seed=seed)
        else:
            from opspilot.demo import star_evaluate

            bundle, result = star_evaluate.run(folder, out, progress)
    report.build("demo", result, bundle).save(out / "report.html")
    shown = {name: value for name, value in result.items() if name != "plots"}
    shown |= {"out": str(out), "fingerprint": bundle.fingerprint}
    if as_json:
        output.show_json(shown)
    else:
        output.console.print(_table(shown))
        output.console.print(
            f"{out}/: bundle.opspilot, bundle/, report.html, decisions.log, cases.csv", markup=False, soft_wrap=True
        )


def _find(given: Path | None) -> Path:
    """The folder that holds the logs; exit 3 with the cure when there is none."""
    named = os.environ.get("OPSPILOT_DATA")
    root = given or (Path(named) if named else _DATA)
    for folder in (root / "star", root):
        if all((folder / name).is_file() for name in _FILES):
            return folder
    hint = f"fetch them: python scripts/get_data.py {root / 'star'}; or try a simulated operation: opspilot demo --simulate"
    raise output.Failed(
        f"no STAR logs in {root} (wanted: {', '.join(_FILES)}); {hint}",
        output.BAD_INPUT,
        code="demo.no_data",
        where=str(root),
        hint=hint,
    )


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """A bar per stage on a terminal's stderr; elsewhere nothing is shown."""
    columns = (TextColumn("{task.description:24}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=output.progress_console, disable=not output.progress_console.is_terminal) as bars:
        stages: dict[str, TaskID] = {}

        def report_progress(stage: str, done: float) -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=1.0)
            bars.update(stages[stage], completed=done)

        yield report_progress


def _table(result: dict[str, Any]) -> Table:
    action, automation, latency = result["next_action"], result["automation"], result["latency_ms"]
    table = Table(title=f"{result['source']}, {automation['n']:,} test decisions", title_justify="left")
    for name in ("", "opspilot", "beside it"):
        table.add_column(name, justify="left" if not name else "right", overflow="fold")
    baseline = result["baseline"]
    table.add_row(
        "next action, top-1", _share(action["top1"]), f"{_share(baseline['top1'])} {baseline.get('name', 'rules alone')}"
    )
    table.add_row("next action, top-3", _share(action["top3"]), "")
    if slate := result.get("slate"):
        shown = slate.get("logged_order")
        table.add_row("slate, top-1", _share(slate["top1"]), "" if shown is None else f"{_share(shown)} order shown")
        if slate.get("top1_without_position") is not None:
            table.add_row("slate, top-1 without position", _share(slate["top1_without_position"]), "")
    table.add_section()
    for key in ("at_5", "at_10"):
        level = automation[key]
        limit = f"risk ≤ {100 * level['max_risk']:.0f} %"
        table.add_row(
            f"automated, {limit}", _share(level["share"]), f"[yellow]{_share(level['naive_share'])} naive, not certified[/]"
        )
        certified = f"≤ {_share(level['risk_upper'])}" if level["sufficient"] else "evidence does not suffice"
        table.add_row("  certified risk", certified, "none")
        errors = (_against(level[key], level["max_risk"]) for key in ("test_error", "naive_test_error"))
        table.add_row("  error on test", *errors)
    table.add_section()
    table.add_row("one decision, p50 / p99", f"{latency['p50']:.2f} / {latency['p99']:.2f} ms", "")
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"


def _against(error: float | None, limit: float) -> str:
    return f"[red]{_share(error)} ✗[/]" if error is not None and error > limit else _share(error)
