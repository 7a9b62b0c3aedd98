"""gate: launch criteria on logs of decisions and outcomes, from the document to the page."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot import _core
from opspilot._decision_log import read, read_attributes
from opspilot.evaluate import launch

NOW = 1_700_000_000_000_000
CRITERIA: dict[str, Any] = {
    "version": 1,
    "name": "to 20 %",
    "declared_at": NOW - 1,
    "criteria": [
        {"id": "risk", "metric": "selective_risk", "at_most": 0.05, "because": "a mistake costs a refund"},
        {"id": "people", "metric": "recall", "at_least": 0.6, "by": "task.language", "small_groups": "pool"},
        {"id": "gap", "metric": "automation_rate", "gap_at_most": 0.2, "by": "task.language"},
    ],
}


def decision(number: int, **changed: Any) -> dict[str, Any]:
    """A line as the library writes it."""
    return {
        "v": 1,
        "type": "decision",
        "id": f"{number:032x}",
        "time": NOW + number,
        "client": "acme",
        "task": f"T-{number}",
        "stage": "shadow",
        "shadow": True,
        "verdict": "suggest",
        "proposed": "auto_execute",
        "action": "refund",
        "queue": "",
        "probability": 0.9,
        "threshold": 0.8,
        "override_probability": 0,
        "propensity": None,
        "rung": "full",
        "degraded": [],
        "versions": {
            **dict.fromkeys(("bundle", "bundle_version", "schema", "features", "policy", "calibration", "library"), "x"),
            "model": "m1",
        },
        "reasons": [],
        "candidates": 1,
        "ranked": [
            {"action": "refund", "score": 1, "probability": 0.9, "verdict": "auto_execute", "allowed": True, "reasons": []}
        ],
        "fields": {"language": "en"},
        **changed,
    }


def outcome(number: int, kind: str, time: int = 10**9, **changed: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "type": "outcome",
        "decision": f"{number:032x}",
        "time": NOW + time,
        "kind": kind,
        "action": "",
        "reward": None,
        "delay_us": None,
        **changed,
    }


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)


def log_of(n: int = 1200, seed: int = 0, risk: float = 0.01, few: int = 0) -> bytes:
    """Three languages, and ``few`` decisions of a fourth; a quarter is left to people, and most of that was wrong."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        language = "fi" if i < few else str(rng.choice(["en", "de", "es"]))
        person = rng.random() < 0.25
        wrong = rng.random() < (0.7 if person else risk)
        rows.append(decision(i, proposed="suggest" if person else "auto_execute", fields={"language": language}))
        rows.append(outcome(i, "overridden" if wrong else "accepted"))
    return lines(rows)


def test_a_log_that_proves_everything_passes() -> None:
    made = launch.judge(CRITERIA, [log_of()])
    about = made.to_dict()
    assert [result["verdict"] for result in made.results] == ["pass"] * 3, made.describe()
    assert made.passed and made.verdict == "pass" and made.warnings == []
    assert about["decisions"]["n"] == 1200 and about["decisions"]["models"] == ["m1"]
    assert about["criteria_sha256"] == _core.LaunchCriteria.parse(json.dumps(CRITERIA).encode()).fingerprint()
    assert json.loads(json.dumps(about, allow_nan=False)) == about


def test_what_is_counted_is_what_the_log_says() -> None:
    log = log_of(900)
    about = launch.judge(CRITERIA, [log]).to_dict()
    rows = [json.loads(line) for line in log.splitlines()]
    wrong = {row["decision"]: row["kind"] == "overridden" for row in rows if row["type"] == "outcome"}
    decisions = [row for row in rows if row["type"] == "decision"]
    automated = [row for row in decisions if row["proposed"] == "auto_execute"]
    risk = about["results"][0]["rates"][0]
    assert (risk["events"], risk["n"]) == (sum(wrong[row["id"]] for row in automated), len(automated))
    needed = {row["id"] for row in decisions if wrong[row["id"]]}
    for rate in about["results"][1]["rates"]:
        mine = [row for row in decisions if row["id"] in needed and row["fields"]["language"] == rate["group"]]
        assert rate["n"] == len(mine)
        assert rate["events"] == sum(row["proposed"] != "auto_execute" for row in mine)


