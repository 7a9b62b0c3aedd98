"""Decision tables: cells, hit policies, gaps and overlaps; and, where a copy of it is at hand, the public conformance kit."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest

import opspilot as op

MODEL = "https://www.omg.org/spec/DMN/20191111/MODEL/"
#: A checkout of github.com/dmn-tck/tck.
KIT = os.environ.get("OPSPILOT_DMN_TCK")


def _dmn(
    inputs: list[tuple[str, str] | tuple[str, str, str]],
    outputs: list[str],
    rows: list[list[str]],
    hit: str = "UNIQUE",
    extra: str = "",
    values: dict[str, str] | None = None,
    default: str = "",
) -> str:
    """A table; the last cells of a row are its outputs."""
    parts = [f'<definitions xmlns="{MODEL}" name="m"><decision name="Risk desk" id="d1">']
    parts.append(f"<decisionTable hitPolicy={quoteattr(hit)} {extra}>")
    for name, kind, *allowed in inputs:
        listed = f"<inputValues><text>{escape(allowed[0])}</text></inputValues>" if allowed else ""
        parts.append(
            f"<input><inputExpression typeRef={quoteattr(kind)}><text>{escape(name)}</text></inputExpression>{listed}</input>"
        )
    for name in outputs:
        listed = f"<outputValues><text>{escape((values or {})[name])}</text></outputValues>" if name in (values or {}) else ""
        otherwise = f"<defaultOutputEntry><text>{escape(default)}</text></defaultOutputEntry>" if default else ""
        parts.append(f"<output name={quoteattr(name)}>{listed}{otherwise}</output>")
    for row in rows:
        cells = [f"<inputEntry><text>{escape(cell)}</text></inputEntry>" for cell in row[: len(inputs)]]
        cells += [f"<outputEntry><text>{escape(cell)}</text></outputEntry>" for cell in row[len(inputs) :]]
        parts.append(f"<rule>{''.join(cells)}</rule>")
    return "".join([*parts, "</decisionTable></decision></definitions>"])


def _one(cell: str, kind: str) -> str:
    """The condition that one cell of one row becomes."""
    table = op.policy.from_dmn(_dmn([("task.x", kind)], ["effect"], [[cell, '"forbid"']]))
    (rule,) = table.document["rules"]
    return str(rule["when"])


@pytest.mark.parametrize(
    ("cell", "kind", "condition"),
    [
        ('"a"', "string", "task.x == 'a'"),
        ('"b", "a"', "string", "task.x in ['a', 'b']"),
        ('not("a", "b")', "string", "!(task.x in ['a', 'b'])"),
        ('"it\'s, \\"so\\""', "string", 'task.x == "it\'s, \\"so\\""'),
        ("18", "number", "task.x == 18"),
        ("< 18.5", "number", "task.x < 18.5"),
        (">= -3", "number", "task.x >= -3"),
        ("[1..5]", "number", "task.x >= 1 && task.x <= 5"),
        ("(1..5)", "number", "task.x > 1 && task.x < 5"),
        ("]1..5[", "number", "task.x > 1 && task.x < 5"),
        ("[1..2), > 7", "number", "task.x >= 1 && task.x < 2 || task.x > 7"),
        ("not(< 0, [10..20])", "number", "!(task.x < 0 || task.x >= 10 && task.x <= 20)"),
        ("true", "boolean", "task.x"),
        ("false", "boolean", "!task.x"),
        ("not(true)", "boolean", "!task.x"),
        ("-", "number", "true"),
        (
            'date("2026-03-01")',
            "date",
            "task.x >= timestamp('2026-03-01T00:00:00Z') && task.x < timestamp('2026-03-02T00:00:00Z')",
        ),
        ('<= date("2026-03-01")', "date", "task.x < timestamp('2026-03-02T00:00:00Z')"),
        ('> date("2026-03-01")', "date", "task.x >= timestamp('2026-03-02T00:00:00Z')"),
        (
            '[date("2026-03-01")..date("2026-03-31")]',
            "date",
            "task.x >= timestamp('2026-03-01T00:00:00Z') && task.x < timestamp('2026-04-01T00:00:00Z')",
        ),
        ('< date and time("2026-03-01T10:00:00+02:00")', "dateTime", "task.x < timestamp('2026-03-01T08:00:00Z')"),
        ('>= @"2026-03-01T10:00:00Z"', "dateTime", "task.x >= timestamp('2026-03-01T10:00:00Z')"),
    ],
)
def test_cells_become_conditions(cell: str, kind: str, condition: str) -> None:
    assert _one(cell, kind) == condition


@pytest.mark.parametrize(
    ("cell", "kind", "hint"),
    [
        ("a", "string", "double quotes"),
        ("18", "string", "input's type"),
        ('"18"', "number", "number"),
        ("1 + 2", "number", "S-FEEL"),
        ("< x", "number", "S-FEEL"),
        ("[5..1]", "number", "swap"),
        ("(1..1)", "number", "close"),
        ("1,", "number", "S-FEEL"),
        ("not(1", "number", "S-FEEL"),
        ('time("10:00:00")', "dateTime", "date and time"),
        ('duration("P1D")', "dateTime", "date and time"),
        ('date and time("2026-03-01T10:00:00")', "dateTime", "offset"),
        ('date("2026-02-30")', "date", "ISO 8601"),
        ('date("2026-02-03")', "dateTime", "date and time"),
        ("count(x) > 2", "number", "S-FEEL"),
    ],
)
def test_cells_that_cannot_be_read_are_named(cell: str, kind: str, hint: str) -> None:
    with pytest.raises(op.PolicyError) as caught:
        _one(cell, kind)
    assert caught.value.code == "policy.dmn_cell"
    assert caught.value.where == "decision 'Risk desk' rule 1 input 'task.x'"
    assert hint in str(caught.value)


def test_columns_become_keys_of_rules() -> None:
    rows = [
        ["< 18", '"high"', '"escalate"', '"desk"', '"minors"'],
        [">= 18", '"low"', '"none"', "null", "-"],
        [">= 18", '"high"', '"require_approval"', "null", "null"],
    ]
    inputs = [("Applicant Age", "number"), ("action.risk", "string", '"low", "high"')]
    text = _dmn(inputs, ["effect", "Route to", "because"], rows)
    table = op.policy.from_dmn(
        text, fields={"Applicant Age": "task.age"}, outputs={"Route to": "queue"}, layer="client", version="9"
    )
    assert table.document == {
        "$schema": "https://opspilot.dev/schemas/policy.schema.json",
        "layer": "client",
        "version": "9",
        "name": "Risk desk",
        "rules": [
            {
                "id": "risk-desk-1",
                "when": "task.age < 18 && action.risk == 'high'",
                "effect": "escalate",
                "because": "minors",
                "queue": "desk",
            },
            {
                "id": "risk-desk-3",
                "when": "task.age >= 18 && action.risk == 'high'",
                "effect": "require_approval",
                "because": "Row 3 of the decision table Risk desk.",
            },
        ],
    }
    assert table.inputs == {"Applicant Age": "task.age", "action.risk": "action.risk"}
    assert table.gaps == [{"Applicant Age": 17, "action.risk": "low"}]
    policy = op.Policy.compile(table.document)
    young, grown = (policy.evaluate({"age": age}, [{"risk": "high"}])[0] for age in (17, 18))
    assert (young.cap, young.queue, grown.cap) == ("escalate", "desk", "require_approval")


TABLE = [["< 10", '"a"', '"forbid"'], ["[5..20]", '"a","b"', '"suggest_only"'], ["-", "-", '"require_approval"']]
INPUTS: list[Any] = [("x", "number"), ("y", "string")]


def _acting(table: Any, x: float, y: str) -> list[int]:
    """Rows whose rules act."""
    schema = {"task": [{"name": "x", "type": "double"}, {"name": "y", "type": "string"}]}
    (result,) = op.Policy.compile(table.document, schema).evaluate({"x": x, "y": y}, [{}])
    return [int(reason["rule"].rpartition("-")[2]) for reason in result.reasons]


def test_hit_policies() -> None:
    first = op.policy.from_dmn(_dmn(INPUTS, ["effect"], TABLE, "FIRST"))
    order = op.policy.from_dmn(_dmn(INPUTS, ["effect"], TABLE, "RULE ORDER"))
    collect = op.policy.from_dmn(_dmn(INPUTS, ["effect"], TABLE, "COLLECT"))
    values = {"effect": '"require_approval", "suggest_only", "forbid"'}
    priority = op.policy.from_dmn(_dmn(INPUTS, ["effect"], TABLE, "PRIORITY", values=values))
    for x, y, matching in ((7, "a", [1, 2, 3]), (3, "a", [1, 3]), (7, "b", [2, 3]), (30, "b", [3])):
        assert _acting(order, x, y) == _acting(collect, x, y) == matching
        assert _acting(first, x, y) == matching[:1]
        assert _acting(priority, x, y) == [3]
    assert [pair[:2] for pair in first.overlaps] == [(1, 2), (1, 3), (2, 3)]
    with pytest.raises(op.PolicyError) as caught:
        op.policy.from_dmn(_dmn(INPUTS, ["effect"], TABLE, "UNIQUE"))
    assert caught.value.code == "policy.dmn_overlap"
    assert "rules 1 and 2 both match x = 5, y = a" in caught.value.message
    with pytest.raises(op.PolicyError):
        op.policy.from_dmn(_dmn(INPUTS, ["effect"], TABLE, "ANY"))
    same = [[*row[:2], '"forbid"'] for row in TABLE]
    assert len(op.policy.from_dmn(_dmn(INPUTS, ["effect"], same, "ANY")).overlaps) == 3


def test_sums_add_up() -> None:
    rows = [["> 1", "-", "0.5"], ["> 2", "-", "-0.25"], ["> 3", "-", "0"], ["> 4", '"a"', "2"]]
    table = op.policy.from_dmn(_dmn(INPUTS, ["points"], rows, "COLLECT", 'aggregation="SUM"'))
    policy = op.Policy.compile(table.document, {"task": [{"name": "x", "type": "double"}, {"name": "y", "type": "string"}]})
    boosts = [policy.evaluate({"x": x, "y": "a"}, [{}])[0].boost for x in (1.0, 2.0, 3.0, 5.0)]
    assert boosts == [0.0, 0.5, 0.25, 2.25]


def test_a_default_holds_where_no_row_does() -> None:
    table = op.policy.from_dmn(_dmn(INPUTS, ["effect"], TABLE[:1], default='"escalate"'))
    policy = op.Policy.compile(table.document, {"task": [{"name": "x", "type": "double"}, {"name": "y", "type": "string"}]})
    results = [policy.evaluate({"x": x, "y": "a"}, [{}])[0] for x in (5.0, 50.0)]
    assert [(result.allowed, result.cap) for result in results] == [(False, "abstain"), (True, "escalate")]


def test_gaps_and_overlaps_are_exact() -> None:
    """Against trying every value of a grid that has all the ends."""
    draw = random.Random(3)

    def number_cell() -> str:
        low = draw.randrange(0, 8)
        return draw.choice(["-", f"< {low}", f">= {low}", f"[{low}..{low + 2}]", f"({low}..{low + 2})", f"not({low})", str(low)])

    def text_cell() -> str:
        return draw.choice(["-", '"a"', '"a","b"', 'not("b")', 'not("a","c")'])

    grid = [(x / 2, y) for x in range(-2, 24) for y in ("a", "b", "c", "d")]
    for _ in range(60):
        rows = [[number_cell(), text_cell(), '"forbid"'] for _ in range(draw.randrange(1, 6))]
        table = op.policy.from_dmn(_dmn(INPUTS, ["effect"], rows, "RULE ORDER"))
        schema = {"task": [{"name": "x", "type": "double"}, {"name": "y", "type": "string"}]}
        policy = op.Policy.compile(table.document, schema)
        uncovered, common = False, set()
        for x, y in grid:
            reasons = policy.evaluate({"x": x, "y": y}, [{}])[0].reasons
            acting = [int(reason["rule"].rpartition("-")[2]) for reason in reasons]
            uncovered = uncovered or not acting
            common |= {(a, b) for a in acting for b in acting if a < b}
        assert bool(table.gaps) == uncovered, rows
        assert {pair[:2] for pair in table.overlaps} == common, rows
        for gap in table.gaps:  # an example is what it says
            assert not policy.evaluate({"x": float(gap.get("x", 0)), "y": gap.get("y", "a")}, [{}])[0].reasons, (rows, gap)


def test_allowed_values_bound_what_is_missing() -> None:
    rows = [["< 10", '"a"', '"forbid"'], [">= 10", '"a"', '"forbid"'], ["-", '"b"', '"forbid"']]
    inputs: list[Any] = [("x", "number"), ("y", "string", '"a","b"')]
    assert op.policy.from_dmn(_dmn(inputs, ["effect"], rows)).gaps == []
    (gap,) = op.policy.from_dmn(_dmn(INPUTS, ["effect"], rows)).gaps[:1]
    assert gap["y"] == "other"
    many: list[Any] = [(f"x{i}", "number") for i in range(12)]
    wide = [[f"< {draw}" for draw in range(12)], [f"> {draw}" for draw in range(12)]]
    large = op.policy.from_dmn(_dmn(many, ["effect"], [[*row, '"forbid"'] for row in wide]))
    assert large.gaps and not large.decided


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<a/>", "policy.dmn_format"),
        ("<definitions", "policy.dmn_xml"),
        ('<!DOCTYPE d [<!ENTITY e "x">]><definitions/>', "policy.dmn_doctype"),
        (f'<definitions xmlns="{MODEL}"/>', "policy.dmn_no_table"),
        (f'<definitions xmlns="{MODEL}">' + "<decision>" * 100, "policy.dmn_depth"),
        (_dmn(INPUTS, ["effect"], TABLE, "OUTPUT ORDER"), "policy.dmn_hit_policy"),
        (_dmn(INPUTS, ["effect"], TABLE, "COLLECT", 'aggregation="MIN"'), "policy.dmn_aggregation"),
        (_dmn(INPUTS, ["effect"], TABLE, "PRIORITY"), "policy.dmn_priority"),
        (_dmn(INPUTS, ["effect"], []), "policy.dmn_empty"),
        (_dmn([], ["effect"], [['"forbid"']]), "policy.dmn_empty"),
        (_dmn(INPUTS, ["effect"], [["-", '"forbid"']]), "policy.dmn_row"),
        (_dmn([("x", "tPerson")], ["effect"], [["-", '"forbid"']]), "policy.dmn_type"),
        (_dmn([("x + 1", "number")], ["effect"], [["-", '"forbid"']]), "policy.dmn_input"),
        (_dmn(INPUTS, ["effect", "colour"], [["-", "-", '"forbid"', '"red"']]), "policy.dmn_output"),
        (_dmn(INPUTS, ["effect"], [["-", "-", "x + 1"]]), "policy.dmn_cell"),
        (_dmn(INPUTS, ["effect"], [["-", "-", "12"]]), "policy.dmn_cell"),
    ],
)
def test_what_is_no_table_is_refused_by_name(text: str, code: str) -> None:
    with pytest.raises(op.PolicyError) as caught:
        op.policy.from_dmn(text)
    assert caught.value.code == code


def test_the_verb_writes_a_document(tmp_path: Path) -> None:
    file, out = tmp_path / "table.dmn", tmp_path / "policy.json"
    file.write_text(_dmn([("Age", "number")], ["Decision"], [["< 18", '"DECLINE"'], ["> 18", '"ACCEPT"']]), encoding="utf-8")
    command = [sys.executable, "-m", "opspilot.cli", "policy", "import-dmn", str(file), "--out", str(out)]
    command += ["--field", "Age=task.age", "--effect", "DECLINE=forbid", "--effect", "ACCEPT=none"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    about = json.loads(done.stdout)
    assert about["gaps"] == [{"Age": 18}]
    assert about["inputs"] == {"Age": "task.age"}
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["rules"][0]["when"] == "task.age < 18"
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 'no row matches {"Age": 18}' in shown.stdout


# ---- the public conformance kit ----


def _value(node: ElementTree.Element | None) -> Any:
    if node is None:
        return None
    found = node.find(".//{*}value")
    kind = next((value for key, value in (found.attrib if found is not None else {}).items() if key.endswith("}type")), "")
    text = (found.text or "") if found is not None else ""
    return text == "true" if kind.endswith("boolean") else float(text) if kind.endswith(("decimal", "double")) else text


@pytest.mark.skipif(KIT is None, reason="OPSPILOT_DMN_TCK names no checkout of the conformance kit")
@pytest.mark.parametrize(
    "name",
    [
        "0004-simpletable-U",
        "0005-simpletable-A",
        "0006-simpletable-P1",
        "0007-simpletable-P2",
        "0111-first-hitpolicy-singleoutputcol",
        "0112-ruleOrder-hitpolicy-singleinoutcol",
    ],
)
def test_tables_of_the_conformance_kit(name: str) -> None:
    """The rows that act give what the kit expects of one output column."""
    folder = Path(KIT or "") / "TestCases" / "compliance-level-2" / name
    model = (folder / f"{name}.dmn").read_text(encoding="utf-8")
    root = ElementTree.fromstring(model)
    entries = [rule.find("{*}outputEntry/{*}text") for rule in root.iterfind(".//{*}rule")]
    texts = [(entry.text or "").strip() for entry in entries if entry is not None]
    effects = {json.loads(text): "suggest_only" for text in texts}
    table = op.policy.from_dmn(model, effects=effects)
    for rule in table.document["rules"]:
        rule["because"] = json.loads(texts[int(rule["id"].rpartition("-")[2]) - 1])
    checked = 0
    for case in ElementTree.parse(folder / f"{name}-test-01.xml").getroot().iterfind("{*}testCase"):
        task = {str(node.get("name")): _value(node) for node in case.iterfind("{*}inputNode")}
        row = {path.removeprefix("task."): task[given] for given, path in table.inputs.items()}
        results = [node.text for node in case.iterfind("{*}resultNode//{*}value")]
        (result,) = op.Policy.compile(table.document).evaluate(row, [{}])
        assert [reason["text"] for reason in result.reasons] == results, case.get("id")
        checked += 1
    assert checked > 0


def test_dates_meet_what_policies_read() -> None:
    rows = [['[date("2026-03-01")..date("2026-03-31")]', '"forbid"'], ['not([date("2026-03-01")..date("2026-03-31")])', '"pin"']]
    table = op.policy.from_dmn(_dmn([("task.day", "date")], ["effect"], rows))
    assert table.gaps == [] and table.overlaps == []
    policy = op.Policy.compile(table.document, {"task": [{"name": "day", "type": "timestamp"}]})
    moments = [datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)]
    moments += [datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)]
    allowed = [policy.evaluate({"day": moment}, [{}])[0].allowed for moment in moments]
    assert allowed == [True, False, False, True]
