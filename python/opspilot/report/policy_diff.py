"""The page of a policy diff: how many decisions change, by which rules, for whom, and the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from opspilot._svg import Plot, nice_ticks, percent, plain
from opspilot.report import page as html

Record = Mapping[str, Any]

#: From the widest to what no candidate survives.
STATES = (*html.VERDICTS, "forbidden")
_MOST_CLIENTS = 30
_NONE = "–"


def page(result: Record) -> tuple[str, str]:
    """Title and HTML. KeyError names what the result lacks."""
    title = f"Policy diff: {result['old_name']} → {result['new_name']}"
    parts = [
        _header(title, result),
        _cautions(result),
        html.section("What becomes of decisions", *_answers(result)),
        html.section("Which rules do it", *_rules(result["rules"])),
        _clients(result["clients"]),
        html.section("First decisions that change", *_examples(result["examples"])),
    ]
    return title, html.document(title, "\n".join(part for part in parts if part))


def _header(title: str, result: Record) -> str:
    n = result["decisions"]
    about = f"{plain(n)} logged decisions with {plain(result['candidates'])} candidates, replayed under both policies."
    entries = [
        ("log", str(result.get("records", ""))),
        ("old", f"{result['old_name']}, {result['old'][:16]}…"),
        ("new", f"{result['new_name']}, {result['new'][:16]}…"),
    ]
    tiles = [
        (_share(result["changed"], n), f"of decisions change for at least one candidate ({plain(result['changed'])})"),
        (_share(result["answers"], n), f"get another answer ({plain(result['answers'])})"),
        (_share(result["best_actions"], n), f"get another best action ({plain(result['best_actions'])})"),
        (_share(result["changed_candidates"], result["candidates"]), "of candidates come out otherwise"),
    ]
    return (
        f"<header><h1>{escape(title)}</h1>\n{html.paragraph(about, 'soft')}</header>\n{html.facts(entries)}\n{html.tiles(tiles)}"
    )


def _cautions(result: Record) -> str:
    lines = []
    if result["inexact"]:
        lacking = ", ".join(f"<code>{escape(e['missing'])}</code> ({plain(e['records'])})" for e in result["inexact_because"])
        lines.append(
            f"<b>{_count(result['inexact'], 'record')} cannot be replayed exactly</b>, because of what a rule reads and "
            f"they lack: {lacking}. {plain(result['changed_exact'])} of the {plain(result['changed'])} changes are in records "
            "that can."
        )
    if result["differing"]:
        lines.append(
            f"{plain(result['differing'])} of {plain(result['checked'])} records that the old policy decided tell of other rules "
            "than its replay found."
        )
    if result["unreadable"]:
        first = result["refusals"][0]
        lines.append(
            f"{_count(result['unreadable'], 'record')} could not be read; the first is record {plain(first['record'])}: "
            f"{escape(first['message'].rstrip('.'))}."
        )
    return html.callout(*lines) if lines else ""


def _answers(result: Record) -> list[str]:
    moved = [entry for entry in result["by_answer"] if entry["old"] != entry["new"]]
    out = [
        html.figure(
            _shares(result["by_answer"]),
            "The answer of a decision is what the rules leave of its best allowed candidate: the widest verdict that confidence "
            "and rollout may still narrow.",
            html.legend(("square", verdict, verdict) for verdict in html.VERDICTS),
        )
    ]
    if not moved:
        out.append(html.paragraph("No decision's answer goes from one verdict to another."))
    out += ["<h3>Answers of decisions</h3>", _matrix(result["by_answer"])]
    out += ["<h3>All candidates</h3>", _matrix(result["by_candidate"])]
    out.append(
        html.paragraph("Old states are rows, new ones columns. Red: more is allowed than before; green: less.", "soft small")
    )
    return out


def _shares(transitions: Sequence[Record]) -> str:
    """Two bars, old above new, parted by answer."""
    total = sum(entry["count"] for entry in transitions) or 1
    plot = Plot("Answers under the old and the new policy", width=1080, height=112, left=44, right=24, top=8, bottom=34)
    x = plot.x_scale(0, 1)
    for row, side in enumerate(("old", "new")):
        y, done = 8 + 34 * row, 0.0
        plot.text(36, y + 19, side, "note", "end")
        for verdict in html.VERDICTS:
            count = sum(entry["count"] for entry in transitions if entry[side] == verdict)
            if count:
                share = count / total
                plot.rect(x(done), y, x(done + share) - x(done), 27, verdict, f"{side}: {verdict} {percent(share)} ({count})")
                done += share
    plot.x_axis(x, "", percent, about=10)
    return plot.svg()


def _matrix(transitions: Sequence[Record]) -> str:
    """Old states as rows, new ones as columns; what stays is quiet, what moves is coloured by its weight."""
    counts = {(entry["old"], entry["new"]): entry["count"] for entry in transitions}
    states = [state for state in STATES if any(state in pair for pair in counts)]
    most = max((count for (old, new), count in counts.items() if old != new), default=1)
    head = "".join(f'<th class="n">{escape(state)}</th>' for state in states)
    rows = []
    for old in states:
        cells = []
        for new in states:
            count = counts.get((old, new), 0)
            weight = round(18 + 52 * count / most) if count and old != new else 0
            style = f' style="background:color-mix(in srgb,var(--{_hue(old, new)}) {weight}%,transparent)"' if weight else ""
            css = "n soft" if old == new else "n"
            cells.append(f'<td class="{css}"{style}>{plain(count) if count else _NONE}</td>')
        rows.append(f"<tr><th>{escape(old)}</th>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table><thead><tr><th>old ╲ new</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _hue(old: str, new: str) -> str:
    """Wider is what to look at twice; escalate and abstain are equally narrow."""
    width = {"auto_execute": 4, "require_approval": 3, "suggest": 2, "escalate": 1, "abstain": 1, "forbidden": 0}
    return "accent" if width[new] == width[old] else "bad" if width[new] > width[old] else "good"


def _rules(rules: Sequence[Record]) -> list[str]:
    ordered = sorted(
        (rule for rule in rules if rule["decisions"] or rule["fate"] != "same"), key=lambda r: (-r["decisions"], r["id"])
    )
    if not ordered:
        return [html.paragraph("No rule differs between the policies, and none acts otherwise.")]
    idle = len(rules) - len(ordered)
    heads = ("rule", "layer", "effect", "old hits", "new hits", "gained", "lost", "candidates changed", "decisions changed")
    names = "".join((_NUMBER if i > 2 else "<th>") + escape(head) + "</th>" for i, head in enumerate(heads))
    body = []
    for rule in ordered:
        badge = "" if rule["fate"] == "same" else f' <span class="badge {_BADGE[rule["fate"]]}">{rule["fate"]}</span>'
        keys = ("old_hits", "new_hits", "gained", "lost", "candidates", "decisions")
        cells = "".join(f'<td class="n">{plain(rule[key]) if rule[key] else _NONE}</td>' for key in keys)
        why = f'<div class="soft small" style="font-weight:400">{escape(rule["because"])}</div>' if rule.get("because") else ""
        body.append(
            f"<tr><th>{escape(rule['id'])}{badge}{why}</th><td>{escape(rule['layer'])}</td><td>{escape(rule['effect'])}</td>{cells}</tr>"
        )
    table = f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    note = "Hits count candidates on which a rule acts; gained and lost those on which it acts under one policy alone."
    if idle:
        note += f" {plain(idle)} rules are the same and act the same."
    chart = [rule for rule in ordered if rule["decisions"]][:20]
    figure = (
        [html.figure(_bars(chart), "Decisions that change, by the rules that act otherwise on a changed candidate.")]
        if chart
        else []
    )
    return [*figure, table, html.paragraph(note, "soft small")]


_NUMBER = '<th class="n">'
_BADGE = {"added": "ok", "removed": "warn", "edited": "warn"}


def _bars(rules: Sequence[Record]) -> str:
    row, top = 24, 6
    left = min(250, 20 + round(7.1 * max(len(rule["id"]) for rule in rules)))
    plot = Plot("Decisions changed by rule", width=1080, height=top + row * len(rules) + 46, left=left, right=90, top=top)
    x = plot.x_scale(0, nice_ticks(0, max(rule["decisions"] for rule in rules))[-1])
    for i, rule in enumerate(rules):
        y = top + row * i
        plot.text(left - 8, y + 16, rule["id"], "note", "end")
        plot.rect(x(0), y + 4, x(rule["decisions"]) - x(0), row - 8, "bar", f"{rule['id']}: {rule['decisions']}")
        plot.text(x(rule["decisions"]) + 5, y + 16, plain(rule["decisions"]), "note")
    plot.x_axis(x, "decisions", plain, grid=True)
    return plot.svg()


def _clients(clients: Sequence[Record]) -> str:
    if len(clients) < 2 and not any(client["client"] for client in clients):
        return ""
    ordered = sorted(clients, key=lambda c: (-c["changed"], -c["decisions"], c["client"]))
    rows = [
        [
            c["client"] or "(none)",
            plain(c["decisions"]),
            plain(c["changed"]),
            _share(c["changed"], c["decisions"]),
            plain(c["answers"]),
            _share(c["answers"], c["decisions"]),
        ]
        for c in ordered[:_MOST_CLIENTS]
    ]
    heads = ("client", "decisions", "changed", "share", "other answers", "share")
    more = len(ordered) - _MOST_CLIENTS
    return html.section(
        "For which clients",
        html.table(heads, rows, numbers=(1, 2, 3, 4, 5)),
        html.paragraph(f"and {plain(more)} more clients", "soft small") if more > 0 else "",
    )


def _examples(examples: Sequence[Record]) -> list[str]:
    if not examples:
        return [html.paragraph("No decision changes.")]
    out = [
        html.paragraph("The first of all, and the first two of every rule and of every change of the answer. Ids only.", "soft")
    ]
    for e in examples:
        where = [f"record {plain(e['record'])}"]
        where += [f"task {e['task']}"] if e["task"] else []
        where += [f"client {e['client']}"] if e["client"] else []
        where.append(_time(e["now"]))
        inexact = "" if e["exact"] else ' <span class="badge warn">not exact</span>'
        head = f"<p><b>{escape(', '.join(where))}</b>{inexact}</p>"
        answer = (
            f"<p>{_answer(e['old_answer'], e['old_action'])} → {_answer(e['new_answer'], e['new_action'])}; "
            f"{plain(e['changed_candidates'])} of {plain(e['candidates'])} candidates change</p>"
        )
        rows = [[c["action"], _what(c, "old"), _what(c, "new"), _why(c)] for c in e["changes"]]
        out.append(f'<div class="plain">{head}{answer}{html.table(("action", "old", "new", "rules"), rows)}</div>')
    return out


def _answer(state: str, action: str) -> str:
    return f"<b>{escape(state)}</b>" + (f" <code>{escape(action)}</code>" if action else "")


def _what(change: Record, side: str) -> str:
    text = str(change[side])
    if change["old_boost"] != change["new_boost"]:
        text += f", {change[f'{side}_boost']:+.6g}"
    if change["old_queue"] != change["new_queue"]:
        text += f", queue {change[f'{side}_queue'] or _NONE}"
    return text


def _why(change: Record) -> str:
    parts = [f"+ {rule}" for rule in change["gained"]] + [f"− {rule}" for rule in change["lost"]]
    return ", ".join(parts + [f"{rule} (edited)" for rule in change["edited"]])


def _time(microseconds: int) -> str:
    try:
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:
        return f"{microseconds} µs"


def _count(number: int, noun: str) -> str:
    return f"{plain(number)} {noun}" + ("" if number == 1 else "s")


def _share(count: int, total: int) -> str:
    if not total:
        return _NONE
    return percent(count / total) if not 0 < count / total < 0.0005 else f"< {percent(0.001)}"