def test_a_refuted_criterion_fails_and_few_decisions_prove_nothing() -> None:
    assert launch.judge(CRITERIA, [log_of(risk=0.3)]).verdict == "fail"
    few = launch.judge(CRITERIA, [log_of(40)])
    assert few.verdict == "insufficient" and not few.passed
    assert few.results[0]["rates"][0]["needed"] >= 59
    nothing = launch.judge(CRITERIA, [b""])
    assert nothing.verdict == "insufficient"


def test_small_groups_are_insufficient_or_pooled_and_never_shown() -> None:
    log = log_of(few=12)
    pooled, alone = CRITERIA, copy.deepcopy(CRITERIA)
    del alone["criteria"][1]["small_groups"]
    results = launch.judge(alone, [log]).results
    assert results[1]["verdict"] == "insufficient"
    hidden = next(rate for rate in results[1]["rates"] if rate["group"] == "fi")
    assert hidden == {"group": "fi", "verdict": "insufficient", "suppressed": True}
    names = [rate["group"] for rate in launch.judge(pooled, [log]).results[1]["rates"]]
    assert "fi" not in names and launch.SMALL in names
    shown = launch.judge(pooled, [log]).to_dict()["groups"]["task.language"]
    assert shown["rates"]["recall"]["fi"]["n"] is None


def test_the_latest_outcome_counts_and_rewards_do_not() -> None:
    rows = [
        decision(0),
        outcome(0, "accepted", 5),
        outcome(0, "reversed", 9),
        outcome(0, "observed", 99, reward=1.0),
        outcome(1, "overridden", 7),
        outcome(1, "accepted", 7),
        decision(1),
        decision(1),
        decision(2),
        outcome(3, "accepted"),
    ]
    log = read([lines(rows)])
    assert log.outcome == ["reversed", "accepted", None]
    assert (log.repeated, log.strangers) == (1, 1)
    assert log.delay_us == [9, 6, None]
    np.testing.assert_array_equal(log.wrong(["reversed"]), [1, 0, np.nan])
    assert read([lines(rows[:4]), lines(rows[4:])]).outcome == log.outcome
    with pytest.raises(op.AuditError, match="two decisions"):
        read([lines([decision(1), decision(1, proposed="suggest")])])
    with pytest.raises(op.AuditError, match="line 2"):
        read([lines([decision(1)]) + b"{}\n"])


def test_what_rules_keep_back_is_no_matter_of_confidence() -> None:
    reason = {"code": "policy.require_approval", "rule": "r", "layer": "business", "text": "t", "failed": False}
    forbidden = {**decision(0)["ranked"][0], "reasons": [{**reason, "code": "policy.forbid"}], "action": "other"}
    rows = [
        decision(0),
        decision(1, reasons=[reason]),
        decision(2, ranked=[{**decision(2)["ranked"][0], "reasons": [reason]}]),
        decision(3, ranked=[decision(3)["ranked"][0], forbidden], candidates=2),
        decision(4, action="", ranked=[], candidates=0),
    ]
    assert read([lines(rows)]).open == [True, False, False, True, False]


def test_labels_and_groups_beside_the_log(tmp_path: Path) -> None:
    file = tmp_path / "attributes.csv"
    file.write_text(
        "task,age,label\n"
        + "".join(f"T-{i},{'old' if i % 2 else 'young'},{'safety' if i % 4 == 0 else 'other'}\n" for i in range(400))
    )
    rows = [decision(i, proposed="suggest" if i % 4 == 0 else "auto_execute") for i in range(400)]
    criteria = {
        **CRITERIA,
        "criteria": [
            {"id": "safety", "metric": "recall", "of": "safety", "at_least": 0.96},
            {"id": "age", "metric": "automation_rate", "at_most": 0.9, "by": "age"},
        ],
    }
    made = launch.judge(criteria, [lines(rows)], attributes=file)
    assert [result["verdict"] for result in made.results] == ["pass", "fail"]
    assert made.results[0]["rates"][0]["events"] == made.results[0]["rates"][0]["n"] == 100
    with pytest.raises(op.UsageError) as caught:
        launch.judge(criteria, [lines(rows)])
    assert caught.value.code == "usage.labels"
    with pytest.raises(op.UsageError, match="no groups are called 'shoe'"):
        launch.judge({**CRITERIA, "criteria": [{**criteria["criteria"][1], "by": "shoe"}]}, [lines(rows)], attributes=file)

    jsonl = tmp_path / "attributes.jsonl"
    jsonl.write_text('{"decision": "00", "age": 7}\n\n{"decision": "01", "age": null}\n')
    assert read_attributes(jsonl).columns == {"age": {"00": "7"}}
    for bad in (
        "",
        "a,b\n1,2\n",
        "task,age\nT-1,x\nT-1,y\n",
        "task,age\nT-1\n",
        "task,age\n,x\n",
        '{"task": 1}\n[]\n',
        '{"task":\n',
    ):
        (tmp_path / "bad.csv").write_text(bad)
        with pytest.raises(op.UsageError):
            read_attributes(tmp_path / "bad.csv")


