"""The demo's page: what was reached, what is certified and what is not, and how the bundle decides."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from opspilot._svg import percent, plain
from opspilot.deciding import Bundle
from opspilot.report import page as html
from opspilot.report import plots

Record = Mapping[str, Any]

_LEVELS = ("at_5", "at_10")
_NONE = "–"


def page(result: Record, bundle: Bundle | None) -> tuple[str, str]:
    """Title and HTML. KeyError names what the result lacks."""
    title = f"opspilot demo: {result['source']}"
    parts = [
        _header(title, result, bundle),
        html.section("How well it ranks", *_ranking(result)),
        html.section("How much may run without a person", *_automation(result["automation"])),
        html.section("What the certificates say", *_certificates(result["automation"])),
        _truth(result.get("truth")),
        html.section("How far probabilities can be trusted", *_confidence(result)),
        html.section("Verdicts by task", *_verdicts(result)),
        _policies(result),
        html.section("How long a decision takes", *_latency(result)),
        _protocol(result),
    ]
    return title, html.document(title, "\n".join(part for part in parts if part))


def _header(title: str, result: Record, bundle: Bundle | None) -> str:
    about = "Simulated support operation with known truth." if result.get("simulated") else "Real operator logs, decided again."
    entries: list[tuple[str, str]] = []
    if bundle is not None:
        stage = bundle._description().get("stage")
        entries = [
            ("bundle", f"{bundle.name} {bundle.version}" + (f", rollout stage {stage}" if stage else "")),
            ("fingerprint", bundle.fingerprint),
            ("models", bundle.model_fingerprint),
            (
                "size",
                f"{plain(len(bundle.to_bytes()))} bytes in {_count(len(bundle.parts), 'part')}, {bundle.golden_rows} golden rows",
            ),
        ]
    if result.get("licence"):
        entries.append(("data", str(result["licence"])))
    action, automation, latency = result["next_action"], result["automation"], result["latency_ms"]
    tiles = [
        (percent(action["top1"]), "next action: the first suggestion is what the operator did"),
        (percent(action["top3"]), "next action: it is among the first three"),
        (percent(automation["at_10"]["share"]), "of decisions automated at a certified risk of at most 10 %"),
        (percent(automation["at_5"]["share"]), "of decisions automated at a certified risk of at most 5 %"),
        (f"{latency['p50']:.2g} ms", f"median decision; p99 {latency['p99']:.3g} ms"),
    ]
    return (
        f"<header><h1>{escape(title)}</h1>\n{html.paragraph(about, 'soft')}</header>\n{html.facts(entries)}\n{html.tiles(tiles)}"
    )


def _ranking(result: Record) -> list[str]:
    action, baseline, slate = result["next_action"], result["baseline"], result.get("slate")
    n = plain(action["n"])
    rows = [["opspilot", _share(action["top1"]), _share(action["top3"]), n]]
    rows.append(
        [baseline.get("name", "rules alone"), _share(baseline["top1"]), _share(baseline.get("top3")), plain(baseline["n"])]
    )
    rows += [[entry["name"], _share(entry["top1"]), _share(entry.get("top3")), n] for entry in action.get("reference", ())]
    goal = action.get("goal")
    if goal:
        rows.append(["goal", f"≥ {_share(goal['top1'])}", f"≥ {_share(goal['top3'])}", ""])
    out = [
        "<h3>Next action</h3>",
        html.paragraph(
            "What the operator does next, from what could be seen before. Decisions in which the operator wrote a text "
            "instead are left "
            "out here, and count as errors under automation.",
            "small soft",
        ),
        html.table(["", "top-1", "top-3", "n"], rows, numbers=(1, 2, 3), ours=(0,), narrow=True),
        *_stages(result.get("stages")),
    ]
    if slate:
        size = plain(slate["n"])
        lines = [["opspilot", _share(slate["top1"]), size]]
        if slate.get("top1_without_position") is not None:
            lines.append(["opspilot, without the place in the list", _share(slate["top1_without_position"]), size])
        if slate.get("logged_order") is not None:
            lines.append(["the order that the operator was shown", _share(slate["logged_order"]), size])
        if slate.get("goal"):
            lines.append(["goal", f"≥ {_share(slate['goal']['top1'])}", ""])
        out += [
            "<h3>Slate</h3>",
            html.paragraph("Which of the suggestions on the screen was picked.", "small soft"),
            html.table(["", "top-1", "n"], lines, numbers=(1, 2), ours=(0,), narrow=True),
        ]
    return out


def _stages(stages: Record | None) -> list[str]:
    """Each stage measured alone, from the candidates that ranking starts from to the order after policies."""
    if not stages or stages["generation"]["recall"] is None:
        return []
    generation, rows = stages["generation"], [stages["as_offered"], *stages["stages"], stages["final"]]
    text = (
        f"The candidates ({generation['candidates']:.1f} on average) hold what the operator did in "
        f"{_share(generation['recall'])} of {plain(generation['tasks'])} decisions; the rows are means over these, each stage "
        "by its own scores alone, equal ones averaged over their orders. Times this share they hold for all."
    )
    lines = [
        [row["stage"], *(_share(row[f"hit@{k}"]) for k in (1, 3, 10)), f"{row['mrr']:.4f}", f"{row['ndcg@10']:.4f}"]
        for row in rows
    ]
    names = ["", "hit@1", "hit@3", "hit@10", "MRR", "NDCG@10"]
    return [
        "<h3>Stage by stage</h3>",
        html.paragraph(text, "small soft"),
        html.table(names, lines, numbers=(1, 2, 3, 4, 5), ours=(len(lines) - 1,), narrow=True),
    ]


def _automation(automation: Record) -> list[str]:
    n = plain(automation["n"])
    head = (
        '<thead><tr><th rowspan="2">risk asked for</th><th class="group" colspan="3">certified</th>'
        '<th class="group naive" colspan="2">naive threshold <span class="badge warn">⚠ not certified</span></th></tr>'
        f'<tr><th class="n">automated</th><th class="n">risk, {percent(automation["confidence"])} upper '
        f'bound</th><th class="n">error on test</th>'
        '<th class="n naive">automated</th><th class="n">error on test</th></tr></thead>'
    )
    rows = []
    for level in (automation[key] for key in _LEVELS):
        limit = level["max_risk"]
        upper = _share(level["risk_upper"]) if level["sufficient"] else "evidence does not suffice"
        rows.append(
            f"<tr><th>at most {percent(limit)}</th><td class='n'>{_share(level['share'])}</td><td class='n'>{upper}</td>"
            f"<td class='n'>{_judged(level['test_error'], limit)}</td>"
            f"<td class='n "
            f"naive'>{_share(level['naive_share'])}</td><td class='n'>{_judged(level['naive_test_error'], limit)}</td></tr>"
        )
    out = [
        html.paragraph(
            f"All {n} test decisions, with those in which the operator wrote a text instead: automating one of these is "
            f"an error.",
            "small soft",
        ),
        f'<div class="wide"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>',
    ]
    if any(not automation[key]["sufficient"] for key in _LEVELS):
        failed = " and ".join(percent(automation[key]["max_risk"]) for key in _LEVELS if not automation[key]["sufficient"])
        out.append(
            html.callout(
                f"At {failed} nothing is automated: the evidence does not carry a certificate, and zero is the honest answer.",
                warn=False,
            )
        )
    out.append(html.callout(_naive_warning(automation)))
    return out


def _naive_warning(automation: Record) -> str:
    text = (
        "<b>⚠ The naive threshold guarantees nothing.</b> It is the lowest line above which the <em>observed</em> "
        "error of the certification "
        "decisions stays within the limit; lines found this way exceed the limit on new decisions about half of the time."
    )
    broken = [
        f"{_share(level['naive_test_error'])} where at most {percent(level['max_risk'])} was asked for"
        for level in (automation[key] for key in _LEVELS)
        if level["naive_test_error"] is not None and level["naive_test_error"] > level["max_risk"]
    ]
    if broken:
        return f"{text} Here it reached {' and '.join(broken)}."
    return f"{text} Here it stayed within the limits, which it did not promise."


def _certificates(automation: Record) -> list[str]:
    out = []
    for key in _LEVELS:
        level, sure = automation[key], percent(automation["confidence"])
        certificate, limit = level["certificate"], percent(level["max_risk"])
        served = " Stands in the bundle." if automation.get("served") == key else ""
        drawn = f"Unit: {escape(automation['unit'])}; n = {plain(certificate['n'])}."
        if level["sufficient"]:
            line = f"{level['threshold']:.4f}" if level.get("threshold") is not None else _NONE
            said = (
                f"With {sure} confidence, at most {_share(level['risk_upper'])} of the decisions with a probability "
                f"above {line} are wrong: "
                f"{plain(certificate['automated'])} of the n lie above it, {_count(certificate['errors'], 'error')} among them."
            )
            seen = (
                f"On test: {plain(level['automated'])} of {plain(automation['n'])} decisions automated, "
                f"{plain(level['wrong'])} of them wrong{_by_unit(level)}."
            )
        else:
            needed = (
                f" Without a single error, {certificate['needed']} automated decisions would be needed."
                if certificate.get("needed")
                else ""
            )
            said = f"No line has a risk of at most {limit} with {sure} confidence.{needed}"
            seen = ""
        badge = "<span class='badge ok'>certified</span>" if level["sufficient"] else "<span class='badge'>no certificate</span>"
        out.append(html.callout(f"<b>Risk at most {limit}</b> {badge}{served}", f"{drawn} {said}", seen, warn=False))
        row_wise = level.get("naive_rowwise")
        if row_wise:
            out.append(html.callout(_row_wise(row_wise, level["max_risk"])))
    covers = automation.get("not_covered", "other operators, other tasks, later times")
    out.append(
        html.paragraph(f"Not covered: {covers}. A certificate speaks of decisions like those it was drawn from, and expires.")
    )
    return out


def _by_unit(level: Record) -> str:
    """The error as the certificate counts it, where units hold several decisions each."""
    share = level.get("test_error_by_unit")
    return "" if share is None else f"; counted as the certificate counts, every unit alike, {percent(share)} wrong"


def _row_wise(certificate: Record, limit: float) -> str:
    head = f"<b>⚠ Row by row, at most {percent(limit)}</b> <span class='badge warn'>not valid</span> "
    why = "Counting every decision as evidence of its own overstates it, since decisions of one dialogue depend on each other: "
    if certificate.get("risk_upper") is None or not certificate.get("automated"):
        return f"{head}{why}n = {plain(certificate['n'])}, and even so no line would do."
    real = (
        f"; on test {_share(certificate['share'])} automated, {_share(certificate['test_error'])} wrong"
        if certificate.get("share") is not None
        else ""
    )
    return (
        f"{head}{why}n = {plain(certificate['n'])}, {_count(certificate['errors'], 'error')} among "
        f"{plain(certificate['automated'])} above its line, "
        f"claimed risk at most {_share(certificate['risk_upper'])}{real}."
    )


def _truth(truth: Record | None) -> str:
    if not truth:
        return ""
    rows = [[row["name"], _share(row["at_5"]), _share(row["at_10"]), plain(row["n"])] for row in truth["rows"]]
    return html.section(
        "What is really true",
        html.paragraph(truth.get("text", "The simulator knows how probable every action is to be right.")),
        html.table(["", "at most 5 %", "at most 10 %", "decisions"], rows, numbers=(1, 2, 3)),
    )


def _confidence(result: Record) -> list[str]:
    drawn, automation = result["plots"], result["automation"]
    ece = drawn.get("ece")
    text = "Dots: decisions by stated probability, with their 95 % interval; the broken line is perfect agreement."
    if ece is not None:
        text += f" Expected calibration error {ece:.3f}."
    left = html.figure(plots.reliability(drawn["reliability"]), text) if drawn["reliability"] else ""
    entries = [("circle", "certified", "certified"), ("diamond", "naively", "naive, not certified")]
    if any(automation[key].get("naive_rowwise") for key in _LEVELS):
        entries.append(("box", "rowwise", "row by row, not valid"))
    right = html.figure(
        plots.risk_coverage(drawn["risk_coverage"], automation),
        "The curve reads the test decisions that policies leave open, as only an oracle could: it says where lines "
        "lead, not which one "
        "to take. Dotted: the limits asked for.",
        html.legend(entries),
    )
    return [f'<div class="pair">{left}{right}</div>']


def _verdicts(result: Record) -> list[str]:
    counts = result["plots"]["verdicts_by_task"]
    total = {verdict: sum(by.get(verdict, 0) for by in counts.values()) for verdict in html.VERDICTS}
    entries = [("square", verdict, f"{verdict} ({plain(count)})") for verdict, count in total.items()]
    caption = (
        f"{plain(sum(total.values()))} test decisions of {len(counts)} tasks, most automated first; how many they are "
        f"on the right. "
        "Before the rollout stage, which may narrow verdicts."
    )
    return [html.figure(plots.verdicts_by_task(counts), caption, html.legend(entries))]


def _policies(result: Record) -> str:
    rules = sorted(result.get("rules") or (), key=lambda rule: -rule["verdict_changes"])
    if not rules:
        return ""
    together = result.get("policy_changes")
    text = (
        "How many verdicts of the test decisions would be others without the rule, and in how many decisions it acted on "
        "some candidate."
    )
    if together:
        text += (
            f" All rules together change {plain(together['verdicts'])} verdicts and {plain(together['top_action'])} first "
            f"suggestions."
        )
    rows = [
        [rule["id"], rule["layer"], rule["effect"], plain(rule["verdict_changes"]), plain(rule["matched"]), rule["because"]]
        for rule in rules
    ]
    return html.section(
        "What the policies change",
        html.paragraph(text, "small soft"),
        html.table(["rule", "layer", "effect", "verdicts changed", "decisions touched", "because"], rows, numbers=(3, 4)),
        f'<div class="narrow">{html.figure(plots.rule_changes(rules), "The same as bars.")}</div>',
    )


def _latency(result: Record) -> list[str]:
    latency, values = result["latency_ms"], result["plots"]["latency_ms"]
    text = (
        f"Single decisions from a record to an answer with reasons, one thread: p50 {latency['p50']:.3g} ms, p99 "
        f"{latency['p99']:.3g} ms"
    )
    text += f", {plain(round(latency['per_s']))} a second" if latency.get("per_s") else ""
    if not values:
        return [html.paragraph(f"{text}.")]
    drawn = html.figure(
        plots.latency(values, latency["p50"], latency["p99"]), f"{text}; n = {plain(latency.get('n', len(values)))}."
    )
    return [f'<div class="narrow">{drawn}</div>']


def _protocol(result: Record) -> str:
    content = []
    if result.get("parts"):
        uses = {
            "train": "features and models",
            "calibrate": "the probability curve",
            "certify": "the certificates",
            "test": "every figure above",
        }
        rows = [
            [name, uses.get(name, ""), plain(part["dialogues"]), plain(part["decisions"])]
            for name, part in result["parts"].items()
        ]
        content.append(html.table(["part", "used for", "dialogues", "decisions"], rows, numbers=(2, 3)))
    if result.get("seconds"):
        rows = [[name, f"{seconds:.1f}"] for name, seconds in result["seconds"].items()]
        content.append(html.table(("stage", "seconds"), rows, numbers=(1,), narrow=True))
    return html.section("How it was made", *content) if content else ""


def _judged(error: float | None, limit: float) -> str:
    if error is None:
        return "nothing automated"
    if error <= limit:
        return f"<span class='good'>{_share(error)} ✓</span>"
    return f"<span class='bad'>{_share(error)} ✗ above {percent(limit)}</span>"


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:.2f}\u202f%"


def _count(number: int, noun: str) -> str:
    return f"{plain(number)} {noun}" + ("" if number == 1 else "s")
