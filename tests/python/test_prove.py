"""Invariants: proved, refuted with a row that the evaluator confirms, or not decided; by the built-in prover and by Z3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import opspilot as op
from opspilot.policy import Policy, prove

SCHEMA: dict[str, Any] = {
    "task": [
        {"name": "intent", "type": "string", "values": ["fraud", "refund", "question"]},
        {"name": "amount", "type": "double", "optional": True},
        {"name": "limit", "type": "double"},
        {"name": "cap", "type": "double"},
        {"name": "first", "type": "int"},
        {"name": "second", "type": "int"},
        {"name": "opened", "type": "timestamp"},
        {"name": "text", "type": "string"},
        {"name": "tags", "type": "list<string>"},
    ],
    "action": [{"name": "kind", "type": "string"}],
    "candidate": [],
}
RANK = ["abstain", "escalate", "suggest", "require_approval", "auto_execute"]


def policy(*rules: tuple[str, str], invariants: tuple[dict[str, str], ...] = ()) -> Policy:
    made = [{"id": f"r{i}", "when": when, "effect": effect, "because": "b"} for i, (when, effect) in enumerate(rules)]
    document = {"layer": "compliance", "version": "1", "rules": made, "invariants": list(invariants)}
    return Policy.compile(document, SCHEMA)


def never(when: str, verdict: str = "auto_execute") -> dict[str, str]:
    return {"id": "i", "when": when, "never": verdict}


def confirm(proof: op.policy.Proof, of: Policy, limit: str = "auto_execute") -> None:
    assert proof.outcome == "refuted"
    assert proof.row is not None
    (result,) = of.evaluate(proof.row["task"], [proof.row["candidate"]], now=proof.row.get("now", 0))
    assert result.cap == proof.verdict
    assert RANK.index(result.cap) >= RANK.index(limit)


def test_the_built_in_prover_answers_with_rows() -> None:
    kept = policy(("task.intent == 'fraud'", "escalate"), invariants=(never("task.intent == 'fraud'"),))
    assert kept.invariants == [op.policy.Proof("i", "proved", method="built-in")]
    assert prove(kept, "i").outcome == "proved"
    assert prove(kept, {"when": "task.intent == 'fraud'", "never": "suggest"}).outcome == "proved"
    proof = prove(kept, {"when": "task.intent != 'question'"})
    assert proof.method == "built-in"
    confirm(proof, kept)

    broken = policy(("has(task.amount) && task.amount > 5.0", "escalate"), invariants=(never("task.amount > 5.0"),))
    (warning,) = [finding for finding in broken.findings if finding.code == "policy.invariant_refuted"]
    assert not warning.error
    assert "line" in warning.where
    assert "^" in warning.excerpt
    (refuted,) = broken.invariants
    confirm(refuted, broken)
    assert refuted.row is not None
    assert "amount" not in refuted.row["task"]  # an invariant that cannot be evaluated applies


def test_an_invariant_that_is_not_there() -> None:
    kept = policy(("true", "escalate"), invariants=(never("true"),))
    with pytest.raises(op.UsageError) as caught:
        prove(kept, "j")
    assert "i" in caught.value.hint
    with pytest.raises(op.PolicyError) as wrong:
        prove(kept, {"when": "task.intnt == 'x'"})
    assert "intent" in wrong.value.hint


@pytest.mark.parametrize(
    ("rules", "when", "expected"),
    [
        ([("task.limit > task.cap", "escalate")], "task.limit > task.amount && task.amount > task.cap", "refuted"),  # no amount
        (
            [("task.limit > task.cap", "escalate")],
            "has(task.amount) && task.limit > task.amount && task.amount > task.cap",
            "proved",
        ),
        ([("task.first + task.second != 17", "escalate")], "task.first - task.second == 3", "refuted"),
        (
            [("task.first > 3", "escalate"), ("task.second > 3", "escalate")],
            "task.first + task.second > 6",  # a sum that overflows fails, and an invariant that fails applies
            "refuted",
        ),
        (
            [("task.first > 3", "escalate"), ("task.second > 3", "escalate")],
            "task.first + task.second > 6 && task.first > 0 && task.second > 0",
            "proved",
        ),
        ([("task.first * 2 + task.second > 5", "escalate")], "task.first > 2 && task.second > 0 && task.second < 9", "proved"),
        ([("task.limit * 3.0 > task.cap", "escalate")], "task.limit > task.cap && task.cap > 0.0", "proved"),
        ([("size(task.text) > 4", "escalate")], "task.text.startsWith('hello')", "proved"),
        ([("size(task.text) > 5", "escalate")], "task.text.startsWith('hello')", "refuted"),
        (
            [("task.text.contains('b') || 'x' in task.tags", "escalate")],
            "task.text.startsWith('abc') || 'x' in task.tags",
            "proved",
        ),
        ([("now - task.opened > duration('1h')", "escalate")], "now - task.opened > duration('2h')", "proved"),
        (
            [("now > task.opened + duration('1h')", "escalate")],
            "now - task.opened > duration('2h')",
            "refuted",
        ),  # 300 years early
        (
            [("now > task.opened + duration('1h')", "escalate")],
            "now > task.opened && now - task.opened > duration('2h')",
            "proved",
        ),
        ([("task.text.matches('^a.*')", "escalate")], "task.text.matches('^ab.*')", "not decided"),
    ],
)
def test_z3_decides_what_is_left(rules: list[tuple[str, str]], when: str, expected: str) -> None:
    pytest.importorskip("z3")
    given = policy(*rules)
    proof = prove(given, {"when": when})
    assert proof.outcome == expected
    if expected == "refuted":
        confirm(proof, given)


def test_z3_agrees_with_the_built_in_prover() -> None:
    pytest.importorskip("z3")
    from opspilot import _z3

    conditions = [
        "task.intent == 'fraud'",
        "task.intent in ['fraud', 'refund']",
        "task.amount > 5.0",
        "has(task.amount) && task.amount > 5.0",
        "!has(task.amount) || task.amount >= 5.0",
        "task.first / 2 == 3",
        "task.first % 3 == -1",
        "task.first in [6, 7]",
        "-task.first < -5",
        "task.limit * 2.0 > 10.0",
        "task.limit > 5",
        "task.text.startsWith('ab') ? task.limit > 5.0 : task.amount > 5.0",
        "'a' in task.tags",
        "!(task.text == 'abc' || task.text.startsWith('b'))",
    ]
    decided = 0
    for guard in conditions:
        for when in conditions:
            core = policy((guard, "escalate"), invariants=(never(when),))._core
            (built_in,) = core.prove()
            other = _z3.prove(core, "i", when, 10.0)
            if "not decided" not in {built_in["outcome"], other.outcome}:
                decided += 1
                assert built_in["outcome"] == other.outcome, (guard, when)
    assert decided > 150


def test_without_z3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    monkeypatch.delitem(sys.modules, "opspilot._z3", raising=False)
    monkeypatch.delattr(op, "_z3", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"opspilot\[prove\]"):
        prove(policy(("task.text.matches('^a.*')", "escalate")), {"when": "task.text.matches('^ab.*')"})


def test_notes_and_rules_whose_time_is_over() -> None:
    given = policy(("task.amount > 5.0", "escalate"))
    (note,) = given.notes
    assert (note.code, note.error) == ("policy.unguarded_field", False)
    assert given.findings == []
    assert given.findings_at(datetime(2026, 1, 1, tzinfo=UTC)) == []


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "opspilot.cli", "policy", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=300)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    document = {
        "layer": "compliance",
        "version": "1",
        "rules": [
            {"id": "fraud", "when": "task.intent == 'fraud'", "effect": "escalate", "because": "b"},
            {"id": "letters", "when": "task.text.matches('^a.*')", "effect": "escalate", "because": "b"},
        ],
        "invariants": [
            {"id": "kept", "when": "task.intent == 'fraud'", "never": "auto_execute"},
            {"id": "broken", "when": "task.limit > 5.0", "never": "auto_execute"},
            {"id": "open", "when": "task.text.matches('^ab.*')", "never": "auto_execute"},
        ],
    }
    (tmp_path / "compliance.json").write_text(json.dumps(document, indent=1))
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    return tmp_path / "compliance.json", tmp_path / "schema.json"


def test_the_verb(files: tuple[Path, Path], tmp_path: Path) -> None:
    document, schema = files
    kept = run("prove", document, "--schema", schema, "--invariant", "kept", "--json")
    assert kept.returncode == 0, kept.stderr
    assert json.loads(kept.stdout)["proofs"][0]["outcome"] == "proved"
    broken = run("prove", document, "--schema", schema, "--invariant", "broken", "--json")
    assert broken.returncode == 1
    (proof,) = json.loads(broken.stdout)["proofs"]
    assert proof["outcome"] == "refuted"
    assert proof["row"]["task"]["limit"] > 5.0
    shown = run("prove", document, "--schema", schema, "--invariant", "broken")
    assert "refuted" in shown.stdout
    assert run("prove", document, "--schema", schema, "--invariant", "none", "--json").returncode == 2
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "z3.py").write_text("raise ModuleNotFoundError('no z3', name='z3')\n")
    path = os.pathsep.join([str(tmp_path / "absent"), *filter(None, [os.environ.get("PYTHONPATH")])])
    without = run("prove", document, "--schema", schema, "--invariant", "open", "--json", PYTHONPATH=path)
    assert without.returncode == 2
    assert "opspilot[prove]" in json.loads(without.stdout)["error"]["hint"]


def test_check_shows_the_line_and_notes_on_request(files: tuple[Path, Path]) -> None:
    document, schema = files
    plain = json.loads(run("check", document, "--schema", schema, "--json").stdout)
    assert [finding["code"] for finding in plain["findings"]] == ["policy.invariant_refuted"]
    assert plain["findings"][0]["excerpt"].splitlines()[1].strip().startswith("^")
    assert "notes" not in plain
    assert "^~" in run("check", document, "--schema", schema, COLUMNS="200").stdout
    noted = json.loads(run("check", document, "--schema", schema, "--notes", "--json").stdout)
    assert isinstance(noted["notes"], list)
