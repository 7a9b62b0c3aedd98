"""Reports: one HTML file each, with inline drawings and styles, without scripts and without network.

    op.report.build("demo", result, bundle).save("report.html")

``"policy-diff"`` shows what ``opspilot.policy.diff`` found, ``"launch"`` what ``opspilot.evaluate.launch.judge`` did (their
``to_dict()``), ``"calibration"`` what ``opspilot calibrate --json`` prints.

What a demo's ``result`` holds (plain JSON values; keys with ? may be absent and leave their part of the page out; numbers
that do not exist are None):

    source: str, simulated: bool, licence?: str, seconds?: {stage: seconds}
    parts?: {train | calibrate | certify | test: {dialogues, decisions}}
    next_action: {n, top1, top3, goal?: {top1, top3}, reference?: [{name, top1, top3?}]}
    slate?: {n, top1, top1_without_position?, logged_order?, goal?: {top1}}
    baseline: {name?, n, top1, top3?}
    automation: {n, confidence, unit, not_covered?, served?: "at_5" | "at_10", at_5: {…}, at_10: {…}} with
        max_risk, sufficient, share, risk_upper, test_error, automated, wrong, threshold,
        certificate: {n, automated, errors, needed?},
        naive_share, naive_test_error, naive_threshold?, naive_rowwise?: {n, automated, errors, risk_upper, share, test_error}
        (shares and errors are of the n test decisions; overrides count as errors)
    latency_ms: {p50, p99, mean?, n?, per_s?}
    verdicts?: {verdict: n}
    rules?: [{id, layer, effect, because, matched, verdict_changes}]   (verdict_changes: with the rule and without it)
    policy_changes?: {verdicts, top_action}
    truth?: {text?: str, rows: [{name, at_5, at_10, n}]}              (a simulation knows the true error)
    plots: {
        reliability: [{low, high, mean_probability, accuracy, n}], ece?: float,
        risk_coverage: {coverage: […], risk: […]},
        verdicts_by_task: {task: {verdict: n}},
        latency_ms: […]}
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opspilot.deciding import Bundle
from opspilot.errors import UsageError
from opspilot.report import calibration, demo, launch, policy_diff

__all__ = ["KINDS", "Report", "build"]

KINDS = ("demo", "policy-diff", "launch", "calibration")
_PAGES = {"policy-diff": policy_diff.page, "launch": launch.page, "calibration": calibration.page}


@dataclass(frozen=True, slots=True)
class Report:
    """A finished page."""

    title: str
    html: str

    def save(self, path: str | Path) -> Path:
        """Writes the page; returns its path."""
        target = Path(path)
        target.write_text(self.html, encoding="utf-8")
        return target

    def __repr__(self) -> str:
        return f"<opspilot report {self.title!r}, {len(self.html)} characters>"

    def _repr_html_(self) -> str:
        """In a notebook: framed, so that the page's styles stay its own."""
        frame = f'title="{html.escape(self.title)}" style="width:100%;height:720px;border:0"'
        return f'<iframe srcdoc="{html.escape(self.html)}" {frame}></iframe>'


def build(kind: str, result: Mapping[str, Any], bundle: Bundle | None = None) -> Report:
    """Makes a page of a result; with the bundle, its name and fingerprints head the page.

    Raises ``UsageError`` for a kind that does not exist and for a result without what the page must show.
    """
    if kind not in KINDS:
        raise UsageError(f"no report is called '{kind}'", code="usage.report", where="kind", hint=f"one of: {', '.join(KINDS)}")
    try:
        title, page = demo.page(result, bundle) if kind == "demo" else _PAGES[kind](result)
    except KeyError as missing:
        raise UsageError(
            f"the result holds no {missing}",
            code="usage.report_result",
            where="result",
            hint="see the documentation of opspilot.report",
        ) from missing
    return Report(title, page)
