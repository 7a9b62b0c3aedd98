"""What scipy, mpmath, MAPIE and confseq say about certificates, for regenerate_fixtures.py.

confseq 0.0.11 does not build everywhere; its `betting` module is pure Python, and a checkout on PYTHONPATH does.
"""

from __future__ import annotations

import importlib
import math
import warnings
from typing import Any

import numpy as np

Entry = dict[str, Any]


def library(name: str) -> Any:
    """What is imported only when a fixture is made, and not everywhere installed."""
    return importlib.import_module(name)


def rate_evidence() -> list[list[Any]]:
    """ln E of the cut beta mixture by mpmath's incomplete beta function: [bad, total, limit, a, b, side, ln E]."""
    mp = library("mpmath")

    def evidence(bad: int, total: int, limit: float, a: float, b: float, side: str) -> float:
        # The small one of the two tails is a difference of near numbers: as many digits more as it has zeros.
        rate = bad / total if total else limit
        distance = sum(p * math.log(p / q) for p, q in ((rate, limit), (1 - rate, 1 - limit)) if p > 0)
        mp.mp.dps = 80 + math.ceil(1.1 * total * distance / math.log(10))
        x, good = mp.mpf(limit), total - bad

        def integral(p: Any, q: Any) -> Any:
            return mp.betainc(p, q, x, 1) if side == "above" else mp.betainc(p, q, 0, x)

        a, b = mp.mpf(a), mp.mpf(b)
        ratio = mp.log(integral(a + bad, b + good)) - mp.log(integral(a, b))
        return float(ratio - bad * mp.log(x) - good * mp.log1p(-x))

    rows = []
    for limit, a, b in [(0.02, 3.92, 192.08), (0.05, 3.8, 72.2), (0.2, 3.2, 12.8), (0.01, 0.99 * 4, 99 * 3.96), (0.5, 2.0, 2.0)]:
        for total in (0, 10, 400, 5000):
            for share in sorted({0.0, limit / 3, limit, 1.5 * limit, 3 * limit, 1.0}):
                bad = min(total, round(share * total))
                if share == 1.0 and total > 10:
                    continue
                for side in ("above", "below"):
                    rows.append([bad, total, limit, a, b, side, evidence(bad, total, limit, a, b, side)])
    rows.append([15, 400, 0.02, 3.92, 192.08, "above", evidence(15, 400, 0.02, 3.92, 192.08, "above")])
    return rows


def betting() -> list[Entry]:
    """ln of the largest capital of confseq's betting martingale, with bets of the predictable mixture, one-sided."""
    betting_mart = library("confseq.betting").betting_mart
    lambda_predmix_eb = library("confseq.betting_strategies").lambda_predmix_eb

    random = np.random.default_rng(20261126)
    out: list[Entry] = []
    for name, x in [
        ("0/1", (random.random(300) < 0.03).astype(float)),
        ("graded", random.choice([0.0, 0.1, 0.4, 1.0], 200, p=[0.8, 0.1, 0.05, 0.05])),
        ("beta", random.beta(0.3, 4, 250)),
        ("zeros", np.zeros(80)),
        ("ones", np.ones(20)),
        ("one", np.array([0.25])),
    ]:
        x = np.round(x, 6)
        cases = []
        for mean in (0.01, 0.05, 0.1, 0.5, 0.9):
            for delta in (0.05, 0.01):
                bets = lambda v, m, delta=delta: lambda_predmix_eb(v, alpha=delta, fixed_n=len(v))  # noqa: E731
                with np.errstate(all="ignore"):
                    capital = betting_mart(x, mean, lambdas_fn_negative=bets, theta=0, trunc_scale=1, m_trunc=False)
                cases.append([mean, delta, float(np.log(max(1.0, np.max(capital))))])
        out.append({"name": name, "loss": x.tolist(), "cases": cases})
    return out


