#!/usr/bin/env python3
"""Adds up the tests of a run: ctest and pytest write JUnit files; a Catch2 program in ctest counts its own cases.

    count_tests.py NAME=FILE...

Prints the parts by NAME and, last, the line `tests: N passed, N failed`.  Exit 1 when a test failed, when a file is
missing or empty of tests, or when nothing passed: a run that did not happen is not a run that passed.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

_ALL_PASSED = re.compile(r"All tests passed \(\d+ assertions? in (\d+) test cases?\)")
_SOME_FAILED = re.compile(r"^test cases:\s*(\d+) \|(.*)$", re.M)
_PART = re.compile(r"(\d+) (passed|failed|failed as expected|skipped)\b")


def cases_of(output: str) -> Counter[str] | None:
    """What a Catch2 program says of its own cases; None when the output is not one's."""
    counts: Counter[str] = Counter()
    for m in _ALL_PASSED.finditer(output):
        counts["passed"] += int(m[1])
    for m in _SOME_FAILED.finditer(output):
        parts = {what: int(number) for number, what in _PART.findall(m[2])}
        counts["failed"] += parts.get("failed", 0)
        counts["skipped"] += parts.get("skipped", 0)
        counts["passed"] += int(m[1]) - parts.get("failed", 0) - parts.get("skipped", 0)
    return counts or None


def outcome_of(case: ElementTree.Element) -> str:
    """passed, failed or skipped for one JUnit test case. A test that ctest could not start counts as failed."""
    if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
        return "failed"
    if case.get("status") == "notrun":
        return "failed"
    return "skipped" if case.find("skipped") is not None or case.get("status") == "disabled" else "passed"


def count(path: Path) -> Counter[str]:
    """Tests of one JUnit file by outcome."""
    counts: Counter[str] = Counter()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        outcome = outcome_of(case)
        own = cases_of(case.findtext("system-out") or "")
        if own is None:
            counts[outcome] += 1
            continue
        if outcome == "failed" and not own["failed"]:
            own["failed"] += 1  # it counted fine and then crashed, leaked or timed out
        counts += own
    return counts


def main(arguments: list[str]) -> int:
    total: Counter[str] = Counter()
    parts: list[str] = []
    for argument in arguments:
        name, _, file = argument.partition("=")
        path = Path(file)
        try:
            counts = count(path)
        except (OSError, ElementTree.ParseError) as error:
            print(f"{name}: no result ({error})")
            counts = Counter(failed=1)
        if not counts:
            print(f"{name}: ran no test")
            counts = Counter(failed=1)
        total += counts
        parts.append(
            f"{name} {counts['passed']}" + "".join(f", {counts[what]} {what}" for what in ("failed", "skipped") if counts[what])
        )
    print("; ".join(parts))
    tail = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"tests: {total['passed']} passed, {total['failed']} failed{tail}")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
