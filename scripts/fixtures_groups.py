"""What fairlearn, statsmodels, scipy, crowd-kit, krippendorff and MAPIE say of groups, raters and suggestion sets, and a betting
martingale as its paper has it, for regenerate_fixtures.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Json = dict[str, Any]


def gap_alarm() -> Json:
    """Betting against a gap (Chugg et al. 2023), as in the paper: an online Newton step per side, the wealths averaged."""

    def evidence(a: Any, b: Any, tolerance: float) -> list[float]:
        sides = []
        for x, y in ((a, b), (b, a)):
            stake, curvature, log_wealth, path = 0.0, 1.0, 0.0, []
            for g in (x - y - tolerance) / (1 + tolerance):
                log_wealth += math.log(1 + stake * g)
                z = -g / (1 + stake * g)
                curvature += z**2
                stake = float(np.clip(stake - 2 / (2 - math.log(3)) * z / curvature, 0, 0.5))
                path.append(log_wealth)
            sides.append(np.array(path))
        both: list[float] = (np.logaddexp(*sides) - math.log(2)).tolist()
        return both

    rng = np.random.default_rng(20240611)
    cases = []
    for tolerance, alpha, low, high in ((0, 0.05, 0.5, 0.5), (0, 0.05, 0.35, 0.65), (0.05, 0.01, 0.4, 0.5), (0.3, 0.1, 0.1, 0.9)):
        first = (rng.random(200) < low).astype(float)
        second = (rng.random(200) < high).astype(float)
        if tolerance == 0.05:
            first, second = np.round(rng.beta(2, 3, 200), 3), np.round(rng.beta(3, 2, 200), 3)
        path = evidence(first, second, tolerance)
        cases.append(
            {
                "tolerance": tolerance,
                "alpha": alpha,
                "first": first.tolist(),
                "second": second.tolist(),
                "log_evidence": path,
                "raised": max(path) >= math.log(1 / alpha),
            }
        )
    return {"cases": cases}


def newcombe() -> Json:
    from statsmodels.stats.proportion import confint_proportions_2indep

    cases = []
    for counts in ((5, 100, 9, 120), (0, 40, 3, 35), (30, 30, 28, 31), (1, 1000, 20, 900), (250, 500, 260, 500), (0, 30, 0, 30)):
        for swap in (False, True):
            k1, n1, k2, n2 = counts[2:] + counts[:2] if swap else counts
            for delta in (0.005, 0.025, 0.05, 0.1, 0.2):
                lower, upper = confint_proportions_2indep(k1, n1, k2, n2, method="newcomb", compare="diff", alpha=2 * delta)
                cases.append({"counts": [k1, n1, k2, n2], "delta": delta, "lower": float(lower), "upper": float(upper)})
    return {"cases": cases}


def groups() -> Json:
    """MetricFrame's points and statsmodels' Clopper-Pearson of decisions by language."""
    from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate
    from statsmodels.stats.proportion import proportion_confint

    rng = np.random.default_rng(5)
    n = 900
    language = rng.choice(["de", "en", "es"], n, p=[0.25, 0.6, 0.15])
    wrong = (rng.random(n) < np.where(language == "es", 0.3, 0.15)).astype(int)
    automated = (rng.random(n) < np.where(wrong == 1, 0.2, 0.7)).astype(int)
    person = 1 - automated  # predicted to need one; `wrong` needed one
    frame = MetricFrame(
        metrics={
            "false_negative_rate": false_negative_rate,
            "false_positive_rate": false_positive_rate,
            "recall": lambda y, p: ((y == 1) & (p == 1)).sum() / (y == 1).sum(),
            "automation_rate": lambda y, p: float((p == 0).mean()),
            "selective_risk": lambda y, p: ((y == 1) & (p == 0)).sum() / (p == 0).sum(),
        },
        y_true=wrong,
        y_pred=person,
        sensitive_features=language,
    )
    bounds = []
    for k, of in ((0, 30), (1, 30), (15, 30), (30, 30), (7, 4000), (399, 400)):
        for delta in (0.005, 0.025, 0.05):
            lower, upper = proportion_confint(k, of, alpha=2 * delta, method="beta")
            bounds.append({"events": k, "n": of, "delta": delta, "lower": float(lower), "upper": float(upper)})
    return {
        "group": language.tolist(),
        "wrong": wrong.tolist(),
        "automated": automated.tolist(),
        "by_group": {metric: {str(g): float(v) for g, v in column.items()} for metric, column in frame.by_group.items()},
        "overall": {metric: float(v) for metric, v in frame.overall.items()},
        "bounds": bounds,
    }


def shrink() -> Json:
    """Modes of the logistic-normal model for given variances, by a general minimiser."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(8)
    cases = []
    for groups, variance in ((5, 0.5), (20, 0.05), (40, 2.0), (3, 1e-6)):
        n = rng.integers(0, 80, groups)
        events = rng.binomial(n, rng.beta(2, 6, groups))

        def loss(x: Any, k: Any = events, of: Any = n, v: float = variance) -> Any:
            z = x[0] + x[1:]
            value = np.sum(of * np.logaddexp(0, z) - k * z) + np.sum(x[1:] ** 2) / (2 * v) + np.logaddexp(0, x[0]) - x[0] / 2
            residual = of / (1 + np.exp(-z)) - k
            slope = np.r_[residual.sum() + 1 / (1 + np.exp(-x[0])) - 0.5, residual + x[1:] / v]
            return value, slope

        best = minimize(loss, np.zeros(groups + 1), jac=True, method="BFGS", options={"gtol": 1e-12, "maxiter": 100_000})
        cases.append(
            {
                "events": events.tolist(),
                "n": n.tolist(),
                "variance": variance,
                "common": float(best.x[0]),
                "deviation": best.x[1:].tolist(),
            }
        )
    return {"cases": cases}


