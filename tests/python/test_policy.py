"""Policies: compiled, tested, and evaluated over candidates."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import opspilot as op
from opspilot.policy import Policy

SCHEMA: dict[str, Any] = {
    "task": [
        {"name": "intent", "type": "string", "values": ["fraud", "legal", "refund", "question"]},
        {"name": "amount", "type": "double"},
        {"name": "paid", "type": "bool", "default": True},
        {"name": "opened", "type": "timestamp", "optional": True},
    ],
    "action": [{"name": "kind", "type": "string"}, {"name": "reversible", "type": "bool", "default": False}],
    "candidate": [{"name": "similar", "type": "double", "optional": True}],
}

DOCUMENT: dict[str, Any] = {
    "layer": "compliance",
    "version": "7",
    "rules": [
        {
            "id": "fraud-to-human",
            "when": "task.intent in ['fraud', 'legal']",
            "effect": "escalate",
            "queue": "trust",
            "locked": True,
            "because": "Fraud and legal matters always go to a person.",
        },
        {
            "id": "refund-cap",
            "when": "action.kind == 'refund' && task.amount > 500.0",
            "effect": "require_approval",
            "because": "Large refunds are approved.",
        },
        {
            "id": "no-close-unpaid",
            "when": "action.id == 'close' && !task.paid",
            "effect": "forbid",
            "because": "Unpaid cases stay open.",
        },
        {
            "id": "prefer-reversible",
            "when": "action.reversible",
            "effect": "boost",
            "by": 0.2,
            "because": "What can be undone is tried first.",
        },
    ],
    "invariants": [{"id": "never-auto-fraud", "when": "task.intent == 'fraud'", "never": "auto_execute"}],
    "tests": [
        {"task": {"intent": "fraud"}, "candidate": {"id": "close"}, "expect": {"verdict": "escalate", "rule": "fraud-to-human"}},
        {
            "task": {"intent": "refund", "amount": 900, "paid": True},
            "candidate": {"id": "pay", "kind": "refund"},
            "expect": {"verdict": "require_approval"},
        },
    ],
}

TASK = {"intent": "refund", "amount": 900.0, "paid": False}
CANDIDATES = [
    {"id": "close", "kind": "close", "reversible": False},
    {"id": "pay", "kind": "refund", "reversible": True},
    {"id": "ask", "kind": "ask", "reversible": True, "similar": 0.5},
]


@pytest.fixture
def policy() -> Policy:
    return Policy.compile(DOCUMENT, SCHEMA)


@pytest.mark.parametrize("schema", [SCHEMA, None], ids=["with schema", "without"])
def test_what_rules_leave(schema: Any) -> None:
    close, pay, ask = Policy.compile(DOCUMENT, schema).evaluate(TASK, CANDIDATES)
    assert (close.allowed, close.cap, close.boost) == (False, "abstain", 0.0)
    assert close.reasons == [
        {"code": "policy.forbid", "rule": "no-close-unpaid", "layer": "compliance", "text": "Unpaid cases stay open."}
    ]
    assert (pay.allowed, pay.cap, pay.boost) == (True, "require_approval", 0.2)
    assert [reason["rule"] for reason in pay.reasons] == ["refund-cap", "prefer-reversible"]
    assert (ask.allowed, ask.cap, ask.boost, ask.queue) == (True, "auto_execute", 0.2, None)

    for result in Policy.compile(DOCUMENT, schema).evaluate({**TASK, "intent": "fraud"}, CANDIDATES):
        assert result.cap in {"escalate", "abstain"}
        assert result.queue == "trust"


def test_every_form_of_a_document_is_the_same_policy(policy: Policy, tmp_path: Path) -> None:
    text = json.dumps(DOCUMENT)
    (tmp_path / "compliance.json").write_text(text)
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    expected = policy.evaluate(TASK, CANDIDATES)
    for document in (text, text.encode(), tmp_path / "compliance.json", [DOCUMENT]):
        for schema in (
            SCHEMA,
            json.dumps(SCHEMA),
            json.dumps(SCHEMA).encode(),
            tmp_path / "schema.json",
            str(tmp_path / "schema.json"),
        ):
            assert Policy.compile(document, schema).evaluate(TASK, CANDIDATES) == expected


def test_every_form_of_rows(policy: Policy) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    expected = policy.evaluate(TASK, CANDIDATES)
    table = pyarrow.Table.from_pylist(CANDIDATES)
    dictionary = table.set_column(1, "kind", table["kind"].dictionary_encode())
    for candidates in (json.dumps(CANDIDATES).encode(), table, dictionary, tuple(CANDIDATES)):
        assert policy.evaluate(TASK, candidates) == expected
    assert policy.evaluate(pyarrow.Table.from_pylist([TASK]), table) == expected
    assert policy.evaluate(json.dumps(TASK).encode(), CANDIDATES) == expected
    polars = pytest.importorskip("polars")
    assert policy.evaluate(TASK, polars.DataFrame(CANDIDATES)) == expected
    assert policy.evaluate(TASK, []) == []


def test_own_tests_and_coverage(policy: Policy) -> None:
    assert [(test.index, test.passed) for test in policy.run_tests()] == [(0, True), (1, True)]
    assert policy.coverage() == {"fraud-to-human": 1, "refund-cap": 1, "no-close-unpaid": 0, "prefer-reversible": 0}
    wrong = copy.deepcopy(DOCUMENT)
    wrong["tests"][1]["expect"] = {"verdict": "auto_execute", "rule": "refund-kap"}
    first, second = Policy.compile(wrong, SCHEMA).run_tests()
    assert first.passed
    assert not second.passed
    assert "require_approval" in second.message
    assert "refund-cap" in second.message  # the nearest name


def test_broken_invariants_are_named() -> None:
    document = {**DOCUMENT, "rules": DOCUMENT["rules"][1:], "tests": []}
    fraud, _, _ = Policy.compile(document, SCHEMA).evaluate({**TASK, "intent": "fraud", "paid": True}, CANDIDATES)
    assert fraud.cap == "auto_execute"
    assert fraud.invariant == "never-auto-fraud"


def test_a_condition_that_fails_narrows() -> None:
    rules = [
        {"id": "late", "when": "now - task.opened > duration('1h')", "effect": "escalate", "because": "It is late."},
        {"id": "near", "when": "candidate.similar > 0.4", "effect": "boost", "by": 1, "because": "It is near."},
    ]
    policy = Policy.compile({"layer": "client", "version": "1", "rules": rules}, SCHEMA)
    opened = datetime(2026, 1, 1, tzinfo=UTC)
    close, _, ask = policy.evaluate({**TASK, "opened": opened}, CANDIDATES, now=datetime(2026, 1, 1, 0, 30, tzinfo=UTC))
    assert (ask.cap, ask.boost) == ("auto_execute", 1.0)
    assert close.boost == 0.0
    assert [(reason["rule"], reason["failed"]) for reason in close.reasons] == [("near", True)]  # nothing to compare
    late, _, _ = policy.evaluate({**TASK, "opened": opened}, CANDIDATES, now=datetime(2026, 1, 1, 2, tzinfo=UTC))
    assert late.cap == "escalate"
    unknown, _, _ = policy.evaluate(TASK, CANDIDATES)
    assert unknown.cap == "escalate"
    assert unknown.reasons[0] == {
        "code": "policy.escalate",
        "rule": "late",
        "layer": "client",
        "text": "It is late.",
        "failed": True,
    }


def test_layers_stand_in_their_order() -> None:
    business = {
        "layer": "business",
        "version": "1",
        "rules": [{"id": "b", "when": "action.reversible", "effect": "boost", "by": 1, "because": "x"}],
    }
    policy = Policy.compile([business, DOCUMENT], SCHEMA)
    assert [rule["layer"] for rule in policy.rules] == ["compliance"] * 4 + ["business"]
    locked = copy.deepcopy(business)
    locked["rules"][0]["id"] = "fraud-to-human"
    with pytest.raises(op.PolicyError) as caught:
        Policy.compile([locked, DOCUMENT], SCHEMA)
    assert caught.value.code == "policy.locked"


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"when": "task.amout > 500.0"}, "policy.unknown_field", "refund-cap"),
        ({"when": "task.amount > 'many'"}, "policy.type", "refund-cap"),
        ({"when": "task.amount >"}, "policy.", "refund-cap"),
        ({"effect": "fobid"}, "policy.", "refund-cap"),
        ({"because": " "}, "policy.no_reason", "refund-cap"),
        ({"on_error": "skip"}, "policy.cannot_skip", "refund-cap"),
        ({"colour": 1}, "policy.unknown_field", "refund-cap"),
        ({"id": "no-close-unpaid"}, "policy.duplicate_rule", "no-close-unpaid"),
    ],
)
def test_errors_have_rule_line_and_cure(change: dict[str, Any], code: str, where: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["rules"][1].update(change)
    text = json.dumps(document, indent=2)
    with pytest.raises(op.PolicyError) as caught:
        Policy.compile(text, SCHEMA)
    error = caught.value
    assert error.code.startswith(code)
    assert where in error.where
    assert "line " in error.where and "column " in error.where
    assert any(finding.error and finding.code == error.code for finding in error.findings)


def test_all_findings_are_given() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["rules"][1]["when"] = "task.amout > 1.0"
    document["rules"][2]["because"] = ""
    with pytest.raises(op.PolicyError) as caught:
        Policy.compile(document, SCHEMA)
    assert [(f.rule, f.error) for f in caught.value.findings] == [("refund-cap", True), ("no-close-unpaid", True)]
    document = copy.deepcopy(DOCUMENT)
    document["rules"][0] = {**document["rules"][0], "effect": "forbid"}
    del document["rules"][0]["queue"]
    (warning,) = Policy.compile(document, SCHEMA).findings
    assert (warning.error, warning.code, warning.rule) == (False, "policy.task_only", "fraud-to-human")


@pytest.mark.parametrize(
    ("task", "candidates", "where"),
    [
        ({**TASK, "amout": 1.0}, CANDIDATES, "/task/amout"),
        ({**TASK, "amount": "much"}, CANDIDATES, "/task/amount"),
        ({"intent": "refund"}, CANDIDATES, "/task"),
        (TASK, [{"id": "x", "kind": 3}], "/candidates/0/kind"),
        (TASK, [{"id": "x", "sort": "a"}], "/candidates/0"),
        ([TASK, TASK], CANDIDATES, "/task"),
        (b"{", CANDIDATES, "/task"),
    ],
)
def test_rows_that_do_not_fit(policy: Policy, task: Any, candidates: Any, where: str) -> None:
    with pytest.raises(op.Error) as caught:
        policy.evaluate(task, candidates)
    assert caught.value.where.startswith(where)


# ---- without a schema ----


@pytest.mark.parametrize(
    ("when", "task", "expected"),
    [
        ("task.amount * 1.1 > 500.0", {"amount": 500}, True),
        ("task.n % 2 == 0", {"n": 4}, True),
        ("!task.paid", {"paid": False}, True),
        ("task.name.startsWith('a') && task.score >= 2", {"name": "ab", "score": 2.5}, True),
        ("'vip' in task.tags", {"tags": ["vip"]}, True),
        ("now - task.opened > duration('1h')", {"opened": datetime(1969, 1, 1, tzinfo=UTC)}, True),
        ("task.limit < task.amount", {"limit": 3, "amount": 4.5}, True),
        ("has(task.note)", {}, False),
    ],
)
def test_types_come_from_conditions_and_values(when: str, task: dict[str, Any], expected: bool) -> None:
    rule = {"id": "r", "when": when, "effect": "suggest_only", "because": "x"}
    policy = Policy.compile({"layer": "client", "version": "1", "rules": [rule]})
    (result,) = policy.evaluate(task, [{}])
    assert (result.cap == "suggest") is expected
    assert not any("failed" in reason for reason in result.reasons)


def test_tables_need_a_schema() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    with pytest.raises(op.UsageError) as caught:
        Policy.compile(DOCUMENT).evaluate(TASK, pyarrow.Table.from_pylist(CANDIDATES))
    assert caught.value.code == "usage.no_schema"


@pytest.mark.parametrize(
    "document", ["", "[]", "{", "null", '{"layer": "compliance"}', b"\xff", "\ud800", '{"layer":"x","version":"1","rules":[]}']
)
def test_what_is_no_policy(document: Any) -> None:
    with pytest.raises(op.PolicyError) as caught:
        Policy.compile(document)
    assert caught.value.where


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(
                st.sampled_from(["layer", "version", "rules", "id", "when", "effect", "because", "tests", "task", "expect", "x"]),
                x,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_is_a_policy_or_a_policy_error(document: Any) -> None:
    try:
        Policy.compile(json.dumps(document))
    except op.PolicyError as error:
        assert error.code


def test_a_policy_describes_itself_and_survives_pickling(policy: Policy) -> None:
    about = json.loads(policy.describe("json"))
    assert about["rule_count"] == 4
    assert about["tests_passed"] == about["tests"] == 2
    assert "refund-cap" in policy.describe()
    assert "refund-cap" in policy._repr_html_()
    for one in (policy, Policy.compile(DOCUMENT)):
        _, arguments = one.__reduce__()
        assert all(isinstance(text, bytes) for _, text in arguments[0])  # type: ignore[index]
        again = pickle.loads(pickle.dumps(one))
        assert again.fingerprint == one.fingerprint
        assert again.evaluate(TASK, CANDIDATES) == one.evaluate(TASK, CANDIDATES)
    assert op.Policy is Policy


def test_reasons_go_down_to_the_clause() -> None:
    policy = op.Policy.compile(
        {
            "layer": "client",
            "version": "1",
            "rules": [
                {"id": "cap", "when": "action.kind == 'refund' && task.amount > 500.0", "effect": "forbid", "because": "b"}
            ],
        }
    )
    (one,) = policy.evaluate({"amount": 600.0}, [{"kind": "refund"}], explain=True)
    (reason,) = one.reasons
    assert [(c["text"], c["gives"], c["values"]) for c in reason["clauses"]] == [
        ("action.kind == 'refund'", "true", {"action.kind": '"refund"'}),
        ("task.amount > 500.0", "true", {"task.amount": "600"}),
    ]
    assert reason["change"] == ["action.kind != 'refund'"]
    assert "clauses" not in policy.evaluate({"amount": 600.0}, [{"kind": "refund"}])[0].reasons[0]


LIMITS = {"version": "1", "key": "string", "value": "double", "rows": {"refund": 250.0, "close": 1000.0}}
LOOKS_UP = {
    "layer": "business",
    "version": "1",
    "rules": [
        {"id": "cap", "when": "task.amount > lookup('limits', action.kind)", "effect": "require_approval", "because": "b"},
    ],
    "invariants": [{"id": "never", "when": "task.amount > 1000.0", "never": "auto_execute"}],
    "tests": [{"task": {"amount": 300.0}, "candidate": {"kind": "refund"}, "expect": {"rule": "cap"}}],
}
LOOKS_UP_SCHEMA = {
    "task": [{"name": "amount", "type": "double"}],
    "action": [{"name": "kind", "type": "string", "values": ["refund", "close"]}],
}


def test_conditions_look_into_tables(tmp_path: Path) -> None:
    for schema in (LOOKS_UP_SCHEMA, None):
        compiled = Policy.compile(LOOKS_UP, schema, {"limits": LIMITS})
        assert compiled.findings == []
        assert all(test.passed for test in compiled.run_tests())
        left = compiled.evaluate({"amount": 300.0}, [{"kind": "refund"}, {"kind": "close"}])
        assert [one.cap for one in left] == ["require_approval", "auto_execute"]
        if schema is not None:
            assert [proof.outcome for proof in compiled.invariants] == ["proved"]
            assert op.policy.prove(compiled, {"when": "task.amount > 1000.0"}).outcome == "proved"
    (table,) = compiled.tables
    assert (table["name"], table["rows"], table["key"], table["value"]) == ("limits", 2, "string", "double")
    restored = pickle.loads(pickle.dumps(compiled))
    assert restored.fingerprint == compiled.fingerprint
    assert Policy.compile(LOOKS_UP, None, {"limits": {**LIMITS, "version": "2"}}).fingerprint != compiled.fingerprint
    (tmp_path / "limits.json").write_text(json.dumps(LIMITS))
    assert (
        Policy.compile(LOOKS_UP, tables=tmp_path).fingerprint
        == Policy.compile(LOOKS_UP, tables={"limits": json.dumps(LIMITS)}).fingerprint
    )


def test_tables_that_are_wrong() -> None:
    with pytest.raises(op.PolicyError) as caught:
        Policy.compile(LOOKS_UP, LOOKS_UP_SCHEMA, {"limit": LIMITS})
    assert (caught.value.code, caught.value.hint) == ("policy.unknown_table", "did you mean 'limit'?")
    with pytest.raises(op.PolicyError) as caught:
        Policy.compile(LOOKS_UP, LOOKS_UP_SCHEMA, {"limits": {**LIMITS, "rows": {"refund": "much"}}})
    assert caught.value.code == "policy.table_value"
    assert caught.value.where.startswith("table 'limits' line ")
    with pytest.raises(op.UsageError):
        Policy.compile(LOOKS_UP, LOOKS_UP_SCHEMA, Path("nowhere"))
    assert [f.code for f in Policy.compile(LOOKS_UP, LOOKS_UP_SCHEMA, {"limits": {**LIMITS, "rows": {}}}).findings] == [
        "policy.key_not_in_table"
    ]
