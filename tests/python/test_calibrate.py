"""Platt scaling and certified thresholds, against scikit-learn, scipy and a plain reading of the definition."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import opspilot as op
from opspilot import calibrate

stats = pytest.importorskip("scipy.stats")
sklearn_calibration = pytest.importorskip("sklearn.calibration")


def sample(n: int = 3000, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    return score, (rng.random(n) < 1.0 / (1.0 + np.exp(-(2.0 * score + 0.5)))).astype(int)


def test_platt_is_the_sigmoid_calibration_of_scikit_learn() -> None:
    score, label = sample()
    theirs = sklearn_calibration._SigmoidCalibration().fit(score, label)
    mine = calibrate.Platt().fit(score, label)
    assert (mine.a_, mine.b_) == pytest.approx((theirs.a_, theirs.b_), abs=1e-4)
    np.testing.assert_allclose(mine.probability(score), theirs.predict(score), atol=1e-4)
    assert json.loads(mine.describe("json"))["kind"] == "platt"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(mine)).probability(score), mine.probability(score))


@pytest.mark.parametrize(
    ("score", "label"),
    [
        ([0.1, 0.2], [1]),
        ([0.1, np.nan], [0, 1]),
        ([0.1, np.inf], [0, 1]),
        ([0.1, 0.2], [0, 2]),
        ([0.1, 0.2], [1, 1]),
        ([], []),
        ([[0.1, 0.2]], [0, 1]),
    ],
)
def test_what_cannot_be_fitted(score: Any, label: Any) -> None:
    with pytest.raises(op.CalibrationError) as caught:
        calibrate.Platt().fit(score, label)
    assert caught.value.code.startswith("calibration.")


def test_a_platt_that_was_not_fitted_says_so() -> None:
    with pytest.raises(op.CalibrationError) as caught:
        calibrate.Platt().probability([0.5])
    assert caught.value.code == "calibration.not_fitted"


def test_a_threshold_is_certified_by_the_exact_binomial_tail() -> None:
    score, right = sample(4000)
    t = op.calibrate.automation_threshold(score, 1 - right, max_risk=0.1)
    assert t.sufficient
    above = score > t.value
    assert t.automated == above.sum()
    assert t.errors == (1 - right)[above].sum()
    assert t.coverage == pytest.approx(above.mean())
    # The upper bound of Clopper and Pearson, at the stated confidence, is below the risk.
    assert stats.beta.ppf(0.95, t.errors + 1, t.automated - t.errors) <= 0.1
    assert t.risk_upper <= 0.1
    assert t.needed == int(np.ceil(np.log(0.05) / np.log(0.9)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_order_of_the_input_never_matters(seed: int, ties: bool) -> None:
    score, right = sample(400, seed % 1000)
    if ties:
        score = np.round(score, 1)
    order = np.random.default_rng(seed).permutation(len(score))
    first = calibrate.automation_threshold(score, 1 - right, max_risk=0.2)
    second = calibrate.automation_threshold(score[order], (1 - right)[order], max_risk=0.2)
    assert first == second
    if first.value is not None:
        assert (score == first.value).any()  # whole blocks of ties: the value itself is not automated


@pytest.mark.nightly
def test_the_certificate_holds_as_often_as_it_says() -> None:
    wrong = 0
    truth, right_of_truth = sample(400_000, 999)
    for seed in range(400):
        score, right = sample(500, seed)
        t = calibrate.automation_threshold(score, 1 - right, max_risk=0.15)
        if t.value is not None:
            wrong += (1 - right_of_truth)[truth > t.value].mean() > 0.15
    assert stats.binomtest(wrong, 400, 0.05, alternative="greater").pvalue > 0.001


def test_nothing_is_certified_without_evidence() -> None:
    t = calibrate.automation_threshold(np.arange(20.0), np.zeros(20), max_risk=0.05)
    assert not t.sufficient
    assert t.value is None
    assert t.needed == 59
    assert "59" in t.describe()


def test_groups_have_certificates_of_their_own() -> None:
    score, right = sample(6000)
    names = np.where(np.arange(6000) % 2 == 0, "refund", "question")
    t = calibrate.automation_threshold(score, 1 - right, max_risk=0.2, groups=names.tolist())
    assert set(t.groups) == {"refund", "question"}
    for name, one in t.groups.items():
        assert one.n == (names == name).sum()
        assert one.errors == (1 - right)[(names == name) & (score > one.value)].sum()


def test_a_naive_threshold_is_a_plain_reading() -> None:
    score, right = sample(1000)
    t = calibrate.naive_threshold(score, 1 - right, max_risk=0.1)
    assert t.value is not None
    allowed = [v for v in np.unique(score) if (score > v).any() and (1 - right)[score > v].mean() <= 0.1]
    assert t.automated == (score > min(allowed)).sum()
    assert t.risk == pytest.approx((1 - right)[score > t.value].mean())


def test_recall_floor() -> None:
    rng = np.random.default_rng(1)
    label = (rng.random(2000) < 0.2).astype(int)
    score = rng.normal(size=2000) + label
    t = calibrate.recall_floor(score, label, min_recall=0.9)
    assert t.sufficient
    assert t.value is not None
    assert (score[label == 1] < t.value).sum() == t.misses
    assert t.misses <= t.misses_allowed
    few = calibrate.recall_floor(np.arange(98.0), np.ones(98), min_recall=0.97)
    assert (few.sufficient, few.needed) == (False, 99)


@pytest.mark.parametrize(
    "change",
    [
        {"max_risk": 0.0},
        {"max_risk": 1.5},
        {"confidence": 1.0},
        {"error": [0, 1]},
        {"score": [np.nan] * 3},
        {"error": [0, 1, 0.5]},
    ],
)
def test_wrong_questions_are_named(change: dict[str, Any]) -> None:
    given: dict[str, Any] = {"score": [0.1, 0.2, 0.3], "error": [0, 1, 0], "max_risk": 0.1, **change}
    with pytest.raises(op.Error) as caught:
        calibrate.automation_threshold(given.pop("score"), given.pop("error"), **given)
    assert caught.value.code
