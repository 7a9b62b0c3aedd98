"""The simulated operation: reproducible, its truth the truth, and the demo on it the whole way."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot import parity
from opspilot.demo import simulate_documents
from opspilot.demo.simulate import DAY, Client, Drift, SimulatedTask, SupportOperation
from opspilot.demo.simulate_world import BY_STAGE, CLIENTS, INTENTS, Facts, Operator
from opspilot.demo.star_data import OVERRIDE


@pytest.fixture(scope="module")
def tasks() -> list[SimulatedTask]:
    return list(SupportOperation(seed=3).tasks(20_000))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[op.Bundle, dict[str, Any], Path]:
    pytest.importorskip("lightgbm")
    from opspilot.demo import simulate_run

    out = tmp_path_factory.mktemp("demo")
    stages: list[str] = []
    bundle, result = simulate_run.run(out, lambda stage, done: stages.append(stage))
    assert {"simulate", "trees", "certify", "decide"} <= set(stages)
    return bundle, result, out


def test_the_seed_decides_everything() -> None:
    first = list(SupportOperation(seed=5).tasks(300))
    assert first == list(SupportOperation(seed=5).tasks(300))
    assert first[:100] == list(SupportOperation(seed=5).tasks(100))
    assert first != list(SupportOperation(seed=6).tasks(300))


def test_tasks_come_in_order_and_cases_step_by_step(tasks: list[SimulatedTask]) -> None:
    assert all(a.at <= b.at for a, b in itertools.pairwise(tasks))
    steps: dict[int, int] = {}
    for task in tasks:
        assert task.label.turn == steps.get(task.label.dialogue, 0) == task.record["step"]
        steps[task.label.dialogue] = task.label.turn + 1
    assert max(steps.values()) <= 10


def test_the_truth_is_a_distribution_over_the_catalogue(tasks: list[SimulatedTask]) -> None:
    known = {action["id"] for action in simulate_documents.catalogue()}
    for task in tasks:
        assert set(task.truth.right) <= known
        assert 0.8 < sum(task.truth.right.values()) <= 1 + 1e-9
        assert task.truth.error_of("no such action") == 1.0
        assert task.label.override == (task.label.action == OVERRIDE)
        assert task.label.options == () if task.label.override else task.label.action in task.label.options


def test_without_errors_and_noise_what_is_done_follows_the_truth() -> None:
    perfect = [Operator("p", 0.0, 0.0, (0, 24))]
    done = list(SupportOperation(seed=1, operators=perfect, label_noise=0.0, drift=None).tasks(20_000))
    expected = np.mean([max(task.truth.right.values()) for task in done])
    found = np.mean([task.label.action == max(task.truth.right, key=lambda a: task.truth.right[a]) for task in done])
    assert found == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(len(done)))
    stage = [task for task in done if task.truth.stage == "identify"]
    share = np.mean([task.label.action == "ask_identity" for task in stage])
    assert share == pytest.approx(0.994, abs=4 * np.sqrt(0.994 * 0.006 / len(stage)))


def test_noise_and_errors_are_as_declared() -> None:
    careless = [Operator("c", 0.0, 0.25, (0, 24))]
    done = list(SupportOperation(seed=1, operators=careless, label_noise=0.0).tasks(8_000))
    share = np.mean([task.label.override for task in done])
    needed = np.mean([1 - sum(task.truth.right.values()) for task in done])
    assert share == pytest.approx(0.25 + 0.75 * needed, abs=0.02)


def test_volumes_and_hours_are_as_declared(tasks: list[SimulatedTask]) -> None:
    cases = {task.label.dialogue: task for task in tasks}.values()
    clients = Counter(task.record["client"] for task in cases)
    total = sum(client.volume for client in CLIENTS)
    for client in CLIENTS:
        assert clients[client.name] / len(cases) == pytest.approx(client.volume / total, abs=0.03)
    hours = Counter(task.record["hour"] for task in tasks)
    assert hours[10] > 5 * hours[3]


def test_the_drift_changes_what_is_right_from_its_day_on() -> None:
    def solve(_: Facts) -> dict[str, float]:
        return {"callback": 1.0}

    operation = SupportOperation(seed=2, drift=Drift(5.0, "login", solve))
    assert operation.drift_at == 5 * DAY
    solving = [t for t in operation.tasks(8_000) if t.truth.intent == "login" and t.truth.stage == "solve"]
    assert {("callback" in t.truth.right) for t in solving if t.at >= 5 * DAY} == {True}
    assert all(t.truth.right != {"callback": 1.0} for t in solving if t.at < 5 * DAY)
    assert any(t.at < 5 * DAY for t in solving) and SupportOperation(drift=None).drift_at is None


def test_other_operations_can_be_declared() -> None:
    only = [intent for intent in INTENTS if intent.name == "address"]
    small = SupportOperation(seed=1, clients=[Client("one", 10.0, "basic")], intents=only)
    done = list(small.tasks(200))
    assert {task.record["client"] for task in done} == {"one"}
    assert {task.truth.intent for task in done} == {"address"}


def test_the_documents_fit_together() -> None:
    schema = simulate_documents.schema()
    policy = op.Policy.compile([simulate_documents.compliance(), simulate_documents.business()], schema)
    assert [test for test in policy.run_tests() if not test.passed] == [] and policy.findings == []
    assert min(policy.coverage().values()) >= 1
    assert op.Policy.compile([simulate_documents.baseline()], schema).findings == []
    assert {action["id"] for action in simulate_documents.catalogue()} == {a for actions in BY_STAGE.values() for a in actions}


def test_one_per_case_takes_every_decision_alike(tasks: list[SimulatedTask]) -> None:
    simulate_run = pytest.importorskip("opspilot.demo.simulate_run")
    decisions = [task.decision for task in tasks]
    drawn = simulate_run._one_per_case(decisions)
    cases = [decisions[i].label.dialogue for i in drawn]
    assert len(set(cases)) == len(cases)
    n = Counter(d.label.turn for d in decisions)
    taken = Counter(decisions[i].label.turn for i in drawn)
    longest = 1 + max(n)
    for turn in range(4):  # each place of each case with the probability 1 / longest
        assert taken[turn] == pytest.approx(n[turn] / longest, abs=5 * np.sqrt(n[turn] / longest))


def test_the_demo_is_complete_and_plain(demo: tuple[op.Bundle, dict[str, Any], Path]) -> None:
    bundle, result, out = demo
    json.dumps(result, allow_nan=False)
    assert result["simulated"] and result["automation"]["n"] == result["parts"]["test"]["decisions"]
    assert result["next_action"]["top1"] > result["baseline"]["top1"] + 0.1
    assert result["slate"]["top1"] > result["slate"]["logged_order"]
    assert result["plots"]["reliability"] and sum(b["n"] for b in result["plots"]["reliability"]) == result["automation"]["n"]
    assert sum(result["verdicts"].values()) == result["automation"]["n"]
    assert op.Bundle.load(out / "bundle.opspilot").fingerprint == bundle.fingerprint == op.Bundle.load(out / "bundle").fingerprint
    assert len((out / "decisions.log").read_bytes().splitlines()) == 2 * result["automation"]["n"]  # and what was done
    page = op.report.build("demo", result, bundle).html
    assert bundle.fingerprint in page and "true error, certified, after the drift" in page


def test_stages_are_measured_on_the_decisions_that_are_reported(demo: tuple[op.Bundle, dict[str, Any], Path]) -> None:
    _, result, _ = demo
    stages, reported = result["stages"], result["next_action"]
    assert stages["generation"]["tasks"] == reported["n"]
    for k in (1, 3):  # the final order, from end to end, is what single decisions show
        assert stages["final"][f"hit@{k}"] * stages["generation"]["recall"] == pytest.approx(reported[f"top{k}"])
    assert [row["stage"] for row in stages["stages"]] == ["intent", "choice", "trees"]
    first = {row["stage"]: row["hit@1"] for row in stages["stages"]}
    assert first["trees"] > first["intent"] > stages["as_offered"]["hit@1"]


def test_the_bundle_automates_exactly_what_was_certified(demo: tuple[op.Bundle, dict[str, Any], Path]) -> None:
    _, result, _ = demo
    served = result["automation"][result["automation"]["served"]]
    assert served["sufficient"] and served["risk_upper"] <= served["max_risk"]
    assert result["verdicts"]["auto_execute"] == served["automated"]


def test_the_true_error_keeps_the_certified_risk_until_the_drift(demo: tuple[op.Bundle, dict[str, Any], Path]) -> None:
    _, result, _ = demo
    rows = {row["name"]: row for row in result["truth"]["rows"]}
    assert rows["true error, certified, before the drift"]["at_10"] <= 0.1
    assert rows["true error, certified, after the drift"]["at_10"] > rows["true error, certified, before the drift"]["at_10"]


def test_rules_that_never_act_change_nothing(demo: tuple[op.Bundle, dict[str, Any], Path]) -> None:
    bundle, result, _ = demo
    ids = {rule["id"] for name in bundle.parts if name.startswith("policy/") for rule in json.loads(bundle.part(name))["rules"]}
    assert {rule["id"] for rule in result["rules"]} == ids
    for rule in result["rules"]:
        assert rule["matched"] > 0 or rule["verdict_changes"] == 0
    assert any(rule["verdict_changes"] > 0 for rule in result["rules"] if rule["layer"] == "compliance")


def test_parity_of_the_simulated_bundle(demo: tuple[op.Bundle, dict[str, Any], Path]) -> None:
    checked = parity.check(demo[0])
    assert checked["mismatches"] == 0, checked["examples"]
    assert checked["tasks"] >= 20
