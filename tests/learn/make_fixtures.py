"""Frozen answers of statsmodels, scipy and scikit-learn for the tests of the room learn.

Run in an environment with numpy, scipy, scikit-learn and statsmodels: python make_fixtures.py. Each file holds named lists of
numbers: "name count" and the numbers on the next line. Inputs are multiples of 1/64, so that they are exact as float32.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from scipy.optimize import check_grad, minimize
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression, Ridge
from statsmodels.discrete.conditional_models import ConditionalLogit

HERE = Path(__file__).parent / "fixtures"


def write(name: str, **lists: np.ndarray) -> None:
    with (HERE / f"{name}.txt").open("w", encoding="ascii") as out:
        for key, values in lists.items():
            flat = np.asarray(values).ravel()
            out.write(f"{key} {flat.size}\n{' '.join(repr(v) for v in flat.tolist())}\n")


def grid(values: np.ndarray) -> np.ndarray:
    return np.round(values * 64) / 64


def groups(rng: np.random.Generator, n: int, low: int, high: int) -> np.ndarray:
    return np.r_[0, np.cumsum(rng.integers(low, high, n))]


def conditional_logit() -> None:
    """Dense columns alone, unpenalised: statsmodels' ConditionalLogit."""
    rng = np.random.default_rng(1)
    offsets = groups(rng, 150, 2, 7)
    x = grid(rng.normal(size=(offsets[-1], 3)) * [1, 3, 0.5] + [0, 10, -2])
    truth = np.array([0.8, -0.3, 1.5])
    group = np.repeat(np.arange(150), np.diff(offsets))
    chosen = []
    for a, b in itertools.pairwise(offsets):
        chosen.append(int(np.argmax(x[a:b] @ truth + rng.gumbel(size=b - a))))
    y = np.zeros(offsets[-1])
    y[offsets[:-1] + chosen] = 1
    model = ConditionalLogit(y, x, groups=group)
    fit = model.fit(method="bfgs", gtol=1e-10, maxiter=1000, disp=0)
    for _ in range(3):  # its stopping rule leaves 2e-5
        fit = model.fit(start_params=fit.params, method="newton", tol=1e-14, maxiter=100, disp=0)
    assert np.abs(model.score(fit.params)).max() < 1e-7
    write("conditional_logit", offsets=offsets, x=x, chosen=np.array(chosen), labels=y, params=fit.params, loss=[-fit.llf])


def crossed_choice() -> None:
    """Columns, text crossed with two keys, an outside option, L2: scipy's BFGS on the objective written out."""
    rng = np.random.default_rng(2)
    n, tokens, ids, kinds, columns = 160, 10, 4, 2, 2
    l2, bias_l2 = 0.7, 0.3
    slots_count = ids + kinds + 1
    offsets = groups(rng, n, 1, 5)
    ident = np.concatenate([rng.permutation(ids)[: b - a] for a, b in itertools.pairwise(offsets)])
    kind = ids + ident % kinds
    slots = np.c_[ident, kind]
    slots[rng.random(len(slots)) < 0.1, 1] = 0xFFFFFFFF
    dense = grid(rng.normal(size=(offsets[-1], columns)))
    text = np.where(rng.random((n, tokens)) < 0.3, grid(rng.random((n, tokens)) + 0.1), 0)
    chosen = np.array([rng.integers(-1, b - a) for a, b in itertools.pairwise(offsets)])
    weight = grid(rng.random(n) + 0.5)

    def unpack(w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = w[: tokens * slots_count].reshape(tokens, slots_count)
        bias = w[tokens * slots_count : (tokens + 1) * slots_count]
        return table, bias, w[(tokens + 1) * slots_count :]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        table, bias, beta = unpack(w)
        sums = bias + text @ table
        total = l2 / 2 * (np.sum(table**2) + np.sum(beta**2)) + bias_l2 / 2 * np.sum(bias**2)
        slope_sums, slope_beta = np.zeros_like(sums), l2 * beta
        for t, (a, b) in enumerate(itertools.pairwise(offsets)):
            u = np.r_[dense[a:b] @ beta, sums[t, -1]]
            for i in range(a, b):
                u[i - a] += sum(sums[t, s] for s in slots[i] if s != 0xFFFFFFFF)
            total += weight[t] * (logsumexp(u) - u[chosen[t]])
            residual = np.exp(u - logsumexp(u))
            residual[chosen[t]] -= 1
            residual *= weight[t]
            slope_sums[t, -1] = residual[-1]
            slope_beta = slope_beta + residual[:-1] @ dense[a:b]
            for i in range(a, b):
                for s in slots[i]:
                    if s != 0xFFFFFFFF:
                        slope_sums[t, s] += residual[i - a]
        slope_table = text.T @ slope_sums + l2 * table
        return float(total), np.r_[slope_table.ravel(), slope_sums.sum(axis=0) + bias_l2 * bias, slope_beta]

    size = (tokens + 1) * slots_count + columns
    probe = rng.normal(size=size)
    assert check_grad(lambda w: loss(w)[0], lambda w: loss(w)[1], probe) < 1e-3 * np.linalg.norm(loss(probe)[1])
    start = minimize(loss, np.zeros(size), method="BFGS", jac=True, options={"gtol": 1e-9, "maxiter": 5000}).x
    table, bias, beta = unpack(start)
    write("crossed_choice", offsets=offsets, slots=slots, dense=dense, text=text, chosen=chosen, weight=weight,
          penalties=[l2, bias_l2], table=table, bias=bias, beta=beta, loss=[loss(start)[0]])  # fmt: skip


def multinomial() -> None:
    """Sparse rows, five classes: scikit-learn's LogisticRegression on the same objective."""
    rng = np.random.default_rng(3)
    n, features, classes, l2 = 300, 30, 5, 1.5
    x = np.where(rng.random((n, features)) < 0.2, grid(rng.random((n, features)) + 0.1), 0)
    truth = rng.normal(size=(features, classes)) * 2
    y = np.argmax(x @ truth + rng.gumbel(size=(n, classes)), axis=1)
    model = LogisticRegression(C=1 / l2, solver="lbfgs", tol=1e-10, max_iter=100000).fit(x, y)
    write("multinomial", x=x, labels=y, l2=[l2], probabilities=model.predict_proba(x))


def linear() -> None:
    rng = np.random.default_rng(4)
    x = grid(rng.normal(size=(200, 4)) * [1, 5, 0.2, 1] + [0, 3, 0, -1])
    score = x @ np.array([1.0, -0.3, 2.0, 0.0]) + 0.5
    y = (score + rng.logistic(size=200) > 0).astype(float)
    weight = grid(rng.random(200) + 0.5)
    z = grid(score + rng.normal(size=200))
    logistic = LogisticRegression(C=1 / 2.0, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(x, y, weight)
    ridge = Ridge(alpha=2.0, solver="cholesky").fit(x, z, weight)
    write("linear", x=x, labels=y, targets=z, weight=weight, l2=[2.0], logistic=np.r_[logistic.coef_[0], logistic.intercept_],
          ridge=np.r_[ridge.coef_, ridge.intercept_])  # fmt: skip


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    conditional_logit()
    crossed_choice()
    multinomial()
    linear()
