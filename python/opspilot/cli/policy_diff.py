"""policy diff: what logged decisions would be under another policy."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from opspilot import policy as policies
from opspilot._policy_diff import PolicyDiff
from opspilot.cli import output
from opspilot.cli.inspect import Json
from opspilot.cli.policy import policy

_SHOWN = 12

Old = Annotated[
    Path, typer.Argument(help="What decides now: a policy document, a folder of layers, or a bundle (file or folder).")
]
New = Annotated[Path, typer.Argument(help="What would decide, in one of the same forms.")]


@policy.command()
def diff(
    old: Old,
    new: New,
    log: Annotated[
        str,
        typer.Option(
            help='JSON Lines: decision records, or {"task": …, "candidates": […], "now": …}; - for standard input. '
            "A Parquet file of tasks (with a column now) together with --candidates."
        ),
    ],
    candidates: Annotated[Path | None, typer.Option(help="Parquet file of candidates, which carry task_index.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle with the catalogue that decision records name actions of.")] = None,
    schema: Annotated[Path | None, typer.Option(help="schema.json, where no bundle brings one.")] = None,
    threads: Annotated[int, typer.Option(help="Threads; 0 is one per processor.")] = 0,
    examples: Annotated[int, typer.Option(help="First examples; those of every rule come on top.")] = 10,
    html: Annotated[Path | None, typer.Option(help="Write an HTML page too.")] = None,
    as_json: Json = False,
) -> int:
    """Replays a log under two policies: which decisions change, by rule, verdict and client."""
    records: object = sys.stdin.buffer if log == "-" else Path(log)
    if candidates is not None:
        records = (Path(log), candidates)
    elif isinstance(records, Path) and records.suffix == ".parquet":
        raise output.Failed(
            "a Parquet file of tasks needs --candidates", output.USAGE, code="usage.option", hint="give the candidates' file"
        )
    for file in (old, new, *([Path(log)] if log != "-" else []), *(path for path in (candidates, bundle, schema) if path)):
        file.stat()  # what is not there is an OSError (exit 4)
    with output.working("replaying"):
        found = policies.diff(old, new, records, schema=schema, bundle=bundle, threads=threads or None, examples=max(0, examples))
    if html is not None:
        found.report().save(html)
    if found.decisions == 0 and found.unreadable:
        first = found.to_dict()["refusals"][0]
        raise output.Failed(
            f"no record of {found.to_dict()['records']} can be read; the first is record {first['record']}: {first['message']}",
            output.BAD_INPUT,
            code=first["code"],
            where=f"record {first['record']} {first['where']}".strip(),
        )
    if as_json:
        output.show_json({"ok": True, **found.to_dict()})
        return output.FINE
    _show(found)
    return output.FINE


def _show(found: PolicyDiff) -> None:
    about = found.to_dict()
    print_ = output.console.print
    print_(Text(f"{about['old_name']} → {about['new_name']}", "bold"))
    share = f" ({100 * found.changed / found.decisions:.2f} %)" if found.decisions else ""
    print_(
        f"{found.decisions:,} decisions with {about['candidates']:,} candidates: {found.changed:,} change{share}, "
        f"{found.answers:,} get another answer, {about['best_actions']:,} another best action"
    )
    for line in _cautions(about):
        print_(Text(line, "yellow"))
    for title, key in (("Answer of decisions", "by_answer"), ("Candidates", "by_candidate")):
        moved = [entry for entry in about[key] if entry["old"] != entry["new"]]
        if moved:
            print_(_moves(title, moved))
    rules = [rule for rule in found.rules if rule["decisions"] or rule["fate"] != "same"]
    if rules:
        print_(_rules(sorted(rules, key=lambda rule: -rule["decisions"])))
    clients = sorted((c for c in found.clients if c["changed"]), key=lambda c: (-c["changed"], c["client"]))
    if clients and (len(found.clients) > 1 or clients[0]["client"]):
        print_(_clients(clients))
    if found.examples:
        print_(_examples(found.examples[:_SHOWN]))


def _cautions(about: Mapping[str, Any]) -> list[str]:
    """What limits the answer."""
    lines = []
    if about["inexact"]:
        lacking = ", ".join(f"{entry['missing']} ({entry['records']:,})" for entry in about["inexact_because"])
        lines.append(
            f"{_count(about['inexact'])} cannot be replayed exactly, because of what rules read and they lack: {lacking}; "
            f"{about['changed_exact']:,} of the {about['changed']:,} changes are in records that can"
        )
    if about["differing"]:
        lines.append(
            f"{about['differing']:,} of {about['checked']:,} records that the old policy decided name other rules than its replay"
        )
    if about["unreadable"]:
        first = about["refusals"][0]
        lines.append(
            f"{_count(about['unreadable'])} could not be read; the first is record {first['record']}: {first['message']}"
        )
    return lines


def _count(records: int) -> str:
    return f"{records:,} record" + ("" if records == 1 else "s")


def _moves(title: str, moved: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("old")
    table.add_column("new")
    table.add_column("count", justify="right")
    for entry in sorted(moved, key=lambda entry: -entry["count"]):
        table.add_row(entry["old"], entry["new"], f"{entry['count']:,}")
    return table


def _rules(rules: list[dict[str, Any]]) -> Table:
    table = Table(title="By rule", title_justify="left")
    for name in ("rule", "layer", "effect", ""):
        table.add_column(name, overflow="fold")
    for name in ("old hits", "new hits", "gained", "lost", "decisions"):
        table.add_column(name, justify="right")
    for rule in rules:
        counts = (f"{rule[key]:,}" for key in ("old_hits", "new_hits", "gained", "lost", "decisions"))
        table.add_row(Text(rule["id"]), rule["layer"], rule["effect"], "" if rule["fate"] == "same" else rule["fate"], *counts)
    return table


def _clients(clients: list[dict[str, Any]]) -> Table:
    table = Table(title="By client", title_justify="left")
    table.add_column("client", overflow="fold")
    for name in ("decisions", "changed", "other answers"):
        table.add_column(name, justify="right")
    for client in clients[:_SHOWN]:
        table.add_row(Text(client["client"] or "(none)"), *(f"{client[key]:,}" for key in ("decisions", "changed", "answers")))
    if len(clients) > _SHOWN:
        table.add_row(f"and {len(clients) - _SHOWN} more", "", "", "")
    return table


def _examples(examples: list[dict[str, Any]]) -> Table:
    table = Table(title="First examples", title_justify="left")
    for name in ("record", "task", "old", "new", "rules"):
        table.add_column(name, overflow="fold", justify="right" if name == "record" else "left")
    for example in examples:
        table.add_row(
            str(example["record"]),
            Text(example["task"] or example["decision"]),
            Text(" ".join((example["old_answer"], example["old_action"]))),
            Text(" ".join((example["new_answer"], example["new_action"]))),
            Text(", ".join(example["rules"])),
        )
    return table
