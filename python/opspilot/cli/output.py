"""What verbs print: one JSON object with ``--json``, tables and progress on a terminal otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

from rich.console import Console

FINE, NO, USAGE, BAD_INPUT, IO_FAILED = 0, 1, 2, 3, 4

#: Tables go to stdout, progress and problems to stderr. Both honour NO_COLOR.
console = Console(highlight=False)
progress_console = Console(stderr=True, highlight=False)


class Failed(Exception):
    """A verb's own answer is no, or its input cannot be used. ``details`` (code, where, hint) are for --json."""

    def __init__(self, message: str, exit_code: int = NO, **details: Any) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.details = details


def show_json(value: Mapping[str, Any]) -> None:
    """Writes exactly one object to stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def working(what: str) -> AbstractContextManager[object]:
    """Says on a terminal's stderr that something takes a while; elsewhere says nothing."""
    if not progress_console.is_terminal:
        return nullcontext()
    return progress_console.status(what)


def problem(message: str, exit_code: int, as_json: bool, details: Mapping[str, Any]) -> NoReturn:
    """Reports and exits."""
    if as_json:
        show_json({"ok": False, "error": {"message": message, **details}})
    else:
        progress_console.print(f"[bold red]{'no' if exit_code == NO else 'error'}[/]: ", end="")
        progress_console.print(message, markup=False, soft_wrap=True)
    raise SystemExit(exit_code)
