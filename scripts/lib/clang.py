#!/usr/bin/env python3
"""Second opinions from clang 19 on what g++ built, by the commands of a compilation database.

    clang.py warnings BUILD              -Werror: changed sources that no clang build of test.sh compiles, changed public headers
    clang.py warnings BUILD --all        -Werror: the sources of library, bindings and smoke test, each public header
    clang.py tidy BUILD [--seconds S]    clang-tidy on the sources that changed, newest first, within a time budget
    clang.py tidy BUILD --all            clang-tidy on every source, with the slow path-sensitive checks

Both run one process per core and exit 1 when something was found.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
JOBS: Final = int(os.environ.get("OPSPILOT_JOBS") or os.cpu_count() or 1)
#: Without a branch to compare with, what changed is what these many commits changed.
COMMITS: Final = 20


def database(build: Path) -> dict[Path, tuple[list[str], Path]]:
    """Source -> compiler arguments and folder, without compiler, launcher, output and dependency files."""
    out: dict[Path, tuple[list[str], Path]] = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        words = shlex.split(entry["command"])
        arguments: list[str] = []
        skip = False
        for word in words[next(i for i, w in enumerate(words) if w.startswith("-")) :]:
            if skip or word in ("-c", "-MD", "-MMD") or word == entry["file"]:
                skip = False
            elif word in ("-o", "-MF", "-MT", "-MQ"):
                skip = True
            else:
                arguments.append(word)
        out[Path(entry["file"])] = (arguments, Path(entry["directory"]))
    return out


def check(command: list[str], folder: Path) -> str:
    """Runs one check; its output when it found something, else nothing."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


def report(results: list[tuple[str, str]], what: str) -> int:
    bad = [(name, text) for name, text in results if text]
    for name, text in bad:
        print(f"--- {name}\n{text}")
    print(f"{what}: {len(results)} checked, {len(bad)} with findings")
    return 1 if bad else 0


def warnings(build: Path, everything: bool) -> int:
    """clang's warnings over sources and public headers. The sanitizer build of test.sh compiles library and tests with clang."""
    commands = database(build)
    tests = ROOT / "tests"
    changed = set(changed_files())
    sources = [s for s in commands if not s.is_relative_to(tests)]
    if not everything:
        sources = [s for s in sources if s in changed and not s.is_relative_to(ROOT / "src")]
    jobs: list[tuple[str, list[str], Path]] = []
    for source in sources:
        arguments, folder = commands[source]
        clang = "clang-19" if source.suffix == ".c" else "clang++-19"
        jobs.append((str(source), [clang, *arguments, "-Werror", "-fsyntax-only", str(source)], folder))
    if not commands:
        print("no sources in the compilation database")
        return 1
    include = ["-I", str(ROOT / "include")]
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wsign-conversion", "-Werror"]
    for header in sorted((ROOT / "include" / "opspilot").rglob("*.hpp")):
        if (everything or header in changed) and "detail" not in header.parts and not header.stem.endswith("-inl"):
            alone = ["-std=c++20", "-x", "c++", "-fsyntax-only", "-Wno-pragma-once-outside-header"]
            jobs.append((str(header), ["clang++-19", *strict, *alone, *include, str(header)], ROOT))
    with ThreadPoolExecutor(JOBS) as pool:
        results = list(pool.map(lambda job: (job[0], check(job[1], job[2])), jobs))
    return report(results, "clang warnings")


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


def changed_files() -> list[Path]:
    """Files that differ from the main branch (or, on it, that the last commits touched), newest change first."""
    head = git("rev-parse", "HEAD")
    base = [os.environ["OPSPILOT_BASE"]] if os.environ.get("OPSPILOT_BASE") else git("merge-base", "HEAD", "origin/main")
    span = [f"-{COMMITS}"] if not base or base == head else [f"{base[0]}..HEAD"]
    names = git("diff", "--name-only", "HEAD") + git("ls-files", "--others", "--exclude-standard")
    names += git("log", "--format=", "--name-only", *span)
    return [ROOT / name for name in dict.fromkeys(names) if (ROOT / name).is_file()]


def sources_of(files: list[Path], commands: dict[Path, tuple[list[str], Path]]) -> list[Path]:
    """The compiled sources through which each file is seen: itself, or the library source that includes a header."""
    library = [s for s in commands if not s.is_relative_to(ROOT / "tests") and s.is_relative_to(ROOT / "src")]
    includes = {s: set(re.findall(r'#include "([^"]+)"', s.read_text(encoding="utf-8"))) for s in library}
    found: dict[Path, None] = {}
    for file in files:
        if file in commands and not file.is_relative_to(ROOT / "tests"):
            found[file] = None
        elif file.suffix == ".hpp" and file.is_relative_to(ROOT / "include"):
            name = file.relative_to(ROOT / "include").as_posix()
            body = name.removesuffix(".hpp") + "-inl.hpp"
            found.update(dict.fromkeys(s for s in library if {name, body} & includes[s]))
    return list(found)


def tidy(build: Path, everything: bool, seconds: float) -> int:
    commands = database(build)
    wanted = [s for s in commands if s.is_relative_to(ROOT) and not s.is_relative_to(ROOT / "build")]
    extra: list[str] = []
    if not everything:
        wanted = sources_of(changed_files(), commands)
        extra = ["--checks=-clang-analyzer-*"]
    deadline = time.monotonic() + seconds
    base = ["clang-tidy-19", "-p", str(build), "--quiet", *extra]

    def one(source: Path) -> tuple[str, str] | None:
        if not everything and time.monotonic() > deadline:
            return None
        return str(source), check([*base, str(source)], ROOT)

    with ThreadPoolExecutor(JOBS) as pool:
        results = [r for r in pool.map(one, wanted) if r is not None]
    left = len(wanted) - len(results)
    return report(results, "clang-tidy" + (f" ({left} more in scripts/nightly.sh)" if left else ""))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("warnings", "tidy"))
    parser.add_argument("build", type=Path)
    parser.add_argument("--all", action="store_true", help="every source, not only changed ones")
    parser.add_argument("--seconds", type=float, default=120.0, help="start no further file after this many seconds")
    options = parser.parse_args()
    build = options.build.resolve()
    return warnings(build, options.all) if options.what == "warnings" else tidy(build, options.all, options.seconds)


if __name__ == "__main__":
    sys.exit(main())
