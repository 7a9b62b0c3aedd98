"""Groups: rates beside fairlearn and statsmodels, cells that nobody can subtract out, shrinkage, and alarms."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import opspilot as op
from opspilot import _core
from opspilot.evaluate import groups
from opspilot.evaluate._suppress import visible

FIXTURES = Path(__file__).parents[1] / "fixtures" / "groups"
POINTS = ("automation_rate", "selective_risk", "recall", "false_negative_rate", "false_positive_rate")


@pytest.fixture(scope="module")
def frozen() -> dict[str, Any]:
    made: dict[str, Any] = json.loads((FIXTURES / "groups.json").read_text())
    return made


@pytest.fixture(scope="module")
def report(frozen: dict[str, Any]) -> groups.GroupReport:
    return groups.report(frozen["group"], automated=frozen["automated"], wrong=frozen["wrong"], min_count=1)


def test_fairlearn_agrees_on_every_point(frozen: dict[str, Any], report: groups.GroupReport) -> None:
    for metric in POINTS:
        for group, value in frozen["by_group"][metric].items():
            assert report.rates[metric][group].value == value, (metric, group)
        assert report.overall[metric].value == frozen["overall"][metric]


def test_statsmodels_agrees_on_every_bound(frozen: dict[str, Any], report: groups.GroupReport) -> None:
    for bound in frozen["bounds"]:
        lower, upper = _core.binomial_bounds([bound["events"]], [bound["n"]], bound["delta"])
        assert (lower[0], upper[0]) == pytest.approx((bound["lower"], bound["upper"]), rel=1e-10, abs=1e-14)
    rate = report.rates["recall"]["es"]
    assert rate.n is not None and rate.events is not None
    lower, upper = _core.binomial_bounds([rate.events], [rate.n], 0.025)
    assert (rate.lower, rate.upper) == (lower[0], upper[0])


def test_unknown_outcomes_and_groups_are_left_out_where_they_matter() -> None:
    made = groups.report(
        ["a", "a", None, "a"], automated=[1, 1, 0, 1], wrong=[1, np.nan, 0, 0], slow=[1, 0, np.nan, 0], min_count=1
    )
    assert set(made.groups) == {"a", "(not known)"}
    assert (made.rates["selective_risk"]["a"].events, made.rates["selective_risk"]["a"].n) == (1, 2)
    assert (made.rates["automation_rate"]["a"].events, made.rates["automation_rate"]["a"].n) == (3, 3)
    assert (made.rates["slow_rate"]["a"].n, made.rates["slow_rate"]["(not known)"].n) == (3, 0)
    assert made.rates["recall"]["(not known)"].value is None and not made.rates["recall"]["(not known)"].suppressed


def test_a_person_may_be_needed_for_other_reasons_than_a_wrong_action() -> None:
    made = groups.report(["a"] * 4, automated=[1, 0, 0, 1], wrong=[0, 0, 1, 1], needed=[1, 1, 0, 0], min_count=1)
    assert (made.rates["recall"]["a"].events, made.rates["recall"]["a"].n) == (1, 2)
    assert made.rates["selective_risk"]["a"].value == 0.5


def test_calibration_by_group_has_the_mean_probability_beside_the_right_ones() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(400)
    wrong = np.where(rng.random(400) < 0.1, np.nan, (rng.random(400) > p).astype(float))
    made = groups.report(["a", "b"] * 200, automated=p > 0.5, wrong=wrong, probability=p)
    known = ~np.isnan(wrong[::2])
    assert made.mean_probability["a"] == pytest.approx(p[::2][known].mean())
    assert made.rates["right_rate"]["a"].value == pytest.approx(1 - wrong[::2][known].mean())


def test_differences_are_newcombes_and_need_both_sides(report: groups.GroupReport) -> None:
    one, other = report.rates["recall"]["es"], report.rates["recall"]["en"]
    assert one.events is not None and one.n is not None and other.events is not None and other.n is not None
    made = report.difference("recall", "es", "en")
    assert made == groups.difference(one.events, one.n, other.events, other.n)
    rest = report.difference("recall", "es")
    everybody = report.overall["recall"]
    assert rest is not None and everybody.events is not None and everybody.n is not None
    assert rest == groups.difference(one.events, one.n, everybody.events - one.events, everybody.n - one.n)
    with pytest.raises(op.UsageError, match="no metric is called 'speed'"):
        report.difference("speed", "es")
    with pytest.raises(op.UsageError, match="no group is called 'fr'"):
        report.difference("recall", "fr")
    with pytest.raises(op.UsageError):
        groups.difference(3, 2, 1, 2)


# ---- suppression ----


def test_small_cells_are_hidden_and_so_is_what_would_give_them_away() -> None:
    """Two groups, one small: the other one is the total less it."""
    n = [500] * 2 + [20]
    group = np.repeat(["a", "b", "c"], n)
    made = groups.report(group.tolist(), automated=np.ones(520 + 500), wrong=np.zeros(1020))
    hidden = {g for metric, g in made.suppressed if metric == "automation_rate"}
    assert "c" in hidden and len(hidden) >= 2
    assert made.difference("automation_rate", "a", "c") is None
    assert "c" not in made.shrunk("automation_rate")


def test_a_cell_is_not_given_away_by_other_metrics_of_its_group() -> None:
    """All wrong: recall and false positives show what was automated among the wrong and the right ones, which is the risk."""
    rng = np.random.default_rng(0)
    automated = np.r_[np.ones(20), np.zeros(980), rng.random(3000) < 0.5]
    wrong = rng.random(4000) < 0.3
    group = np.r_[np.zeros(1000), np.repeat([1, 2, 3], 1000)].astype(int)
    made = groups.report(group.tolist(), automated=automated, wrong=wrong)
    assert made.rates["selective_risk"][0].suppressed
    assert made.rates["recall"][0].suppressed or made.rates["false_positive_rate"][0].suppressed
    # (with both, wrong and automated = wrong ones less those left to people)


def _sums(metrics: int, kinds: int, rng: np.random.Generator) -> Any:
    base = rng.random((metrics, kinds)) < 0.6
    events = base & (rng.random((metrics, kinds)) < 0.5)
    return np.stack([events, base], axis=1).astype(float)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_no_hidden_count_is_a_combination_of_what_is_shown(seed: int) -> None:
    """The whole system of equations, solved at once: every shown cell and every total against every hidden count."""
    rng = np.random.default_rng(seed)
    many, metrics, kinds = int(rng.integers(2, 6)), int(rng.integers(1, 5)), int(rng.integers(2, 6))
    sums = _sums(metrics, kinds, rng)
    items = rng.integers(0, rng.choice([5, 20, 200]), (many, kinds))
    n = np.einsum("gk,mk->gm", items, sums[:, 1]).astype(np.int64)
    shown = visible(n, sums, 30)
    assert not (shown & (n > 0) & (n < 30)).any()
    rows = []
    for g in range(many):
        for m in np.flatnonzero(shown[g]):
            for s in sums[m]:
                row = np.zeros((many, kinds))
                row[g] = s
                rows.append(row.ravel())
    totals = n.sum(axis=0) >= 30
    rows += [np.tile(s, many) for m in np.flatnonzero(totals) for s in sums[m]]
    system = np.array(rows).reshape(-1, many * kinds)
    for g, m in np.argwhere(~shown):
        for s in sums[m]:
            want = np.zeros((many, kinds))
            want[g] = s
            if not s.any() or not (shown & (n > 0)).any():
                continue  # a sum over nothing is known; and with nothing shown nothing more can be hidden
            solved = np.linalg.lstsq(system.T, want.ravel(), rcond=None)[0] if len(system) else np.zeros(0)
            assert np.abs(system.T @ solved - want.ravel()).max() > 1e-6, (g, m)


def test_nothing_is_hidden_where_everything_is_large(frozen: dict[str, Any]) -> None:
    made = groups.report(frozen["group"], automated=frozen["automated"], wrong=frozen["wrong"], min_count=5)
    assert made.suppressed == []


# ---- shrinkage ----


def test_modes_are_those_of_a_general_minimiser() -> None:
    cases = json.loads((FIXTURES / "shrink.json").read_text())["cases"]
    for case in cases:
        common, u, _ = groups._modes(np.array(case["events"], float), np.array(case["n"], float), case["variance"])
        assert common == pytest.approx(case["common"], abs=1e-6)
        np.testing.assert_allclose(u, case["deviation"], atol=1e-6)


def test_gaps_of_many_equal_groups_are_noise_and_shrink_away() -> None:
    rng = np.random.default_rng(4)
    raw, shrunk = [], []
    for _ in range(20):
        events = rng.binomial(40, 0.2, 100)
        made = groups.shrink(events, np.full(100, 40)).rates
        raw.append(np.ptp(events / 40))
        shrunk.append(np.ptp(made))
    assert np.mean(raw) > 0.25  # of a true gap of 0
    assert np.mean(shrunk) < 0.2 * np.mean(raw)


def test_shrunk_rates_are_nearer_the_truth_and_rank_it_better() -> None:
    rng = np.random.default_rng(5)
    closer, worst = 0.0, [0, 0]
    for _ in range(100):
        truth = 1 / (1 + np.exp(-rng.normal(-1.5, 0.5, 40)))
        n = rng.choice([10, 15, 400], 40)
        events = rng.binomial(n, truth)
        made = groups.shrink(events, n)
        closer += np.mean((made.rates - truth) ** 2) / np.mean((events / n - truth) ** 2) / 100
        worst[0] += truth[np.argmax(made.rates)]
        worst[1] += truth[np.argmax(events / n)]
    assert closer < 0.6
    assert worst[0] > worst[1] + 1  # the group that is called worst is worse by a point on average


def test_the_worst_group_is_not_just_the_smallest() -> None:
    group = ["small"] * 35 + ["bad"] * 2000 + [f"g{i}" for i in range(20) for _ in range(500)]
    wrong = np.r_[np.arange(35) < 11, np.arange(2000) < 580, np.tile(np.arange(500) < 100, 20)]
    made = groups.report(group, automated=np.ones(len(group)), wrong=wrong)
    rates = made.rates["selective_risk"]
    assert (rates["small"].value or 0) > (rates["bad"].value or 0)
    assert made.worst("selective_risk") == "bad"


def test_no_events_and_no_groups_shrink_to_something() -> None:
    assert len(groups.shrink([], []).rates) == 0
    made = groups.shrink([0, 0, 0], [50, 10, 0])
    assert np.all((made.rates > 0) & (made.rates < 0.1))
    with pytest.raises(op.UsageError):
        groups.shrink([3], [2])


# ---- alarms ----


def test_an_alarm_says_who_is_higher_and_goes_on_after_a_restart() -> None:
    rng = np.random.default_rng(6)
    side = rng.choice(["men", "women", "other"], 4000)
    value = (rng.random(4000) < np.where(side == "women", 0.6, 0.4)).astype(float)
    alarm = groups.GapAlarm("men", "women")
    assert not alarm.add(side[:50].tolist(), value[:50])
    again = groups.GapAlarm.loads(alarm.dumps())
    assert again.add(side[50:].tolist(), value[50:]) and alarm.add(side[50:].tolist(), value[50:])
    assert again.log_evidence == alarm.log_evidence
    assert (alarm.raised, alarm.higher) == (True, "women")
    assert alarm.evidence > 20 and alarm.pairs > 1000
    one = groups.GapAlarm("a", "b")
    assert one.add("a", 1.0) is False
    with pytest.raises(op.UsageError, match="rescale"):
        one.add("a", 2.0)
    for text in ("", "{}", '{"first": 1, "second": 2, "state": {}}'):
        with pytest.raises(op.UsageError):
            groups.GapAlarm.loads(text)


def test_each_group_against_the_rest_keeps_false_alarms_down() -> None:
    rng = np.random.default_rng(7)
    names = [f"g{i}" for i in range(8)]
    false = found = 0
    for run in range(60):
        group = rng.choice(names, 4000)
        value = (rng.random(4000) < np.where((group == "g3") & (run % 2 == 0), 0.65, 0.4)).astype(float)
        raised = groups.GroupAlarms(names).add(group.tolist(), value)
        false += sum(g != "g3" for g in raised) if run % 2 == 0 else len(raised)
        found += run % 2 == 0 and "g3" in raised
    assert found >= 25
    assert false <= 6
    with pytest.raises(op.UsageError):
        groups.GroupAlarms(["a"])


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"automated": [1]}, "usage.length"),
        ({"wrong": [0, 2]}, "usage.flag"),
        ({"confidence": 95}, "usage.confidence"),
        ({"min_count": 0}, "usage.min_count"),
    ],
)
def test_what_cannot_be_counted_is_named(changed: dict[str, Any], code: str) -> None:
    arguments = {"automated": [1, 0], "wrong": [0, 1], **changed}
    with pytest.raises(op.UsageError) as caught:
        groups.report(["a", "b"], **arguments)
    assert caught.value.code == code


def test_a_report_describes_itself(report: groups.GroupReport) -> None:
    about = report.to_dict()
    assert json.loads(json.dumps(about, allow_nan=False)) == about
    assert json.loads(report.describe("json"))["kind"] == "group report"
    assert "es" in repr(report) + report.describe()
    assert math.isclose(report.shrunk("recall")["es"], report.rates["recall"]["es"].value or 0, abs_tol=0.1)
