"""Populations with a known risk above every line, and the rivals that certificates_simulation.py sets beside opspilot."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Floats = npt.NDArray[np.float64]
Random = np.random.Generator


@dataclass(frozen=True)
class World:
    """Scores are beliefs: the model says that an item is right with probability ``score``; it errs with ``error_rate(score)``."""

    name: str
    draw: Callable[[Random, int], Floats]
    error_rate: Callable[[Floats], Floats]
    share_above: Callable[[float], float]  # P(score > line)
    risk_above: Callable[[float], float]  # P(error | score > line)

    def sample(self, random: Random, n: int) -> tuple[Floats, Floats]:
        score = self.draw(random, n)
        return score, (random.random(n) < self.error_rate(score)).astype(np.float64)

    def ideal(self, alpha: float) -> float:
        """The share that a line drawn with the truth would automate, for a risk that rises as the line falls."""
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if self.risk_above(middle) <= alpha else (middle, high)
        return self.share_above(high)


def calibrated(name: str, a: float, b: float) -> World:
    """Confidence ~ Beta(a, b), errors ~ Bernoulli(1 - confidence)."""

    def risk_above(line: float) -> float:
        above = special.betainc(b, a, 1.0 - line)
        return 1.0 - a / (a + b) * special.betainc(b, a + 1, 1.0 - line) / above if above > 0 else 0.0

    return World(
        name,
        lambda random, n: random.beta(a, b, n),
        lambda score: 1.0 - score,
        lambda line: float(special.betainc(b, a, 1.0 - line)),
        lambda line: float(risk_above(line)),
    )


def numeric(name: str, quantile: Callable[[Floats], Floats], error_rate: Callable[[Floats], Floats]) -> World:
    """A population of 100,000 points, from which is drawn: exact whatever its shape, ties included."""
    points = quantile((np.arange(100_000) + 0.5) / 100_000)
    best_first = np.sort(points)[::-1]
    cumulated = np.concatenate([[0.0], np.cumsum(error_rate(best_first))])

    def above(line: float) -> int:
        return int(np.searchsorted(-best_first, -line, side="left"))

    return World(
        name,
        lambda random, n: random.choice(points, n),
        error_rate,
        lambda line: above(line) / len(points),
        lambda line: float(cumulated[above(line)] / above(line)) if above(line) else 0.0,
    )


A = calibrated("A", 6, 0.6)
B = calibrated("B", 4, 0.25)
OVERCONFIDENT = numeric("overconfident", lambda u: stats.beta.ppf(u, 4, 0.25), lambda s: np.maximum(0.0, 1 - s) ** 0.85)
STEPS = numeric("steps", lambda u: u, lambda s: np.select([s > 0.8, s > 0.5], [0.004, 0.03], 0.3))
TIES = numeric("ties", lambda u: (np.floor(np.minimum(stats.beta.ppf(u, 4, 0.25), 0.999999) * 200) + 0.5) / 200, lambda s: 1 - s)
WORST_TIES = numeric(
    "20 scores", lambda u: (np.floor(np.minimum(stats.beta.ppf(u, 4, 0.25), 0.999999) * 20) + 0.5) / 20, lambda s: 1 - s
)


def sgr(score: Floats, error: Floats, alpha: float, delta: float = 0.05) -> float | None:
    """Selection with guaranteed risk (Geifman, El-Yaniv 2017), from the paper: binary search over ranks, the exact bound at
    delta / ceil(log2 n) per probe. Keeps the last probe that passed, which the published code does not. Automate iff
    score > the result."""
    order = np.argsort(-score, kind="stable")
    best_first, errors = score[order], np.cumsum(error[order]).astype(int)
    n = len(score)
    share = delta / np.ceil(np.log2(n))
    low, high, kept = 0, n, None
    for _ in range(int(np.ceil(np.log2(n)))):
        count = (low + high + 1) // 2  # accept the best `count`
        wrong = errors[count - 1]
        bound = 1.0 if wrong >= count else float(stats.beta.isf(share, wrong + 1, count - wrong))
        if bound <= alpha:
            low, kept = count, count
        else:
            high = count - 1
        if low >= high:
            break
    if kept is None:
        return None
    return float(best_first[kept]) if kept < n else -np.inf


def mapie(score: Floats, error: Floats, alpha: float, method: str, delta: float = 0.05) -> float | None:
    """MAPIE's controller of precision with its default grid of 100 thresholds up to 0.99."""
    from mapie.risk_control import BinaryClassificationController

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        controller: Any = BinaryClassificationController(
            lambda x: np.column_stack([1 - x, x]),
            risk="precision",
            target_level=1 - alpha,
            confidence_level=1 - delta,
            fwer_method=method,
        )
        controller.calibrate(score, 1 - error.astype(int))
    valid = np.ravel(controller.valid_predict_params)
    return float(np.nextafter(valid.min(), -1.0)) if len(valid) else None


def hoeffding(score: Floats, error: Floats, alpha: float, delta: float = 0.05, grid: int = 200) -> float | None:
    """Learn then test with Hoeffding's p-values and Bonferroni over a grid of coverages."""
    order = np.argsort(-score, kind="stable")
    best_first, errors = score[order], np.cumsum(error[order])
    n = len(score)
    kept = None
    for step in range(1, grid + 1):
        count = max(1, n * step // grid)
        rate = errors[count - 1] / count
        if rate < alpha and np.exp(-2 * count * (alpha - rate) ** 2) <= delta / grid:
            kept = count
    return None if kept is None else (float(best_first[kept]) if kept < n else -np.inf)
