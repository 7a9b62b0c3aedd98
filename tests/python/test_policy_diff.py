"""Policy diffs: the counts are those of evaluating every decision under both policies one by one, whatever form the log has."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import random
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import opspilot as op

SCHEMA: dict[str, Any] = {
    "task": [
        {"name": "intent", "type": "string"},
        {"name": "amount", "type": "double"},
        {"name": "note", "type": "string", "optional": True, "pii": "personal"},
    ],
    "action": [{"name": "kind", "type": "string"}, {"name": "reversible", "type": "bool", "default": False}],
    "candidate": [{"name": "similar", "type": "double", "optional": True}],
}


def _rule(id: str, when: str, effect: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "when": when, "effect": effect, "because": f"because of {id}", **more}


OLD: dict[str, Any] = {
    "layer": "compliance",
    "version": "1",
    "rules": [
        _rule("fraud", "task.intent == 'fraud'", "escalate", queue="trust"),
        _rule("cap", "action.kind == 'refund' && task.amount > 500.0", "require_approval"),
        _rule("undo", "action.reversible", "boost", by=0.2),
        _rule("old-only", "task.amount < 20.0 && action.kind == 'close'", "forbid"),
    ],
}
NEW = copy.deepcopy(OLD)
NEW["rules"][1]["when"] = "action.kind == 'refund' && task.amount > 300.0"
NEW["rules"][2]["by"] = 0.5
NEW["rules"][3] = _rule("new-only", "candidate.similar < 0.3 && action.kind == 'reply'", "suggest_only")
EDITED = {"cap", "undo"}


def _records(count: int, seed: int = 1) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    kinds = ("refund", "close", "reply", "ask")
    out = []
    for i in range(count):
        candidates = []
        for c in range(draw.randint(1, 6)):
            row: dict[str, Any] = {"id": f"a{c}", "kind": draw.choice(kinds), "reversible": draw.random() < 0.4}
            if draw.random() < 0.7:
                row["similar"] = round(draw.random(), 3)
            candidates.append(row)
        task = {"id": f"T{i}", "intent": draw.choice(("fraud", "refund", "other")), "amount": round(draw.random() * 700, 2)}
        if draw.random() < 0.8:
            task["client"] = draw.choice(("acme", "bolt"))
        record = {"task": task, "candidates": candidates, "now": 1_700_000_000_000_000 + i}
        if draw.random() < 0.5:
            record["scores"] = [round(draw.random(), 3) for _ in candidates]
        out.append(record)
    return out


def _state(result: Any) -> str:
    return "forbidden" if not result.allowed else result.cap


def _expected(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Counted here, by evaluating decision after decision."""
    before, after = op.Policy.compile(OLD, SCHEMA), op.Policy.compile(NEW, SCHEMA)
    counts: Counter[str] = Counter()
    candidates: Counter[tuple[str, str]] = Counter()
    answers: Counter[tuple[str, str]] = Counter()
    rules: Counter[tuple[str, str]] = Counter()
    clients: dict[str, Counter[str]] = {}

    def answer(results: list[Any], scores: list[float]) -> tuple[int, str, str | None]:
        allowed = [i for i, result in enumerate(results) if result.allowed]
        if allowed:
            best = max(allowed, key=lambda i: (scores[i], -i))
            return best, results[best].cap, results[best].queue
        escalated = [result for result in results if result.cap == "escalate"]
        return -1, "escalate" if escalated else "abstain", escalated[0].queue if escalated else None

    for record in records:
        was = before.evaluate(record["task"], record["candidates"], now=record["now"])
        will = after.evaluate(record["task"], record["candidates"], now=record["now"])
        logged = record.get("scores") or [result.boost for result in was]
        moved = [s + (b.boost - a.boost) for s, a, b in zip(logged, was, will, strict=True)]
        changed = 0
        touched = set()
        for a, b in zip(was, will, strict=True):
            old, new = {r["rule"] for r in a.reasons}, {r["rule"] for r in b.reasons}
            for name in old:
                rules[name, "old_hits"] += 1
            for name in new:
                rules[name, "new_hits"] += 1
            for name in old - new:
                rules[name, "lost"] += 1
            for name in new - old:
                rules[name, "gained"] += 1
            candidates[_state(a), _state(b)] += 1
            if (_state(a), a.boost, a.queue) != (_state(b), b.boost, b.queue):
                changed += 1
                touched |= (old ^ new) | (old & new & EDITED)
        for name in touched:
            rules[name, "decisions"] += 1
        first, second = answer(was, logged), answer(will, moved)
        answers[first[1], second[1]] += 1
        client = clients.setdefault(record["task"].get("client", ""), Counter())
        client["decisions"] += 1
        client["changed"] += changed > 0
        client["answers"] += first != second
        counts["changed"] += changed > 0
        counts["changed_candidates"] += changed
        counts["answers"] += first != second
        counts["best_actions"] += first[0] != second[0]
    return {"counts": counts, "candidates": candidates, "answers": answers, "rules": rules, "clients": clients}


