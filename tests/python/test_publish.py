"""Policies and client overlays published into a running engine."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

import opspilot as op


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_support = _load("test_decide")  # the bundle of a small support desk
NOW: int = _support.NOW


def _layer(layer: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"layer": layer, "version": "2", "rules": [{"because": "b", **rule} for rule in rules], **more}


STRICT = _layer("compliance", {"id": "no-refunds", "when": "action.kind == 'refund'", "effect": "forbid"})
TASK = {"id": "t", "client": "acme", "intent": "refund", "amount": 10.0}


@pytest.fixture
def engine() -> op.Engine:
    return op.Engine(op.Bundle.build(_support._parts()))


def test_a_policy_replaces_all_layers_and_is_undone(engine: op.Engine, tmp_path: Path) -> None:
    before = engine.decide(TASK, now=NOW)
    assert before.action == "refund"
    assert engine.swap(policy=STRICT, now=NOW) == []
    after = engine.decide(TASK, now=NOW)
    assert after.action == "ask"
    assert after.versions["policy"] != before.versions["policy"]
    assert [(d["layer"], d["version"], d["client"], d["published_us"]) for d in engine.layers()] == [
        ("compliance", "2", None, NOW)
    ]
    engine.rollback()
    assert engine.decide(TASK, now=NOW).id == before.id
    assert [d["published_us"] for d in engine.layers()] == [0]
    # A folder stands for its documents.
    (tmp_path / "a.json").write_text(json.dumps(STRICT))
    (tmp_path / "schema.json").write_text(json.dumps(_support.DOCUMENTS["schema.json"]))
    engine.swap(policy=tmp_path)
    assert engine.decide(TASK, now=NOW).action == "ask"
    assert [d["document"] for d in engine.layers()] == ["a.json"]


def test_overlays_are_for_their_client(engine: op.Engine) -> None:
    own = _layer("client", {"id": "acme-refunds", "when": "action.kind == 'refund'", "effect": "forbid"})
    engine.swap(overlay={"acme": own}, now=NOW)
    assert engine.decide(TASK, now=NOW).action == "ask"
    assert engine.decide({**TASK, "client": "other"}, now=NOW).action == "refund"
    assert [d["client"] for d in engine.layers()] == [None, "acme"]
    engine.swap(overlay={"acme": None})
    assert engine.decide(TASK, now=NOW).action == "refund"
    also = op.Engine(engine.bundle, overlays={"acme": own})
    assert also.decide(TASK, now=NOW).action == "ask"
    batch = also.decide_batch([TASK, {**TASK, "client": "other"}], now=NOW)
    assert pa.table(batch)["action"].to_pylist() == ["ask", "refund"]


def test_what_is_wrong_is_refused_with_all_findings(engine: op.Engine) -> None:
    wrong = _layer(
        "client",
        {"id": "a", "when": "task.amout > 1.0", "effect": "forbid"},
        {"id": "b", "when": "task.intent == 1", "effect": "forbid"},
    )
    with pytest.raises(op.PolicyError) as refused:
        engine.swap(policy=wrong)
    assert refused.value.code == "policy.unknown_field"
    assert [f.code for f in refused.value.findings if f.error][:2] == ["policy.unknown_field", "policy.type"]
    with pytest.raises(op.PolicyError) as refused:
        engine.swap(policy=_layer("client", tests=[{"task": {"intent": "refund"}, "expect": {"allowed": False}}]))
    assert refused.value.code == "policy.test_failed"
    with pytest.raises(op.PolicyError) as refused:
        engine.swap(overlay={"acme": STRICT})
    assert refused.value.code == "policy.overlay_layer"
    for nothing in ({}, {"bundle": engine.bundle, "policy": STRICT}):
        with pytest.raises(op.UsageError):
            engine.swap(**nothing)
    assert engine.decide(TASK, now=NOW).action == "refund"


def test_warnings_come_back(engine: op.Engine) -> None:
    found = engine.swap(policy=_layer("client", {"id": "l", "when": "task.intent == 'refund'", "effect": "forbid"}))
    assert [f.code for f in found] == ["policy.task_only"]


def test_limits_count_what_would_be_done() -> None:
    policy = op.Policy.compile(
        _layer(
            "client",
            {"id": "l", "when": "action.kind == 'refund'", "effect": "limit", "key": "task.client", "count": 1, "per": "1h"},
        )
    )
    (one,) = policy.evaluate({"client": "acme"}, [{"kind": "refund"}])
    assert (one.cap, [r["rule"] for r in one.reasons]) == ("auto_execute", ["l"])
    (one,) = op.Policy.compile(_layer("client", {"id": "t", "when": "true", "effect": "set_threshold", "value": 0.75})).evaluate(
        {}, [{"kind": "refund"}]
    )
    assert one.threshold == 0.75


def test_signed_releases() -> None:
    bundle = op.Bundle.build(_support._parts())
    key, stranger = op.signing.make_key(), op.signing.make_key()
    engine = op.Engine(bundle, trusted_keys=[op.signing.public_key(key)])
    with pytest.raises(op.UsageError, match="unsigned"):
        engine.swap(policy=STRICT)
    with pytest.raises(op.UsageError, match="unsigned"):
        engine.swap(bundle)
    with pytest.raises(op.PolicyError) as refused:
        engine.swap(signed=op.signing.sign_policy(stranger, sequence=1, bundle="support", policy=STRICT))
    assert refused.value.code == "signature.not_trusted"
    release = op.signing.sign_policy(key, sequence=1, bundle="support", policy=STRICT, overlay={"other": None})
    engine.swap(signed=release, now=NOW)
    assert engine.decide(TASK, now=NOW).action == "ask"
    with pytest.raises(op.PolicyError) as refused:
        engine.swap(signed=release)
    assert refused.value.code == "signature.replayed"
    restarted = op.Engine(bundle, trusted_keys=[op.signing.public_key(key)], last_releases=(1, 0))
    with pytest.raises(op.PolicyError, match="comes after"):
        restarted.swap(signed=release)
    engine.swap(bundle, signed=op.signing.sign_bundle(key, bundle, sequence=1))
    assert engine.decide(TASK, now=NOW).action == "refund"
    with pytest.raises(op.UsageError):
        op.signing.public_key(b"short")
    with pytest.raises(op.UsageError):
        op.Engine(bundle, trusted_keys=["no key"])


def test_a_shadow_counts_what_would_change(engine: op.Engine) -> None:
    engine.shadow(policy=STRICT)
    assert engine.decide(TASK, now=NOW).action == "refund"
    engine.decide({"intent": "billing"}, now=NOW)
    report = engine.shadow_report()
    assert (report["running"], report["decided"], report["changed"], report["actions"]) == (True, 2, 1, 1)
    assert report["examples"][0]["action"] == ("refund", "ask")
    engine.shadow()
    engine.decide(TASK, now=NOW)
    assert engine.shadow_report()["decided"] == 2
    with pytest.raises(op.PolicyError):
        engine.shadow(policy={"layer": "client"})


def test_what_decides_is_what_is_saved(engine: op.Engine, tmp_path: Path) -> None:
    loaded = engine.bundle
    assert not loaded.published
    # Golden rows must go on reaching every verdict, so this one only adds to what the bundle's own rules say.
    own = [json.loads(loaded.part(name)) for name in loaded.parts if name.startswith("policy/")]
    extra = _layer("business", {"id": "refunds-first", "when": "action.kind == 'refund'", "effect": "boost", "by": 0.125})
    engine.swap(policy=[*own, extra], now=NOW)
    current = engine.bundle
    assert current.published
    assert current.fingerprint == loaded.fingerprint
    assert current.part("policy/policy 1.json") == b""
    saved = op.Bundle.load(current.save(tmp_path / "saved.opspilot"))
    assert saved.fingerprint != loaded.fingerprint
    again, now = op.Engine(saved).decide(TASK, now=NOW), engine.decide(TASK, now=NOW)
    assert (again.action, again.verdict, again.versions["policy"]) == (now.action, now.verdict, now.versions["policy"])
    current.save(tmp_path / "folder")
    texts = [path.read_text() for path in (tmp_path / "folder" / "policy").iterdir()]
    assert any("refunds-first" in text for text in texts)
    # What a diff calls the bundle's policy is the one that decides, too.
    record = [{"task": {**TASK, "amount": 3.5}, "candidates": [{"id": "refund", "kind": "refund"}], "now": NOW}]
    assert op.policy.diff(current, saved, record).changed == 0
    assert op.policy.diff(loaded, current, record).changed == 1
    engine.swap(overlay={"acme": _layer("client", {"id": "own", "when": "action.kind == 'refund'", "effect": "suggest_only"})})
    for refused in (lambda: engine.bundle.save(tmp_path / "x.opspilot"), lambda: engine.bundle.to_bytes()):
        with pytest.raises(op.UsageError) as caught:
            refused()
        assert caught.value.code == "usage.overlays"
