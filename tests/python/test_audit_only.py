"""Fields for audit only: declared, recorded for the judges, and read by nothing that decides."""

from __future__ import annotations

import json
from typing import Any

import pytest

import opspilot as op

NOW = 1_700_000_000_000_000
SCHEMA: dict[str, Any] = {
    "task": [
        {"name": "intent", "type": "string"},
        {"name": "amount", "type": "double", "optional": True},
        {"name": "gender", "type": "string", "optional": True, "use": "audit", "description": "for the fairness report"},
        {"name": "born", "type": "timestamp", "optional": True, "use": "audit"},
        {"name": "tags", "type": "list<string>", "optional": True, "use": "audit"},
    ],
    "action": [{"name": "intents", "type": "list<string>"}],
    "candidate": [{"name": "prior", "type": "double", "optional": True, "use": "audit"}],
}
RULE: dict[str, Any] = {"id": "r", "when": "task.amount > 5.0", "effect": "escalate", "because": "much"}


def draft(schema: dict[str, Any] = SCHEMA, **parts: Any) -> op.Bundle:
    documents: dict[str, Any] = {
        "bundle.json": {"name": "b", "version": "1"},
        "schema.json": schema,
        "catalogue.json": [{"id": "a", "intents": ["x"]}],
        "candidates.json": {"generators": [{"kind": "all"}]},
        "baseline.json": {
            "layer": "business",
            "version": "1",
            "rules": [{"id": "f", "when": "true", "effect": "boost", "by": 1.0, "because": "b"}],
        },
        "policy/compliance.json": policy(),
        **{name.replace("__", "/") + ".json": part for name, part in parts.items()},
    }
    return op.Bundle.draft({name: json.dumps(document).encode() for name, document in documents.items()})


def policy(**changed: Any) -> dict[str, Any]:
    return {"layer": "compliance", "version": "1", "rules": [{**RULE, **changed}]}


def test_a_field_for_audit_only_is_recorded() -> None:
    d = op.Engine(draft()).decide({"intent": "x", "gender": "f"}, now=NOW)
    assert json.loads(d.record())["fields"]["gender"] == "f"


def transform(**changed: Any) -> dict[str, Any]:
    return {"version": 1, "transforms": [changed]}


INVARIANT = {"id": "i", "when": "task.gender == 'f'", "never": "auto_execute", "because": "b"}
MATCH = {"kind": "match", "task": "task.tags", "action": "action.intents"}
STAGES = {"version": 1, "stages": [{"name": "h", "kind": "host", "field": "candidate.prior"}], "rank_by": "h"}
AMOUNT = transform(name="a", op="number", input="task.amount", missing=0)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"policy__compliance": policy(when="task.gender == 'f'")}, "policy.audit_only"),
        ({"policy__compliance": policy(when="has(task.gender)")}, "policy.audit_only"),
        ({"policy__compliance": policy(when="task.?gender.orValue('f') == 'f'")}, "policy.audit_only"),
        ({"policy__compliance": policy(when="candidate.prior > 0.5")}, "policy.audit_only"),
        ({"policy__compliance": policy(effect="diversify", field="candidate.prior", at_most=1)}, "policy.audit_only"),
        ({"policy__compliance": {**policy(), "invariants": [INVARIANT]}}, "policy.audit_only"),
        ({"features": transform(name="g", op="one_hot", input="task.gender")}, "features.audit_only"),
        ({"features": transform(name="p", op="number", input="candidate.prior", missing=0)}, "features.audit_only"),
        ({"candidates": {"generators": [MATCH]}}, "model.audit_only"),
        ({"rank__stages": STAGES, "features": AMOUNT}, "model.audit_only"),
    ],
)
def test_nothing_that_decides_may_read_it(parts: dict[str, Any], code: str) -> None:
    with pytest.raises(op.Error) as caught:
        draft(**parts)
    assert caught.value.code == code, caught.value
    assert "audit only" in str(caught.value) and caught.value.hint


def test_what_dates_another_field_is_read() -> None:
    dated = {"name": "level", "type": "int", "optional": True, "max_age": "24h", "as_of": "born"}
    with pytest.raises(op.SchemaError) as caught:
        draft({**SCHEMA, "task": [*SCHEMA["task"], dated]})
    assert caught.value.code == "schema.audit_only"
    draft({**SCHEMA, "task": [*SCHEMA["task"], {**dated, "use": "audit"}]})


@pytest.mark.parametrize(("role", "name"), [("task", "id"), ("task", "client"), ("action", "id"), ("action", "kind")])
def test_identities_and_kinds_decide(role: str, name: str) -> None:
    with pytest.raises(op.SchemaError) as caught:
        draft({**SCHEMA, role: [*SCHEMA[role], {"name": name, "type": "string", "use": "audit"}]})
    assert caught.value.code == "schema.reserved_field"


def test_the_declaration_does_not_change_what_models_were_trained_with() -> None:
    plain = json.loads(json.dumps(SCHEMA))
    for role in plain.values():
        for field in role:
            field.pop("use", None)

    def fingerprint(schema: dict[str, Any]) -> str:
        versions: dict[str, str] = json.loads(op.Engine(draft(schema)).decide({"intent": "x"}, now=NOW).record())["versions"]
        return versions["schema"]

    assert fingerprint(plain) == fingerprint(SCHEMA)
    with pytest.raises(op.SchemaError):
        draft({**SCHEMA, "task": [{"name": "gender", "type": "string", "use": "fairness"}]})