def grids() -> list[Entry]:
    """Thresholds that MAPIE's fixed sequence finds valid for a precision, on a grid that is shared. MAPIE accepts score >=
    threshold, and rounds some error counts up (its p-values are then conservative): a valid one is valid here."""
    BinaryClassificationController = library("mapie.risk_control").BinaryClassificationController

    out: list[Entry] = []
    for seed, (a, b), n, alpha, delta in [
        (1, (4, 0.25), 800, 0.05, 0.05),
        (2, (4, 0.25), 800, 0.02, 0.1),
        (3, (6, 0.6), 1500, 0.05, 0.05),
        (4, (6, 0.6), 300, 0.1, 0.2),
        (5, (6, 0.6), 200, 0.01, 0.05),
    ]:
        random = np.random.default_rng(seed)
        score = np.round(random.beta(a, b, n), 4)
        error = (random.random(n) > score).astype(int)
        grid = np.round(np.arange(20, 100)[::-1] / 100, 2) + 0.00005  # between the scores: > and >= are one
        fewest = int(np.ceil(np.log(delta) / np.log1p(-alpha)))
        grid = grid[grid < np.sort(score)[-min(fewest, n)]] if fewest < n else grid[-5:]  # so that the first can pass
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            controller = BinaryClassificationController(
                lambda x: np.column_stack([1 - x, x]),
                risk="precision",
                target_level=1 - alpha,
                confidence_level=1 - delta,
                list_predict_params=grid,
                fwer_method="fixed_sequence",
            )
            controller.calibrate(score, 1 - error)
        valid = sorted(np.ravel(controller.valid_predict_params).tolist(), reverse=True)
        out.append(
            {
                "score": score.tolist(),
                "error": error.tolist(),
                "grid": grid.tolist(),
                "alpha": alpha,
                "delta": delta,
                "valid": valid,
            }
        )
    return out


def selections() -> list[Entry]:
    """Benjamini-Hochberg by scipy on conformal p-values."""
    from scipy import stats

    out: list[Entry] = []
    for seed in range(6):
        random = np.random.default_rng(100 + seed)
        score = np.round(random.beta(4, 0.5, 400), 2 if seed % 2 else 6)
        error = (random.random(400) > score).astype(int)
        batch = np.round(random.beta(4, 0.5, 60), 2 if seed % 2 else 6)
        p = (1 + (score[error == 1][None, :] >= batch[:, None]).sum(1)) / 401
        alpha = (0.01, 0.03, 0.06)[seed // 2]
        selected = np.flatnonzero(stats.false_discovery_control(p, method="bh") <= alpha * (1 + 1e-12))
        out.append(
            {
                "score": score.tolist(),
                "error": error.tolist(),
                "batch": batch.tolist(),
                "alpha": alpha,
                "selected": selected.tolist(),
            }
        )
    return out


def noise() -> Entry:
    """Majorities by scipy's binomial distribution; Clopper-Pearson bounds of an audit by scipy's beta distribution."""
    from scipy import stats

    majority = [[eta, k, float(stats.binom.sf(k // 2, k, eta))] for eta in (0.01, 0.076, 0.3) for k in (1, 3, 5, 9)]
    audits = []
    for n, apparent, looked, confirmed, rest, found, confidence in [
        (3000, 280, 280, 60, 1500, 0, 0.95),
        (3000, 280, 100, 20, 1500, 2, 0.95),
        (500, 10, 10, 3, 490, 1, 0.9),
        (400, 40, 40, 40, 300, 5, 0.99),
    ]:
        delta = (1 - confidence) / (3 if looked == apparent else 4)

        def upper(k: int, m: int, d: float = delta) -> float:
            return float(stats.beta.isf(d, k + 1, m - k)) if k < m else 1.0

        a_low = float(stats.beta.ppf(delta, apparent, n - apparent + 1))
        first = upper(confirmed, n) if looked == apparent else upper(apparent, n) * upper(confirmed, looked)
        second = (1 - a_low) * upper(found, rest)
        audits.append([n, apparent, looked, confirmed, rest, found, confidence, first, second])
    return {"majority": majority, "audits": audits}
