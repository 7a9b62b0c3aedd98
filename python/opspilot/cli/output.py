"""What verbs print: one JSON object with ``--json``, tables and progress on a terminal otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from rich.console import Console

FINE, NO, USAGE, BAD_INPUT, IO_FAILED = 0, 1, 2, 3, 4

#: Tables go to stdout, progress and problems to stderr. Both honour NO_COLOR.
console = Console(highlight=False)
progress_console = Console(stderr=True, highlight=False)


class Failed(Exception):
    """A verb's own answer is no, or its input cannot be used: a message and an exit code."""

    def __init__(self, message: str, code: int = NO, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


def show_json(value: Mapping[str, Any]) -> None:
    """Writes exactly one object to stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def problem(message: str, code: int, as_json: bool, details: Mapping[str, Any]) -> NoReturn:
    """Reports and exits."""
    if as_json:
        show_json({"ok": False, "error": {"message": message, **details}})
    else:
        progress_console.print(f"[bold red]{'no' if code == NO else 'error'}[/]: ", end="")
        progress_console.print(message, markup=False, soft_wrap=True)
    raise SystemExit(code)
