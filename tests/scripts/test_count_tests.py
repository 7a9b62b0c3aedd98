"""scripts/lib/count_tests.py: what counts as a passed test, and what never may."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "lib" / "count_tests.py"


def run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def junit(folder: Path, body: str, name: str = "r.xml") -> str:
    path = folder / name
    path.write_text(f"<testsuites><testsuite>{body}</testsuite></testsuites>")
    return str(path)


def case(output: str, *, status: str = "run", inner: str = "") -> str:
    return f'<testcase name="x" status="{status}">{inner}<system-out>{output}</system-out></testcase>'


def test_catch_programs_count_their_cases_and_others_count_one(tmp_path: Path) -> None:
    body = case("All tests passed (812 assertions in 40 test cases)") + case("opspilot 0.1.0 answers")
    code, out = run("C++=" + junit(tmp_path, body), "again=" + junit(tmp_path, case(""), "b.xml"))
    assert (code, out.splitlines()) == (0, ["C++ 41; again 1", "tests: 42 passed, 0 failed"])


def test_failed_cases_are_taken_from_the_program(tmp_path: Path) -> None:
    body = case("test cases: 7 | 4 passed | 2 failed | 1 skipped", status="fail", inner="<failure/>")
    code, out = run("C++=" + junit(tmp_path, body))
    assert (code, out.splitlines()[-1]) == (1, "tests: 4 passed, 2 failed, 1 skipped")


def test_a_crash_after_a_good_count_is_a_failure(tmp_path: Path) -> None:
    body = case("All tests passed (8 assertions in 3 test cases)", status="fail", inner="<failure/>")
    code, out = run("C++=" + junit(tmp_path, body))
    assert (code, out.splitlines()[-1]) == (1, "tests: 3 passed, 1 failed")


def test_what_did_not_run_has_not_passed(tmp_path: Path) -> None:
    assert run("C++=" + junit(tmp_path, case("", status="notrun", inner="<skipped/>")))[0] == 1
    assert run("C++=" + junit(tmp_path, ""))[0] == 1
    assert run(f"C++={tmp_path / 'missing.xml'}")[0] == 1
    assert run()[0] == 1
