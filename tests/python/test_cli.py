"""The command line: one JSON object with --json, exit codes 0 to 4, colours and progress on terminals only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import opspilot as op
from opspilot import _core

BAD_RULES = {
    "layer": "business",
    "version": "1",
    "rules": [{"id": "r", "when": "task.amount > ", "effect": "forbid", "because": "no"}],
}
RULES = {
    "layer": "business",
    "version": "1",
    "rules": [
        {"id": "cap", "when": "task.amount > 500.0", "effect": "require_approval", "because": "much"},
        {"id": "never", "when": "task.amount < 0.0", "effect": "forbid", "because": "odd"},
    ],
    "tests": [{"task": {"amount": 900.0}, "candidate": {"id": "a"}, "expect": {"verdict": "require_approval", "rule": "cap"}}],
}


def opspilot(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "opspilot.cli", *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key not in {"OPSPILOT_DATA", "NO_COLOR"}} | environment
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)


def one_object(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Exactly one object on stdout, and nothing that is not JSON."""
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout
    assert "\x1b" not in done.stdout
    value = json.loads(lines[0], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert isinstance(value, dict)
    return value


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    pytest.importorskip("lightgbm")
    out = tmp_path_factory.mktemp("cli") / "made" / "here"
    done = opspilot("demo", "--simulate", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # progress is for terminals
    return out, one_object(done)


def test_explain_names_what_made_the_score(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, _ = demo
    golden = (out / "bundle" / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(golden[0])
    task = tmp_path / "task.json"
    task.write_text(json.dumps(row["task"]))
    done = opspilot("explain", out / "bundle.opspilot", "--task", task, "--now", row["now"], "--json")
    assert done.returncode == 0, done.stderr
    made = one_object(done)
    assert made["method"] == "tree_shap"
    parts = sum(part["contribution"] for part in made["contributions"])
    assert made["base"] + parts + made["others"] == pytest.approx(made["score"])
    text = opspilot("explain", out / "bundle.opspilot", "--task", task, "--now", row["now"])
    assert text.returncode == 0
    assert made["contributions"][0]["feature"] in text.stdout


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(RULES))
    return file


def test_demo_prints_what_is_promised_and_writes_five_things(demo: tuple[Path, dict[str, Any]]) -> None:
    out, result = demo
    promised = {
        "next_action": ("top1", "top3", "n"),
        "slate": ("top1",),
        "automation": ("n",),
        "baseline": ("top1",),
        "latency_ms": ("p50", "p99"),
    }
    numbers = [result[part][key] for part, keys in promised.items() for key in keys]
    certified = result["automation"]["at_10"]
    numbers += [certified[key] for key in ("share", "risk_upper", "test_error", "naive_share", "naive_test_error")]
    numbers += [result["automation"]["at_5"][key] for key in ("share", "naive_share")]
    assert all(isinstance(value, (int, float)) for value in numbers)
    for key in ("risk_upper", "test_error", "naive_test_error"):  # may be null, must be there
        assert key in result["automation"]["at_5"]
    assert "plots" not in result
    assert sorted(path.name for path in out.iterdir()) == [
        "bundle",
        "bundle.opspilot",
        "cases.csv",
        "decisions.log",
        "report.html",
    ]
    assert (out / "report.html").read_text().startswith("<!doctype html>")


def test_what_the_demo_wrote_passes_the_other_verbs(demo: tuple[Path, dict[str, Any]]) -> None:
    out, result = demo
    assert one_object(opspilot("check", out / "bundle.opspilot", "--json"))["fingerprint"] == result["fingerprint"]
    assert one_object(opspilot("describe", out / "bundle", "--json"))["name"] == "simulated-support"
    log = one_object(opspilot("describe", out / "decisions.log", "--json"))
    assert log["records"] == log["outcomes"] == result["automation"]["n"]
    assert one_object(opspilot("parity", out / "bundle.opspilot", "--json"))["mismatches"] == 0


def _of_the_log(out: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Decisions, and what came of them by id."""
    rows = [json.loads(line) for line in (out / "decisions.log").read_text(encoding="utf-8").splitlines()]
    return [r for r in rows if r["type"] == "decision"], {r["decision"]: r["kind"] for r in rows if r["type"] == "outcome"}


def test_what_the_demo_decided_is_certified_by_kind_of_action(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, _ = demo
    beside = ("--log", out / "decisions.log", "--bundle", out / "bundle.opspilot", "--attributes", out / "cases.csv")
    written = tmp_path / "calibration.json"
    command = ("calibrate", *beside, "--target", "risk<=0.2", "--one-per", "case", "--by", "action.kind", "--out", written)
    done = opspilot(*command, "--now", 1_606_780_800_000_000, "--json")
    assert done.returncode in (0, 1), done.stderr
    made = one_object(done)
    decisions, _ = _of_the_log(out)
    (risk,) = made["targets"]
    assert risk["n"] + made["repeats"] == len(decisions) and made["repeats"] > 0 and made["one_per"] == "case"
    kind = {action["id"]: action["kind"] for action in json.loads((out / "bundle" / "catalogue.json").read_text())}
    groups = {g["group"]: g for g in risk["groups"]}
    assert set(groups) - {"(not known)"} <= set(kind.values()) and len(groups) > 2
    assert sum(g["n"] for g in groups.values()) == risk["n"]
    certified = json.loads(written.read_text(encoding="utf-8"))
    served = json.loads((out / "bundle" / "calibration.json").read_text(encoding="utf-8"))
    assert certified["calibrator"] == served["calibrator"] and certified["abstain_below"] == served["abstain_below"]
    lines = {line["kind"]: line for line in certified["thresholds"]}
    assert set(lines) == set(groups) - {"(not known)"}
    for name, line in lines.items():
        stated, group = line["certificate"], groups[name]
        assert (line["value"], stated["n"], stated["level"]) == (group["value"], group["n"], f"kind {name}")
        assert stated["delta"] == pytest.approx(0.05 / len(groups))
        assert stated["calibrator_fingerprint"] == _core.calibrator_fingerprint(written.read_bytes())
    # A bundle with these lines automates a kind above its own line, and no other.
    root = out / "bundle"
    parts = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    about = json.loads(parts["bundle.json"])
    parts |= {
        "bundle.json": json.dumps({"name": about["name"], "version": "2"}).encode(),
        "calibration.json": written.read_bytes(),
    }
    anew = op.Bundle.draft(parts)
    assert anew.model_fingerprint == next(iter(lines.values()))["certificate"]["model_fingerprint"]
    tasks = [json.loads(row)["task"] for row in parts["golden.jsonl"].decode().splitlines()]
    automated = 0
    for task in tasks:
        d = op.Engine(anew).decide(task, now=1_606_780_800_000_000)
        line = lines.get(kind.get(d.action or "", ""), {"value": None})["value"]
        automated += d.proposed == "auto_execute"
        assert d.proposed != "auto_execute" or (line is not None and d.probability > line)
    assert automated


def test_what_the_demo_decided_is_judged(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, _ = demo
    criteria = Path(__file__).parents[2] / "examples" / "launch" / "criteria.json"
    beside = ("--log", out / "decisions.log", "--bundle", out / "bundle.opspilot")
    done = opspilot("gate", criteria, *beside, "--html", tmp_path / "page.html", "--json")
    made = one_object(done)
    assert done.returncode == int(not made["ok"]), done.stderr
    decisions, outcomes = _of_the_log(out)
    automated = [d for d in decisions if d["proposed"] == "auto_execute"]
    wrong = sum(outcomes[d["id"]] == "overridden" for d in automated)
    results = {result["id"]: result for result in made["results"]}
    assert (results["risk"]["rates"][0]["events"], results["risk"]["rates"][0]["n"]) == (wrong, len(automated))
    kind = {action["id"]: action["kind"] for action in json.loads((out / "bundle" / "catalogue.json").read_text())}
    shown = {r["group"]: r for r in results["risk by kind"]["rates"] if not r.get("suppressed") and r["group"] in kind.values()}
    assert shown
    for name, rate in shown.items():
        own = [d for d in automated if kind[d["action"]] == name]
        assert (rate["events"], rate["n"]) == (sum(outcomes[d["id"]] == "overridden" for d in own), len(own))
    assert made["criteria_sha256"] in (tmp_path / "page.html").read_text(encoding="utf-8")
    text = opspilot("gate", criteria, *beside)
    assert text.returncode == done.returncode and made["criteria_sha256"] in text.stdout


def test_a_log_of_another_model_is_refused(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, _ = demo
    rows = [json.loads(line) for line in (out / "decisions.log").read_text(encoding="utf-8").splitlines()[:200]]

    def refused(key: str, *command: object) -> str:
        changed = [{**r, "versions": {**r["versions"], key: "0" * 64}} if r["type"] == "decision" else r for r in rows]
        text = "".join(json.dumps(r, separators=(",", ":"), ensure_ascii=False) + "\n" for r in changed)
        (tmp_path / "d.log").write_text(text, encoding="utf-8")
        done = opspilot(*command, "--log", tmp_path / "d.log", "--json")
        assert done.returncode == 3, done.stderr
        error = one_object(done)["error"]
        assert error["hint"] == "give the bundle that decided"
        return str(error["code"])

    certify = ("calibrate", "--target", "risk<=0.2", "--bundle", out / "bundle.opspilot")
    assert refused("model", *certify) == "calibration.foreign_model"
    assert refused("calibration", *certify) == "calibration.foreign_calibrator"
    named = ("calibrate", "--target", "risk<=0.2", "--out", tmp_path / "c.json", "--model", "another")
    assert refused("calibration", *named) == "calibration.foreign_model"
    assert not (tmp_path / "c.json").exists()
    criteria = Path(__file__).parents[2] / "examples" / "launch" / "criteria.json"
    assert refused("model", "gate", criteria, "--bundle", out / "bundle.opspilot") == "calibration.foreign_model"


def test_demo_without_data_names_the_cure(tmp_path: Path) -> None:
    for done in (
        opspilot("demo", "--data", tmp_path, "--out", tmp_path / "o", "--json"),
        opspilot("demo", "--out", tmp_path / "o", "--json", OPSPILOT_DATA=str(tmp_path)),
    ):
        assert done.returncode == 3
        refused = one_object(done)["error"]
        assert "scripts/get_data.py" in refused["hint"] and "--simulate" in refused["hint"]
        assert refused["code"] == "demo.no_data" and refused["where"] == str(tmp_path)
    plain = opspilot("demo", "--data", tmp_path)
    assert plain.returncode == 3 and plain.stdout == "" and "--simulate" in plain.stderr
    assert not (tmp_path / "o").exists()


def test_demo_that_cannot_write_exits_with_4(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = opspilot("demo", "--simulate", "--out", tmp_path / "file" / "below", "--json")
    assert done.returncode == 4 and one_object(done)["ok"] is False


def test_bench_counts_and_rivals(demo: tuple[Path, dict[str, Any]]) -> None:
    done = opspilot("bench", demo[0] / "bundle.opspilot", "--candidates", "10,60", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    result = one_object(done)
    generated, few, many = result["decide"]
    assert generated["source"] == "generated" and 20 <= generated["candidates"] <= 24
    assert (few["candidates"], many["candidates"]) == (10, 60)  # below and beyond the catalogue's 24
    for entry in result["decide"]:
        assert 0 < entry["min_ms"] <= entry["p50_ms"] <= entry["p99_ms"] and entry["decisions"] >= 64
        assert entry["p50_without_ranking_ms"] > 0 and 0 <= entry["ranking_share"] < 1
    assert result["engines"]["trees"] in op.Ranker.engines() and result["engines"]["processor"]
    assert result["linear"]["rows"] == 2000 and result["linear"]["ratio"] > 0
    assert result["linear"]["largest_difference"] < 1e-3
    for grams in ("words", "words_and_characters"):
        assert result["text"][grams]["ratio"] > 1
        counts = result["text"][grams]["entries"]
        assert counts["opspilot"] == pytest.approx(counts["scikit-learn"], rel=0.02)  # both count the same terms
    table = opspilot("bench", demo[0] / "bundle.opspilot", "--candidates", "5", "--quick", "--no-rivals")
    assert table.returncode == 0 and "the host" in table.stdout and "numpy" not in table.stdout
    assert "p99 ms" in table.stdout and f"Trees by {op.Ranker.engines()[0]}" in " ".join(table.stdout.split())


def test_bench_of_the_reference_decision() -> None:
    done = opspilot("bench", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    result = one_object(done)
    assert (result["candidates"], result["features"], result["trees"], result["rules"]) == (2000, 96, 500, 50)
    assert set(result["stages_ms"]) == {"reading", "features", "ranking", "policies", "calibration", "record"}
    for taken in (*result["stages_ms"].values(), result["decision_ms"]):
        assert 0 < taken["min"] <= taken["p50"] <= taken["p99"]
    assert result["decision_ms"]["min"] > result["stages_ms"]["ranking"]["min"]  # the trees are part of it
    assert result["two_by_one"]["clock"] > 0 and result["decisions_per_s"]["one thread"] > 0
    table = " ".join(opspilot("bench", "--quick").stdout.split())
    assert "whole decision" in table and "ranking, alone" in table


def test_bench_refuses_what_is_no_count(demo: tuple[Path, dict[str, Any]]) -> None:
    for counts in ("many", "0", "10,-1", "1000000"):
        done = opspilot("bench", demo[0] / "bundle.opspilot", "--candidates", counts, "--json")
        assert done.returncode == 2
        assert one_object(done)["error"]["code"] == "usage"


def test_policy_check_and_test(policy: Path) -> None:
    checked = opspilot("policy", "check", policy, "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert one_object(checked)["rules"] == 2
    tested = opspilot("policy", "test", policy, "--json")
    assert tested.returncode == 0
    assert one_object(tested) == {"ok": True, "tests": 1, "passed": 1, "failed": [], "rules_without_test": ["never"]}
    assert "no test reaches: never" in opspilot("policy", "test", policy).stdout


def test_policy_that_fails_its_test_exits_with_1(policy: Path) -> None:
    broken = {**RULES, "tests": [{"task": {"amount": 1.0}, "candidate": {"id": "a"}, "expect": {"rule": "cap"}}]}
    policy.write_text(json.dumps(broken))
    done = opspilot("policy", "test", policy, "--json")
    assert done.returncode == 1
    (failed,) = one_object(done)["failed"]
    assert failed["index"] == 0 and "cap" in failed["message"]
    assert "Failed tests" in opspilot("policy", "test", policy).stdout


def test_policy_findings_have_place_and_cure(policy: Path) -> None:
    policy.write_text(json.dumps(BAD_RULES))
    done = opspilot("policy", "check", policy, "--json")
    assert done.returncode == 1
    result = one_object(done)
    assert not result["ok"] and result["errors"] >= 1
    assert result["findings"][0]["where"] and result["findings"][0]["code"].startswith(("policy.", "cel."))
    shown = opspilot("policy", "check", policy)
    assert shown.returncode == 1 and "Findings" in shown.stdout
    tested = opspilot("policy", "test", policy, "--json")
    assert tested.returncode == 1 and one_object(tested)["error"]["code"] == result["findings"][0]["code"]


def test_misspelt_fields_are_found_with_a_schema(policy: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"task": [{"name": "amounts", "type": "double"}], "action": [], "candidate": []}))
    result = one_object(opspilot("policy", "check", policy, "--schema", schema, "--json"))
    assert not result["ok"] and "amounts" in json.dumps(result["findings"])


@pytest.mark.parametrize(
    ("name", "form", "objective"),
    [
        ("lambdarank.txt", "lightgbm", "lambdarank"),
        ("xgboost/tiny.json", "xgboost", "reg:squarederror"),
        ("xgboost/tiny_ubj.ubj", "xgboost", "reg:squarederror"),
        ("catboost_symmetric.json", "catboost", "RMSE"),
    ],
)
def test_tree_models_of_every_format_are_described(name: str, form: str, objective: str) -> None:
    model = Path(__file__).parents[1] / "rank" / "fixtures" / name
    about = one_object(opspilot("describe", model, "--json"))
    assert (about["kind"], about["format"], about["objective"]) == ("tree ranker", form, objective)
    assert 0 < about["depth"] <= about["splits"]
    asked = [entry["splits"] for entry in about["most_asked"]]
    assert asked == sorted(asked, reverse=True) and sum(asked) <= about["splits"]
    if about["feature_count"] <= 10:
        assert sum(asked) == about["splits"]
        assert len(asked) + about["features_no_split_asks_about"] == about["feature_count"]
    shown = opspilot("describe", model).stdout
    assert f"format: {form}" in shown and about["most_asked"][0]["feature"] in shown


@pytest.mark.parametrize(
    ("content", "cure"),
    [(b"CBM1\x08\x00", "format='json'"), (b"\x80\x04\x95", "pickles are not read"), (b"hello", "a tree model")],
)
def test_files_of_other_forms_are_refused_with_a_cure(content: bytes, cure: str, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(content)
    done = opspilot("describe", file, "--json")
    assert done.returncode == 3
    refused = one_object(done)["error"]
    assert refused["code"] == "unknown_file" and cure in refused["hint"]
    assert cure in opspilot("describe", file).stderr


def test_files_that_are_not_there_exit_with_4(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    for arguments in (
        ("check", missing),
        ("policy", "check", missing),
        ("policy", "test", missing),
        ("bench", missing),
        ("describe", missing),
    ):
        done = opspilot(*arguments, "--json")
        assert done.returncode == 4, arguments
        assert str(missing) in one_object(done)["error"]["message"]


def test_a_broken_bundle_is_a_no_for_check_and_bad_input_elsewhere(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    content = bytearray((demo[0] / "bundle.opspilot").read_bytes())
    content[len(content) // 2] ^= 1
    broken = tmp_path / "broken.opspilot"
    broken.write_bytes(content)
    checked = opspilot("check", broken, "--json")
    assert checked.returncode == 1
    refused = one_object(checked)["error"]
    assert refused["code"].startswith("bundle.") and refused["message"]
    assert opspilot("check", broken).returncode == 1
    for verb in ("bench", "parity", "describe"):
        done = opspilot(verb, broken, "--json")
        assert done.returncode == 3 and one_object(done)["error"]["code"] == refused["code"]


def test_wrong_command_lines_exit_with_2() -> None:
    for arguments in (("nothing",), ("demo", "--color", "red"), ("policy", "check"), ("bench", "--seconds", "0")):
        done = opspilot(*arguments, "--json")
        assert done.returncode == 2, arguments
        assert one_object(done)["error"]["code"] == "usage"
        assert opspilot(*arguments).stdout == ""


def test_no_color_is_honoured(policy: Path) -> None:
    policy.write_text(json.dumps(BAD_RULES))
    forced = opspilot("policy", "check", policy, FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[1;31m" in forced.stdout
    plain = opspilot("policy", "check", policy, FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")
    assert "\x1b[1;31m" not in plain.stdout and "error" in plain.stdout
    assert "\x1b" not in opspilot("policy", "check", policy).stdout


def test_policy_push_signs_what_compiles(policy: Path, tmp_path: Path) -> None:
    key, release = tmp_path / "key", tmp_path / "release.json"
    public = json.loads(opspilot("policy", "keygen", key, "--json").stdout)["public_key"]
    assert key.stat().st_mode & 0o077 == 0
    assert opspilot("policy", "keygen", key).returncode == 4  # never over a key that is there
    common = ("--key", key, "--bundle", "support", "--sequence", "1", "--to", release)
    done = opspilot("policy", "push", policy, *common, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["signed_by"] == public
    envelope = json.loads(release.read_bytes())
    assert envelope["payloadType"] == "application/vnd.opspilot.policy-release+json"
    before = release.read_bytes()
    policy.write_text(json.dumps(BAD_RULES))
    assert opspilot("policy", "push", policy, *common).returncode in (1, 3)
    assert release.read_bytes() == before
    policy.write_text(json.dumps({**RULES, "tests": [{"task": {"amount": 900.0}, "expect": {"allowed": False}}]}))
    assert opspilot("policy", "push", policy, *common).returncode == 1
    assert release.read_bytes() == before
