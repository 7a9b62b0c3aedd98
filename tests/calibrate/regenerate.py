"""Rebuilds tests/calibrate/data/*.json from scipy and scikit-learn.

python tests/calibrate/regenerate.py        (scipy 1.17.1, scikit-learn 1.9.1)
"""

import json
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy import stats
from scipy.special import expit
from sklearn.calibration import _sigmoid_calibration

DATA = Path(__file__).parent / "data"
VERSIONS = {"scipy": scipy.__version__, "scikit-learn": sklearn.__version__}


def targets(label):
    positives = label.sum()
    negatives = len(label) - positives
    return np.where(label == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def objective(a, b, score, label):
    t = targets(label)
    z = a * score + b
    return float(np.sum(t * np.logaddexp(0, z) + (1 - t) * np.logaddexp(0, -z)))


def platt_cases():
    rng = np.random.default_rng(20240611)
    for name, n, slope, shift, scale in [
        ("balanced", 200, 1.5, 0.0, 1.0),
        ("rare", 400, 2.0, -3.0, 1.0),
        ("weak", 300, 0.1, 0.5, 1.0),
        ("inverted", 200, -0.8, 0.2, 1.0),
        ("large margins", 250, 2.0, -0.5, 400.0),
        ("separable", 60, 1e6, 0.0, 1.0),
        ("two rows", 2, 1e6, 0.0, 1.0),
    ]:
        margin = rng.normal(size=n)
        if name == "two rows":
            margin = np.array([-1.0, 1.0])
        label = (rng.uniform(size=n) < expit(slope * margin + shift)).astype(int)
        score = np.round(margin * scale, 4)
        a, b = _sigmoid_calibration(score, label)
        yield {
            "name": name,
            "score": score.tolist(),
            "label": label.tolist(),
            "a": float(a),
            "b": float(b),
            "objective": objective(a, b, score, label),
        }


def binomial_values():
    cdf, bounds = [], []
    for n in [1, 2, 5, 17, 59, 93, 299, 1000, 2000, 20000, 1000000]:
        for k in sorted({0, 1, 2, 5, n // 50, n // 20, n // 10, n // 2, n - 1}):
            if k >= n:
                continue
            for p in [0.001, 0.01, 0.02, 0.05, 0.1, 0.37, 0.5, 0.9]:
                value = float(stats.binom.cdf(k, n, p))
                if value > 1e-30:
                    cdf.append([k, n, p, value])
            for delta in [0.05, 0.01, 0.005, 0.5]:
                upper = float(stats.beta.ppf(1 - delta, k + 1, n - k)) if k else float(-np.expm1(np.log(delta) / n))
                lower = float(stats.beta.ppf(delta, k, n - k + 1)) if k else 0.0
                # For k > 0 through the survival function: 1 - delta is not exact in binary.
                if k:
                    upper = float(stats.beta.isf(delta, k + 1, n - k))
                bounds.append([k, n, delta, upper, lower])
    ranks = []
    for alpha in [0.01, 0.02, 0.03, 0.05, 0.1, 0.5]:
        for delta in [0.05, 0.01, 0.005, 0.3]:
            for c in [0, 1, 2, 5, 20, 63, 64, 65, 100, 200]:
                low, high = c, c + 1
                while stats.binom.cdf(c, high, alpha) > delta:
                    high *= 2
                while high - low > 1:  # binom.cdf(c, low) > delta >= binom.cdf(c, high)
                    middle = (low + high) // 2
                    low, high = (low, middle) if stats.binom.cdf(c, middle, alpha) <= delta else (middle, high)
                ranks.append([alpha, delta, c, high])
    return {"versions": VERSIONS, "cdf": cdf, "bounds": bounds, "ranks": ranks}


def write(name, document):
    (DATA / name).write_text(json.dumps(document, separators=(",", ":")).replace("},{", "},\n{").replace("],[", "],\n[") + "\n")


def main():
    DATA.mkdir(exist_ok=True)
    write("platt.json", {"versions": VERSIONS, "cases": list(platt_cases())})
    write("binomial.json", binomial_values())


if __name__ == "__main__":
    main()
