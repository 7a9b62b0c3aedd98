"""gate: launch criteria judged on decision logs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json
from opspilot.evaluate import launch

_STYLES = {"pass": "green", "fail": "bold red", "insufficient": "yellow"}


@app.command()
def gate(
    criteria: Annotated[Path, typer.Argument(help="Launch criteria (JSON; see opspilot schema criteria).")],
    log: Annotated[list[Path], typer.Option(help="Log of decisions and outcomes (JSON Lines); may be repeated.")],
    attributes: Annotated[
        Path | None,
        typer.Option(help='Groups and labels by decision or task: CSV or JSON Lines with a column "decision" or "task".'),
    ] = None,
    votes: Annotated[
        Path | None, typer.Option(help="Counts of several raters' labels (CSV, items by labels) for the noise ceiling.")
    ] = None,
    before: Annotated[
        Path | None, typer.Option(help="Earlier criteria, or an earlier --json of this verb: edits since are shown.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="The bundle that decided, for criteria by action.kind.")] = None,
    one_per: Annotated[
        str | None,
        typer.Option(help="Column of what comes in several decisions, as a case does: at most one of each is drawn."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write an HTML page too.")] = None,
    as_json: Json = False,
) -> int:
    """Says of each criterion whether the log proves it: pass, fail or insufficient. Exit 1 unless all pass."""
    with output.working("judging"):
        made = launch.judge(criteria, log, attributes=attributes, votes=votes, before=before, bundle=bundle, one_per=one_per)
    if html is not None:
        made.report().save(html)
    if as_json:
        output.show_json({"ok": made.passed, **made.to_dict()})
    else:
        _show(made.to_dict())
    return output.FINE if made.passed else output.NO


def _show(about: Mapping[str, Any]) -> None:
    print_ = output.console.print
    n = about["decisions"]
    print_(Text.assemble((about["name"], "bold"), ": ", (about["verdict"], _STYLES[about["verdict"]])))
    print_(f"criteria sha256 {about['criteria_sha256']}", soft_wrap=True)
    print_(
        f"{n['n']:,} decisions, {n['automated']:,} automated, {n['automated_with_outcome']:,} of these with an outcome",
        soft_wrap=True,
    )
    if about["one_per"]:
        print_(f"at most one decision per {about['one_per']}, of {about['drawn_from']:,}", markup=False, soft_wrap=True)
    print_(_criteria(about["results"]))
    for edit in about["edits"] or ():
        what = " ".join(part for part in (edit["criterion"], edit["key"]) if part) or "document"
        change = f"{_short(edit['before'])} → {_short(edit['after'])}"
        mark = f" ({edit['direction']})" if edit["direction"] else ""
        print_(Text(f"edited: {what}: {change}{mark}", "yellow"), soft_wrap=True)
    for line in about["warnings"]:
        print_(Text(line, "yellow"), soft_wrap=True)


def _criteria(results: list[dict[str, Any]]) -> Table:
    table = Table(title="Criteria", title_justify="left")
    for name in ("criterion", "group"):
        table.add_column(name, overflow="fold")
    for name in ("seen", "bounds", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for result in results:
        for number, rate in enumerate(result["rates"]):
            first = number == 0
            table.add_row(
                Text.assemble((result["id"], "bold"), "\n", asked(result).replace("_", " ")) if first else "",
                Text(rate["group"] or "all"),
                *_seen(rate),
                Text(f"{rate['verdict']}{_needed(rate)}", _STYLES[rate["verdict"]]),
                end_section=number == len(result["rates"]) - 1,
            )
    return table


def asked(result: Mapping[str, Any]) -> str:
    """What a criterion asks for, in a few words."""
    ((key, value),) = result["bound"].items()
    metric = result["metric"] + (f"({result['of']})" if result["of"] else "")
    sign = {"at_most": "≤", "at_least": "≥", "gap_at_most": "± gap ≤"}[key]
    return f"{metric} {sign} {value:g}"


def _seen(rate: Mapping[str, Any]) -> tuple[str, str, str]:
    if rate.get("suppressed"):
        return "hidden", "", ""
    value = "none" if rate["value"] is None else f"{rate['value']:.3f}"
    return value, f"{rate['lower']:.3f} … {rate['upper']:.3f}", f"{rate['n']:,}"


def _needed(rate: Mapping[str, Any]) -> str:
    return f",\n~ {rate['needed']:,} needed" if rate.get("needed") else ""


def _short(value: object) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
