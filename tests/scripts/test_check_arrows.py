"""scripts/check_arrows.py against a tree in which every bad line says what is wrong with it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
BAD = Path(__file__).resolve().parent / "bad_tree"
SCRIPT = ROOT / "scripts" / "check_arrows.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_arrows", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_arrows"] = module
    spec.loader.exec_module(module)
    return module


def run(root: Path) -> tuple[int, list[str]]:
    done = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def test_every_marked_line_is_found_and_no_other() -> None:
    marked = {
        (path.relative_to(BAD).as_posix(), number, m[1])
        for path in BAD.rglob("*")
        if path.is_file()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (m := re.search(r"EXPECT (\w+)", line))
    }
    code, lines = run(BAD)
    found = {(m[1], int(m[2]), m[3]) for line in lines if (m := re.match(r"(.+?):(\d+): \[(\w+)\]", line))}
    assert len(marked) > 20
    assert found == marked
    assert code == 1


def test_the_tree_itself_is_in_order() -> None:
    code, lines = run(ROOT)
    assert (code, lines) == (0, [])


def test_the_table_is_closed_and_without_cycles() -> None:
    knows = load().KNOWS
    for room, known in knows.items():
        assert room not in known
        for other in known:
            assert knows[other] <= known, f"{room} knows {other} but not all that {other} knows"


def test_the_build_links_what_the_table_allows() -> None:
    check = load()
    rows = check.rooms_of_the_build((ROOT / "cmake" / "rooms.cmake").read_text())
    assert rows["decide"] and rows["base"] == frozenset()
    assert all(known <= check.KNOWS[room] for room, known in rows.items())


def test_comments_and_strings_are_blank_and_lines_stay() -> None:
    strip = load().strip_comments
    source = 'a /* x\n#include <regex>\n*/ b "std::regex" R"(\n#include "x.h"\n)" // y\n#include "kept.hpp"\n'
    out = strip(source)
    assert out.count("\n") == source.count("\n")
    assert "regex" not in out and "x.h" not in out and '"kept.hpp"' in out
