"""Raters: agreement beside four libraries, Dawid-Skene beside crowd-kit, and what labels with mistakes can prove."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot.evaluate import raters

FIXTURES = Path(__file__).parents[1] / "fixtures" / "groups"


@pytest.fixture(scope="module")
def frozen() -> dict[str, Any]:
    made: dict[str, Any] = json.loads((FIXTURES / "raters.json").read_text())
    return made


def test_krippendorff_with_holes_at_three_levels(frozen: dict[str, Any]) -> None:
    for level, value in frozen["alpha"].items():
        assert raters.krippendorff_alpha(frozen["holed"], level=level) == pytest.approx(value, abs=1e-12)
    names, counts = raters.counts_of(frozen["holed"])
    assert raters.krippendorff_alpha(counts=counts) == pytest.approx(frozen["alpha"]["nominal"], abs=1e-12)
    values = [float(str(name)) for name in names]
    made = raters.krippendorff_alpha(counts=counts, level="interval", values=values)
    assert made == pytest.approx(frozen["alpha"]["interval"], abs=1e-12)


def test_fleiss_and_cohen(frozen: dict[str, Any]) -> None:
    votes = np.array(frozen["votes"])
    assert raters.fleiss_kappa(frozen["votes"]) == pytest.approx(frozen["fleiss"], abs=1e-12)
    for weights, value in frozen["cohen"].items():
        made = raters.cohen_kappa(
            votes[:, 1].tolist(),
            votes[:, 3].tolist(),
            weights=None if weights == "None" else weights,  # type: ignore[arg-type]
        )
        assert made == pytest.approx(value, abs=1e-12)
    with pytest.raises(op.UsageError, match="krippendorff_alpha"):
        raters.fleiss_kappa(frozen["holed"])


def test_dawid_skene_is_crowd_kits_without_the_hundredth(frozen: dict[str, Any]) -> None:
    item, rater, label = zip(*frozen["dawid_skene"]["rows"], strict=True)
    made = raters.DawidSkene(smoothing=0.0, iterations=100_000, tolerance=1e-15).fit(item, rater, label)
    columns = [frozen["dawid_skene"]["labels"].index(label) for label in made.labels_]
    theirs = np.array([frozen["dawid_skene"]["posterior"][str(i)] for i in made.items_])[:, columns]
    np.testing.assert_allclose(made.posterior_, theirs, atol=1e-6)
    smoothed = raters.DawidSkene().fit(item, rater, label)
    assert np.abs(smoothed.posterior_ - theirs).max() > 0
    assert smoothed.confusion_.min() > 0
    np.testing.assert_allclose(smoothed.confusion_.sum(axis=2), 1.0)


def test_dawid_skene_finds_the_truth_better_than_the_majority() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 600)
    skill = np.array([0.95, 0.9, 0.55, 0.55, 0.55])
    votes = np.where(rng.random((600, 5)) < skill, truth[:, None], 1 - truth[:, None])
    rows = [(i, r, int(votes[i, r])) for i in range(600) for r in range(5)]
    made = raters.DawidSkene().fit(*zip(*rows, strict=True))
    ours = (made.posterior_.argmax(axis=1) == truth).mean()
    majority = ((votes.mean(axis=1) > 0.5) == truth).mean()
    assert ours > majority + 0.05
    queue = [item for item, _ in made.queue(100)]
    wrong = set(np.flatnonzero(made.posterior_.argmax(axis=1) != truth).tolist())
    assert len(wrong & {int(str(item)) for item in queue}) > 2 * len(wrong) * 100 / 600


def test_many_votes_do_not_underflow() -> None:
    rows = [(i, r, int(r % 5 == 0) ^ (i % 2)) for i in range(4) for r in range(3000)]
    made = raters.DawidSkene().fit(*zip(*rows, strict=True))
    assert np.isfinite(made.log_likelihood_) and np.isfinite(made.posterior_).all()


def test_fourteen_percent_of_disagreement_is_a_noise_of_seven_point_six() -> None:
    counts = [[1, 1]] * 14 + [[2, 0]] * 43 + [[0, 2]] * 43
    made = raters.noise_ceiling(counts=counts, labels=["no", "yes"])
    assert made.disagreement == pytest.approx(0.14)
    assert made.noise == pytest.approx((1 - math.sqrt(1 - 0.28)) / 2)
    assert made.accuracy == pytest.approx(1 - 0.0757, abs=1e-4)
    assert 1 - made.majority == pytest.approx(0.016, abs=1e-3)  # of three labels
    assert made.noise_lower < made.noise < made.noise_upper
    with pytest.raises(op.CalibrationError) as caught:
        made.check(0.02)
    assert caught.value.code == "calibration.noise_floor"
    made.check(0.2)


@pytest.mark.parametrize(("prevalence", "recall"), [(0.05, 0.39), (0.10, 0.58), (0.30, 0.84)])
def test_a_perfect_model_measures_a_low_recall_of_rare_classes(prevalence: float, recall: float) -> None:
    eta = 0.0757
    n = 2_000_000
    p = prevalence
    both_yes = p * (1 - eta) ** 2 + (1 - p) * eta**2
    differ = 2 * eta * (1 - eta)
    table = [round(n * share) for share in (both_yes, differ, 1 - both_yes - differ)]
    counts = np.repeat([[2, 0], [1, 1], [0, 2]], [t // 1000 for t in table], axis=0)
    assert raters.noise_ceiling(counts=counts, labels=["rare", "rest"]).recall["rare"] == pytest.approx(recall, abs=0.01)


@pytest.mark.parametrize("labels", [2, 3, 5])
def test_the_ceiling_is_what_a_perfect_model_measures(labels: int) -> None:
    rng = np.random.default_rng(labels)
    n, e = 40_000, 0.1
    truth = rng.integers(0, labels, n)
    off = (truth[:, None] + rng.integers(1, labels, (n, 3))) % labels
    votes = np.where(rng.random((n, 3)) < e, off, truth[:, None])
    made = raters.noise_ceiling(votes, confidence=0.999)
    assert made.noise == pytest.approx(e, abs=0.005)
    assert made.noise_lower < e < made.noise_upper
    assert made.accuracy == pytest.approx((votes[:, 0] == truth).mean(), abs=0.01)
    counts = np.stack([(votes == j).sum(axis=1) for j in range(labels)], axis=1)
    lot = counts + rng.random(counts.shape) / 2
    assert made.majority == pytest.approx((lot.argmax(axis=1) == truth).mean(), abs=0.005)
    assert made.recall[0] == pytest.approx((truth[votes[:, 0] == 0] == 0).mean(), abs=0.01)


def test_two_phase_bounds_hold_and_beat_single_labels() -> None:
    """2 % of true errors under a noise of 8 %: single labels measure near 10 %."""
    rng = np.random.default_rng(9)
    broken, bounds, runs = 0, [], 400
    for _ in range(runs):
        n, risk, eta = 3000, 0.02, 0.08
        wrong = rng.random(n) < risk
        apparent = wrong ^ (rng.random(n) < eta)
        rest = rng.permutation(np.flatnonzero(~apparent))[:400]
        made = raters.two_phase_bound(
            n,
            int(apparent.sum()),
            adjudicated=int(apparent.sum()),
            confirmed=int((apparent & wrong).sum()),
            rest_adjudicated=len(rest),
            rest_found=int(wrong[rest].sum()),
        )
        broken += made.risk_upper < risk
        bounds.append(made.risk_upper)
    assert broken <= 0.05 * runs
    assert np.median(bounds) < 0.05
    half = raters.two_phase_bound(3000, 300, adjudicated=150, confirmed=30, rest_adjudicated=400, rest_found=0)
    every = raters.two_phase_bound(3000, 300, adjudicated=300, confirmed=60, rest_adjudicated=400, rest_found=0)
    assert half.risk_upper > every.risk_upper
    nothing = raters.two_phase_bound(100, 5, adjudicated=0, confirmed=0, rest_adjudicated=0, rest_found=0)
    assert nothing.risk_upper == 1.0
    with pytest.raises(op.UsageError):
        raters.two_phase_bound(100, 5, adjudicated=6, confirmed=0, rest_adjudicated=0, rest_found=0)


def test_strict_and_lenient_by_hand() -> None:
    votes = [["a", "a", "b"], ["a", "b", None], ["b", "b", "b"], [None, None, None]]
    made = raters.strict_and_lenient(["b", "a", "b", "a"], votes)
    assert (made.items, made.without_majority) == (3, 1)
    assert made.strict == pytest.approx(1 / 3)  # the tie counts against
    assert made.lenient == 1.0
    assert made.expected == pytest.approx((1 / 3 + 1 / 2 + 1) / 3)
    assert made.recall["a"] == {"strict": 0.0, "lenient": 0.5}
    assert made.strict_interval[0] < made.strict < made.strict_interval[1]


def test_what_are_no_votes() -> None:
    for call in (
        lambda: raters.krippendorff_alpha(),
        lambda: raters.krippendorff_alpha([["a"]], counts=[[1]]),
        lambda: raters.krippendorff_alpha(counts=[[0.5]]),
        lambda: raters.krippendorff_alpha([["a", "b"]], level="ratio"),  # type: ignore[arg-type]
        lambda: raters.krippendorff_alpha(counts=[[1, 1]], level="interval"),
        lambda: raters.cohen_kappa(["a"], []),
        lambda: raters.noise_ceiling(counts=[[1, 0]]),
        lambda: raters.strict_and_lenient(["a"], [["a"], ["b"]]),
        lambda: raters.counts_of([["a"]], ["b"]),
        lambda: raters.DawidSkene().fit([1], [1], []),
        lambda: raters.DawidSkene().fit([], [], []),
        lambda: raters.adjudication_queue([0.5]),
    ):
        with pytest.raises(op.UsageError):
            call()
    assert math.isnan(raters.krippendorff_alpha([["a", "a"], ["a", "a"]]))
    assert math.isnan(raters.cohen_kappa(["a"], ["a"]))


def test_reviewers_of_the_tweets() -> None:
    """Votes of the data beside the checkout, as its README counts them; texts are not read."""
    root = Path(__file__).parents[2]
    given = os.environ.get("OPSPILOT_DATA")
    folders = [Path(given)] if given else [root.parent / "shared/data", root / "shared/data"]
    files = [folder / "label-disagreement" / "labeled_data.csv.gz" for folder in folders]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        pytest.skip("the votes are not here; set OPSPILOT_DATA")
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        head = next(rows)
        columns = [head.index(name) for name in ("hate_speech", "offensive_language", "neither")]
        counts = np.array([[int(row[c]) for c in columns] for row in rows])
    assert len(counts) == 24_783
    votes = counts.sum(axis=1)
    assert np.mean(counts.max(axis=1) < votes) == pytest.approx(0.295, abs=5e-4)
    made = raters.noise_ceiling(counts=counts)
    assert 1 - (counts.max(axis=1).sum() / votes.sum()) == pytest.approx(0.095, abs=5e-4)
    assert 0.08 < made.noise < 0.15
    always = raters.strict_and_lenient([1] * len(counts), counts=counts)  # "offensive", whatever it is
    assert always.expected < always.strict == 19_190 / 24_783 < always.lenient < 1.0
    assert (always.recall[0]["strict"], always.recall[1]["strict"], always.without_majority) == (0.0, 1.0, 0)
    model = raters.DawidSkene().fit_counts(counts)
    first = [i for i, _ in model.queue(500)]
    assert np.mean(counts[first].max(axis=1) < votes[first]) == 1.0  # only split items are asked about first