def raters() -> Json:
    import krippendorff
    import pandas as pd
    from crowdkit.aggregation import DawidSkene
    from sklearn.metrics import cohen_kappa_score
    from statsmodels.stats.inter_rater import fleiss_kappa

    rng = np.random.default_rng(3)
    items, people, labels = 60, 5, 4
    truth = rng.integers(0, labels, items)
    skill = np.array([0.9, 0.8, 0.7, 0.6, 0.4])
    hit = rng.random((items, people)) < skill
    votes = np.where(hit, truth[:, None], rng.integers(0, labels, (items, people)))
    missing = rng.random((items, people)) < 0.25
    holed = np.where(missing, np.nan, votes)
    holed[3] = np.nan
    holed[4, 1:] = np.nan
    counts = np.stack([(votes == j).sum(axis=1) for j in range(labels)], axis=1)
    rows = [(i, r, int(votes[i, r])) for i in range(items) for r in range(people) if not missing[i, r]]
    frame = pd.DataFrame(rows, columns=["task", "worker", "label"])
    model = DawidSkene(n_iter=100_000, tol=1e-14)
    posterior = model.fit_predict_proba(frame)
    return {
        "votes": votes.tolist(),
        "holed": [[None if math.isnan(vote) else int(vote) for vote in row] for row in holed.tolist()],
        "alpha": {
            level: float(krippendorff.alpha(reliability_data=holed.T, level_of_measurement=level))
            for level in ("nominal", "ordinal", "interval")
        },
        "fleiss": float(fleiss_kappa(counts)),
        "cohen": {
            str(weights): float(cohen_kappa_score(votes[:, 1], votes[:, 3], weights=weights))
            for weights in (None, "linear", "quadratic")
        },
        "dawid_skene": {
            "rows": rows,
            "posterior": {str(task): row.tolist() for task, row in zip(posterior.index, posterior.to_numpy(), strict=True)},
            "labels": [int(label) for label in posterior.columns],
        },
    }


def conformal() -> Json:
    """MAPIE's sets: LAC member by member, randomised APS by its mean size over seeds."""
    from mapie.classification import SplitConformalClassifier
    from sklearn.base import BaseEstimator, ClassifierMixin

    rng = np.random.default_rng(2)
    classes, rows = 6, 300
    logits = 2 * rng.normal(size=(2 * rows, classes))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    said = np.round(np.exp(1.4 * logits) / np.exp(1.4 * logits).sum(axis=1, keepdims=True), 7)
    said[:, -1] = 1.0 - said[:, :-1].sum(axis=1)
    said = np.clip(said, 0.0, 1.0)
    labels = np.array([rng.choice(classes, p=p) for p in truth])

    class Table(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        """Answers the row whose number it is asked for."""

        def __init__(self) -> None:
            self.classes_ = np.arange(classes)
            self.fitted_ = True

        def fit(self, X: Any, y: Any) -> Table:
            return self

        def predict_proba(self, X: Any) -> Any:
            return said[np.asarray(X)[:, 0].astype(int)]

        def predict(self, X: Any) -> Any:
            return self.predict_proba(X).argmax(axis=1)

    index = np.arange(2 * rows)[:, None]
    cases: list[Json] = []
    for confidence in (0.7, 0.85, 0.95):
        for method in ("lac", "aps"):
            sizes, sets = [], None
            for seed in range(1 if method == "lac" else 30):
                fitted = SplitConformalClassifier(
                    Table(), confidence_level=confidence, conformity_score=method, prefit=True, random_state=seed
                ).conformalize(index[:rows], labels[:rows])
                params = {} if method == "lac" else {"include_last_label": "randomized"}
                _, made = fitted.predict_set(index[rows:], conformity_score_params=params)
                sets = made[:, :, 0]
                sizes.append(float(sets.sum(axis=1).mean()))
            case: Json = {"name": f"{method} {confidence}", "method": method, "confidence": confidence}
            if method == "lac":
                assert sets is not None
                case["sets"] = [np.flatnonzero(row).tolist() for row in sets]
            else:
                case |= {"mean_size": float(np.mean(sizes)), "margin": 4 * float(np.std(sizes))}
            cases.append(case)
    return {
        "classes": classes,
        "calibration": said[:rows].ravel().tolist(),
        "labels": labels[:rows].tolist(),
        "test": said[rows:].ravel().tolist(),
        "cases": cases,
    }
