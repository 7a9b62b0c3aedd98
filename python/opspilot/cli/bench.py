"""bench: how fast a bundle decides here, and the rivals beside the parts that have one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import opspilot as op
from opspilot._bench import ONE_THREAD, decisions, reference
from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json


@app.command()
def bench(
    bundle: Annotated[Path | None, typer.Argument(help="Without one: the reference decision, made from a seed.")] = None,
    candidates: Annotated[str, typer.Option(help="Candidate counts, with commas between.")] = "200,1000,2000",
    seconds: Annotated[float, typer.Option(help="Time per candidate count.", min=0.05)] = 2.0,
    rivals: Annotated[bool, typer.Option(help="Compare with numpy and scikit-learn, too.")] = True,
    quick: Annotated[bool, typer.Option(help="To see that it runs, not for figures.")] = False,
    as_json: Json = False,
) -> None:
    """Latency of whole decisions on the bundle's golden tasks; linear scores and hashed text beside numpy and scikit-learn.

    A decision goes from the bytes of a JSON task (and of the candidates that the host brings) to the answer with its reasons.
    Without a bundle the reference decision is measured, stage by stage: 2,000 actions of a catalogue with 32 fields of the pair
    in Arrow columns, 96 features, 500 trees of 64 leaves, 50 rules, calibration, verdict and record.
    """
    counts = _counts(candidates)
    if bundle is None:
        with output.working("the reference decision"):
            measured = reference.measure(min(seconds, 0.2) if quick else 4 * seconds)
        measured["engines"] = decisions.engines()
        output.show_json(measured) if as_json else _show_reference(measured)
        return
    loaded = op.Bundle.load(bundle)
    result: dict[str, Any] = {"bundle": {"name": loaded.name, "version": loaded.version, "fingerprint": loaded.fingerprint}}
    result["engines"] = decisions.engines()
    with output.working("whole decisions"):
        result["decide"] = decisions.measure(loaded, counts, min(seconds, 0.1) if quick else seconds)
    if rivals:
        for name in ("linear", "text"):
            with output.working(f"{name}, the rival beside"):
                result[name] = _compare(name, quick)
    if as_json:
        output.show_json(result)
    else:
        _show(result)


def _show_reference(result: dict[str, Any]) -> None:
    used, rates, by = result["engines"], result["decisions_per_s"], result["two_by_one"]
    table = Table(
        title=f"Reference decision: {result['candidates']} candidates, {result['features']} features, {result['trees']} trees, "
        f"{result['rules']} rules",
        caption=f"Milliseconds, one thread. Decisions a second: {rates['one thread']:.0f}, by two threads "
        f"{rates['two threads']:.0f}, {by['clock']:.2f} times as many ({by['processor']:.2f} by processor time). "
        f"Trees by {used['trees']}; {used['processor']}.",
    )
    for name in ("stage", "min", "p50", "p99"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for name, taken in result["stages_ms"].items():
        table.add_row(f"{name}, alone", *(f"{taken[key]:.3f}" for key in ("min", "p50", "p99")))
    table.add_row("sum of the stages", "", f"{result['sum_ms']:.3f}", "", end_section=True)
    whole = result["decision_ms"]
    table.add_row("whole decision", *(f"{whole[key]:.3f}" for key in ("min", "p50", "p99")))
    table.add_row("whole by sum, p99 by p50", "", f"{result['whole_by_sum']:.2f}", f"{result['p99_by_p50']:.2f}")
    output.console.print(table)


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no list of whole numbers such as 200,1000", param_hint="--candidates") from None
    if any(count < 1 or count > 100_000 for count in counts):
        raise typer.BadParameter(f"'{text}': counts lie between 1 and 100000", param_hint="--candidates")
    return counts


def _compare(name: str, quick: bool) -> dict[str, Any]:
    """A process of its own: its libraries must be told to keep to one thread before they are loaded."""
    command = [sys.executable, "-m", f"opspilot._bench.{name}", *(["--quick"] if quick else [])]
    done = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"error": last}
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _show(result: dict[str, Any]) -> None:
    used = result["engines"]
    table = Table(
        title=f"Whole decisions of {result['bundle']['name']} {result['bundle']['version']}, one thread",
        caption=(
            f"ranking: features, models and calibration, as part of the median; the rest reads, applies rules and answers. "
            f"Trees by {used['trees']}, linear models by {used['linear']}; {used['processor']}."
        ),
    )
    for name in ("candidates", "brought by", "p50 ms", "p99 ms", "decisions/s", "ranking"):
        table.add_column(name, justify="left" if name == "brought by" else "right")
    for entry in result["decide"]:
        table.add_row(
            str(entry["candidates"]),
            "the catalogue" if entry["source"] == "generated" else "the host",
            f"{entry['p50_ms']:.3f}",
            f"{entry['p99_ms']:.3f}",
            f"{entry['decisions_per_s']:.0f}",
            f"{entry['ranking_share']:.0%}",
        )
    output.console.print(table)
    if "linear" not in result:
        return
    table = Table(title="Beside the rival, medians of rounds in turn, one thread")
    for name in ("what", "opspilot", "rival", "ratio"):
        table.add_column(name, justify="left" if name == "what" else "right")
    linear, text = result["linear"], result["text"]
    if "error" in linear:
        table.add_row("dense linear", "–", linear["error"], "–")
    else:
        took = linear["microseconds"]
        shape = f"dense linear {linear['rows']} × {linear['columns']}, numpy X @ w"
        table.add_row(
            shape, f"{took['opspilot']['median']:.1f} µs", f"{took['numpy']['median']:.1f} µs", f"{linear['ratio']:.2f}"
        )
    if "error" in text:
        table.add_row("hashed text", "–", text["error"], "–")
    else:
        for entry in (text["words"], text["words_and_characters"]):
            speed = entry["megabytes_per_second"]
            mine, other = (f"{speed[name]['median']:.1f} MB/s" for name in ("opspilot", "scikit-learn"))
            table.add_row(f"hashed {entry['grams']}, HashingVectorizer", mine, other, f"{entry['ratio']:.1f}")
    output.console.print(table)
