"""policy format: one layout, in place or as a check; and expressions by themselves. Trees are compared in tests/policy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import opspilot as op

LOOSE = """{"version": "1", "layer": "client",
  "rules": [{"because": "b", "effect": "forbid", "when": "((task.a)>1)&&action.kind==\\"x\\"", "id": "r"}]}"""


def _opspilot(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "opspilot.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_documents_keep_what_they_say() -> None:
    text = op.policy.format(LOOSE)
    document = json.loads(text)
    assert list(document) == ["layer", "version", "rules"]
    assert list(document["rules"][0]) == ["id", "when", "effect", "because"]
    assert document["rules"][0]["when"] == "task.a > 1 && action.kind == 'x'"
    assert op.policy.format(text) == op.policy.format(document) == text
    task, candidates = {"a": 2}, [{"kind": "x"}, {"kind": "y"}]
    assert op.Policy.compile(text).evaluate(task, candidates) == op.Policy.compile(LOOSE).evaluate(task, candidates)


def test_expressions() -> None:
    assert op.cel.format("(a+b)*c  in [ 'x' ]") == "(a + b) * c in ['x']"
    assert op.cel.format("a // why\n") == "a // why\n"
    with pytest.raises(op.PolicyError) as caught:
        op.cel.format("a +")
    assert caught.value.where.startswith("line 1 column")
    with pytest.raises(op.PolicyError):
        op.cel.format("\ud800")


def test_the_verb_checks_and_writes(tmp_path: Path) -> None:
    file, good = tmp_path / "loose.json", tmp_path / "good.json"
    file.write_text(LOOSE)
    good.write_text(op.policy.format(LOOSE), encoding="utf-8")
    checked = _opspilot("policy", "format", file, good, "--check", "--json")
    assert checked.returncode == 1
    assert json.loads(checked.stdout) == {"ok": False, "files": 2, "changed": [str(file)]}
    assert file.read_text() == LOOSE
    assert _opspilot("policy", "format", file, good).returncode == 0
    assert file.read_text(encoding="utf-8") == good.read_text(encoding="utf-8")
    assert _opspilot("policy", "format", file, good, "--check").returncode == 0
    file.write_text('{"rules": [{"id": "r", "when": "a >"}]}')
    broken = _opspilot("policy", "format", file, "--json")
    assert broken.returncode == 3
    assert "line 1 column" in json.loads(broken.stdout)["error"]["where"]
