"""The page of certificates: what each target reached, risk against coverage, and what more labels would buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from opspilot._svg import Plot, nice_ticks, percent, plain
from opspilot.report import page as html
from opspilot.report.launch import moment

Record = Mapping[str, Any]

_NONE = "–"


def page(result: Record) -> tuple[str, str]:
    """Title and HTML. KeyError names what the result lacks."""
    title = f"Certificates: {result['source']}"
    risks = [t for t in result["targets"] if t["kind"] == "risk"]
    parts = [
        _header(title, result),
        html.section("Targets", *_targets(result)),
        html.section("Risk against coverage", *_curve(result["curve"], risks)) if result["curve"] and risks else "",
        *(_groups(result["by"], t) for t in risks if t["groups"]),
        *(_more(t) for t in risks),
        *(_ladder(t) for t in result["targets"] if t["kind"] == "recall"),
        html.section("What is assumed", *_assumed()),
    ]
    return title, html.document(title, "\n".join(part for part in parts if part))


def _header(title: str, result: Record) -> str:
    reached = sum(t["sufficient"] for t in result["targets"])
    about = f"{reached} of {plain(len(result['targets']))} targets certified."
    if result["jointly"]:
        about += f" All certificates hold together with {percent(result['confidence'])} confidence."
    entries = [("confidence", percent(result["confidence"]))]
    if result["model"]:
        entries.append(("model", result["model"]))
    if result["data_from"] is not None:
        entries.append(("data", f"{moment(result['data_from'])} to {moment(result['data_to'])}"))
    if result["left_out"] or result["blocked"]:
        entries.append(
            (
                "rows",
                f"{plain(result['left_out'])} without an outcome left out, {plain(result['blocked'])} kept back by rules",
            )
        )
    if result["one_per"]:
        entries.append(("independence", f"at most one row per {result['one_per']}, {plain(result['repeats'])} others left out"))
    tiles = []
    for t in result["targets"]:
        if t["kind"] == "risk":
            tiles.append(
                (percent(t["coverage"]), f"automated at {_target(t)}" if t["sufficient"] else f"{_target(t)}: no certificate")
            )
        else:
            tiles.append((percent(t["flagged"]) if t["sufficient"] else _NONE, f"flagged for {_target(t)}"))
    head = f"<header><h1>{escape(title)}</h1>\n{html.paragraph(about, 'soft')}</header>"
    return f"{head}\n{html.facts(entries)}\n{html.tiles(tiles)}"


def _target(t: Record) -> str:
    return f"risk ≤ {percent(t['bound'])}" if t["kind"] == "risk" else f"recall of {t['of']} ≥ {percent(t['bound'])}"


def _targets(result: Record) -> list[str]:
    out = []
    for t in result["targets"]:
        badge = "<span class='badge ok'>certified</span>" if t["sufficient"] else "<span class='badge warn'>no certificate</span>"
        head = f"<b>{escape(_target(t))}</b> {badge}"
        sure = percent(t["confidence"])
        if not t["sufficient"]:
            out.append(html.callout(head, escape(t["message"]) + "."))
        elif t["kind"] == "risk":
            said = (
                f"With {sure} confidence at most {percent(t['risk_upper'])} of what scores above <code>{t['value']:.6g}</code> "
                f"is wrong: {plain(t['automated'])} of {plain(t['n'])} rows lie above it, {plain(t['errors'])} of these wrong."
            )
            out.append(html.callout(head, said, warn=False))
        else:
            said = (
                f"With {sure} confidence a flag from <code>{t['value']:.6g}</code> on catches at least {percent(t['bound'])}: "
                f"{plain(t['misses'])} of {plain(t['positives'])} positives lie below, "
                f"{percent(t['flagged'])} of rows are flagged."
            )
            out.append(html.callout(head, said, warn=False))
    return out


def _curve(curve: Record, risks: Sequence[Record]) -> list[str]:
    certified = [t for t in risks if t["sufficient"]]
    shown = [r for c, r in zip(curve["coverage"], curve["risk"], strict=True) if c >= 0.02] or curve["risk"]
    most = max([1.5 * t["bound"] for t in risks] + [max(shown), *(1.1 * t["risk_upper"] for t in certified)])
    plot = Plot("Risk against coverage", width=1080, height=420, left=70, right=80, bottom=50)
    x, y = plot.x_scale(0, 1), plot.y_scale(0, nice_ticks(0, min(1.0, most))[-1])
    plot.y_axis(y, "wrong among them", percent)
    for t in risks:
        at = y(t["bound"])
        plot.line([(plot.left, at), (plot.width - plot.right, at)], "limit")
        plot.text(plot.width - plot.right + 6, at + 4, f"≤ {percent(t['bound'])}", "tick")
    plot.line([(x(c), y(r)) for c, r in zip(curve["coverage"], curve["risk"], strict=True)], "curve")
    for t in risks:
        naive = t["naive"]
        if naive["value"] is not None:
            hint = f"observed risk within {percent(t['bound'])}: {percent(naive['coverage'])}, certified by nothing"
            plot.diamond(x(naive["coverage"]), y(naive["risk"]), 7, "naively", hint)
        if t["sufficient"]:
            seen = t["errors"] / t["automated"] if t["automated"] else 0.0
            plot.line([(x(t["coverage"]), y(seen)), (x(t["coverage"]), y(t["risk_upper"]))], "interval", "to the upper bound")
            plot.circle(x(t["coverage"]), y(seen), 7, "certified", f"certified: {percent(t['coverage'])}")
            # Right of the point and below it, where a rising curve leaves room; above it near an edge.
            low, far = y(seen) > plot.height - plot.bottom - 34, t["coverage"] > 0.85
            left, above = x(t["coverage"]) + (-12 if far else 12), y(seen) + (-14 if low or far else 20)
            plot.text(left, above, f"certified {percent(t['coverage'])}", "note", "end" if far else "start")
    plot.x_axis(x, "share of rows automated, best scores first", percent, about=10)
    legend = html.legend(
        [
            ("circle", "certified", "certified line; up to its bound"),
            ("diamond", "naively", "observed risk just within the limit: certified by nothing"),
            ("line", "limit", "limit"),
        ]
    )
    return [html.figure(plot.svg(), "On the rows that the certificate was drawn from.", legend)]


def _groups(by: str, t: Record) -> str:
    rows = [
        [
            g["group"],
            plain(g["n"]),
            percent(g["coverage"]) if g["sufficient"] else _NONE,
            percent(g["risk_upper"]) if g["sufficient"] else _NONE,
            f"{g['value']:.6g}" if g["value"] is not None else _NONE,
            g["message"],
        ]
        for g in t["groups"]
    ]
    return html.section(
        f"By {by}: {_target(t)}",
        html.table([by, "rows", "automated", "risk at most", "above", ""], rows, numbers=(1, 2, 3, 4)),
        html.paragraph(
            "All groups' certificates hold together with the confidence. The certificate of all rows bounds their pooled risk, "
            "and says nothing of any one group.",
            "soft small",
        ),
    )


def _more(t: Record) -> str:
    rows = [[s["what"], plain(s["labels"]), percent(s["certified"]), percent(s["coverage"])] for s in t["more_labels"]]
    return html.section(
        f"What more labels would buy: {_target(t)}",
        html.table(["", "labels", "sets that certify", "automated on average"], rows, numbers=(1, 2, 3), narrow=True),
        html.paragraph(
            "A forecast from sets drawn again out of these rows; sets without a certificate automate nothing.", "soft small"
        ),
    )


def _ladder(t: Record) -> str:
    rows = [[plain(step["misses"]), plain(step["positives"])] for step in t["ladder"]]
    text = f"{plain(t['positives'])} positives are given. Each further miss that may be tolerated raises the flag's line."
    return html.section(
        f"Positives for {_target(t)}",
        html.table(["misses tolerated", "positives needed"], rows, numbers=(1,), narrow=True),
        html.paragraph(text, "soft small"),
    )


def _assumed() -> list[str]:
    return [
        html.paragraph(
            "A certificate holds for data drawn like these rows, and for nothing else: not after a change of the model, of the "
            "traffic or of who labels. It counts rows as independent: draw one per customer or case where they repeat."
        ),
        html.paragraph("The rows must not have trained the model, fitted its calibrator or chosen between models."),
    ]
