"""Certificates beyond the plain threshold, as Python sees them: what is promised, what is refused, what is missing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot import calibrate
from opspilot.demo import star_bundle

stats = pytest.importorskip("scipy.stats")


def sample(n: int = 3000, seed: int = 0) -> tuple[Any, Any]:
    """Confidence ~ Beta(4, 1/4), errors as it says."""
    rng = np.random.default_rng(seed)
    score = rng.beta(4, 0.25, n)
    return score, (rng.random(n) > score).astype(int)


def code_of(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(op.CalibrationError) as caught:
        call(*args, **kwargs)
    return caught.value.code


def test_what_is_missing_is_said_and_not_raised() -> None:
    t = calibrate.automation_threshold(np.arange(20.0), np.zeros(20), max_risk=0.05)
    assert t.statement.startswith("Insufficient: 59 items without an error")
    assert "20 given" in t.describe()
    floor = calibrate.recall_floor(np.arange(60.0), np.ones(60), min_recall=0.97)
    assert floor.statement == "Insufficient: 99 positives needed, 60 given."
    assert calibrate.automation_threshold(np.full(500, 0.5), np.zeros(500), max_risk=0.05).reason == "ties"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"error": [0, 1, 2]}, "calibration.bad_label"),
        ({"score": [0.1, np.nan, 0.2]}, "calibration.not_finite"),
        ({"error": [0, 1]}, "calibration.length_mismatch"),
        ({"max_risk": 0.0}, "calibration.bad_risk"),
        ({"max_risk": 1.0}, "calibration.bad_risk"),
        ({"confidence": 1.0}, "calibration.bad_confidence"),
        ({"groups": {"a": [0, 1], "b": [1, 2]}}, "calibration.overlapping_groups"),
        ({"groups": {"a": [True, True, False], "b": [False, True, True]}}, "calibration.overlapping_groups"),
        ({"groups": {"a": [0, 0], "b": [1, 2]}}, "calibration.overlapping_groups"),
        ({"groups": {"a": [0], "b": [1]}}, "calibration.bad_group"),
        ({"groups": {"a": [0, 1], "b": [7]}}, "calibration.bad_group"),
        ({"groups": {"a": [True, False]}}, "calibration.length_mismatch"),
        ({"score": [], "error": []}, "calibration.empty"),
    ],
)
def test_impossible_questions_have_names(change: dict[str, Any], code: str) -> None:
    given: dict[str, Any] = {"score": [0.1, 0.2, 0.3], "error": [0, 1, 0], "max_risk": 0.1, **change}
    assert code_of(calibrate.automation_threshold, given.pop("score"), given.pop("error"), **given) == code


def test_groups_may_be_given_by_their_rows() -> None:
    score, error = sample()
    mask = np.arange(3000) % 3 == 0
    by_row = calibrate.automation_threshold(score, error, max_risk=0.05, groups={"a": mask, "b": np.flatnonzero(~mask)})
    by_item = calibrate.automation_threshold(score, error, max_risk=0.05, groups=np.where(mask, "a", "b").tolist())
    assert by_row.groups["a"] == by_item.groups["a"]
    assert by_row.groups["b"] == by_item.groups["b"]


def test_the_ladder_names_the_level() -> None:
    score, error = sample(4000)
    groups = np.where(np.arange(4000) < 30, "small", "large").tolist()
    ladder = calibrate.automation_ladder(score, error, groups, max_risk=0.05, start_probability=score)
    assert ladder.groups["large"].level == "group"
    assert ladder.groups["small"].level == "parent"
    assert ladder.groups["small"].value == ladder.of_parents[None].value
    assert ladder.delta_each == pytest.approx(0.05 / 3)
    assert "small" in ladder.describe()
    apart = calibrate.automation_ladder(
        score, error, groups, max_risk=0.05, parents={"small": "eu", "large": "us"}, start_probability=score
    )
    assert apart.groups["small"].level == "none"
    assert apart.groups["small"].parent == "eu"


def test_the_grid_needs_its_start_on_it() -> None:
    score, error = sample()
    grid = np.arange(50, 100) / 100
    t = calibrate.grid_threshold(score, error, grid, max_risk=0.05, start_value=0.95)
    assert t.value is not None
    assert t.steps[0]["value"] == 0.95
    assert stats.binom.cdf(t.errors, t.automated, 0.05) <= 0.05
    assert code_of(calibrate.grid_threshold, score, error, grid, max_risk=0.05, start_value=0.955) == "calibration.bad_grid"


def test_the_expected_mode_is_benjamini_and_hochberg() -> None:
    score, error = sample(800)
    batch, _ = sample(100, 5)
    made = calibrate.expected_selection(score, error, batch, max_risk=0.03)
    p = (1 + (score[error == 1][None, :] >= batch[:, None]).sum(1)) / 801
    assert made.selected.tolist() == np.flatnonzero(stats.false_discovery_control(p) <= 0.03).tolist()


def test_bets_bound_a_mean() -> None:
    loss = np.random.default_rng(1).beta(0.3, 4, 500)
    upper = calibrate.betting_upper(loss)
    assert loss.mean() < upper < loss.mean() + 0.05
    assert calibrate.betting_p_value(loss, upper + 1e-6) <= 0.05 < calibrate.betting_p_value(loss, upper - 1e-6)
    assert code_of(calibrate.betting_upper, [0.5, 1.5]) == "calibration.bad_loss"
    score, error = sample(2000)
    t = calibrate.graded_threshold(score, error * 0.5, max_loss=0.02, start_loss=(1 - score) / 2)
    assert t.value is not None
    assert (score > t.value).sum() == t.automated
    assert t.upper <= 0.02
    assert json.loads(t.describe("json"))["kind"] == "graded threshold"


def test_costs_and_reviews() -> None:
    score, error = sample()
    t = calibrate.cost_threshold(score, error, wrong=40.0, review=1.0, start_probability=score)
    assert t.value is not None
    assert t.break_even == 0.025
    above = score > t.value
    assert t.saving == pytest.approx((above.sum() - 40 * error[above].sum()) / len(score))
    assert code_of(calibrate.cost_threshold, score, error, wrong=0.5, review=1.0) == "calibration.bad_cost"
    plan = calibrate.plan_reviews(score, 1 - score, line=t.value, capacity=100)
    assert len(plan.reviewed) == 100
    assert plan.automated.tolist() == np.flatnonzero(above).tolist()
    assert (1 - score)[plan.reviewed].min() >= (1 - score)[plan.waiting].max()


def test_recall_from_an_uneven_sample() -> None:
    rng = np.random.default_rng(3)
    label = (rng.random(8000) < 0.1).astype(int)
    score = np.where(label == 1, rng.beta(5, 2, 8000), rng.beta(2, 5, 8000))
    q = np.where(score < 0.4, 0.2, 1.0)
    drawn = rng.random(8000) < q
    floor = calibrate.recall_floor(score[drawn], label[drawn], min_recall=0.9, inclusion=q[drawn])
    assert floor.value is not None
    assert (score[label == 1] >= floor.value).mean() >= 0.9
    assert floor.flagged == pytest.approx((score >= floor.value).mean(), abs=0.03)
    q[0], drawn[0] = 0.01, True
    code = code_of(calibrate.recall_floor, score[drawn], label[drawn], min_recall=0.9, inclusion=q[drawn])
    assert code == "calibration.bad_inclusion"

    s, e = sample(4000)
    flag = np.where(e == 1, rng.beta(5, 2, 4000), rng.beta(2, 5, 4000))
    curve = calibrate.recall_and_risk((score, label), (s, flag, e), min_recall=[0.91, 0.97], max_risk=0.02, start_probability=s)
    assert [point.min_recall for point in curve.points] == [0.91, 0.97]
    assert curve.points[1].extra_flagged == pytest.approx(curve.points[1].flagged - curve.points[0].flagged)
    assert "0.97" in curve.describe()


def test_a_plan_buys_automation() -> None:
    score, _ = sample(10_000)
    plan = calibrate.plan_labels(score, score, max_risk=0.01, budget=500)
    assert plan.line is not None
    assert (score[plan.risk] > plan.line).all()
    assert plan.automation > plan.automation_random
    assert json.loads(plan.describe("json"))["labels_for_risk"] == 500
    both = calibrate.plan_labels(score, score, max_risk=0.01, budget=500, min_recall=0.95, simulations=0)
    assert len(both.risk) + len(both.recall) == 500
    assert not set(both.risk.tolist()) & set(both.recall.tolist())
    assert both.inclusion.min() >= 0.05


def test_a_stream_certifies_and_is_revoked() -> None:
    stream = calibrate.Recertification(0.05)
    assert stream.update(0, 200) == "certified"
    assert "certified" in stream.describe()
    shard = calibrate.Recertification(0.05)
    shard.update(50, 60)
    assert stream.merge(shard) == "revoked"
    assert (stream.errors, stream.total) == (50, 260)
    assert code_of(stream.update, 2, 1) == "calibration.bad_count"
    assert code_of(calibrate.Recertification, 1.5) == "calibration.bad_risk"
    assert calibrate.log_rate_evidence(15, 400, 0.02, change=0.01) == pytest.approx(1.78264255891, abs=1e-10)
    assert sum(calibrate.spent_delta(0.05, t) for t in range(1, 1000)) < 0.05


def test_noise() -> None:
    eta = calibrate.symmetric_noise(0.14)
    assert eta == pytest.approx(0.0757, abs=1e-4)
    assert calibrate.majority_noise(eta) == pytest.approx(stats.binom.sf(1, 3, eta))
    assert calibrate.apparent_recall(0.05, eta) == pytest.approx(0.39, abs=0.005)
    noise = calibrate.label_noise(140, 1000)
    assert noise.lower < noise.noise < noise.upper
    assert code_of(calibrate.check_noise_floor, 0.02, 140, 1000) == "calibration.noise_floor"
    calibrate.check_noise_floor(0.2, 140, 1000)
    audit = calibrate.two_phase_audit(
        3000, 280, apparent_adjudicated=280, apparent_confirmed=60, rest_adjudicated=1500, rest_found=0
    )
    assert audit.risk_upper == pytest.approx(audit.apparent_part + audit.rest_part)
    assert calibrate.noise_corrected_upper(100, 1000, 0, 0) > 0.1


def test_how_many_labels_are_needed() -> None:
    table = {0.01: (299, 473, 628), 0.02: (149, 236, 313), 0.03: (99, 157, 208), 0.05: (59, 93, 124)}
    for risk, needed in table.items():
        assert tuple(calibrate.zero_error_minimum(risk, errors=k) for k in range(3)) == needed
    assert calibrate.zero_error_minimum(0.01, 0.995) == 528


def test_the_demos_certificate_is_bound_to_its_curve() -> None:
    curve = calibrate.Platt.from_json('{"kind": "platt", "input": "probability", "a": -1.0, "b": 0.25}')
    t = calibrate.automation_threshold(*sample(), max_risk=0.05)
    document = star_bundle.Confidence(curve, t, "m", (0, 1)).document()
    stated = document["thresholds"][0]["certificate"]["calibrator_fingerprint"]
    text = json.dumps(document).encode()
    assert stated == op._core.calibrator_fingerprint(text)
    document["calibrator"]["a"] = -1.1
    assert stated != op._core.calibrator_fingerprint(json.dumps(document).encode())
