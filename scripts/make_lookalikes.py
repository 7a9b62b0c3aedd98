#!/usr/bin/env python3
"""Writes include/opspilot/policy/detail/analysis/lookalikes.hpp: characters that look like an ASCII one.

  python3 scripts/make_lookalikes.py confusables.txt            # writes the header
  python3 scripts/make_lookalikes.py confusables.txt --check    # exit 1 when it would write something else

The input is the table of confusables of Unicode Technical Standard 39, version 17.0.0, in the directory security/17.0.0 of
Unicode's public data files; another version has another digest, and is refused until DIGEST is changed here.
Left out: what a compatibility decomposition turns into ASCII anyway, by the frozen tables of Unicode 3.2 that every Python has.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Final
from unicodedata import ucd_3_2_0

VERSION: Final = "17.0.0"
DIGEST: Final = "ec88ecebcf89f63f813d460842b0cf8322744b40a0b2c06f88a2cea48c0351ea"
HEADER: Final = Path(__file__).parents[1] / "include/opspilot/policy/detail/analysis/lookalikes.hpp"
_LINE: Final = re.compile(r"([0-9A-F]+) ;\t([0-9A-F ]+) ;\tMA\t")
#: The prototype of m is "rn"; here m stands for both, so that one character stays one.
_AS_ONE: Final = {"rn": "m"}


def prototypes(table: str) -> dict[int, str]:
    """Characters whose prototype is one printable ASCII character."""
    found = {}
    for line in table.splitlines():
        entry = _LINE.match(line)
        if entry is None:
            continue
        point = int(entry[1], 16)
        prototype = "".join(chr(int(one, 16)) for one in entry[2].split())
        prototype = _AS_ONE.get(prototype, prototype)
        if len(prototype) == 1 and "!" <= prototype <= "~" and chr(point) != prototype:
            found[point] = prototype
    return {p: look for p, look in found.items() if p < 0x80 or not ucd_3_2_0.normalize("NFKD", chr(p)).isascii()}


def header(found: dict[int, str]) -> str:
    rows = ", ".join(f"{{0x{point:X}, {_literal(look)}}}" for point, look in sorted(found.items()))
    return f"""/// \\file
/// Internal: characters that look like an ASCII one, by the confusables of Unicode Technical Standard 39, version {VERSION}
/// (© 2025 Unicode, Inc., https://www.unicode.org/license.txt). Written by scripts/make_lookalikes.py.
#pragma once

#include <array>
#include <cstdint>

namespace opspilot::detail::analysis {{

struct lookalike {{
    std::int32_t point;
    char ascii;
}};
/// In order of code points.
inline constexpr std::array<lookalike, {len(found)}> lookalikes{{{{{rows}}}}};

}}  // namespace opspilot::detail::analysis
"""


def _literal(character: str) -> str:
    return "'" + ("\\" if character in "'\\" else "") + character + "'"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="confusables.txt")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    content = options.table.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != DIGEST:
        print(f"{options.table}: SHA-256 {digest} is not that of version {VERSION}, {DIGEST}", file=sys.stderr)
        return 2
    text = header(prototypes(content.decode()))
    formatted = subprocess.run(
        ["clang-format-19", f"--assume-filename={HEADER}"], input=text, capture_output=True, text=True, check=True
    ).stdout
    if options.check:
        return 0 if HEADER.read_text(encoding="utf-8") == formatted else 1
    HEADER.write_text(formatted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