def _matches(found: Any, expected: dict[str, Any], records: list[dict[str, Any]]) -> None:
    about = found.to_dict()
    assert about["decisions"] == len(records)
    assert about["candidates"] == sum(len(record["candidates"]) for record in records)
    assert {key: about[key] for key in expected["counts"]} == dict(expected["counts"])
    assert found.transitions("candidate") == dict(expected["candidates"])
    assert found.transitions() == dict(expected["answers"])
    for rule in found.rules:
        for key in ("old_hits", "new_hits", "gained", "lost", "decisions"):
            assert rule[key] == expected["rules"][rule["id"], key], (rule["id"], key)
    assert {c["client"]: (c["decisions"], c["changed"], c["answers"]) for c in found.clients} == {
        name: (c["decisions"], c["changed"], c["answers"]) for name, c in expected["clients"].items()
    }


def _lines(records: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_counts_are_those_of_evaluating_one_by_one(tmp_path: Path) -> None:
    records = _records(400)
    expected = _expected(records)
    file = tmp_path / "log.jsonl"
    file.write_bytes(_lines(records))
    with file.open("rb") as open_file:
        for given in (records, _lines(records), file, str(file), open_file):
            found = op.policy.diff(OLD, NEW, given, schema=SCHEMA)
            _matches(found, expected, records)
    assert {rule["id"]: rule["fate"] for rule in found.rules} == {
        "fraud": "same",
        "cap": "edited",
        "undo": "edited",
        "new-only": "added",
        "old-only": "removed",
    }
    assert found.inexact == found.unreadable == 0
    assert op.policy.diff(OLD, OLD, records, schema=SCHEMA).changed == 0


def test_without_a_schema_types_are_guessed() -> None:
    records = _records(60)
    _matches(op.policy.diff(OLD, NEW, records), _expected(records), records)


def test_tables_and_parquet_files(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    records = [{key: value for key, value in record.items() if key != "scores"} for record in _records(300)]
    expected = _expected(records)
    tasks = pa.Table.from_pylist([{"client": None, **r["task"], "now": r["now"]} for r in records])
    candidates = pa.Table.from_pylist(
        [{"similar": None, **row, "task_index": i} for i, record in enumerate(records) for row in record["candidates"]]
    )
    _matches(op.policy.diff(OLD, NEW, (tasks, candidates), schema=SCHEMA), expected, records)
    parquet.write_table(tasks, tmp_path / "tasks.parquet", row_group_size=70)
    parquet.write_table(candidates, tmp_path / "candidates.parquet", row_group_size=110)
    paths = (tmp_path / "tasks.parquet", tmp_path / "candidates.parquet")
    _matches(op.policy.diff(OLD, NEW, paths, schema=SCHEMA, threads=2), expected, records)
    timed = tasks.set_column(tasks.schema.get_field_index("now"), "now", tasks["now"].cast(pa.timestamp("us", "UTC")))
    _matches(op.policy.diff(OLD, NEW, (timed, candidates), schema=SCHEMA), expected, records)
    mappings = (tasks.to_pylist(), candidates.to_pylist())
    _matches(op.policy.diff(OLD, NEW, mappings, schema=SCHEMA), expected, records)
    with pytest.raises(op.SchemaError) as caught:
        op.policy.diff(OLD, NEW, (tasks.slice(0, 10), candidates), schema=SCHEMA)
    assert caught.value.code == "schema.order"
    with pytest.raises(op.UsageError) as refused:
        op.policy.diff(OLD, NEW, (tasks.drop_columns(["now"]), candidates), schema=SCHEMA)
    assert refused.value.code == "usage.no_time"


def test_the_result_does_not_depend_on_threads_and_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from opspilot import _policy_diff

    records = _lines(_records(500, seed=3))
    whole = op.policy.diff(OLD, NEW, records, schema=SCHEMA, threads=1, examples=4).to_dict()
    monkeypatch.setattr(_policy_diff, "_CHUNK_BYTES", 700)
    for threads in (1, 3):
        assert op.policy.diff(OLD, NEW, records, schema=SCHEMA, threads=threads, examples=4).to_dict() == whole
    rules = Counter(rule for example in whole["examples"] for rule in example["rules"])
    assert all(rules[rule["id"]] >= 2 for rule in whole["rules"] if rule["decisions"] >= 2)
    assert len(whole["examples"]) <= 4 + 2 * len(whole["rules"]) + 2 * 36
    assert [example["record"] for example in whole["examples"]] == sorted(e["record"] for e in whole["examples"])


def test_what_cannot_be_read_is_counted_and_named() -> None:
    good = _records(3)
    lines = [json.dumps(record) for record in good]
    lines.insert(1, '{"task": {"amount": 1')
    lines.insert(2, json.dumps({"task": {"amount": "much"}, "candidates": [], "now": 1}))
    lines.insert(3, '{"type": "outcome", "decision": "x"}')
    lines.insert(4, json.dumps({"task": {}, "candidates": []}))
    lines.insert(5, '{"a": 1} {"b": 2}')
    about = op.policy.diff(OLD, NEW, "\n".join(lines).encode(), schema=SCHEMA).to_dict()
    assert (about["decisions"], about["unreadable"], about["others"]) == (3, 4, 1)
    assert [(r["record"], r["code"]) for r in about["refusals"]] == [
        (2, "audit.json_syntax"),
        (3, "schema.wrong_type"),
        (5, "audit.missing_field"),
        (6, "audit.json_syntax"),
    ]
    assert about["refusals"][1]["where"] == "/task/amount"


def test_fields_that_the_schema_forgot_and_fields_that_are_missing() -> None:
    records = _records(20)
    for record in records:
        record["task"]["retired"] = 1
        record["candidates"][0]["weight"] = 2.5
    found = op.policy.diff(OLD, NEW, records, schema=SCHEMA)
    plain = [{**r, "task": {k: v for k, v in r["task"].items() if k != "retired"}} for r in _records(20)]
    assert found.to_dict()["by_candidate"] == op.policy.diff(OLD, NEW, plain, schema=SCHEMA).to_dict()["by_candidate"]
    assert found.inexact == 0
    del records[4]["task"]["amount"]
    del records[7]["candidates"][0]["kind"]
    about = op.policy.diff(OLD, NEW, records, schema=SCHEMA).to_dict()
    assert about["inexact"] == 2
    assert about["inexact_because"] == [{"missing": "task.amount", "records": 1}, {"missing": "action.kind", "records": 1}]
    assert not any(example["exact"] for example in about["examples"] if example["record"] in (5, 8))


# ---- decision records ----


def _decisions() -> dict[str, bytes]:
    spec = importlib.util.spec_from_file_location("test_decide", Path(__file__).with_name("test_decide.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    parts: dict[str, bytes] = module._parts()
    return parts


@pytest.fixture(scope="module")
def bundle() -> op.Bundle:
    pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    return op.Bundle.build(_decisions())


@pytest.fixture(scope="module")
def log(bundle: op.Bundle) -> bytes:
    lines: list[bytes] = []
    engine = op.Engine(bundle, audit=lines.append)
    draw = random.Random(5)
    for i in range(80):
        task = {"id": f"T{i}", "intent": draw.choice(("refund", "billing", "fraud")), "amount": draw.random() * 900}
        if i % 8 == 0:
            del task["amount"]
        given = [{"id": name} for name in ("refund", "ask", "explain")[: draw.randint(1, 3)]]
        engine.decide(task, given, now=1_700_000_000_000_000 + i)
    return b"".join(lines)


def _changed_parts() -> dict[str, bytes]:
    parts = _decisions()
    policy = json.loads(parts["policy/compliance.json"])
    policy["rules"].append(_rule("cap", "task.amount > 500.0 && action.kind == 'refund'", "require_approval"))
    return {**parts, "policy/compliance.json": json.dumps(policy).encode()}


def test_decision_records_name_actions_of_the_catalogue(bundle: op.Bundle, log: bytes, tmp_path: Path) -> None:
    for name, content in _changed_parts().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    found = op.policy.diff(bundle, tmp_path, log)
    about = found.to_dict()
    logged = [json.loads(line) for line in log.splitlines()]
    large = [
        record
        for record in logged
        if record["fields"].get("amount", 1e9) > 500
        and record["fields"]["intent"] != "fraud"
        and any(candidate["action"] == "refund" for candidate in record["ranked"])
    ]
    assert about["decisions"] == len(logged) == 80
    assert about["changed"] == len(large) > 5
    assert about["checked"] == 80
    assert about["differing"] == 0
    assert found.inexact == 0  # amount may be missing, so it was
    assert sum(rule["old_hits"] for rule in found.rules if rule["id"] == "fraud") == sum(
        len(record["ranked"]) for record in logged if record["fields"]["intent"] == "fraud"
    )
    assert {example["decision"] for example in found.examples} <= {record["id"] for record in logged}


def test_records_that_lack_what_rules_read(bundle: op.Bundle, log: bytes) -> None:
    rules = [
        _rule("words", "task.text.contains('x')", "suggest_only"),
        _rule("near", "candidate.match > 0.5", "boost", by=1),
        _rule("kind", "action.kind == 'ask'", "require_approval"),
    ]
    new = {"layer": "client", "version": "2", "rules": rules}
    lines = [json.loads(line) for line in log.splitlines()]
    lines[3]["candidates"] += 5
    lines[4]["ranked"][0]["action"] = "gone"
    records = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    about = op.policy.diff(bundle, new, records).to_dict()
    assert about["inexact"] == 80
    assert {entry["missing"]: entry["records"] for entry in about["inexact_because"]} == {
        "task.text": 80,
        "candidate.match": 80,
        "candidates that the record does not list": 1,
        "an action that the catalogue does not have": 1,
    }
    alone = op.policy.diff(new, new, records, schema=json.loads(_decisions()["schema.json"])).to_dict()
    assert {entry["missing"]: entry["records"] for entry in alone["inexact_because"]}["action.kind"] == 80


def test_a_log_that_tells_of_other_rules_is_noticed(bundle: op.Bundle, log: bytes) -> None:
    lines = [json.loads(line) for line in log.splitlines()]
    fraud = next(line for line in lines if line["fields"]["intent"] == "fraud")
    fraud["ranked"][0]["reasons"] = []
    other = next(line for line in lines if line["fields"]["intent"] != "fraud")
    other["ranked"][0]["allowed"] = False
    about = op.policy.diff(bundle, bundle, b"\n".join(json.dumps(line).encode() for line in lines)).to_dict()
    assert (about["checked"], about["differing"], about["changed"]) == (80, 2, 0)


# ---- the verb and the page ----


def _opspilot(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "opspilot.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}, timeout=300)


def test_the_verb_shows_tables_json_and_a_page(tmp_path: Path) -> None:
    layers = {"old": OLD, "new": NEW}
    for name, document in layers.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "compliance.json").write_text(json.dumps(document))
        (tmp_path / name / "schema.json").write_text(json.dumps(SCHEMA))
    records = _records(120)
    (tmp_path / "log.jsonl").write_bytes(_lines(records))
    arguments = ("policy", "diff", tmp_path / "old", tmp_path / "new", "--log", tmp_path / "log.jsonl")
    done = _opspilot(*arguments, "--json", "--html", tmp_path / "diff.html")
    assert done.returncode == 0, done.stderr
    about = json.loads(done.stdout)
    assert about["ok"] and about["decisions"] == 120
    found = op.policy.diff(OLD, NEW, records, schema=SCHEMA)
    assert about["by_answer"] == found.to_dict()["by_answer"]
    page = (tmp_path / "diff.html").read_text(encoding="utf-8")
    assert "Policy diff: old → new" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    for rule in about["rules"]:
        assert (rule["id"] in page) == (rule["fate"] != "same" or rule["decisions"] > 0)
    text = _opspilot(*arguments)
    assert text.returncode == 0, text.stderr
    for part in ("old → new", "By rule", "By client", "acme", "new-only", "added", f"{about['changed']:,} change"):
        assert part in text.stdout, part
    missing = _opspilot("policy", "diff", tmp_path / "old", tmp_path / "nowhere", "--log", tmp_path / "log.jsonl", "--json")
    assert missing.returncode == 4
    (tmp_path / "bad.jsonl").write_text("{}\n")
    bad = _opspilot("policy", "diff", tmp_path / "old", tmp_path / "new", "--log", tmp_path / "bad.jsonl", "--json")
    assert bad.returncode == 3
    assert json.loads(bad.stdout)["error"]["code"] == "audit.missing_field"


def test_the_page_escapes_what_it_shows() -> None:
    document = copy.deepcopy(NEW)
    document["rules"][3]["because"] = "<script>alert(1)</script>"
    records = _records(40)
    for record in records:
        record["task"]["client"] = "<img src=x>"
    page = op.policy.diff(OLD, document, records, schema=SCHEMA).report().html
    assert "<script>" not in page and "<img" not in page
    assert "&lt;script&gt;" in page and "&lt;img" in page


def test_a_side_that_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(op.PolicyError) as caught:
        op.policy.diff(OLD, tmp_path, b"", schema=SCHEMA)
    assert caught.value.code == "policy.none"
    broken = copy.deepcopy(NEW)
    broken["rules"][0]["when"] = "task.amout > 1.0"
    with pytest.raises(op.PolicyError) as refused:
        op.policy.diff(OLD, broken, b"", schema=SCHEMA)
    assert refused.value.code == "policy.unknown_field"
    with pytest.raises(op.UsageError):
        op.policy.diff(OLD, NEW, 3, schema=SCHEMA)
    found = op.policy.diff(
        op.Policy.compile(OLD, SCHEMA),
        [NEW],
        [{"task": {"intent": "x", "amount": 1}, "candidates": [], "now": "2026-01-01T00:00:00Z"}],
    )
    assert (found.decisions, found.to_dict()["candidates"]) == (1, 0)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    tables = ([{"intent": "x", "amount": 1.0}], [{"id": "a", "kind": "close", "task_index": 0}])
    assert op.policy.diff(OLD, NEW, tables, schema=SCHEMA, now=now).decisions == 1