def test_late_outcomes_complaints_and_reversals() -> None:
    rows = []
    for i in range(200):
        rows += [
            decision(i),
            outcome(i, "complaint" if i < 2 else "reversed" if i < 5 else "accepted", delay_us=60 if i % 2 else 10),
        ]
    criteria = {
        **CRITERIA,
        "criteria": [
            {"id": "late", "metric": "slow_rate", "slower_than_us": 59, "at_most": 0.6},
            {"id": "complaints", "metric": "complaint_rate", "at_most": 0.04},
            {"id": "reversals", "metric": "reversal_rate", "at_most": 0.001},
            {"id": "late by client", "metric": "slow_rate", "slower_than_us": 59, "at_most": 0.6, "by": "client"},
        ],
    }
    rates = [result["rates"][0] for result in launch.judge(criteria, [lines(rows)]).results]
    assert [(rate["events"], rate["n"]) for rate in rates] == [(100, 200), (2, 200), (3, 200), (100, 200)]
    assert [rate["verdict"] for rate in rates] == ["pass", "pass", "fail", "pass"]


def test_edits_since_are_shown_and_loosening_is_called_so(tmp_path: Path) -> None:
    log = log_of(200)
    before = launch.judge(CRITERIA, [log]).to_dict()
    edited = copy.deepcopy(CRITERIA)
    edited["criteria"][0]["at_most"] = 0.1
    edited["criteria"][1]["at_least"] = 0.7
    del edited["criteria"][2]
    edited["criteria"].append({"id": "new", "metric": "automation_rate", "at_least": 0.1})
    edited["wrong"] = ["reversed"]
    (tmp_path / "before.json").write_text(json.dumps(before))
    made = launch.judge(edited, [log], before=tmp_path / "before.json")
    found = {(e["criterion"], e["key"]): (e["before"], e["after"], e["direction"]) for e in made.to_dict()["edits"]}
    assert found[("risk", "at_most")] == (0.05, 0.1, "looser")
    assert found[("people", "at_least")] == (0.6, 0.7, "stricter")
    assert found[("gap", None)][2] == "looser" and found[("new", None)][2] == "stricter"
    assert found[(None, "wrong")][2] == "looser"
    assert made.to_dict()["before_sha256"] == before["criteria_sha256"] != made.to_dict()["criteria_sha256"]
    assert any("2 edits" in warning or "3 edits" in warning for warning in made.warnings)
    assert launch.judge(CRITERIA, [log], before=CRITERIA).to_dict()["edits"] == []


def test_what_limits_the_answer_is_said() -> None:
    late = {**CRITERIA, "declared_at": NOW + 100}
    rows = [decision(i, versions={**decision(i)["versions"], "model": f"m{i % 2}"}) for i in range(200)]
    rows += [outcome(i, "accepted") for i in range(150)] + [outcome(999, "accepted")]
    said = " ".join(launch.judge(late, [lines(rows)], votes=[[1, 1]] * 20 + [[2, 0]] * 80).warnings)
    for words in ("100 of 200 decisions were made before", "50 of 200 automated decisions have no outcome", "2 models"):
        assert words in said
    assert "1 outcome about decisions that no log holds" in said and "a perfect model could not pass" in said
    assert "do not say when" in " ".join(launch.judge({k: v for k, v in CRITERIA.items() if k != "declared_at"}, [b""]).warnings)


