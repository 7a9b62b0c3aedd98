"""calibrate: targets from rows or a log, certificates or what is lacking, the document and the page."""

from __future__ import annotations

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
from opspilot import _certify, _core
from opspilot.calibrate import automation_threshold, recall_floor

NOW = 1_700_000_000_000_000


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_file(path: Path, n: int = 3000, seed: int = 0, safety: float = 0.1) -> Path:
    rng = np.random.default_rng(seed)
    score = rng.beta(4, 0.25, n)
    error = rng.random(n) > score
    label = rng.random(n) < safety
    flag = np.clip(rng.normal(label * 2.0, 1.0), -3, 5)
    lines = ["score,error,label,safety,client,time"]
    for i in range(n):
        name = "safety" if label[i] else "other"
        lines.append(f"{float(score[i])!r},{int(error[i])},{name},{float(flag[i])!r},{'abc'[i % 3]},{NOW + i * 1_000_000_000}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "opspilot.cli", "calibrate", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert len(done.stdout.splitlines()) == 1, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("text", ["risk<=0.01", " risk <= 1e-2 ", "recall(safety)>=0.97"])
def test_targets_that_can_be_read(text: str) -> None:
    made = _certify.target(text)
    assert made.bound in (0.01, 0.97) and made.of == ("safety" if "recall" in text else "")


@pytest.mark.parametrize(
    "text", ["", "risk<=1", "risk>=0.1", "recall>=0.9", "recall()>=0.9", "risk<=5%", "risk<=--", "recall(a)>=0"]
)
def test_targets_that_cannot(text: str) -> None:
    with pytest.raises(op.UsageError) as caught:
        _certify.target(text)
    assert caught.value.code == "usage.target"


def test_certificates_are_those_of_the_library_at_their_part_of_the_confidence(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "rows.csv")
    code, made = run(file, "--target", "risk<=0.03", "--target", "recall(safety)>=0.9", "--by", "client")
    assert (code, made["ok"]) == (0, True)
    table = np.genfromtxt(file, delimiter=",", names=True, dtype=None, encoding="utf-8")
    score, error = table["score"], table["error"]
    risk, recall = made["targets"]
    alone = automation_threshold(
        score, error, max_risk=0.03, confidence=0.975, start_probability=score, groups=table["client"].tolist()
    )
    assert (risk["value"], risk["risk_upper"], risk["automated"]) == (alone.value, alone.risk_upper, alone.automated)
    assert [g["group"] for g in risk["groups"]] == ["a", "b", "c"]
    assert [g["value"] for g in risk["groups"]] == [alone.groups[g].value for g in "abc"]
    floor = recall_floor(table["safety"], table["label"] == "safety", min_recall=0.9, confidence=0.975)
    assert (recall["value"], recall["positives"]) == (floor.value, floor.positives)
    assert made["jointly"] and made["curve"]["coverage"][-1] == 1.0
    assert made["curve"]["risk"][-1] == pytest.approx(error.mean())
    _, separate = run(file, "--target", "risk<=0.03", "--target", "recall(safety)>=0.9", "--separately")
    assert separate["targets"][0]["confidence"] == 0.95
    assert separate["targets"][0]["coverage"] >= risk["coverage"]


def test_labels_of_one_class_may_be_numbers(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "rows.csv")
    numbers = tmp_path / "numbers.csv"
    header, rows = file.read_text(encoding="utf-8").split("\n", 1)
    numbers.write_text(header + "\n" + rows.replace(",safety,", ",1,").replace(",other,", ",0,"), encoding="utf-8")
    named, numbered = (run(path, "--target", "recall(safety)>=0.9")[1]["targets"][0] for path in (file, numbers))
    assert numbered == named and numbered["positives"] > 200
    two = ("--target", "recall(safety)>=0.9", "--target", "recall(client)>=0.9")
    command = [sys.executable, "-m", "opspilot.cli", "calibrate", str(numbers), *two]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 3 and "labels are 0 and 1, and 2 classes are asked for" in done.stderr


def test_more_labels_buy_more(tmp_path: Path) -> None:
    _, made = run(rows_file(tmp_path / "rows.csv", 600), "--target", "risk<=0.03")
    now, month, quarter = made["targets"][0]["more_labels"]
    assert (now["labels"], now["what"]) == (600, "as now")
    assert month["labels"] - 600 == pytest.approx(30 * 86_400 / 1000, rel=0.01)  # one row in 1000 s
    assert now["coverage"] < month["coverage"] < quarter["coverage"]


def test_too_little_evidence_says_what_is_lacking(tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    file.write_text("score,right,label,safety\n" + "0.9,1,safety,2.5\n" * 60)
    code, made = run(file, "--target", "recall(safety)>=0.97", "--target", "risk<=0.01", "--separately")
    assert (code, made["ok"]) == (1, False)
    assert made["targets"][0]["message"] == "Insufficient: 99 positives needed, 60 given"
    needed = "Insufficient: 299 items without an error and one below them needed for a risk of at most 1 % with confidence 95 %"
    assert made["targets"][1]["message"] == f"{needed}, 60 given"
    assert [step["positives"] for step in made["targets"][0]["ladder"]] == [99, 157, 208, 257]  # 0, 1, 2, 3 misses (scipy)
    command = [sys.executable, "-m", "opspilot.cli", "calibrate", str(file), "--target", "recall(safety)>=0.97"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1 and "Insufficient: 99 positives needed, 60 given" in done.stdout


def test_the_document_that_is_written_is_one_that_bundles_take(tmp_path: Path) -> None:
    file, out = rows_file(tmp_path / "rows.csv"), tmp_path / "calibration.json"
    arguments = ("--target", "risk<=0.03", "--target", "recall(safety)>=0.9", "--out", out, "--now", NOW + 10**15)
    assert run(file, *arguments)[1]["error"]["code"] == "usage.option"  # whose scores are these?
    assert run(file, *arguments, "--model", "m1", "--unit", "one ticket", "--valid-days", 30)[0] == 0
    about = json.loads(_core.check_calibration(out.read_bytes()))
    (threshold,), (floor,) = about["thresholds"], about["recall_floors"]
    assert threshold["certificate"]["model_fingerprint"] == "m1" and threshold["certificate"]["sampling_unit"] == "one ticket"
    assert threshold["certificate"]["expires_at"] - threshold["certificate"]["created_at"] == 30 * 86_400_000_000
    assert threshold["certificate"]["delta"] == pytest.approx(0.025) and floor["label"] == "safety"
    few = tmp_path / "few.csv"
    few.write_text("score,error\n" + "0.9,0\n" * 20)
    assert run(few, "--target", "risk<=0.03", "--out", out, "--model", "m1", "--now", NOW)[0] == 1
    assert json.loads(_core.check_calibration(out.read_bytes()))["thresholds"][0]["value"] is None


def test_a_log_is_certified_by_what_people_did(tmp_path: Path) -> None:
    made_logs = _load("test_launch")
    rng = np.random.default_rng(3)
    reason = {"code": "policy.escalate", "rule": "r", "layer": "business", "text": "t", "failed": False}
    rows: list[dict[str, Any]] = []
    for i in range(1500):
        p = float(rng.beta(8, 0.3))
        blocked = i % 10 == 0
        rows.append(made_logs.decision(i, probability=p, client="ab"[i % 2], reasons=[reason] if blocked else []))
        if i % 5:
            rows.append(made_logs.outcome(i, "overridden" if rng.random() > p or blocked else "accepted"))
    (tmp_path / "d.log").write_bytes(made_logs.lines(rows))
    code, made = run("--log", tmp_path / "d.log", "--target", "risk<=0.05", "--by", "client", "--html", tmp_path / "p.html")
    assert code == 0 and made["model"] == "m1"
    assert made["left_out"] == 300
    kept = [i for i in range(1500) if i % 5]
    score = np.array(
        [0.0 if rows_by["reasons"] else rows_by["probability"] for rows_by in (r for r in rows if r["type"] == "decision")]
    )
    wrong = {row["decision"]: row["kind"] == "overridden" for row in rows if row["type"] == "outcome"}
    error = np.array([wrong[f"{i:032x}"] for i in kept])
    alone = automation_threshold(score[kept], error, max_risk=0.05, start_probability=score[kept])
    assert (made["targets"][0]["value"], made["targets"][0]["errors"]) == (alone.value, alone.errors)
    mixed = [made_logs.decision(i, versions={**made_logs.decision(0)["versions"], "model": f"m{i}"}) for i in range(2)]
    mixed += [made_logs.outcome(i, "accepted") for i in range(2)]
    (tmp_path / "mixed.log").write_bytes(made_logs.lines(mixed))
    assert run("--log", tmp_path / "mixed.log", "--target", "risk<=0.05")[1]["error"]["code"] == "usage.models"


def test_the_page_stands_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run(
        *(rows_file(tmp_path / "rows.csv", 1500), "--target", "risk<=0.03", "--target", "risk<=0.001", "--target"),
        *("recall(safety)>=0.9", "--by", "client", "--html", page),
    )
    html = page.read_text(encoding="utf-8")
    parsed = _load("test_report")._Page(html)
    assert parsed.addresses == [] and parsed.tags.count("svg") >= 1
    for words in ("Risk against coverage", "one more month", "By client", "Insufficient", "positives needed"):
        assert words in html


@pytest.mark.parametrize(
    ("content", "arguments", "code"),
    [
        ("score\n1\n", ["--target", "risk<=0.1"], "usage.column"),
        ("score,error\nx,1\n", ["--target", "risk<=0.1"], "usage.column"),
        ("score,error\n", ["--target", "risk<=0.1"], "usage.rows"),
        ("score,error\n0.5,2\n", ["--target", "risk<=0.1"], "calibration.bad_label"),
        ("score,error\n0.5,1\n", [], "usage.target"),
        ("score,error\n0.5,1\n", ["--target", "risk<=0.1", "--confidence", "95"], "usage.confidence"),
        ("score,error\n5,1\n", ["--target", "risk<=0.1", "--out", "OUT", "--model", "m"], "calibration.not_probabilities"),
    ],
)
def test_rows_that_cannot_be_used_are_named(content: str, arguments: list[str], code: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(content)
    arguments = [str(tmp_path / "out.json") if a == "OUT" else a for a in arguments]
    exit_code, made = run(tmp_path / "rows.csv", *arguments)
    assert (exit_code, made["error"]["code"]) == (3, code)
