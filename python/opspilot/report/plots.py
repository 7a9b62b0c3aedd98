"""The drawings of the demo's page, from the ``plots`` of its result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from opspilot._svg import Plot, Scale, histogram, nice_ticks, percent, plain
from opspilot.report.page import VERDICTS

Record = Mapping[str, Any]


def reliability(bins: Sequence[Record], steps: Sequence[Record] = ()) -> str:
    """Stated probability against the share that was right, with how many decisions each bin holds.

    ``steps``: the isotonic fit to the same decisions, drawn instead of a line from bin to bin."""
    plot = Plot("Reliability diagram: stated probability against the share that was right", height=400, bottom=116)
    x, y = plot.x_scale(0, 1), plot.y_scale(0, 1)
    plot.y_axis(y, "share that was right", percent)
    base = plot.height - plot.bottom
    plot.line([(x(0), y(0)), (x(1), y(1))], "ideal")
    below = Scale(0, max(entry["n"] for entry in bins), base + 92, base + 56)
    for entry in bins:
        least, most = wilson(entry["accuracy"], entry["n"])
        at, middle = x(entry["mean_probability"]), x((entry["low"] + entry["high"]) / 2)
        hint = f"stated {percent(entry['mean_probability'])}, right {percent(entry['accuracy'])}, n = {plain(entry['n'])}"
        plot.line([(at, y(least)), (at, y(most))], "axis")
        left, right = x(entry["low"]) + 1, max(x(entry["high"]) - 1, x(entry["low"]) + 3)
        plot.rect(left, below(entry["n"]), right - left, base + 92 - below(entry["n"]), "bar", hint)
        plot.text(middle, below(entry["n"]) - 4, plain(entry["n"]), "count", "middle")
    points = [(x(entry["mean_probability"]), y(entry["accuracy"])) for entry in bins]
    if steps:
        points_of_steps = [(x(step[end]), y(step["accuracy"])) for step in steps for end in ("low", "high")]
        plot.line(points_of_steps, "curve")
    else:
        plot.line(points, "curve")
    for entry, (at, height) in zip(bins, points, strict=True):
        plot.circle(
            at,
            height,
            4.5,
            "point",
            f"stated {percent(entry['mean_probability'])}, right {percent(entry['accuracy'])}, n = {plain(entry['n'])}",
        )
    plot.x_axis(x, "", percent)
    plot.text((x(0) + x(1)) / 2, base + 34, "stated probability; below: decisions per bin", "label", "middle")
    return plot.svg()


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), sound for few rows and for shares near 0 and 1."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(max(0.0, share * (1 - share)) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


def risk_coverage(curve: Record, automation: Record) -> str:
    """Error among the decisions above a line against their share, with the lines that were certified and those that were not."""
    levels = [automation[key] for key in ("at_5", "at_10")]
    coverage, risk = curve["coverage"], curve["risk"]
    marked = [level.get("naive_test_error") or 0.0 for level in levels] + [level.get("test_error") or 0.0 for level in levels]
    highest = nice_ticks(0, max(0.2, 1.5 * max(marked)))[-1]
    plot = Plot("Risk against coverage on the test decisions", height=400, bottom=50, right=50)
    x, y = plot.x_scale(0, 1), plot.y_scale(0, highest)
    plot.y_axis(y, "error among them", percent)
    for level in levels:
        limit = y(level["max_risk"])
        plot.line([(plot.left, limit), (plot.width - plot.right, limit)], "limit")
        plot.text(plot.width - plot.right + 5, limit + 4, f"≤ {percent(level['max_risk'])}", "tick")
    shown = [(x(c), y(r)) for c, r in zip(coverage, risk, strict=True) if r <= highest]
    if shown:
        plot.line(shown, "curve")
    for level in levels:
        asked = percent(level["max_risk"])
        row_wise = level.get("naive_rowwise") or {}
        if row_wise.get("test_error") is not None:
            hint = f"row-wise {asked}: share {percent(row_wise['share'])}, error {percent(row_wise['test_error'])}"
            plot.square(x(row_wise["share"]), y(row_wise["test_error"]), 5, "rowwise", hint)
        if level["naive_test_error"] is not None:
            hint = f"naive {asked}: share {percent(level['naive_share'])}, error {percent(level['naive_test_error'])}"
            plot.diamond(x(level["naive_share"]), y(level["naive_test_error"]), 7, "naively", hint)
        if level["test_error"] is not None:
            hint = f"certified {asked}: share {percent(level['share'])}, error {percent(level['test_error'])}"
            plot.circle(x(level["share"]), y(level["test_error"]), 6.5, "certified", hint)
            plot.text(x(level["share"]) + 8, y(level["test_error"]) + 18, f"certified {asked}")
        else:
            plot.circle(x(0), y(0), 6.5, "certified", f"certified {asked}: nothing is automated")
    plot.x_axis(x, "share of decisions automated", percent)
    return plot.svg()


def verdicts_by_task(counts: Mapping[str, Mapping[str, int]]) -> str:
    """One bar per task, parted by verdict; most automated first."""

    def automated(task: str) -> tuple[float, float]:
        total = sum(counts[task].values()) or 1
        return (-counts[task].get("auto_execute", 0) / total, -counts[task].get("require_approval", 0) / total)

    tasks = sorted((task for task in counts if sum(counts[task].values())), key=lambda task: (*automated(task), task))
    row, top = 22, 8
    left = min(260, 24 + round(7.1 * max((len(task) for task in tasks), default=4)))
    plot = Plot("Verdicts by task", width=1080, height=top + row * len(tasks) + 34, left=left, right=70, top=top, bottom=34)
    x = plot.x_scale(0, 1)
    for i, task in enumerate(tasks):
        total, y, done = sum(counts[task].values()), top + row * i, 0.0
        plot.text(left - 8, y + 14.5, task, "note", "end")
        for verdict in VERDICTS:
            share = counts[task].get(verdict, 0) / total
            if share > 0:
                plot.rect(
                    x(done),
                    y + 2,
                    x(done + share) - x(done),
                    row - 5,
                    verdict,
                    _hint(task, verdict, counts[task][verdict], total),
                )
                done += share
        plot.text(plot.width - plot.right + 8, y + 14.5, plain(total), "count")
    plot.x_axis(x, "", percent, about=10)
    return plot.svg()


def _hint(task: str, verdict: str, count: int, total: int) -> str:
    return f"{task}: {verdict} {percent(count / total)} ({count} of {total})"


def latency(values: Sequence[float], p50: float, p99: float) -> str:
    """How long single decisions took; the longest few share the last bar."""
    ordered = sorted(values)
    most = nice_ticks(0, max(p99 * 1.35, ordered[min(len(ordered) - 1, int(0.995 * len(ordered)))]) or 1.0, 8)[-1]
    bins = 60
    counts = histogram(values, 0, most, bins)
    beyond = sum(value > most for value in values)
    plot = Plot(f"Latency of single decisions: p50 {p50:.3g} ms, p99 {p99:.3g} ms", height=300, top=28)
    x, y = plot.x_scale(0, most), plot.y_scale(0, max(counts) * 1.08)
    plot.y_axis(y, "decisions", plain, 4)
    for i, count in enumerate(counts):
        low, high = i * most / bins, (i + 1) * most / bins
        if count:
            plot.rect(
                x(low) + 0.5, y(count), x(high) - x(low) - 1, y(0) - y(count), "bar", f"{low:.3g} to {high:.3g} ms: {count}"
            )
    for name, value in (("p50", p50), ("p99", p99)):
        plot.line([(x(value), plot.top - 6), (x(value), y(0))], "ideal")
        plot.text(x(value) + 4, plot.top + 4, f"{name} {value:.3g} ms", "note")
    if beyond:
        plot.text(
            plot.width - plot.right, plot.top - 12, f"{beyond} of {len(values)} took longer than {most:g} ms", "count", "end"
        )
    plot.x_axis(x, "milliseconds", lambda value: f"{value:g}", about=8)
    return plot.svg()


def rule_changes(rules: Sequence[Record]) -> str:
    """Bars: how many verdicts would be others without each rule."""
    row, top = 24, 6
    left = min(250, 20 + round(7.1 * max(len(rule["id"]) for rule in rules)))
    plot = Plot("Verdicts changed by each policy rule", height=top + row * len(rules) + 46, left=left, right=58, top=top)
    most = max(1, *(rule["verdict_changes"] for rule in rules))
    x = plot.x_scale(0, nice_ticks(0, most)[-1])
    for i, rule in enumerate(rules):
        y = top + row * i
        plot.text(left - 8, y + 16, rule["id"], "note", "end")
        plot.rect(x(0), y + 4, x(rule["verdict_changes"]) - x(0), row - 8, "bar", f"{rule['id']}: {rule['verdict_changes']}")
        plot.text(x(rule["verdict_changes"]) + 5, y + 16, plain(rule["verdict_changes"]), "note")
    plot.x_axis(x, "test decisions with another verdict because of the rule", plain, grid=True)
    return plot.svg()
