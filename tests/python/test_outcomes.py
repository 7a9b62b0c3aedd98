"""Outcomes beside decisions in one log, and metrics as a scraper reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

import opspilot as op
from opspilot import _core

NOW = 1_700_000_000_000_000
ID = "00112233445566778899aabbccddeeff"


def _bundle(name: str = "support") -> op.Bundle:
    documents: dict[str, Any] = {
        "bundle.json": {"name": name, "version": "1"},
        "schema.json": {
            "task": [{"name": "intent", "type": "string", "values": ["refund", "fraud"]}],
            "action": [{"name": "intents", "type": "list<string>"}],
        },
        "catalogue.json": [{"id": "refund", "intents": ["refund", "fraud"]}, {"id": "Ask again", "intents": ["refund"]}],
        "candidates.json": {"generators": [{"kind": "match", "task": "task.intent", "action": "action.intents"}]},
        "baseline.json": {
            "layer": "business",
            "version": "1",
            "rules": [
                {
                    "id": "first",
                    "when": "action.id == 'refund'",
                    "effect": "boost",
                    "by": 1.0,
                    "because": "It is what they ask for.",
                }
            ],
        },
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
    return op.Bundle.draft({part: json.dumps(document).encode() for part, document in documents.items()})


@pytest.fixture(scope="module")
def bundle() -> op.Bundle:
    return _bundle()


def _samples(engine: op.Engine) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All samples, by name and labels; a series that stands twice is an error."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(engine.metrics_text()):
        assert family.documentation and family.type in {"counter", "gauge"}, family
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def _total(engine: op.Engine, family: str, /, **labels: str) -> float:
    return sum(v for (n, given), v in _samples(engine).items() if n == family and labels.items() <= dict(given).items())


def test_outcomes_stand_beside_their_decisions(bundle: op.Bundle, tmp_path: Path) -> None:
    log = tmp_path / "decisions.log"
    engine = op.Engine(bundle, audit=log)
    d = engine.decide({"intent": "refund"}, now=NOW)
    line = engine.record_outcome(d.id, {"kind": "overridden", "action": "Ask again", "reward": 0.5}, now=NOW + 7)
    again = engine.record_outcome(d.id, b'{"kind": "reversed", "delay_us": 60000000}', now=datetime.fromtimestamp(NOW / 1e6, UTC))
    assert log.read_bytes() == d.record() + line + again
    assert json.loads(line) == {
        "v": 1,
        "type": "outcome",
        "decision": d.id,
        "time": NOW + 7,
        "kind": "overridden",
        "action": "Ask again",
        "reward": 0.5,
        "delay_us": None,
    }
    assert json.loads(again)["delay_us"] == 60_000_000
    checked = _core.check_log(log.read_bytes())
    assert checked["ok"]
    assert (checked["records"], checked["outcomes"]) == (1, 2)
    assert checked["outcome_kinds"] == {"accepted": 0, "overridden": 1, "reversed": 1, "complaint": 0, "observed": 0}

    done = subprocess.run(
        [sys.executable, "-m", "opspilot.cli", "describe", str(log), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    about = json.loads(done.stdout)
    assert (about["kind"], about["records"], about["outcomes"]) == ("decision log", 1, 2)

    log.write_bytes(log.read_bytes().replace(b'"reversed"', b'"revrsed"'))
    checked = _core.check_log(log.read_bytes())
    assert not checked["ok"]
    assert checked["first_bad"]["line"] == 3
    assert "did you mean 'reversed'?" in checked["first_bad"]["problem"]


def test_an_engine_without_a_log_gives_the_line_back(bundle: op.Bundle) -> None:
    line = op.Engine(bundle).record_outcome(ID, {"kind": "observed", "reward": 3}, now=NOW)
    assert line.endswith(b"\n") and json.loads(line)["reward"] == 3


@pytest.mark.parametrize(
    ("decision_id", "outcome", "error", "where", "text"),
    [
        (ID, {"kind": "acepted"}, op.SchemaError, "/outcome/kind", "did you mean 'accepted'?"),
        (ID, {"kind": "accepted", "reviewer": "Alexis"}, op.SchemaError, "/outcome/reviewer", "unknown field"),
        (ID, {"kind": "complaint", "delay_ms": 1}, op.SchemaError, "/outcome/delay_ms", "did you mean 'delay_us'"),
        (ID, {"kind": "accepted", "reward": float("nan")}, op.SchemaError, "/outcome/reward", "number"),
        (ID, {"kind": "accepted", "reward": float("inf")}, op.SchemaError, "/outcome/reward", "infinite"),
        (ID, {"kind": "accepted", "reward": True}, op.SchemaError, "/outcome/reward", "boolean"),
        (ID, {"kind": "accepted", "delay_us": -1}, op.SchemaError, "/outcome/delay_us", "0 or more"),
        (ID, {"kind": "accepted", "action": "refund"}, op.SchemaError, "/outcome/action", "overridden"),
        (ID, {"kind": "overridden", "action": "she wants it back"}, op.SchemaError, "/outcome/action", "free text"),
        (ID, {"kind": "observed"}, op.SchemaError, "/outcome/reward", "reward"),
        (ID, [{"kind": "accepted"}], op.SchemaError, "/outcome", "object"),
        (ID, b"{", op.SchemaError, "byte", "JSON"),
        (ID, None, op.UsageError, "outcome", "mapping"),
        (ID, pa.table({"kind": ["accepted"]}), op.UsageError, "outcome", "mapping"),
        (ID, "accepted", op.UsageError, "", "bytes"),
        (ID.upper(), {"kind": "accepted"}, op.UsageError, "decision_id", "lower-case"),
        ("\ud800" * 32, {"kind": "accepted"}, op.UsageError, "decision_id", "lower-case"),
        (ID.encode(), {"kind": "accepted"}, op.UsageError, "decision_id", "str"),
    ],
)
def test_a_wrong_outcome_names_place_and_cure_and_is_not_written(
    bundle: op.Bundle, decision_id: Any, outcome: Any, error: type[op.Error], where: str, text: str
) -> None:
    lines: list[bytes] = []
    engine = op.Engine(bundle, audit=lines.append)
    with pytest.raises(error) as raised:
        engine.record_outcome(decision_id, outcome, now=NOW)
    assert where in raised.value.where
    assert text in str(raised.value)
    assert raised.value.code
    assert not lines
    assert _total(engine, "opspilot_outcomes_total") == 0


def test_metrics_read_as_prometheus_reads_them(bundle: op.Bundle) -> None:
    engine = op.Engine(bundle)
    assert _total(engine, "opspilot_decisions_total") == 0
    decided = [engine.decide({"intent": intent}, now=NOW) for intent in ("refund", "refund", "fraud")]
    engine.decide_batch([{"intent": "fraud"}, {"intent": "refund"}], now=NOW)
    engine.record_outcome(decided[0].id, {"kind": "accepted"}, now=NOW)
    with pytest.raises(op.SchemaError):
        engine.decide({"intent": "refnd"}, now=NOW)
    engine.kill("auto")
    engine.swap(bundle)
    for verdict in ("abstain", "escalate", "suggest", "require_approval", "auto_execute"):
        expected = sum(d.verdict == verdict for d in decided)
        expected += {"escalate": 1, decided[0].verdict: 1}.get(verdict, 0)
        assert _total(engine, "opspilot_decisions_total", verdict=verdict) == expected
    assert decided[0].verdict != "escalate"
    for family in ("decisions", "decisions_proposed", "decisions_by_rung", "decisions_by_stage"):
        assert _total(engine, f"opspilot_{family}_total") == 5
    assert _total(engine, "opspilot_candidates_total") == 2 * 3 + 1 * 2
    assert _total(engine, "opspilot_decide_errors_total", kind="schema") == 1
    assert _total(engine, "opspilot_decide_errors_total") == 1
    assert _total(engine, "opspilot_outcomes_total", kind="accepted") == 1
    assert _total(engine, "opspilot_bundle_swaps_total") == 1
    assert _total(engine, "opspilot_kill_switch", scope="automation") == 1
    assert _total(engine, "opspilot_kill_switch") == 1
    assert _total(engine, "opspilot_build_info", version=op.__version__) == 1
    assert _total(engine, "opspilot_bundle_info", fingerprint=bundle.fingerprint[:12], name="support", version="1") == 1


def test_any_name_of_a_bundle_is_a_label() -> None:
    for name in ('quotes " and \\ and\nlines', "\\n", "é \u2028 \r \x7f", "} 1", ""):
        engine = op.Engine(_bundle(name))
        assert _total(engine, "opspilot_bundle_info", name=name) == 1


def test_threads_are_counted_exactly(bundle: op.Bundle) -> None:
    engine = op.Engine(bundle)

    def work(_: int) -> None:
        engine.decide({"intent": "fraud"}, now=NOW)
        engine.decide_batch([{"intent": "fraud"}] * 3, now=NOW)
        engine.record_outcome(ID, {"kind": "complaint"}, now=NOW)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(300)))
    assert _total(engine, "opspilot_decisions_total", verdict="escalate") == 1200
    assert _total(engine, "opspilot_outcomes_total", kind="complaint") == 300
