"""What groups, raters, suggestion sets, certificates and launches are given that cannot be: every refusal has its name."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot import _certify, _labelled
from opspilot._decision_log import one_of_each
from opspilot.calibrate import ConformalSets
from opspilot.evaluate import groups, launch, raters

NAN, INF = math.nan, math.inf
P = np.tile([0.7, 0.2, 0.1], (60, 1))
RIGHT = [0] * 60
VOTES = [["a", "b"], ["a", "a"]]
FLAGS: dict[str, Any] = {"automated": [1, 0], "wrong": [0, 1]}
CRITERION: dict[str, Any] = {"id": "c", "metric": "selective_risk", "at_most": 0.1}
Call = Callable[[], object]


def refusal(call: Call) -> str:
    with pytest.raises(op.Error) as caught:
        call()
    assert str(caught.value)
    return str(caught.value.code)


def report(**changed: Any) -> Call:
    return lambda: groups.report(["a", "b"], **{**FLAGS, **changed})


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (report(automated=[1, 2]), "usage.flag"),
        (report(automated=[1, NAN]), "usage.flag"),
        (report(wrong=[0, 0.5]), "usage.flag"),
        (report(needed=["yes", "no"]), "usage.flag"),
        (report(slow=[0, -1]), "usage.flag"),
        (report(automated=[1]), "usage.length"),
        (report(wrong=[1, 0, 1]), "usage.length"),
        (report(probability=[0.5]), "usage.length"),
        (report(probability=[0.5, NAN]), "usage.probability"),
        (report(probability=[0.5, 1.5]), "usage.probability"),
        (report(confidence=0.0), "usage.confidence"),
        (report(confidence=1.0), "usage.confidence"),
        (report(confidence=NAN), "usage.confidence"),
        (report(min_count=0), "usage.min_count"),
        (lambda: groups.difference(1, 2, 1, 0), "usage.counts"),
        (lambda: groups.difference(1, 2, 1, 2, confidence=95), "usage.confidence"),
        (lambda: groups.shrink([1, NAN], [2, 2]), "usage.counts"),
        (lambda: groups.shrink([1, 1], [2, INF]), "usage.counts"),
        (lambda: groups.shrink([1], [2, 2]), "usage.counts"),
        (lambda: groups.GapAlarm("a", "a"), "usage.groups"),
        (lambda: groups.GapAlarm("a", "b", alpha=0.0), "usage.gap_alarm"),
        (lambda: groups.GapAlarm("a", "b", alpha=1.0), "usage.gap_alarm"),
        (lambda: groups.GapAlarm("a", "b", tolerance=NAN), "usage.gap_alarm"),
        (lambda: groups.GapAlarm("a", "b").add(["a", "b"], [0.5, NAN]), "usage.gap_alarm"),
        (lambda: groups.GapAlarm("a", "b").add(["a"], [0.5, 0.5]), "usage.length"),
        (lambda: groups.GroupAlarms(["a", "b", "a"]), "usage.groups"),
        (lambda: groups.GroupAlarms(["a", "b"], alpha=2.0), "usage.gap_alarm"),
        (lambda: groups.GroupAlarms(["a", "b"]).add(["a"], [0.5, 0.5]), "usage.length"),
    ],
)
def test_groups(call: Call, code: str) -> None:
    assert refusal(call) == code


def test_groups_of_one_kind_of_outcome_have_rates_where_there_is_something_to_count() -> None:
    made = groups.report(["a"] * 40, automated=[1] * 40, wrong=[0] * 40)
    assert made.rates["selective_risk"]["a"].value == 0.0
    assert made.rates["recall"]["a"].value is None and made.rates["recall"]["a"].n in (0, None)
    nothing = groups.report([], automated=[])
    assert (list(nothing.groups), nothing.suppressed, nothing.worst("recall")) == ([], [], None)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: raters.cohen_kappa(["a"], ["a", "b"]), "usage.length"),
        (lambda: raters.cohen_kappa(["a"], ["b"], weights="cubic"), "usage.option"),  # type: ignore[arg-type]
        (lambda: raters.fleiss_kappa([["a", None], ["a", "b"]]), "usage.votes"),
        (lambda: raters.krippendorff_alpha(VOTES, level="interval"), "usage.level"),
        (lambda: raters.krippendorff_alpha(counts=[[1, 1]], level="interval", values=[0, NAN]), "usage.level"),
        (lambda: raters.krippendorff_alpha(counts=[[1, NAN]]), "usage.counts"),
        (lambda: raters.krippendorff_alpha(counts=[[1, INF]]), "usage.counts"),
        (lambda: raters.krippendorff_alpha(counts=[[1, -1]]), "usage.counts"),
        (lambda: raters.krippendorff_alpha(counts=[[1, 2], [1]]), "usage.counts"),
        (lambda: raters.noise_ceiling(VOTES, confidence=1.0), "usage.confidence"),
        (lambda: raters.noise_ceiling([["a", "a"], ["a", "a"]]), "usage.votes"),
        (lambda: raters.noise_ceiling([["a", "c"]], labels=["a", "b"]), "usage.label"),
        (lambda: raters.noise_ceiling(counts=[[1, 1]] * 20 + [[2, 0]] * 80).check(0.01), "calibration.noise_floor"),
        (lambda: raters.strict_and_lenient(["a", "a"], VOTES, confidence=0.0), "usage.confidence"),
        (lambda: raters.strict_and_lenient(["a"], VOTES), "usage.length"),
        (lambda: raters.DawidSkene(smoothing=-1.0), "usage.option"),
        (lambda: raters.DawidSkene(smoothing=NAN), "usage.option"),
        (lambda: raters.DawidSkene(iterations=0), "usage.option"),
        (lambda: raters.DawidSkene().fit([1, 2], [1, 1], ["a", NAN]), "usage.votes"),
        (lambda: raters.DawidSkene().fit([1], [1, 1], ["a", "b"]), "usage.length"),
        (lambda: raters.adjudication_queue([[0.5, NAN]]), "usage.shape"),
        (lambda: raters.adjudication_queue([[2.0, -1.0]]), "usage.shape"),
        (
            lambda: raters.two_phase_bound(9, 1, adjudicated=1, confirmed=0, rest_adjudicated=8, rest_found=0, confidence=NAN),
            "usage.confidence",
        ),
        (
            lambda: raters.two_phase_bound(9, 10, adjudicated=1, confirmed=0, rest_adjudicated=8, rest_found=0),
            "usage.counts",
        ),
    ],
)
def test_raters(call: Call, code: str) -> None:
    assert refusal(call) == code


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: ConformalSets().fit(np.full((60, 3), NAN), RIGHT), "calibration.bad_probability"),
        (lambda: ConformalSets().fit(np.full((60, 3), 0.9), RIGHT), "calibration.bad_probability"),
        (lambda: ConformalSets().fit([["a", "b"]] * 60, RIGHT), "calibration.bad_probability"),  # type: ignore[list-item]
        (lambda: ConformalSets().fit([[]] * 60, RIGHT), "calibration.bad_right"),
        (lambda: ConformalSets().fit(P, RIGHT[:59]), "calibration.length_mismatch"),
        (lambda: ConformalSets().fit(P, RIGHT, ["a"] * 59), "calibration.length_mismatch"),
        (lambda: ConformalSets().fit(P, RIGHT, []), "calibration.length_mismatch"),
        (lambda: ConformalSets().fit(P, [3] * 60), "calibration.bad_right"),
        (lambda: ConformalSets().fit(P, np.full(60, NAN)), "calibration.bad_right"),
        (lambda: ConformalSets(confidence=0.0).fit(P, RIGHT), "calibration.bad_confidence"),
        (lambda: ConformalSets(confidence=1.0).fit(P, RIGHT), "calibration.bad_confidence"),
        (lambda: ConformalSets(confidence=NAN).fit(P, RIGHT), "calibration.bad_confidence"),
        (lambda: ConformalSets(penalty=NAN).fit(P, RIGHT), "calibration.bad_option"),
        (lambda: ConformalSets().fit(P, RIGHT).sets(np.full((1, 3), NAN)), "calibration.bad_probability"),
        (lambda: ConformalSets().fit(P, RIGHT).sets(P[:1], keys=[-1]), "calibration.bad_key"),
        (lambda: ConformalSets().fit(P, RIGHT).sets(P[:1], ["a"]), "calibration.bad_group"),
    ],
)
def test_suggestion_sets(call: Call, code: str) -> None:
    assert refusal(call) == code


def test_candidates_that_are_all_alike_and_lists_of_one_are_no_reason_to_refuse() -> None:
    alike = np.full((60, 4), 0.25)
    made = ConformalSets(randomised=False).fit(alike, [i % 4 for i in range(60)]).sets(alike[:2])
    assert made == [[0, 1, 2, 3]] * 2
    assert ConformalSets().fit([[1.0]] * 60, RIGHT).sets([[1.0]]) == [[0]]


def _calibrate(tmp_path: Path, content: str | bytes, *arguments: object) -> tuple[int, dict[str, Any]]:
    file = tmp_path / "rows.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    command = [sys.executable, "-m", "opspilot.cli", "calibrate", file, *arguments, "--json"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=120)
    assert len(done.stdout.splitlines()) == 1, done.stderr
    return done.returncode, json.loads(done.stdout)


RISK, RECALL = ("--target", "risk<=0.1"), ("--target", "recall(safety)>=0.97")


@pytest.mark.parametrize(
    ("content", "arguments", "exit_code", "code"),
    [
        ("score,error\n0.5,2\n", RISK, 3, "calibration.bad_label"),
        ("score,right\n0.5,0.5\n", RISK, 3, "calibration.bad_label"),
        ("score,error\n0.5,nan\n", RISK, 3, "calibration.bad_label"),
        ("score,error\nnan,1\n", RISK, 3, "calibration.not_finite"),
        ("score,error\ninf,1\n", RISK, 3, "calibration.not_finite"),
        ("label,safety\nsafety,nan\n", RECALL, 3, "calibration.not_finite"),
        ('{"score": ' + "9" * 400 + ', "error": 1}\n', RISK, 3, "usage.column"),
        ("score,error,time\n0.5,1,nan\n", RISK, 3, "usage.column"),
        ("score,error\n0.5\n", RISK, 3, "usage.rows"),
        ("score,error\n0.5,1,1\n", RISK, 3, "usage.rows"),
        ("score,error\n0.5,\n", RISK, 3, "usage.column"),
        ("score,error,client\n0.5,1,\n", (*RISK, "--by", "client"), 3, "usage.column"),
        ("score,error\n0.5,1\n", (*RISK, "--by", "client"), 3, "usage.column"),
        ("score,error\n0.5,1\n", (*RISK, "--one-per", "case"), 3, "usage.column"),
        ("score,error\n0.5,1\n", (*RISK, "--confidence", "1"), 3, "usage.confidence"),
        ("score,error\n0.5,1\n", (*RISK, "--confidence", "0"), 3, "usage.confidence"),
        ("score,error\n0.5,1\n", (*RISK, "--confidence", "nan"), 3, "usage.confidence"),
        ("score,error\n0.5,1\n", ("--target", "risk<=1.5"), 2, "usage.target"),
        ("score,error\n0.5,1\n", (*RISK, "--attributes", "x.csv"), 2, "usage.option"),
        (b"score,error\n\xff,1\n", RISK, 3, "usage.rows"),
        ("[" * 100_000, RISK, 3, "usage.rows"),
        ('{"score":' + "[" * 100_000, RISK, 3, "usage.rows"),
    ],
)
def test_certificates(tmp_path: Path, content: str | bytes, arguments: tuple[str, ...], exit_code: int, code: str) -> None:
    done, made = _calibrate(tmp_path, content, *arguments)
    assert (done, made["error"]["code"]) == (exit_code, code)


@pytest.mark.parametrize(
    ("rows", "target", "message"),
    [
        (
            "0.9,1,other,1\n" * 40,
            RISK,
            "Insufficient: too few distinct scores; no line has 29 items above it that prove",
        ),
        ("0.9,0,other,1\n" * 20, RISK, "Insufficient: 29 items without an error and one below them needed for"),
        ("0.9,0,other,1\n" * 400, RISK, "Insufficient: too few distinct scores; no line has 29 items above it that prove"),
        ("0.9,0,other,1\n" * 400, RECALL, "Insufficient: 99 positives needed, 0 given"),
        ("0.9,0,safety,1\n" * 60, RECALL, "Insufficient: 99 positives needed, 60 given"),
    ],
)
def test_one_class_and_ties_are_evidence_that_does_not_suffice(
    tmp_path: Path, rows: str, target: tuple[str, str], message: str
) -> None:
    code, made = _calibrate(tmp_path, "score,error,label,safety\n" + rows, *target)
    assert code == 1 and made["targets"][0]["message"].startswith(message)


def test_groups_of_certificates_do_not_overlap_and_rows_of_a_unit_are_drawn_alike() -> None:
    score, error = [0.9, 0.8, 0.7], [0, 0, 1]
    overlapping = {"a": [0, 1], "b": [1, 2]}
    call = lambda: op.calibrate.automation_threshold(score, error, max_risk=0.1, groups=overlapping)  # noqa: E731
    assert refusal(call) == "calibration.overlapping_groups"
    units = [f"u{i}" for i in range(4000) for _ in range(1 + i % 4)]
    drawn = one_of_each(units)
    assert len({units[i] for i in drawn}) == len(drawn)
    place = np.array([j for i in range(4000) for j in range(1 + i % 4)])
    # Every row with probability 1/4: first ones of 4000 units, second ones of 3000 ...
    for j, of in enumerate((4000, 3000, 2000, 1000)):
        assert abs((place[drawn] == j).sum() - of / 4) < 5 * math.sqrt(of * 3 / 16)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"at_most": 0.0}, "calibration.bad_criterion"),
        ({"at_most": 1.0}, "calibration.bad_criterion"),
        ({"confidence": 0.0}, "calibration.bad_criterion"),
        ({"confidence": 1.0}, "calibration.bad_criterion"),
        ({"at_most": "NaN"}, "calibration.wrong_kind"),
        ({"by": "shoe"}, "usage.groups"),
        ({"by": "action.kind"}, "usage.groups"),
        ({"metric": "recall", "at_most": 0.1, "of": "safety"}, "usage.labels"),
    ],
)
def test_launch_criteria(changed: dict[str, Any], code: str) -> None:
    document = {"version": 1, "name": "n", "criteria": [{**CRITERION, **changed}]}
    assert refusal(lambda: launch.judge(document, [b""])) == code


def test_a_launch_is_refused_what_it_cannot_read(tmp_path: Path) -> None:
    document = {"version": 1, "name": "n", "criteria": [CRITERION]}
    assert refusal(lambda: launch.judge(document, [b"{}\n"])) == "audit.log"
    assert refusal(lambda: launch.judge(document, [b""], before=b"[" * 100_000)) == "usage.before"  # type: ignore[arg-type]
    assert refusal(lambda: launch.judge(document, [b""], votes=[[1, 0.5]])) == "usage.counts"
    (tmp_path / "a.csv").write_text("task,label\nT-1,x\nT-1,y\n")  # one decision in two groups
    assert refusal(lambda: launch.judge(document, [b""], attributes=tmp_path / "a.csv")) == "usage.attributes"


def test_targets_need_rows_of_their_kind() -> None:
    data = _labelled.Labelled("rows")
    assert refusal(lambda: _certify.certify(data, [])) == "usage.target"