@pytest.mark.parametrize("wanted", ["pass", "fail", "insufficient"])
def test_the_verb_and_its_page(wanted: str, tmp_path: Path) -> None:
    (tmp_path / "criteria.json").write_text(json.dumps(CRITERIA))
    n, risk = {"pass": (1200, 0.01), "fail": (1200, 0.3), "insufficient": (60, 0.01)}[wanted]
    (tmp_path / "d.log").write_bytes(log_of(n, risk=risk, few=12 if wanted == "fail" else 0))
    (tmp_path / "votes.csv").write_text("no,yes\n" + "1,1\n" * 20 + "2,0\n" * 80)
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "opspilot.cli", "gate", tmp_path / "criteria.json", "--log", tmp_path / "d.log"]
    command += ["--votes", tmp_path / "votes.csv", "--before", tmp_path / "criteria.json", "--html", page]
    done = subprocess.run([*map(str, command), "--json"], capture_output=True, text=True, check=False, timeout=120)
    about = json.loads(done.stdout)
    assert (about["ok"], about["verdict"], done.returncode) == (wanted == "pass", wanted, int(wanted != "pass")), done.stderr
    text = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=120)
    assert text.returncode == done.returncode and about["criteria_sha256"] in text.stdout and wanted in text.stdout
    html = page.read_text(encoding="utf-8")
    parsed = _report_tests()._Page(html)
    assert parsed.addresses == [] and parsed.tags.count("svg") >= 3
    for words in (about["criteria_sha256"], "a mistake costs a refund", "What a perfect model would measure", "By task.language"):
        assert words in html
    assert (">hidden<" in html) == (wanted != "pass")


def _report_tests() -> ModuleType:
    spec = importlib.util.spec_from_file_location("test_report", Path(__file__).with_name("test_report.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bad_criteria_logs_and_files_have_their_exit_codes(tmp_path: Path) -> None:
    criteria, log = tmp_path / "criteria.json", tmp_path / "d.log"
    criteria.write_text(json.dumps({**CRITERIA, "criteria": [{"id": "x", "metric": "recall", "at_most": 2}]}))
    log.write_bytes(log_of(5))

    def code(*arguments: object) -> tuple[int, str]:
        command = [sys.executable, "-m", "opspilot.cli", "gate", *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, json.loads(done.stdout)["error"].get("code", "")

    assert code(criteria, "--log", log) == (3, "calibration.bad_criterion")
    criteria.write_text(json.dumps(CRITERIA))
    log.write_bytes(log.read_bytes()[:-5])
    assert code(criteria, "--log", log) == (3, "audit.log")
    assert code(criteria, "--log", tmp_path / "none") == (4, "io")
    log.write_bytes(log_of(5))
    (tmp_path / "votes.csv").write_text("a,b\n1,x\n")
    assert code(criteria, "--log", log, "--votes", tmp_path / "votes.csv") == (3, "usage.votes")
    assert code(criteria)[0] == 2


def test_the_schema_of_criteria_refuses_what_the_reader_does() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(op.schemas.get("criteria"))
    full: dict[str, Any] = {
        **CRITERIA,
        "wrong": ["reversed"],
        "criteria": [
            *CRITERIA["criteria"],
            {"id": "s", "metric": "recall", "of": "safety", "at_least": 0.9, "confidence": 0.9, "min_samples": 5},
            {"id": "late", "metric": "slow_rate", "slower_than_us": 5, "at_most": 0.1, "because": "b"},
        ],
    }
    assert list(validator.iter_errors(full)) == []
    refused = taken = 0
    schemas = _schema_tests()
    for what, made in schemas._changed(full):
        try:
            _core.LaunchCriteria.parse(json.dumps(made).encode())
        except op.CalibrationError as problem:
            if problem.code.endswith(schemas.STRUCTURE):
                assert not validator.is_valid(made), f"{what}: {problem}"
                refused += 1
        else:
            assert validator.is_valid(made), what
            taken += 1
    assert refused > 50 and taken > 0


def _schema_tests() -> ModuleType:
    spec = importlib.util.spec_from_file_location("test_schemas", Path(__file__).with_name("test_schemas.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
