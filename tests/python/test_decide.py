"""Bundles, engines and decisions through the Python doors: rows as mappings, JSON and Arrow tables, all the same answers."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import opspilot as op

NOW = 1_700_000_000_000_000
DOCUMENTS: dict[str, Any] = {
    "bundle.json": {"name": "support", "version": "1"},
    "schema.json": {
        "task": [
            {"name": "intent", "type": "string", "values": ["refund", "billing", "fraud", "other"]},
            {"name": "amount", "type": "double", "optional": True, "min": 0},
            {"name": "text", "type": "string", "optional": True, "pii": "personal"},
        ],
        "action": [{"name": "kind", "type": "string"}, {"name": "intents", "type": "list<string>"}],
        "candidate": [{"name": "match", "type": "double", "optional": True}],
    },
    "catalogue.json": [
        {"id": "refund", "kind": "refund", "intents": ["refund"]},
        {"id": "ask", "kind": "ask", "intents": ["refund", "billing"]},
        {"id": "explain", "kind": "reply", "intents": ["billing"]},
    ],
    "candidates.json": {"generators": [{"kind": "match", "task": "task.intent", "action": "action.intents"}]},
    "features.json": {
        "version": 1,
        "transforms": [
            {"name": "match", "op": "number", "input": "candidate.match", "missing": 0},
            {"name": "amount", "op": "log", "input": "task.amount", "missing": 0},
        ],
    },
    "rank/stages.json": {
        "version": 1,
        "stages": [{"name": "score", "kind": "linear", "model": "rank/linear.json"}],
        "rank_by": "score",
        "linear": "score",
    },
    "rank/linear.json": {"version": 1, "features": ["match", "amount"], "weights": [2.0, 0.5], "intercept": 0},
    "policy/compliance.json": {
        "layer": "compliance",
        "version": "1",
        "rules": [
            {
                "id": "fraud",
                "when": "task.intent == 'fraud'",
                "effect": "escalate",
                "queue": "trust",
                "because": "Fraud goes to a person.",
            }
        ],
    },
    "rollout.json": {"stage": "live"},
}


def _parts() -> dict[str, bytes]:
    parts = {name: json.dumps(document).encode() for name, document in DOCUMENTS.items()}
    intents = ("refund", "billing", "other")
    golden = [{"task": {"intent": intents[i % 3], "amount": i}, "now": NOW} for i in range(66)]
    parts["golden.jsonl"] = b"".join(json.dumps(row).encode() + b"\n" for row in golden)
    return parts


@pytest.fixture(scope="module")
def bundle() -> op.Bundle:
    return op.Bundle.build(_parts())


@pytest.fixture(scope="module")
def engine(bundle: op.Bundle) -> op.Engine:
    return op.Engine(bundle)


def test_a_bundle_survives_files_folders_and_pickle(bundle: op.Bundle, tmp_path: Path) -> None:
    packed = bundle.save(tmp_path / "b.opspilot")
    folder = tmp_path / "folder"
    folder.mkdir()
    bundle.save(folder)
    assert (folder / "rank" / "linear.json").is_file()
    for copy in (
        op.Bundle.load(packed),
        op.Bundle.load(packed.read_bytes()),
        op.Bundle.load(folder),
        pickle.loads(pickle.dumps(bundle)),
    ):
        assert copy.fingerprint == bundle.fingerprint
        assert copy == bundle
    assert len(bundle.fingerprint) == 64
    about = json.loads(bundle.describe("json"))
    assert about["golden_rows"] == 66
    assert "fraud" in bundle.describe()
    assert "<table>" in bundle._repr_html_()


def test_a_changed_byte_is_refused(bundle: op.Bundle) -> None:
    packed = bytearray(bundle.to_bytes())
    packed[len(packed) // 2] ^= 1
    with pytest.raises(op.BundleError) as raised:
        op.Bundle.load(bytes(packed))
    assert raised.value.code.startswith("bundle.")
    assert raised.value.where


def test_a_decision_says_what_and_why(engine: op.Engine) -> None:
    d = engine.decide({"id": "t1", "intent": "refund", "amount": 9.0, "text": "money back"}, now=NOW)
    assert d.verdict == "suggest"
    assert d.action == "refund"
    assert [c.action for c in d.ranked] == ["refund", "ask"]
    assert d.ranked[0].score == pytest.approx(0.5 * np.log1p(9))
    assert d.probability is None and d.threshold is None
    assert {r["code"] for r in d.reasons} == {"confidence.none"}
    assert d.rung == "full"
    record = json.loads(d.record())
    assert record["id"] == d.id
    assert "money back" not in d.record().decode()
    assert d.versions["bundle"] == engine.bundle.fingerprint
    escalated = engine.decide({"intent": "fraud"}, [{"id": "ask"}], now=NOW)
    assert (escalated.verdict, escalated.queue) == ("escalate", "trust")
    assert escalated.to_dict()["reasons"][-1]["rule"] == "fraud"


def test_times_are_integers_or_aware(engine: op.Engine) -> None:
    by_number = engine.decide({"intent": "refund"}, now=NOW)
    by_time = engine.decide({"intent": "refund"}, now=datetime.fromtimestamp(NOW / 1e6, UTC))
    assert by_number.id == by_time.id
    for now in (datetime(2024, 1, 1), 1.5, "2024"):
        with pytest.raises(op.UsageError):
            engine.decide({"intent": "refund"}, now=now)


def test_rows_in_every_form_give_the_same_decision(engine: op.Engine) -> None:
    task = {"intent": "refund", "amount": 3.25}
    rows = [{"id": "ask", "match": 0.5}, {"id": "refund", "match": None}, {"id": "explain", "match": float("nan")}]
    plain = engine.decide(task, rows, now=NOW)
    arrow = pa.table({"id": ["ask", "refund", "explain"], "match": [0.5, None, float("nan")]})
    coded = arrow.set_column(0, "id", arrow["id"].dictionary_encode())
    forms = [
        json.dumps([{"id": "ask", "match": 0.5}, {"id": "refund"}, {"id": "explain"}]).encode(),
        arrow,
        coded,
        pl.DataFrame(arrow),
    ]
    forms += [arrow.to_batches()[0], pa.concat_tables([arrow.slice(0, 1), arrow.slice(1)])]
    for form in forms:
        assert engine.decide(task, form, now=NOW).record(64) == plain.record(64)
    assert engine.decide(json.dumps(task).encode(), rows, now=NOW).id == plain.id


def test_a_batch_gives_the_answers_of_single_decisions(engine: op.Engine) -> None:
    tasks = [{"id": f"t{i}", "intent": ("refund", "billing", "fraud")[i % 3], "amount": i * 0.7} for i in range(30)]
    offered = [
        {"task_index": t, "id": name, "match": (t * 7 + k) % 5 / 3}
        for t in range(30)
        for k, name in enumerate(("refund", "ask", "explain")[: 1 + t % 3])
    ]
    lines: list[bytes] = []
    recording = op.Engine(engine.bundle, audit=lines.append)
    for task_form, candidate_form in (
        (tasks, offered),
        (pa.Table.from_pylist(tasks), pa.Table.from_pylist(offered)),
        (pl.DataFrame(tasks), pl.DataFrame(offered)),
    ):
        lines.clear()
        table = recording.decide_batch(task_form, candidate_form, now=NOW)
        assert len(table) == 30
        singles = [
            engine.decide(
                tasks[t],
                [{k: v for k, v in row.items() if k != "task_index"} for row in offered if row["task_index"] == t],
                now=NOW,
            )
            for t in range(30)
        ]
        assert table.column("id") == [d.id for d in singles]
        assert table.column("score") == [d.ranked[0].score for d in singles]
        assert b"".join(lines) == b"".join(d.record() for d in singles)
    frame = pl.DataFrame(table)
    assert frame["verdict"].to_list() == table.column("verdict")
    assert pa.table(table).num_rows == 30
    generated = engine.decide_batch(tasks, now=NOW)
    assert generated.column("id") == [engine.decide(task, now=NOW).id for task in tasks]


@pytest.mark.parametrize(
    ("task", "candidates", "error", "text"),
    [
        ({"intent": "refund", "amout": 1}, None, op.SchemaError, "did you mean 'amount'?"),
        ({"intent": "refund", "amount": "1"}, None, op.SchemaError, "/task/amount"),
        ({"intent": "refund", "amount": float("inf")}, None, op.SchemaError, "infinite"),
        ({"intent": "refnd"}, None, op.SchemaError, "did you mean 'refund'?"),
        (b"{", None, op.SchemaError, "byte"),
        ({"intent": "refund", "text": "\ud800"}, None, op.SchemaError, "surrogate"),
        ({"intent": "refund"}, [], op.SchemaError, "empty"),
        ({"intent": "refund"}, [{"id": "aks"}], op.SchemaError, "did you mean 'ask'?"),
        ({"intent": "refund"}, [{"id": "ask"}, {"id": "ask"}], op.SchemaError, "twice"),
        ({"intent": "refund"}, pa.table({"id": ["ask"], "mtch": [1.0]}), op.SchemaError, "match"),
        ({"intent": "refund"}, pa.table({"id": [1]}), op.SchemaError, "id"),
        ("task.json", None, op.UsageError, "bytes"),
        (3, None, op.UsageError, "mapping"),
    ],
)
def test_bad_input_names_place_and_cure(
    engine: op.Engine, task: object, candidates: object, error: type[op.Error], text: str
) -> None:
    with pytest.raises(error) as raised:
        engine.decide(task, candidates, now=NOW)
    assert text in str(raised.value)
    assert raised.value.code
    assert engine.decide({"intent": "refund"}, now=NOW).verdict == "suggest"


def test_an_engine_describes_itself(engine: op.Engine) -> None:
    about = json.loads(engine.describe("json"))
    assert about["fingerprint"] == engine.bundle.fingerprint
    assert "support" in repr(engine)


def test_threads_share_an_engine(engine: op.Engine) -> None:
    tasks = [{"id": f"t{i}", "intent": "refund", "amount": float(i)} for i in range(200)]
    expected = [engine.decide(task, now=NOW).id for task in tasks]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda task: engine.decide(task, now=NOW).id, tasks)) == expected


def test_swap_rollback_and_kill(bundle: op.Bundle) -> None:
    engine = op.Engine(bundle)
    parts = _parts() | {"rollout.json": b'{"stage": "suggest"}'}
    other = op.Bundle.build(parts)
    engine.swap(other)
    assert engine.bundle == other
    engine.rollback()
    assert engine.bundle == bundle
    with pytest.raises(op.UsageError):
        engine.rollback()
    engine.kill("all")
    assert engine.decide({"intent": "refund"}, now=NOW).verdict == "escalate"
    engine.kill("none")
    assert engine.decide({"intent": "refund"}, now=NOW).verdict == "suggest"
    with pytest.raises(op.UsageError):
        engine.kill("everything")


def test_audit_goes_to_files(bundle: op.Bundle, tmp_path: Path) -> None:
    log = tmp_path / "decisions.log"
    engine = op.Engine(bundle, audit=log)
    engine.decide({"intent": "refund"}, now=NOW)
    engine.decide_batch([{"intent": "refund"}, {"intent": "billing"}], now=NOW)
    lines = log.read_bytes().splitlines()
    assert len(lines) == 3
    assert all(json.loads(line)["type"] == "decision" for line in lines)


def test_an_error_survives_pickle(engine: op.Engine) -> None:
    with pytest.raises(op.SchemaError) as raised:
        engine.decide({"intent": "refund", "amout": 1}, now=NOW)
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (copy.code, copy.where, copy.hint) == (raised.value.code, raised.value.where, raised.value.hint)
