"""JSON Schemas against a validator that nobody here wrote: what our readers refuse for its structure, the schemas refuse, and
what our readers take, the schemas take. Documents are changed in one place at a time, in every place."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot import _core
from opspilot.models import ChoiceModel, TextClassifier

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[2]
#: Ends of the codes of errors that are about structure alone.
STRUCTURE = (
    ".table_row",
    ".table_key",
    ".table_value",
    ".unknown_field",
    ".missing_field",
    ".wrong_kind",
    ".bad_choice",
    ".stage_key",
)


def _decide() -> Any:
    spec = importlib.util.spec_from_file_location("test_decide", Path(__file__).with_name("test_decide.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CERTIFICATE: dict[str, Any] = {
    "model_fingerprint": "m1",
    "calibrator": "platt",
    "sampling_unit": "one decision per case",
    "not_covered": "other clients",
    "n": 300,
    "automated": 93,
    "errors": 1,
    "needed": 59,
    "alpha": 0.05,
    "delta": 0.05,
    "coverage": 0.31,
    "risk_upper": 0.0499,
    "data_from": 100,
    "data_to": 200,
    "created_at": 300,
    "expires_at": 1000,
}
#: By the name of a schema: the part of the bundle and a document of it that uses most keys.
DOCUMENTS: dict[str, tuple[str, Any]] = {
    "bundle": (
        "bundle.json",
        {
            "name": "support",
            "version": "1",
            "region": "eu",
            "description": "d",
            "created": "2026-01-01T00:00:00Z",
            "provenance": {"data": "logs"},
            "limits": {"candidates": 100, "task_bytes": 10000, "candidate_bytes": 100000},
            "demo": {},
        },
    ),
    "schema": (
        "schema.json",
        {
            "task": [
                {"name": "intent", "type": "string", "values": ["refund", "billing", "fraud", "other"], "pii": "none"},
                {"name": "amount", "type": "double", "optional": True, "min": 0, "max": 1e9, "unit": "USD"},
                {"name": "text", "type": "string", "optional": True, "pii": "personal", "description": "words"},
                {"name": "at", "type": "timestamp", "optional": True},
                {"name": "level", "type": "int", "default": 3, "max_age": "24h", "as_of": "at"},
                {"name": "tags", "type": "list<string>", "default": ["a"]},
                {"name": "age", "type": "int", "optional": True, "use": "audit"},
            ],
            "action": [
                {"name": "kind", "type": "string"},
                {"name": "intents", "type": "list<string>"},
                {"name": "manual", "type": "bool", "default": False},
            ],
            "candidate": [{"name": "match", "type": "double", "optional": True, "default": 0.5}],
        },
    ),
    "candidates": (
        "candidates.json",
        {"generators": [{"kind": "match", "task": "task.intent", "action": "action.intents"}, {"kind": "all"}], "limit": 100},
    ),
    "features": (
        "features.json",
        {
            "version": 1,
            "transforms": [
                {"name": "match", "op": "number", "input": "candidate.match", "missing": 0},
                {"name": "amount", "op": "log", "input": "task.amount", "missing": 0},
                {"name": "big", "op": "between", "input": "task.amount", "min": 1, "max": 9, "output": False, "missing": 0},
                {"name": "weekday", "op": "calendar", "part": "weekday", "offset": "2h"},
                {"name": "seen", "op": "count", "tokens": [{"input": "task.tags", "kind": "items"}, "task.intent"]},
                {"name": "words", "op": "overlap", "a": {"tokens": "task.tags"}, "b": "action.intents", "measure": "jaccard"},
                {
                    "name": "block",
                    "op": "text_hash",
                    "bits": 8,
                    "sources": [{"tokens": "task.text", "name": "t", "weight": 2, "tf": "log", "norm": "l2"}],
                },
            ],
        },
    ),
    "stages": (
        "rank/stages.json",
        {
            "version": 1,
            "stages": [
                {"name": "given", "kind": "host", "field": "candidate.match"},
                {"name": "score", "kind": "linear", "model": "rank/linear.json", "rerank": {"stage": "given", "count": 5}},
            ],
            "rank_by": "score",
            "linear": "score",
        },
    ),
    "linear": (
        "rank/linear.json",
        {
            "version": 1,
            "features": ["match", "amount"],
            "weights": [2.0, 0.5],
            "intercept": 0.25,
            "sparse": [{"block": "block", "dimension": 256, "index": [3, 9], "weights": [0.5, -1]}],
        },
    ),
    "policy": (
        "policy/compliance.json",
        {
            "layer": "compliance",
            "version": "1",
            "name": "n",
            "description": "d",
            "rules": [
                {
                    "id": "fraud",
                    "when": "task.intent == 'fraud'",
                    "effect": "escalate",
                    "queue": "trust",
                    "locked": True,
                    "because": "Fraud goes to a person.",
                    "description": "d",
                },
                {
                    "id": "near",
                    "when": "candidate.match > 0.5",
                    "effect": "boost",
                    "by": 0.5,
                    "on_error": "skip",
                    "because": "It is near.",
                },
            ],
            "invariants": [{"id": "never", "when": "task.intent == 'fraud'", "never": "auto_execute", "because": "law"}],
            "tests": [
                {
                    "task": {"intent": "fraud"},
                    "candidate": {"kind": "ask"},
                    "now": 5,
                    "expect": {"verdict": "escalate", "rule": "fraud", "allowed": True, "queue": "trust", "boost": 0},
                    "description": "d",
                }
            ],
        },
    ),
    "table": (
        "tables/limits.json",
        {"version": "1", "description": "d", "key": "string", "value": "double", "default": 5, "rows": {"ask": 1.5, "close": 2}},
    ),
    "calibration": (
        "calibration.json",
        {
            "version": 1,
            "calibrator": {"kind": "platt", "a": -1.25, "b": 0.1, "input": "margin"},
            "thresholds": [
                {"scope": "auto", "value": 0.93, "certificate": CERTIFICATE},
                {
                    "scope": "auto",
                    "kind": "refund",
                    "value": None,
                    "certificate": {**CERTIFICATE, "automated": 0, "errors": 0, "coverage": 0, "risk_upper": 1},
                },
            ],
            "recall_floors": [
                {
                    "label": "safety",
                    "value": 0.2,
                    "min_recall": 0.97,
                    "confidence": 0.95,
                    "positives": 160,
                    "misses_allowed": 1,
                    "needed": 99,
                }
            ],
            "temperature": 1.5,
            "abstain_below": 0.1,
        },
    ),
    "rollout": ("rollout.json", {"stage": "live", "note": "n"}),
    "baseline": (
        "baseline.json",
        {
            "layer": "business",
            "version": "1",
            "rules": [{"id": "b", "when": "action.kind == 'ask'", "effect": "boost", "by": 1, "because": "asking is safe"}],
        },
    ),
}


def _validator(name: str) -> Any:
    schema = op.schemas.get(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _parts() -> dict[str, bytes]:
    parts: dict[str, bytes] = _decide()._parts()
    del parts["golden.jsonl"]
    return {**parts, **{part: json.dumps(document).encode() for part, document in DOCUMENTS.values()}}


def _kind(value: object) -> str:
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def _changed(document: Any) -> Iterator[tuple[str, Any]]:
    """The document with one thing changed, everywhere and in every way: another kind, a text that no list of choices has, a key
    that is gone, a key too many."""

    def places(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        yield path
        if isinstance(node, dict):
            for key in node:
                yield from places(node[key], (*path, key))
        elif isinstance(node, list):
            for i, item in enumerate(node):
                yield from places(item, (*path, i))

    def at(root: Any, path: tuple[Any, ...]) -> Any:
        for key in path:
            root = root[key]
        return root

    for path in places(document, ()):
        value = at(document, path)
        ways: list[tuple[str, Any]] = [
            (f"becomes {other!r}", other) for other in (None, True, 7, 1.5, "colour", [], {}) if _kind(other) != _kind(value)
        ]
        ways += [("becomes 'colour'", "colour")] if isinstance(value, str) else []
        ways += [("becomes 1.5", 1.5)] if isinstance(value, int) and not isinstance(value, bool) else []
        ways += [("gets a key", {**value, "colour": 1})] if isinstance(value, dict) else []
        ways += [("gets an item", [*value, None])] if isinstance(value, list) else []
        for what, other in ways:
            if not path:
                yield f"/ {what}", other
                continue
            made = copy.deepcopy(document)
            at(made, path[:-1])[path[-1]] = other
            yield f"{'/'.join(map(str, path))} {what}", made
        if path and isinstance(path[-1], str):
            made = copy.deepcopy(document)
            del at(made, path[:-1])[path[-1]]
            yield f"{'/'.join(map(str, path))} is gone", made


def _refusal(part: str, document: Any, parts: dict[str, bytes]) -> op.Error | None:
    try:
        op.Bundle.draft({**parts, part: json.dumps(document).encode()})
    except op.Error as problem:
        return problem
    return None


def _is_about(problem: op.Error, name: str, part: str) -> bool:
    """Whether an error is one of this document by itself: not of a field that schema.json lacks, nor of one key that names
    another."""
    if problem.code.startswith("schema."):
        return name == "schema" and part in problem.where and not problem.where.endswith("/as_of")
    if name == "table":
        return problem.where.startswith("table ")
    return part in problem.where or (name == "policy" and problem.code.startswith("policy."))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schemas_refuse_what_readers_refuse_for_its_structure(name: str) -> None:
    part, document = DOCUMENTS[name]
    parts, validator = _parts(), _validator(name)
    assert _refusal(part, document, parts) is None, "the good documents are good"
    assert list(validator.iter_errors(document)) == []
    refused = taken = 0
    for what, made in _changed(document):
        problem, valid = _refusal(part, made, parts), validator.is_valid(made)
        if problem is None:
            assert valid, f"{what}: the reader takes it, the schema does not: {next(validator.iter_errors(made)).message}"
            taken += 1
        elif problem.code.endswith(STRUCTURE) and _is_about(problem, name, part):
            assert not valid, f"{what}: the reader refuses it ({problem.code} {problem.where}), the schema does not"
            refused += 1
    assert refused > 10
    assert taken > 0


def test_the_catalogue_needs_ids_and_holds_plain_values() -> None:
    validator = _validator("catalogue")
    rows = _decide().DOCUMENTS["catalogue.json"]
    assert validator.is_valid(rows)
    for bad in ({}, [1], [{"kind": "x"}], [{"id": 3}], [{"id": "a", "kind": {}}], [{"id": "a", "tags": [1]}]):
        assert not validator.is_valid(bad), bad


def test_lines_of_golden_rows_and_logs() -> None:
    module = _decide()
    bundle = op.Bundle.build(module._parts())
    golden = [json.loads(line) for line in bundle.part("golden.jsonl").splitlines()]
    validator = _validator("golden")
    assert all(validator.is_valid(line) for line in golden)
    for key in ("task", "now"):
        assert not validator.is_valid({k: v for k, v in golden[0].items() if k != key})
    assert not validator.is_valid({**golden[0], "colour": 1})

    lines: list[bytes] = []
    engine = op.Engine(bundle, audit=lines.append)
    decided = engine.decide({"intent": "refund", "amount": 3.5}, now=module.NOW, explain=True)
    engine.decide({"intent": "fraud"}, now=module.NOW, clauses=True)
    engine.record_outcome(decided.id, {"kind": "overridden", "action": "ask"}, now=module.NOW + 5)
    written = b"".join(lines).splitlines()
    for name, line in zip(("decision", "decision", "outcome"), written, strict=True):
        record, validator = json.loads(line), _validator(name)
        assert list(validator.iter_errors(record)) == []
        for what, made in _changed(record):
            about = _core.check_log(json.dumps(made).encode() + b"\n")
            if about["ok"]:
                assert validator.is_valid(made), f"{name} {what}: the reader takes it"
            else:
                assert not validator.is_valid(made), f"{name} {what}: the reader refuses it"


def _models() -> dict[str, tuple[type[Any], bytes]]:
    """By the name of a schema: a class that loads files of that kind, and a file."""
    texts = ["money back", "refund please", "close it", "all done"] * 4
    classifier = TextClassifier(bits=6, min_count=1, max_iterations=5).fit(texts, ["refund", "refund", "close", "close"] * 4)
    choice = ChoiceModel(bits=6, min_count=1, max_iterations=5).fit(
        np.zeros((32, 1)), [0, 1] * 8, groups=[2] * 16, keys={"id": ["refund", "close"] * 16}, texts=texts
    )
    return {"text_classifier": (TextClassifier, classifier.to_bytes()), "choice_model": (ChoiceModel, choice.to_bytes())}


@pytest.mark.parametrize("name", ["text_classifier", "choice_model"])
def test_headers_of_weight_files(name: str) -> None:
    kind, content = _models()[name]
    size = int.from_bytes(content[8:12], "little")
    header, validator = json.loads(content[12 : 12 + size]), _validator(name)
    assert list(validator.iter_errors(header)) == []
    refused = 0
    for what, made in _changed(header):
        text = json.dumps(made).encode()
        try:
            kind.from_bytes(content[:8] + len(text).to_bytes(4, "little") + text + content[12 + size :])
        except op.Error as problem:
            if problem.code.endswith((*STRUCTURE, ".kind", ".header", ".names")):
                assert not validator.is_valid(made), f"{what}: the reader refuses it ({problem.code} {problem.where})"
                refused += 1
        else:
            assert validator.is_valid(made), f"{what}: the reader takes it: {next(validator.iter_errors(made)).message}"
    assert refused > 20


def test_examples_and_demo_documents_fit(tmp_path: Path) -> None:
    validator = _validator("policy")
    for file in (ROOT / "examples" / "policies").glob("*.json"):
        if file.stem != "schema":
            assert list(validator.iter_errors(json.loads(file.read_text(encoding="utf-8")))) == []
    for file in (ROOT / "examples" / "policies" / "tables").glob("*.json"):
        assert list(_validator("table").iter_errors(json.loads(file.read_text(encoding="utf-8")))) == []
    assert _validator("schema").is_valid(json.loads((ROOT / "examples" / "policies" / "schema.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", op.schemas.NAMES)
def test_the_files_in_schemas_are_fresh(name: str) -> None:
    file = ROOT / "schemas" / f"{name}.schema.json"
    assert file.read_text(encoding="utf-8") == _core.document_schema(name), "run: opspilot schema --out schemas"
    assert {path.name for path in (ROOT / "schemas").iterdir()} == {f"{one}.schema.json" for one in op.schemas.NAMES}


def test_the_verb(tmp_path: Path) -> None:
    def opspilot(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "opspilot.cli", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})

    assert opspilot("schema").stdout.split() == list(op.schemas.NAMES)
    assert json.loads(opspilot("schema", "policy").stdout) == op.schemas.get("policy")
    assert json.loads(opspilot("schema", "--json").stdout) == {"names": list(op.schemas.NAMES)}
    assert opspilot("schema", "--out", tmp_path).returncode == 0
    assert len(list(tmp_path.iterdir())) == len(op.schemas.NAMES)
    wrong = opspilot("schema", "polizy", "--json")
    assert wrong.returncode == 3
    assert "policy" in json.loads(wrong.stdout)["error"]["hint"]
