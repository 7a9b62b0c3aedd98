"""Why the rules of a decision acted, down to the clause: in Python, in the record and in the terminal."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import opspilot as op
from opspilot import _core


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_support = _load("test_decide")  # the bundle of a small support desk
NOW: int = _support.NOW
SECRET = "Ottilie Quill"
RULES = {
    "layer": "compliance",
    "version": "2",
    "rules": [
        {"id": "cap", "when": "action.kind == 'refund' && task.amount > 5.0", "effect": "forbid", "because": "b"},
        {"id": "named", "when": "task.text.startsWith('O') || task.amount > 1.0", "effect": "suggest_only", "because": "b"},
        {"id": "asks", "when": "action.kind == 'ask'", "effect": "boost", "by": 0.5, "because": "b"},
    ],
}
TASK = {"id": "t", "client": "acme", "intent": "refund", "amount": 12.5, "text": SECRET}


@pytest.fixture(scope="module")
def bundle() -> op.Bundle:
    parts = {name: content for name, content in _support._parts().items() if not name.startswith("policy/")}
    parts["policy/rules.json"] = json.dumps(RULES).encode()
    return op.Bundle.build(parts)


def _explain(bundle: op.Bundle, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    packed = bundle.save(folder / "b.opspilot")
    task = folder / "task.json"
    task.write_text(json.dumps(TASK))
    command = [sys.executable, "-m", "opspilot.cli", "explain", str(packed), "--task", str(task), "--now", str(NOW), *more]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False)


def test_clauses_of_the_best_and_of_refused_candidates(bundle: op.Bundle) -> None:
    lines: list[bytes] = []
    engine = op.Engine(bundle, audit=lines.append)
    plain = engine.decide(TASK, now=NOW)
    made = engine.decide(TASK, now=NOW, clauses=True)
    assert plain.clauses is None
    assert b'"clauses"' not in lines[0]
    assert made.clauses is not None
    assert (made.clauses["missing"], made.clauses["left_out"]) == (None, 0)
    refused = [c.action for c in made.ranked if not c.allowed]
    assert refused
    assert [(rule["action"], rule["rule"]) for rule in made.clauses["rules"]] == [
        (c.action, reason["rule"]) for c in made.ranked if c is made.ranked[0] or not c.allowed for reason in c.reasons
    ]
    with_it = made.to_dict()
    assert with_it.pop("clauses") == made.clauses
    assert with_it == plain.to_dict()

    # The policy by itself says the same of the same candidates.
    policy = op.Policy.compile(RULES, schema=_support.DOCUMENTS["schema.json"])
    catalogue = {row["id"]: row for row in _support.DOCUMENTS["catalogue.json"]}
    keys = ("rule", "layer", "clauses", "change")
    for action in (made.ranked[0].action, *refused):
        (alone,) = policy.evaluate(TASK, [catalogue[action]], explain=True)
        mine = [{k: rule[k] for k in keys} for rule in made.clauses["rules"] if rule["action"] == action]
        assert mine == [{k: reason[k] for k in keys} for reason in alone.reasons]

    # The record holds the same in its own form.
    logged = json.loads(lines[1])["clauses"]
    for rule, mine in zip(logged["rules"], made.clauses["rules"], strict=True):
        assert (rule["action"], rule["rule"], rule["change"]) == (mine["action"], mine["rule"], mine["change"])
        for clause, own in zip(rule["clauses"], mine["clauses"], strict=True):
            assert (clause["text"], clause["offset"], clause["gives"]) == (own["text"], own["offset"], own["gives"])
            assert {seen["field"]: seen["value"] for seen in clause["values"]} == own["values"]
    assert _core.check_log(b"".join(lines))["ok"]


def test_one_candidate_is_asked_about(bundle: op.Bundle) -> None:
    engine = op.Engine(bundle)
    made = engine.decide(TASK, now=NOW, about="refund")
    assert made.clauses is not None
    assert {rule["action"] for rule in made.clauses["rules"]} == {"refund"}
    (cap,) = [rule for rule in made.clauses["rules"] if rule["rule"] == "cap"]
    assert cap["effect"] == "forbid"
    assert cap["change"] == ["action.kind != 'refund'"]
    nobody = engine.decide(TASK, now=NOW, about="refnd").clauses
    assert nobody == {"missing": "explanation.no_candidate", "rules": [], "left_out": 0}
    with pytest.raises(op.UsageError) as refused:
        engine.decide(TASK, now=NOW).explain()
    assert refused.value.code == "usage.not_asked"


def test_a_personal_value_is_in_no_output(bundle: op.Bundle, tmp_path: Path) -> None:
    lines: list[bytes] = []
    engine = op.Engine(bundle, audit=lines.append)
    made = engine.decide(TASK, now=NOW, explain=True, clauses=True)
    engine.decide_batch([TASK], now=NOW, explain=True, clauses=True)
    assert lines[0] == lines[1]
    why = made.explain()
    shown = [
        *(line.decode() for line in lines),
        json.dumps(made.to_dict()),
        repr(made),
        *(made.describe(f) for f in ("text", "json", "html")),
        *(why.describe(f) for f in ("text", "json", "html")),
        repr(why),
        json.dumps(why.to_dict()),
    ]
    for more in ([], ["--json"]):
        done = _explain(bundle, tmp_path, *more)
        assert "(personal)" in done.stdout
        shown.append(done.stdout + done.stderr)
    for text in shown:
        assert SECRET not in text
        assert "Quill" not in text
    assert all("(personal)" in text for text in shown[:3])
    assert "(personal)" in why.describe()
    with pytest.raises(op.UsageError):
        op.Engine(bundle).decide_batch([TASK], now=NOW, clauses=True)


def test_the_terminal_shows_clauses_and_the_smallest_change(bundle: op.Bundle, tmp_path: Path) -> None:
    done = _explain(bundle, tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    expected = op.Engine(bundle).decide(TASK, now=NOW, clauses=True).clauses
    assert expected is not None
    assert json.loads(done.stdout)["clauses"] == expected
    text = _explain(bundle, tmp_path)
    assert text.returncode == 0, text.stderr
    for rule in expected["rules"]:
        for clause in rule["clauses"]:
            assert clause["text"] in text.stdout
        assert " and ".join(rule["change"])[:40] in text.stdout
    assert _explain(bundle, tmp_path, "--about", "nobody").returncode == 2
    one = json.loads(_explain(bundle, tmp_path, "--about", "refund", "--json").stdout)["clauses"]
    assert one == op.Engine(bundle).decide(TASK, now=NOW, about="refund").clauses
