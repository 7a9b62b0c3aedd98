"""Rebuilds tests/evaluate/data/ranking.json from scikit-learn and scipy.

python tests/evaluate/regenerate.py        (scipy 1.17.1, scikit-learn 1.9.1)
"""

import json
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy.stats import hypergeom, rankdata
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, top_k_accuracy_score

DATA = Path(__file__).parent / "data"
CUTOFFS = (1, 2, 3, 5, 10, 40)


def tied_hit(score, relevant, k):
    """Probability that one of the first k is relevant when equal scores come in any order."""
    above, found = 0, 0
    for value in -np.unique(-score):
        size, own = int((score == value).sum()), int(relevant[score == value].sum())
        if found or above + size >= k:
            return 1.0 if found else float(hypergeom.sf(0, size, own, k - above))
        above, found = above + size, found + own
    return 1.0


def tied_recall(score, relevant, k):
    """Expected share of the relevant ones among the first k: places k of a block of ties, shared by its members."""
    lowest, highest = rankdata(-score, method="max"), rankdata(-score, method="min")
    chance = np.clip((k - highest + 1) / (lowest - highest + 1), 0, 1)
    return float(chance[relevant].sum() / relevant.sum())


def task(name, score, relevance):
    relevant = relevance > 0
    distinct = len(np.unique(score)) == len(score)
    made = {
        "name": name,
        "score": score.tolist(),
        "relevance": relevance.tolist(),
        "hit": [tied_hit(score, relevant, k) for k in CUTOFFS],
        "recall": [tied_recall(score, relevant, k) for k in CUTOFFS],
        "ndcg_linear": [ndcg_score([relevance], [score], k=k) for k in CUTOFFS],
        "ndcg_exponential": [ndcg_score([2.0**relevance - 1], [score], k=k) for k in CUTOFFS],
    }
    if distinct:
        made["map"] = label_ranking_average_precision_score([relevant], [score])
        made["mrr"] = float(1 / rankdata(-score, method="ordinal")[relevant].min())
    if distinct and relevant.sum() == 1 and len(score) > 2:
        label = [int(np.flatnonzero(relevant)[0])]
        classes = np.arange(len(score))
        made["hit"] = [top_k_accuracy_score(label, [score], k=k, labels=classes) if k < len(score) else 1.0 for k in CUTOFFS]
    return made


def tasks():
    rng = np.random.default_rng(20250117)
    for n in (2, 3, 5, 12, 30):
        for form in ("one", "graded", "fractions"):
            for ties in (False, True):
                for _ in range(3):
                    score = rng.permutation(n) - n / 3 if not ties else rng.integers(0, max(2, n // 3), n).astype(float)
                    relevance = np.zeros(n)
                    if form == "one":
                        relevance[rng.integers(n)] = 1
                    elif form == "graded":
                        relevance = rng.integers(0, 5, n).astype(float)
                    else:
                        relevance = np.where(rng.uniform(size=n) < 0.5, rng.uniform(0, 3, n).round(3), 0)
                    if relevance.any():
                        yield task(f"{n} candidates, {form}, {'tied' if ties else 'distinct'}", score, relevance)


def main():
    DATA.mkdir(exist_ok=True)
    document = {
        "versions": {"scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
        "cutoffs": CUTOFFS,
        "tasks": list(tasks()),
    }
    text = json.dumps(document, separators=(",", ":")).replace("},{", "},\n{")
    (DATA / "ranking.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
