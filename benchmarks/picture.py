"""A picture of a comparison: how many times faster than LightGBM, on a logarithmic scale. Plain SVG, light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from opspilot._svg import Plot

_STYLE = """<style>
svg { font: 13px system-ui, sans-serif; background: #fff }
text { fill: #24292f } .tick, .note, .value { font-size: 12px } .tick, .note { fill: #57606a }
.grid { stroke: #d0d7de } .axis { stroke: #8c959f } .ours { fill: #0969da } .rival { fill: #afb8c1 }
.curve-ours { stroke: #0969da; stroke-width: 2 } .curve-rival { stroke: #8c959f; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117 } text { fill: #e6edf3 } .tick, .note { fill: #8d96a0 }
  .grid { stroke: #30363d } .axis { stroke: #6e7681 } .ours { fill: #4493f8 } .rival { fill: #484f58 }
  .curve-ours { stroke: #4493f8 } .curve-rival { stroke: #6e7681 }
}
</style>"""
_ROW, _LEFT = 26, 250


def bars(facts: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    """One bar per system that scores the reference ranking or a model of its own as large, slowest first."""
    shown = _shown(entries, facts["engines"][0])
    if not shown:
        raise ValueError("nothing was measured beside LightGBM: the case 'ranking' is needed")
    plot = Plot(
        title="times faster than LightGBM on the reference ranking: "
        + ", ".join(f"{name} {ratio:.1f}" for name, ratio, _ in shown),
        width=760,
        height=_ROW * len(shown) + 96,
        left=_LEFT,
        right=60,
        top=34,
        bottom=56,
    )
    low, high = min(0.5, *(ratio for _, ratio, _ in shown)), max(ratio for _, ratio, _ in shown)
    scale = plot.x_scale(math.log10(low), math.log10(high * 1.1))
    base = plot.height - plot.bottom
    for tick in (t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= t <= high * 1.1):
        x = scale(math.log10(tick))
        plot.line([(x, plot.top), (x, base)], "axis" if tick == 1 else "grid")
        plot.text(x, base + 17, f"{tick:g} ×", "tick", "middle")
    one = scale(0)
    for i, (name, ratio, ours) in enumerate(shown):
        y, end = plot.top + _ROW * i + 4, scale(math.log10(ratio))
        plot.text(_LEFT - 8, y + 14, name, "label", "end")
        plot.rect(min(one, end), y, abs(end - one), _ROW - 8, "ours" if ours else "rival")
        plot.text(max(one, end) + 5, y + 14, f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}", "value")
    plot.text(8, 20, "2,000 candidates, 500 trees of 64 leaves, one thread: times faster than LightGBM", "label")
    load = facts["load_average"][0]
    plot.text(8, plot.height - 10, f"{facts['processor']}; smallest times; load average {load}. * a model of its own", "note")
    return _standing_alone(plot)


def lines(facts: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    """Microseconds a row by number of trees, one line per system."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for e in entries:
        if "min_ms" in e or "us" in e:
            curves.setdefault(e["system"], []).append((e["trees"], e.get("min_ms", e.get("us"))))
    title = "microseconds a row, one row a call, by number of trees"
    plot = Plot(title, width=760, height=360, left=60, right=240, top=34, bottom=78)
    values = [us for points in curves.values() for _, us in points]
    x = plot.x_scale(0, max(trees for points in curves.values() for trees, _ in points))
    low, high = math.log10(min(values) * 0.8), math.log10(max(values) * 1.2)
    y = plot.y_scale(low, high)
    for tick in (m * 10.0**p for p in range(-1, 5) for m in (1, 2, 5)):
        if low <= math.log10(tick) <= high:
            plot.line([(plot.left, y(math.log10(tick))), (plot.width - plot.right, y(math.log10(tick)))], "grid")
            plot.text(plot.left - 7, y(math.log10(tick)) + 4, f"{tick:g} µs", "tick", "end")
    plot.x_axis(x)
    plot.text((plot.left + plot.width - plot.right) / 2, plot.height - plot.bottom + 36, "trees of 64 leaves", "label", "middle")
    label = 0.0
    for name, points in sorted(curves.items(), key=lambda curve: -curve[1][-1][1]):  # from the top
        ends = [(x(trees), y(math.log10(us))) for trees, us in points]
        plot.line(ends, "curve-ours" if name.startswith("opspilot") else "curve-rival")
        label = max(label + 16, ends[-1][1] + 4)
        plot.text(ends[-1][0] + 6, label, name, "value")
    plot.text(8, 20, "One row a call, every call another row, one thread: microseconds a row", "label")
    plot.text(8, plot.height - 4, f"{facts['processor']}; smallest times; load average {facts['load_average'][0]}", "note")
    return _standing_alone(plot)


def _standing_alone(plot: Plot) -> str:
    return plot.svg().replace(">", f">{_STYLE}", 1) + "\n"


def _shown(entries: Sequence[Mapping[str, Any]], engine: str) -> list[tuple[str, float, bool]]:
    """Name, times faster than LightGBM in the same case, and whether it is ours: of our engines the best one, from float32."""
    best: dict[str, tuple[float, bool]] = {}
    lightgbm = {e["case"]: e["min_ms"] for e in entries if e["system"] == "LightGBM" and "min_ms" in e}
    for e in entries:
        own = "own model" in e["case"]
        if "min_ms" not in e or e["case"] not in lightgbm or not (own or e["case"].startswith("reference ranking")):
            continue
        if e["system"] == "LightGBM" and own:
            continue
        if e["system"].startswith("opspilot") and (engine not in e["system"] or "float64" in e["system"]):
            continue
        name = e["system"] + (f" on {e['case'].split(chr(39))[0]}'s model" if own and e["system"].startswith("opspilot") else "")
        best[name + (" *" if own else "")] = (lightgbm[e["case"]] / e["min_ms"], e["system"].startswith("opspilot"))
    return sorted(((name, *rest) for name, rest in best.items()), key=lambda entry: entry[1])
