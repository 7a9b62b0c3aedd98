#!/usr/bin/env python3
"""Checks that the rooms of the library know only whom they may know.

Reads every C++ include and every Python import of the tree and prints `file:line: what is wrong` for each arrow that
points the wrong way; exit 1 when there is one.  Needs nothing but Python.

The rules
  room     a room includes only itself and the rooms of its row in KNOWS
  capi     the C surface, the Python module, examples and benchmarks reach the library through public headers only
  detail   what lies in a room's detail/ is included by that room, by rooms allowed to know it, and by nobody outside
  inl      a body (x-inl.hpp) is included by headers of its room under OPSPILOT_HEADER_ONLY, by src/ and other bodies
  public   a header that users include brings in nothing but the standard library and the project's own public headers
  source   src/<room>/x.cpp includes a body of its room, opspilot/<room>/x-inl.hpp or one in detail/
  banned   std::regex, and the binary JSON readers without a depth limit
  python   in the Python package nothing imports the hosts (cli, demo) but cli, which may import demo
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: What each room may include, written out: the closure of the table of the architecture, read from base upwards.
KNOWS: Final[dict[str, frozenset[str]]] = {
    room: frozenset(known.split())
    for room, known in {
        "base": "",
        "data": "base",
        "features": "base data",
        "policy": "base data",
        "calibrate": "base",
        "monitor": "base data",
        "audit": "base data",
        "rank": "base data features",
        "rollout": "base data policy calibrate",
        "decide": "base data features policy calibrate monitor rank rollout audit",
        "replay": "base data features policy calibrate monitor rank rollout audit decide",
        "evaluate": "base calibrate",
        "learn": "base data features rank",
    }.items()
}
#: Folders outside the rooms: they know every room, but only its public headers.
OUTSIDE: Final = ("capi", "python", "examples", "benchmarks")
BANNED: Final = (
    (
        re.compile(r"\bstd::(?:w?regex|basic_regex|regex_\w+)\b|^\s*#\s*include\s*<regex>"),
        "std::regex: use RE2 behind a body, or write the scan",
    ),
    (re.compile(r"\bfrom_(?:ubjson|cbor|msgpack|bson|bjdata)\s*\("), "binary JSON reader without a depth limit"),
)
#: Modules of the Python package that are hosts: they sit on top, and nothing below reaches up to them.
PYTHON_TOP: Final = frozenset({"cli", "demo"})
SOURCE_SUFFIXES: Final = frozenset({".hpp", ".h", ".cpp", ".c", ".cc"})
_INCLUDE: Final = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
#: Headers of the C and C++ standard libraries that carry a suffix; the others have none.
_C_HEADERS: Final = frozenset(
    f"{name}.h"
    for name in (
        *("assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits", "locale", "math"),
        *("setjmp", "signal", "stdalign", "stdarg", "stdbool", "stddef", "stdint", "stdio", "stdlib", "string"),
        *("tgmath", "time", "uchar", "wchar", "wctype"),
    )
)


@dataclass(frozen=True, order=True)
class Finding:
    """One thing out of order."""

    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: [{self.rule}] {self.text}"


def strip_comments(text: str) -> str:
    """The source with comments and string contents blanked, lines kept: neither holds an include or a call."""
    out: list[str] = []
    i, n = 0, len(text)
    while i < n:
        two = text[i : i + 2]
        if two == "//":
            end = text.find("\n", i)
            i = n if end < 0 else end
        elif two == "/*":
            end = text.find("*/", i + 2)
            end = n if end < 0 else end + 2
            out.append("\n" * text.count("\n", i, end))
            i = end
        elif text[i] == '"' and text[max(0, i - 1) : i] == "R" and (m := re.match(r'"([^()\\\s]{0,16})\(', text[i:])):
            end = text.find(f'){m[1]}"', i)
            end = n if end < 0 else end + len(m[1]) + 2
            out.append('""' + "\n" * text.count("\n", i, end))
            i = end
        elif text[i] == '"':
            start_of_line = text.rfind("\n", 0, i) + 1
            keep = re.match(r"\s*#\s*include", text[start_of_line:i]) is not None
            end = i + 1
            while end < n and text[end] not in '"\n':
                end += 2 if text[end] == "\\" else 1
            out.append(text[i : end + 1] if keep else '""')
            if not keep and end < n and text[end] == "\n":
                out.append("\n")
            i = end + 1
        else:
            out.append(text[i])
            i += 1
    return "".join(out)


@dataclass(frozen=True)
class Place:
    """Where a file belongs: its room (or outside folder), and which kind of file it is."""

    room: str
    kind: str  # public, inl, detail, source, test, outside


def place_of(path: Path) -> Place | None:
    """The place of a file given by its path below the root of the tree; None for files without rules."""
    parts = path.parts
    if parts[:2] == ("include", "opspilot"):
        if len(parts) == 3:
            return Place("", "public")  # the umbrella
        room = parts[2]
        if path.stem.endswith("-inl"):
            return Place(room, "inl")
        return Place(room, "detail" if "detail" in parts[3:-1] else "public")
    if parts[0] == "src" and len(parts) >= 3:
        return Place(parts[1], "source")
    if parts[0] == "tests" and len(parts) >= 3 and parts[1] in KNOWS:
        return Place(parts[1], "test")
    if parts[0] in OUTSIDE:
        return Place(parts[0], "outside")
    return None


def standard(header: str) -> bool:
    """Whether an include in angle brackets names the standard library."""
    return header in _C_HEADERS or ("/" not in header and "." not in header)


def check_include(path: Path, place: Place, number: int, bracket: str, header: str, guarded: bool) -> Iterator[Finding]:
    """Findings of one include line. `guarded`: inside `#if defined(OPSPILOT_HEADER_ONLY)`."""
    here = path.as_posix()
    parts = Path(header).parts
    if parts[:1] != ("opspilot",):
        own_c = header == "opspilot.h"
        if place.kind == "public" and not (bracket == "<" and standard(header)) and not own_c:
            yield Finding(here, number, "public", f"a public header includes {header}, which users would have to have")
        return
    target = place_of(Path("include") / header)
    assert target is not None
    if target.kind == "detail" or "detail" in parts:
        if place.kind == "outside":
            yield Finding(here, number, "detail", f"{header} is internal: only public headers may be used from here")
        elif place.kind == "public" and not guarded:
            yield Finding(here, number, "detail", f"a public header includes the internal {header}")
    if target.kind == "inl":
        if place.kind in ("public", "detail") and not (guarded and target.room == place.room):
            yield Finding(here, number, "inl", f"{header} is a body: here under OPSPILOT_HEADER_ONLY only, one of this room")
        elif place.kind == "outside":
            yield Finding(here, number, "inl", f"{header} is a body: include the header that declares it")
    if place.kind in ("outside",) or place.room == "" or target.room == "":
        if target.room == "" and place.room in KNOWS and place.kind != "test":
            yield Finding(here, number, "room", f"room '{place.room}' includes the umbrella {header}")
        return
    if target.room not in KNOWS:
        yield Finding(here, number, "room", f"{header}: no such room '{target.room}'")
    elif target.room != place.room and target.room not in KNOWS[place.room]:
        knows = " ".join(sorted(KNOWS[place.room])) or "nobody"
        yield Finding(here, number, "room", f"room '{place.room}' must not know '{target.room}' ({header}); it knows {knows}")


def check_cpp(path: Path, text: str) -> Iterator[Finding]:
    """Findings of one C or C++ file; `path` is relative to the root of the tree."""
    place = place_of(path)
    if place is None:
        return
    here = path.as_posix()
    if place.kind not in ("outside",) and place.room and place.room not in KNOWS:
        yield Finding(here, 1, "room", f"no such room '{place.room}'")
        return
    depth = guard = 0
    included: list[str] = []
    for number, line in enumerate(strip_comments(text).split("\n"), 1):
        if re.match(r"\s*#\s*if", line):
            depth += 1
            if not guard and re.search(r"defined\s*\(?\s*OPSPILOT_HEADER_ONLY|ifdef\s+OPSPILOT_HEADER_ONLY", line):
                guard = depth
        elif re.match(r"\s*#\s*(?:else|elif)", line) and guard == depth:
            guard = 0
        elif re.match(r"\s*#\s*endif", line):
            guard = 0 if guard == depth else guard
            depth -= 1
        if m := _INCLUDE.match(line):
            included.append(m[2])
            yield from check_include(path, place, number, m[1], m[2], bool(guard))
        for pattern, why in BANNED:
            if pattern.search(line):
                yield Finding(here, number, "banned", why)
    if place.kind == "source" and path.suffix == ".cpp":
        bodies = (f"opspilot/{place.room}/", "-inl.hpp", "/detail/")
        if not any(h.startswith(bodies[0]) and (h.endswith(bodies[1]) or bodies[2] in h) for h in included):
            yield Finding(here, 1, "source", f"includes no body of room '{place.room}': both targets need it in -inl.hpp")


def imported_modules(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and absolute name of each module that a Python file imports; `package` is the one it lies in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = base + (tuple(node.module.split(".")) if node.module else ())
            if len(name) == 1 and name[0] == "opspilot":
                for alias in node.names:
                    yield node.lineno, (*name, alias.name)
            else:
                yield node.lineno, name


def check_python(path: Path, text: str) -> Iterator[Finding]:
    """Findings of one module of the Python package; `path` is relative to the root of the tree."""
    parts = path.with_suffix("").parts
    if parts[:2] != ("python", "opspilot") or path.suffix not in (".py", ".pyi"):
        return
    here = path.as_posix()
    module = parts[2] if len(parts) > 2 else ""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield Finding(here, error.lineno or 1, "python", f"does not parse: {error.msg}")
        return
    for number, name in imported_modules(tree, parts[1:-1]):
        if name[0] in ("pickle", "_pickle", "dill", "cloudpickle"):
            yield Finding(here, number, "banned", f"{name[0]}: nothing here pickles code")
        if name[0] != "opspilot" or len(name) < 2:
            if name == ("opspilot",) and module not in PYTHON_TOP:
                yield Finding(here, number, "python", f"'{module}' imports the package it is part of")
            continue
        target = name[1]
        if target == module:
            continue
        if target in PYTHON_TOP and not (module == "cli" and target == "demo"):
            yield Finding(here, number, "python", f"'{module}' imports '{target}': hosts sit on top, nothing reaches up to them")


def check_tree(root: Path) -> list[Finding]:
    """All findings of a checkout, sorted."""
    findings: list[Finding] = []
    for top in ("include", "src", "tests", *OUTSIDE):
        for path in sorted((root / top).rglob("*")) if (root / top).is_dir() else ():
            relative = path.relative_to(root)
            if not path.is_file() or "bad_tree" in relative.parts:
                continue
            if path.suffix in SOURCE_SUFFIXES:
                findings += check_cpp(relative, path.read_text(encoding="utf-8"))
            elif path.suffix in (".py", ".pyi"):
                findings += check_python(relative, path.read_text(encoding="utf-8"))
    return sorted(findings)


def rooms_of_the_build(text: str) -> dict[str, frozenset[str]]:
    """The same table as cmake/rooms.cmake writes it: room -> rooms linked with its tests."""
    rows = re.findall(r"^set\(opspilot_knows_(\w+) ([^)]*)\)", text, re.M)
    return {room: frozenset(known.replace('"', "").split()) for room, known in rows}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="checks who includes and imports whom")
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent)
    root: Path = parser.parse_args(arguments).root
    findings = check_tree(root)
    build = root / "cmake" / "rooms.cmake"
    if build.is_file():
        for room, known in rooms_of_the_build(build.read_text(encoding="utf-8")).items():
            if not known <= KNOWS.get(room, frozenset()):
                extra = " ".join(sorted(known - KNOWS.get(room, frozenset())))
                findings.append(Finding("cmake/rooms.cmake", 1, "room", f"links '{room}' with {extra}, which it must not know"))
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
