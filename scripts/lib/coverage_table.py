#!/usr/bin/env python3
"""Line coverage by room from what gcov prints: `coverage_table.py FILE`.

A header seen by several sources counts once, at its best.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path


def table(text: str) -> dict[str, tuple[float, int]]:
    """Room -> (lines executed, lines)."""
    best: dict[str, tuple[float, int]] = {}
    for name, share, lines in re.findall(r"^File '([^']+)'\nLines executed:([\d.]+)% of (\d+)", text, re.M):
        if m := re.match(r"(?:include/opspilot|src)/(\w+)/", name):
            covered = float(share) / 100 * int(lines)
            key = f"{m[1]}/{name}"
            if covered >= best.get(key, (-1.0, 0))[0]:
                best[key] = (covered, int(lines))
    rooms: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for key, (covered, lines_) in best.items():
        room = key.split("/")[0]
        rooms[room] = (rooms[room][0] + covered, rooms[room][1] + lines_)
    return dict(rooms)


def main() -> int:
    rooms = table(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for room, (covered, lines) in sorted(rooms.items()):
        print(f"{room:12} {covered / lines:6.1%} of {lines} lines")
    return 0 if rooms else 1


if __name__ == "__main__":
    sys.exit(main())
