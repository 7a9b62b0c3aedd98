"""The page of a launch: which criteria are proved, for whom, and what stands behind the figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from opspilot._svg import Plot, percent, plain
from opspilot.report import page as html

Record = Mapping[str, Any]

_NONE = "–"
_BADGES = {"pass": "ok", "fail": "bad", "insufficient": "warn"}
_SIGNS = {"at_most": "≤", "at_least": "≥", "gap_at_most": "gap ≤"}
_MOST_ROWS = 60


def page(result: Record) -> tuple[str, str]:
    """Title and HTML. KeyError names what the result lacks."""
    title = f"Launch: {result['name']}"
    parts = [
        _header(title, result),
        html.callout(*(escape(line) for line in result["warnings"])) if result["warnings"] else "",
        _edits(result["edits"]),
        html.section("Criteria", *_criteria(result["results"])),
        *(html.section(f"By {name}", *_groups(about)) for name, about in result["groups"].items()),
        _noise(result["noise"]),
        html.section("What was agreed", *_agreed(result)),
    ]
    return title, html.document(title, "\n".join(part for part in parts if part))


def _header(title: str, result: Record) -> str:
    n, results = result["decisions"], result["results"]
    passed = sum(one["verdict"] == "pass" for one in results)
    about = {
        "pass": "Every criterion is proved by the log.",
        "fail": "At least one criterion is refuted by the log.",
        "insufficient": "Nothing is refuted, but the log does not prove every criterion.",
    }[result["verdict"]]
    entries = [("criteria", f"sha256 {result['criteria_sha256']}"), ("agreed", moment(result["criteria"].get("declared_at")))]
    if n["first_time"] is not None:
        entries.append(("log", f"{moment(n['first_time'])} to {moment(n['last_time'])}"))
    if result["one_per"]:
        entries.append(("decisions", f"at most one per {result['one_per']}, of {plain(result['drawn_from'])}"))
    entries += [("model", model) for model in n["models"][:3]]
    share = percent(n["automated"] / n["n"]) if n["n"] else _NONE
    tiles = [
        (result["verdict"], f"{passed} of {_count(len(results), 'criterion', 'criteria')} proved"),
        (plain(n["n"]), "decisions drawn" if result["one_per"] else "decisions in the log"),
        (share, f"automated ({plain(n['automated'])})"),
        (plain(n["automated_with_outcome"]), "of these with a known outcome"),
        (plain(n["automated_and_wrong"]), "of these were wrong"),
    ]
    badge = f"<span class='badge {_BADGES[result['verdict']]}'>{result['verdict']}</span>"
    head = f"<header><h1>{escape(title)} {badge}</h1>\n{html.paragraph(about, 'soft')}</header>"
    return f"{head}\n{html.facts(entries)}\n{html.tiles(tiles)}"


def _criteria(results: Sequence[Record]) -> list[str]:
    rows = []
    for one in results:
        worst = next((r for r in one["rates"] if r["verdict"] == one["verdict"]), one["rates"][0] if one["rates"] else {})
        groups = [rate for rate in one["rates"] if rate["group"] is not None]
        tally = {v: sum(rate["verdict"] == v for rate in groups) for v in _BADGES}
        seen = (
            ", ".join(f"{count} {verdict}" for verdict, count in tally.items() if count) + f" of {len(groups)} groups"
            if groups
            else _seen(worst)
        )
        needed = max((rate.get("needed") or 0 for rate in one["rates"]), default=0)
        rows.append(
            f"<tr><th>{escape(one['id'])}<div class='detail'>{escape(one['because'] or '')}</div></th>"
            f"<td>{escape(asked(one))}</td><td class='n'>{percent(one['confidence'])}</td><td>{escape(seen)}</td>"
            f"<td class='n'>{plain(needed) if needed else ''}</td><td>{_badge(one['verdict'])}</td></tr>"
        )
    head = (
        "<thead><tr><th>criterion</th><th>asked for</th><th class='n'>confidence</th><th>seen</th>"
        "<th class='n'>decisions needed</th><th></th></tr></thead>"
    )
    note = (
        "A criterion passes when its bound proves it, fails when the opposite bound refutes it, and is insufficient otherwise. "
        "With groups every one of them must pass. “Needed” is how many decisions would be enough if the rate stays what it is."
    )
    shown = [one for one in results if any(not rate.get("suppressed") for rate in one["rates"])]
    figures = [f"<h3>{escape(one['id'])}</h3>{html.figure(_forest(one), _caption(one))}" for one in shown]
    legend = html.legend(
        [
            ("circle", "certified", "proved"),
            ("circle", "naively", "refuted"),
            ("circle", "rowwise", "neither"),
            ("line", "asked", "asked for"),
        ]
    )
    return [
        f'<div class="wide"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>',
        html.paragraph(note, "soft small"),
        legend if figures else "",
        *figures,
    ]


def asked(one: Record) -> str:
    """What a criterion asks for, in a few words."""
    ((key, value),) = one["bound"].items()
    metric = one["metric"].replace("_", " ") + (f" of {one['of']}" if one["of"] else "")
    by = f", by {one['by']}" if one["by"] else ""
    return f"{metric} {_SIGNS[key]} {percent(value)}{by}"


def _caption(one: Record) -> str:
    hidden = sum(bool(rate.get("suppressed")) for rate in one["rates"])
    kind = "difference from the rest" if "gap_at_most" in one["bound"] else one["metric"].replace("_", " ")
    text = f"{kind[0].upper()}{kind[1:]} with one-sided {percent(one['confidence'])} bounds."
    return text + (f" {_count(hidden, 'group')} of few decisions not shown." if hidden else "")


def _forest(one: Record) -> str:
    """A row per rate: its bounds, where it was seen, and what was asked for."""
    rates = [rate for rate in one["rates"] if not rate.get("suppressed")][:_MOST_ROWS]
    ((key, bound),) = one["bound"].items()
    gap = key == "gap_at_most"
    limits = (-bound, bound) if gap else (bound,)
    there = [rate for rate in rates if rate["value"] is not None]
    low = min([*limits, *(rate["lower"] for rate in there)])
    high = max([*limits, *(rate["upper"] for rate in there)])
    room = max(0.02, 0.06 * (high - low))
    low, high = max(-1.0 if gap else 0.0, low - room), min(1.0, high + room)
    row, top = 26, 8
    names = [rate["group"] or "all decisions" for rate in rates]
    left = min(260, 30 + round(7.1 * max(len(name) for name in names)))
    plot = Plot(f"{one['id']} by group", width=1080, height=top + row * len(rates) + 40, left=left, right=150, top=top, bottom=40)
    x = plot.x_scale(low, high)
    plot.x_axis(x, "", percent, grid=True)
    base = plot.height - plot.bottom
    for limit in limits:
        plot.line([(x(limit), top), (x(limit), base)], "asked", f"asked for: {percent(limit)}")
    for i, (rate, name) in enumerate(zip(rates, names, strict=True)):
        y = top + row * i + row / 2
        plot.text(left - 10, y + 4.5, name, "note", "end")
        if rate["value"] is None:
            plot.text(x(low) + 4, y + 4.5, "no decisions", "count")
            continue
        hint = f"{name}: {_seen(rate)}"
        plot.line([(x(rate["lower"]), y), (x(rate["upper"]), y)], "interval", hint)
        css = {"pass": "certified", "fail": "naively", "insufficient": "rowwise"}[rate["verdict"]]
        plot.circle(x(rate["value"]), y, 5.5, css, hint)
        of = f"n = {plain(rate['n'])}" if gap else f"{plain(rate['events'])} of {plain(rate['n'])}"
        plot.text(plot.width - plot.right + 12, y + 4.5, of, "note")
    return plot.svg()


def _groups(about: Record) -> list[str]:
    """All rates by group, as the group report gives them."""
    metrics = list(about["rates"])
    head = "".join(f"<th class='n'>{escape(m.replace('_', ' '))}</th>" for m in metrics)
    rows = []
    for name in ["", *about["groups"]][: _MOST_ROWS + 1]:
        cells = "".join(_cell(about["rates"][m][name] if name else about["overall"][m]) for m in metrics)
        rows.append(f"<tr{'' if name else ' class=ours'}><th>{escape(name or 'all')}</th>{cells}</tr>")
    note = (
        f"Shares with exact {percent(about['confidence'])} intervals. Cells of fewer than {about['min_count']} decisions are "
        "hidden, and with them as many others as it takes that nobody can subtract them out. A raw difference may be another mix "
        "of cases."
    )
    more = len(about["groups"]) - _MOST_ROWS
    return [
        f'<div class="wide"><table><thead><tr><th>group</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>',
        html.paragraph(f"and {plain(more)} more groups", "soft small") if more > 0 else "",
        html.paragraph(note, "soft small"),
        html.paragraph(
            "Automation rate: of all decisions. Selective risk: wrong, of the automated. Recall: left to a person, of those that "
            "needed one; false negatives are the rest of these. False positives: left to a person without need.",
            "soft small",
        ),
    ]


def _cell(cell: Record) -> str:
    if cell["n"] is None:
        return "<td class='n soft'>hidden</td>"
    if cell["value"] is None:
        return f"<td class='n soft'>{_NONE}</td>"
    bounds = f"{percent(cell['lower'])} – {percent(cell['upper'])}, n = {plain(cell['n'])}"
    return f"<td class='n'>{percent(cell['value'])}<div class='detail'>{bounds}</div></td>"


def _noise(noise: Record | None) -> str:
    if noise is None:
        return ""
    text = (
        f"On {plain(noise['items'])} items with several votes, two votes differ in {percent(noise['disagreement'])} of cases "
        f"(Krippendorff's alpha {noise['alpha']:.3f}). If mistakes are independent and symmetric, {percent(noise['noise'])} of "
        f"single votes are wrong (bounds {percent(noise['noise_lower'])} to {percent(noise['noise_upper'])})."
    )
    rows = [
        ["against single votes", percent(noise["accuracy"])],
        ["against the majority of three votes", percent(noise["majority"])],
        ["the best answers to these very items, against single votes", percent(noise["best"])],
    ]
    return html.section(
        "What a perfect model would measure",
        html.paragraph(text),
        html.table(["measured", "accuracy"], rows, numbers=(1,), narrow=True),
        html.paragraph(
            "A risk below the share of wrong votes cannot be certified on single votes, whatever the model.", "soft small"
        ),
    )


def _edits(edits: Sequence[Record] | None) -> str:
    if edits is None:
        return ""
    if not edits:
        return html.section("Edits since", html.paragraph("The criteria are what they were."))
    rows = [
        [e["criterion"] or "document", e["key"] or "", _value(e["before"]), _value(e["after"]), e["direction"] or ""]
        for e in edits
    ]
    return html.section(
        "Edits since",
        html.paragraph(f"{_count(len(edits), 'edit')} since the earlier criteria. A looser criterion is easier to pass."),
        html.table(["criterion", "key", "before", "after", ""], rows),
    )


def _agreed(result: Record) -> list[str]:
    text = json.dumps(result["criteria"], indent=2, ensure_ascii=False)
    lines = "<br>".join(escape(line).replace("  ", "&nbsp;&nbsp;") for line in text.splitlines())
    return [
        html.paragraph("The document, in its canonical form; its SHA-256 heads the page.", "soft small"),
        f'<div class="plain"><p><code>{lines}</code></p></div>',
    ]


def _seen(rate: Record) -> str:
    if rate.get("suppressed"):
        return "hidden"
    if not rate or rate["value"] is None:
        return "no decisions"
    value = percent(rate["value"]) if rate["value"] >= 0 else f"−{percent(-rate['value'])}"
    bounds = f"{_signed(rate['lower'])} to {_signed(rate['upper'])}"
    return f"{value} ({bounds}), {plain(rate['events'])} of {plain(rate['n'])}"


def _signed(value: float) -> str:
    return percent(value) if value >= 0 else f"−{percent(-value)}"


def _badge(verdict: str) -> str:
    return f"<span class='badge {_BADGES[verdict]}'>{verdict}</span>"


def _value(value: object) -> str:
    return _NONE if value is None else json.dumps(value, ensure_ascii=False)


def moment(microseconds: int | None) -> str:
    """A time for people."""
    if microseconds is None:
        return "not said"
    try:
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds):%Y-%m-%d %H:%M} UTC"
    except OverflowError:
        return f"{microseconds} µs"


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{plain(number)} {noun if number == 1 else plural or noun + 's'}"
