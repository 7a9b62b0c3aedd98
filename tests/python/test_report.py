"""Reports: what the page says, that it stands alone, and that its drawings are where the numbers are."""

from __future__ import annotations

import copy
import html.parser
import importlib.util
import itertools
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import opspilot as op
from opspilot import _svg
from opspilot.report import plots


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_made_up = _load("_made_up")


@pytest.fixture
def result() -> dict[str, Any]:
    made: dict[str, Any] = _made_up.demo_result()
    return made


class _Page(html.parser.HTMLParser):
    """Checks that tags nest, and collects texts, tags and addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]
        if tag not in {"meta", "br", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_page_stands_alone(result: dict[str, Any]) -> None:
    page = op.report.build("demo", result).html
    parsed = _Page(page)
    assert parsed.addresses == []
    assert not {"script", "link", "img", "iframe", "object"} & set(parsed.tags)
    assert parsed.tags.count("svg") >= 5
    style = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in style and "url(" not in style
    assert "prefers-color-scheme: dark" in style or "prefers-color-scheme:dark" in style
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in page


def test_every_drawing_is_well_formed_xml(result: dict[str, Any]) -> None:
    page = op.report.build("demo", result).html
    drawings = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    named = [drawing for drawing in drawings if "aria-label" in drawing]
    assert len(named) == 5
    for drawing in drawings:
        ElementTree.fromstring(drawing)


def test_figures_stand_on_the_page(result: dict[str, Any]) -> None:
    text = " ".join("".join(_Page(op.report.build("demo", result).html).texts).split()).replace("\u202f", " ")
    for figure in ("77.61 %", "93.93 %", "13 131", "68.50 %", "96.71 %", "86.22 %", "37.10 %", "9.78 %", "7.31 %", "47.80 %"):
        assert figure in text, figure
    for figure in ("99.00 %", "as offered3.12 %", "intent69.31 %", "trees78.11 %", "final order78.39 %", "0.8639"):
        assert figure in text, figure
    assert "n = 895" in text and "one seeded decision per dialogue" in text and "22 errors" in text
    assert "Not covered: other operators" in text
    assert "A bank fraud report always goes to a person." in text


def test_the_naive_threshold_is_warned_of(result: dict[str, Any]) -> None:
    page = op.report.build("demo", result).html
    assert page.count("not certified") >= 2 and "guarantees nothing" in page
    assert "10.41\u202f% ✗ above 10\u202f%" in page  # the naive error of the table
    kept = copy.deepcopy(result)
    for level in ("at_5", "at_10"):
        kept["automation"][level]["naive_test_error"] = 0.01
    page = op.report.build("demo", kept).html
    assert "✗" not in page and "which it did not promise" in page


def test_without_a_certificate_zero_is_said_and_nothing_drawn_as_automated(result: dict[str, Any]) -> None:
    page = op.report.build("demo", result).html
    assert "evidence does not suffice" in page and "zero is the honest answer" in page
    sure: dict[str, Any] = _made_up.demo_result(sufficient_at_5=True)
    assert "honest answer" not in op.report.build("demo", sure).html


def test_optional_parts_may_be_absent(result: dict[str, Any]) -> None:
    for key in ("licence", "parts", "slate", "stages", "rules", "policy_changes", "seconds"):
        del result[key]
    for level in ("at_5", "at_10"):
        del result["automation"][level]["naive_rowwise"]
    result["plots"]["latency_ms"] = []
    result["plots"]["reliability"] = []
    result["plots"]["risk_coverage"] = {"coverage": [], "risk": []}
    page = op.report.build("demo", result).html
    assert "Slate" not in page and "row by row" not in page
    _Page(page)


def test_truth_of_a_simulation_is_shown(result: dict[str, Any]) -> None:
    result["truth"] = {"text": "known", "rows": [{"name": "true error <after>", "at_5": None, "at_10": 0.123, "n": 77}]}
    page = op.report.build("demo", result).html
    assert "12.30\u202f%" in page and "true error &lt;after&gt;" in page


def test_texts_of_the_result_cannot_become_markup(result: dict[str, Any]) -> None:
    nasty = "</style><script>alert(1)</script>\"'&"
    result["source"] = nasty
    result["rules"][0] |= {"id": nasty, "because": nasty}
    result["automation"]["unit"] = nasty
    result["automation"]["not_covered"] = nasty
    result["next_action"]["reference"] = [{"name": nasty, "top1": 0.1}]
    result["plots"]["verdicts_by_task"][nasty] = {"suggest": 3}
    page = op.report.build("demo", result).html
    assert "<script" not in page
    assert "script" not in _Page(page).tags


def test_what_is_missing_is_named(result: dict[str, Any]) -> None:
    del result["automation"]
    with pytest.raises(op.UsageError, match="automation") as caught:
        op.report.build("demo", result)
    assert caught.value.code == "usage.report_result"
    with pytest.raises(op.UsageError, match="demos") as caught:
        op.report.build("demos", result)
    assert "demo" in caught.value.hint


def test_a_report_is_saved_and_shown_in_notebooks(result: dict[str, Any], tmp_path: Path) -> None:
    report = op.report.build("demo", json.loads(json.dumps(result)))
    assert report.save(tmp_path / "r.html").read_text(encoding="utf-8") == report.html
    frame = _Page(report._repr_html_())
    assert frame.tags == ["iframe"]
    assert "STAR operator logs" in repr(report)


def test_verdict_bars_fill_their_row_and_only_that() -> None:
    counts = {"a": {"auto_execute": 1, "suggest": 3}, "empty": {}, "b": {"escalate": 5}}
    drawing = ElementTree.fromstring(plots.verdicts_by_task(counts))
    bars: dict[str, list[tuple[float, float, str]]] = {}
    for rect in drawing.iter("{http://www.w3.org/2000/svg}rect"):
        bars.setdefault(rect.attrib["y"], []).append((float(rect.attrib["x"]), float(rect.attrib["width"]), rect.attrib["class"]))
    assert len(bars) == 2
    first, second = (sorted(bars[y]) for y in sorted(bars, key=float))
    assert [css for _, _, css in first] == ["auto_execute", "suggest"]
    assert first[1][1] == pytest.approx(3 * first[0][1], abs=0.05)
    assert first[0][0] + first[0][1] == pytest.approx(first[1][0], abs=0.02)
    assert second[0][1] == pytest.approx(first[0][1] + first[1][1], abs=0.05)


def test_points_lie_at_share_and_error(result: dict[str, Any]) -> None:
    drawing = ElementTree.fromstring(plots.risk_coverage(result["plots"]["risk_coverage"], result["automation"]))
    circles = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in drawing.iter("{http://www.w3.org/2000/svg}circle")]
    plot = _svg.Plot("", height=400, bottom=50, right=50)
    x, y = plot.x_scale(0, 1), plot.y_scale(0, 0.2)
    assert circles == [
        pytest.approx((x(0), y(0)), abs=0.01),  # nothing is automated at 5 %
        pytest.approx((x(0.371), y(0.0731)), abs=0.01),
    ]


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9), st.integers(1, 12))
def test_ticks_are_round_ascend_and_cover(low: float, span: float, about: int) -> None:
    assume(span > 1e-6 * abs(low))  # closer values have no round numbers between them
    high = low + span
    ticks = _svg.nice_ticks(low, high, about)
    assert ticks[0] <= low + 1e-6 * span and ticks[-1] >= high - 1e-6 * span
    assert len(ticks) <= about + 3
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    assert all(step > 0 for step in steps)
    power = 10 ** math.floor(math.log10(steps[0]) + 1e-6)
    if abs(low) < 1e4 * span:
        assert min(abs(steps[0] / power - factor) for factor in (1, 2, 5, 10)) < 1e-3


def test_ticks_refuse_what_has_no_length() -> None:
    assert _svg.nice_ticks(2.0, 2.0) == [2.0]
    assert _svg.nice_ticks(0.0, 0.2, 4) == [0.0, 0.05, 0.1, 0.15, 0.2]
    for low, high in ((1.0, 0.0), (math.nan, 1.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="ticks"):
            _svg.nice_ticks(low, high)


def test_scales_stay_within_the_drawing() -> None:
    scale = _svg.Scale(0, 10, 100, 0)
    assert [scale(v) for v in (0, 5, 10, -3, 99)] == [100, 50, 0, 100, 0]
    assert _svg.Scale(3, 3, 0, 10)(3) == 5
    assert _svg.Scale(0.04, 1.0, 0, 1).ticks(5) == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_a_drawing_refuses_coordinates_that_are_no_numbers() -> None:
    with pytest.raises(ValueError, match="nan"):
        _svg.Plot("").circle(math.nan, 0, 1, "point")


def test_intervals_of_shares_against_scipy() -> None:
    # scipy.stats.binomtest(3, 10).proportion_ci(method="wilson"), and (0, 5)
    assert plots.wilson(0.3, 10, 1.959963984540054) == pytest.approx((0.10779126740630104, 0.6032218525388546))
    assert plots.wilson(0.0, 5, 1.959963984540054) == pytest.approx((0.0, 0.43448246478317476), abs=1e-12)


def test_histograms_lose_nothing() -> None:
    assert _svg.histogram([-5, 0, 0.99, 1, 9.99, 10, 50], 0, 10, 10) == [3, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    with pytest.raises(ValueError, match="bins"):
        _svg.histogram([1], 1, 1, 3)


def test_numbers_are_written_for_people() -> None:
    assert _svg.percent(0.05) == "5\u202f%" and _svg.percent(0.1234) == "12.3\u202f%" and _svg.percent(1.0) == "100\u202f%"
    assert _svg.plain(14748) == "14\u202f748" and _svg.plain(0.25) == "0.25"
