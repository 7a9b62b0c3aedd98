"""calibrate: certificates for targets, from labelled scores or a log with outcomes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from opspilot import _certificate_document, _certify, _labelled, report
from opspilot._decision_log import actions_of, read, read_attributes
from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json
from opspilot.deciding import Bundle
from opspilot.errors import UsageError

_WRONG: Final = ("overridden", "reversed", "complaint")


@app.command()
def calibrate(
    rows: Annotated[
        Path | None,
        typer.Argument(
            help="Labelled scores, one item per row (CSV with a header, or JSON Lines): score with error or right; for "
            "recall(NAME) a column NAME of scores and a column label; other columns as groups."
        ),
    ] = None,
    target: Annotated[list[str] | None, typer.Option(help="'risk<=0.01' or 'recall(safety)>=0.97'; may be repeated.")] = None,
    log: Annotated[
        list[Path] | None, typer.Option(help="Instead of rows: a log of decisions and outcomes; may be repeated.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Probability that all certificates hold together.")] = 0.95,
    separately: Annotated[bool, typer.Option("--separately", help="Each certificate holds by itself, not all together.")] = False,
    by: Annotated[
        str | None,
        typer.Option(help="Column of groups (of a log: client, action, action.kind, task.FIELD), each certified too."),
    ] = None,
    one_per: Annotated[
        str | None, typer.Option(help="Column of what comes in several rows, as a case does: at most one of each is drawn.")
    ] = None,
    attributes: Annotated[
        Path | None, typer.Option(help='Columns beside a log: CSV or JSON Lines with a column "decision" or "task".')
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="The bundle that decided: kinds of its actions; for --out its model and calibrator.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write calibration.json.")] = None,
    model: Annotated[str | None, typer.Option(help="Fingerprint of the model, for --out; a log holds it.")] = None,
    unit: Annotated[str | None, typer.Option(help="What one row is, for --out; default one decision.")] = None,
    not_covered: Annotated[str, typer.Option(help="What the certificate does not speak of, for --out.")] = "",
    valid_days: Annotated[int, typer.Option(min=1, help="Days until the certificate expires, for --out.")] = 90,
    now: Annotated[int | None, typer.Option(help="Microseconds since 1970 UTC, for --out; default the clock.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write an HTML page too.")] = None,
    as_json: Json = False,
) -> int:
    """Certifies targets on rows that neither trained nor tuned anything. Exit 1 when the evidence does not suffice for one."""
    if (rows is None) == (not log):
        raise output.Failed("give rows or --log, one of the two", output.USAGE, code="usage.option", hint="see --help")
    try:
        targets = [_certify.target(text) for text in target or ()]
    except UsageError as problem:
        raise output.Failed(str(problem), output.USAGE, code=problem.code, where=problem.where, hint=problem.hint) from None
    served = Bundle.load(bundle) if bundle is not None else None
    with output.working("certifying"):
        if rows is not None:
            if attributes is not None:
                raise output.Failed("--attributes stand beside a log", output.USAGE, code="usage.option", hint="add columns")
            data = _labelled.from_rows(rows, [t.of for t in targets], by, one_per)
        else:
            if any(t.of for t in targets):
                raise output.Failed(
                    "a log holds no scores of classes", output.USAGE, code="usage.option", hint="give rows for recall(…)"
                )
            data = _labelled.from_log(
                read(list(log or ())),
                _WRONG,
                by,
                ", ".join(path.name for path in log or ()),
                one_per=one_per,
                attributes=read_attributes(attributes) if attributes is not None else None,
                actions=actions_of(served.part("catalogue.json")) if served is not None else None,
            )
        if served is not None:
            _certificate_document.check_model(data, served.model_fingerprint, served._core.versions["calibration"])
        made = _certify.certify(data, targets, confidence=confidence, jointly=not separately)
    if out is not None:
        fingerprint = model or (served.model_fingerprint if served is not None else data.model)
        if not fingerprint:
            raise output.Failed(
                "no fingerprint of the model",
                output.USAGE,
                code="usage.option",
                hint="give --bundle, or --model (opspilot describe BUNDLE)",
            )
        _certificate_document.check_model(data, fingerprint)
        out.write_bytes(
            _certificate_document.document(
                made,
                data,
                model=fingerprint,
                served=served.part("calibration.json") if served is not None else None,
                unit=unit or (f"at most one decision per {one_per}, every one equally likely" if one_per else "one decision"),
                not_covered=not_covered,
                created_us=now if now is not None else time.time_ns() // 1000,
                valid_days=valid_days,
            )
        )
    if html is not None:
        report.build("calibration", made).save(html)
    if as_json:
        output.show_json({"ok": made["sufficient"], **made})
    else:
        _show(made)
    return output.FINE if made["sufficient"] else output.NO


def _show(made: Mapping[str, Any]) -> None:
    print_ = output.console.print
    together = "all together" if made["jointly"] else "each by itself" if len(made["targets"]) > 1 else ""
    print_(f"{made['source']}: confidence {made['confidence']:g} {together}".rstrip(), markup=False, soft_wrap=True)
    if made["left_out"] or made["blocked"]:
        print_(
            f"{made['left_out']:,} without an outcome left out, {made['blocked']:,} kept from automation by rules", soft_wrap=True
        )
    if made["one_per"]:
        print_(f"at most one row per {made['one_per']}: {made['repeats']:,} others left out", markup=False, soft_wrap=True)
    for result in made["targets"]:
        print_(Text.assemble((result["target"], "bold"), "  ", *said(result)), soft_wrap=True)
        if result["kind"] == "risk":
            if result["groups"]:
                print_(_groups(made["by"], result["groups"]))
            print_(_more(result["more_labels"]))


def said(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was found, with styles."""
    if not result["sufficient"]:
        return [(result["message"], "yellow")]
    if result["kind"] == "recall":
        text = (
            f"flag from {result['value']:.6g} on: {100 * result['flagged']:.1f} % flagged, {result['misses']} of "
            f"{result['positives']} positives below"
        )
        return [(text, "green")]
    text = (
        f"automate above {result['value']:.6g}: {100 * result['coverage']:.1f} % automated, {result['errors']} of "
        f"{result['automated']:,} wrong, risk at most {100 * result['risk_upper']:.3g} %"
    )
    return [(text, "green")]


def _groups(by: str, groups: list[dict[str, Any]]) -> Table:
    table = Table(title=f"By {by}, all certificates together", title_justify="left")
    table.add_column(by, overflow="fold")
    for name in ("rows", "automated", "risk at most"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for g in groups:
        row = (f"{100 * g['coverage']:.1f} %", f"{100 * g['risk_upper']:.3g} %") if g["sufficient"] else ("–", "–")
        table.add_row(Text(g["group"]), f"{g['n']:,}", *row, Text(g["message"], "yellow"))
    return table


def _more(steps: list[dict[str, Any]]) -> Table:
    table = Table(title="What more labels would buy (forecast)", title_justify="left")
    table.add_column("")
    for name in ("labels", "certified", "automated"):
        table.add_column(name, justify="right")
    for step in steps:
        table.add_row(step["what"], f"{step['labels']:,}", f"{100 * step['certified']:.0f} %", f"{100 * step['coverage']:.1f} %")
    return table
