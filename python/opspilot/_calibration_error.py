"""How far stated probabilities are from what happens: measures with intervals, and reliability diagrams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._describe import Described

Method = Literal["debiased", "smooth", "corp", "binned"]


class CalibrationMeasure(float, Described):
    """The measure itself, as a number, with its bootstrap interval ``low`` to ``high`` at ``confidence``.

    ``calibrated_high``: what a perfectly calibrated model with the same probabilities and as many rows stays below with
    probability ``confidence``. A measure below it is no evidence of an error.
    """

    method: str
    low: float
    high: float
    calibrated_high: float
    confidence: float
    n: int
    bins: int

    def __new__(cls, method: str, facts: Mapping[str, Any]) -> Self:
        made = super().__new__(cls, facts["value"])
        made.method = method
        for key in ("low", "high", "calibrated_high", "confidence", "n", "bins"):
            setattr(made, key, facts[key])
        return made

    def _description(self) -> dict[str, Any]:
        about: dict[str, Any] = {"kind": f"calibration error, {self.method}", "value": float(self)}
        about |= {key: getattr(self, key) for key in ("low", "high", "confidence", "calibrated_high", "n")}
        return about | ({"bins": self.bins} if self.bins else {})

    def __reduce__(self) -> tuple[object, ...]:
        facts = {key: getattr(self, key) for key in ("low", "high", "calibrated_high", "confidence", "n", "bins")}
        return (CalibrationMeasure, (self.method, {"value": float(self), **facts}))

    __repr__ = Described.__repr__


def calibration_error(
    p: npt.ArrayLike,
    label: npt.ArrayLike,
    method: Method = "debiased",
    *,
    bins: int | None = None,
    confidence: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> CalibrationMeasure:
    """A float with ``.low`` and ``.high``.

    "debiased": root of the squared error over 15 bins of equal mass less what chance adds to it (Kumar, Liang, Ma 2019);
    "smooth": smECE, residuals smoothed as widely as they are large (Blasiok, Nakkiran 2023); "corp": MCB, what recalibration
    would take off the Brier score (Dimitriadis, Gneiting, Jordan 2021); "binned": the plain ECE, which is biased up.

    ``bins`` None: 15, or one per distinct probability where those are few. The same seed gives the same interval. Raises
    ``CalibrationError``; ``UsageError`` for another method.
    """
    facts = _core.measure_calibration(p, label, method, bins or 0, confidence, resamples, seed)
    return CalibrationMeasure(method, facts)


@dataclass(frozen=True)
class ScoreDecomposition(Described):
    """Brier score = miscalibration - discrimination + uncertainty, exactly and without bins (Murphy 1973; CORP)."""

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float

    def _description(self) -> dict[str, Any]:
        parts = {key: getattr(self, key) for key in ("score", "miscalibration", "discrimination", "uncertainty")}
        return {"kind": "Brier score", **parts}


def decompose(p: npt.ArrayLike, label: npt.ArrayLike) -> ScoreDecomposition:
    """Raises ``CalibrationError``."""
    return ScoreDecomposition(**_core.decompose_score(p, label))


@dataclass(frozen=True)
class Reliability(Described):
    """A reliability diagram: bins of equal mass, and the isotonic steps through the labels (CORP). Entries of both: ``low``,
    ``high``, ``mean_probability``, ``accuracy`` (the share of label 1) and ``n``."""

    bins: list[dict[str, Any]]
    curve: list[dict[str, Any]]
    error: CalibrationMeasure
    parts: ScoreDecomposition

    def svg(self) -> str:
        """The drawing; its colours come from the style sheet of a page."""
        from opspilot.report import plots

        return plots.reliability(self.bins, self.curve)

    def html(self) -> str:
        """A page of its own, without scripts and without network."""
        from opspilot.report import page

        facts = [
            (
                "calibration error",
                f"{float(self.error):.4f} ({self.error.low:.4f} to {self.error.high:.4f}), {self.error.method}",
            ),
            (f"a calibrated model, {self.error.confidence:g}", f"below {self.error.calibrated_high:.4f}"),
            ("Brier score", f"{self.parts.score:.4f}"),
            ("miscalibration", f"{self.parts.miscalibration:.4f}"),
            ("discrimination", f"{self.parts.discrimination:.4f}"),
            ("uncertainty", f"{self.parts.uncertainty:.4f}"),
            ("labels", f"{self.error.n}"),
        ]
        caption = "Points: bins of equal mass, 95 % intervals (Wilson). Steps: isotonic regression. Dashed: calibrated."
        body = page.section("Reliability", page.facts(facts), page.figure(self.svg(), caption))
        return page.document("Reliability diagram", body)

    def save(self, path: str | Path) -> Path:
        """Writes the page; returns its path."""
        target = Path(path)
        target.write_text(self.html(), encoding="utf-8")
        return target

    def _description(self) -> dict[str, Any]:
        return {
            "kind": "reliability diagram",
            "calibration_error": float(self.error),
            "n": self.error.n,
            "bins": self.bins,
            "curve": self.curve,
        }

    def _repr_html_(self) -> str:
        style = 'title="Reliability diagram" style="width:100%;height:720px;border:0"'
        return f'<iframe srcdoc="{escape(self.html())}" {style}></iframe>'


def reliability(p: npt.ArrayLike, label: npt.ArrayLike, *, bins: int | None = None) -> Reliability:
    """What a diagram shows, and the measures beside it. ``bins`` as in ``calibration_error``. Raises ``CalibrationError``."""
    p, label = np.asarray(p, np.float64), np.asarray(label, np.float64)
    made = _core.reliability_diagram(p, label, bins or 0)
    return Reliability(made["bins"], made["curve"], calibration_error(p, label, bins=bins), decompose(p, label))
