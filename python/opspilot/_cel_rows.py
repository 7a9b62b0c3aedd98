"""Tables as CEL reads them: Arrow data, rows as mappings, or columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from opspilot import _core
from opspilot.errors import SchemaError, UsageError

_HINT = "give an Arrow table, a list of mappings, a mapping of columns, or bytes of JSON"


def cel_rows(table: object, what: str, declared: Mapping[str, str] | None = None) -> _core.CelRows:
    """Rows of anything with ``__arrow_c_stream__`` or ``__arrow_c_array__``, a list of mappings, a mapping of columns of one
    length, or bytes of JSON."""
    return _core.CelRows(_plain(table, what), what, dict(declared or {}))


def _plain(table: object, what: str) -> Any:
    if hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__"):
        return table
    if isinstance(table, (bytes, bytearray)):
        try:
            table = json.loads(table)
        except ValueError as problem:
            raise SchemaError(f"{what} is no JSON: {problem}", code="schema.json", where=f"/{what}", hint=_HINT) from None
        if isinstance(table, Mapping):
            table = [table]
    if isinstance(table, Mapping):
        return {name: _column(values, what, name) for name, values in table.items()}
    if isinstance(table, Sequence) and not isinstance(table, str) and all(isinstance(row, Mapping) for row in table):
        return [dict(row) for row in table]
    raise UsageError(f"{what} is a {type(table).__name__}", code="usage.rows", where=what, hint=_HINT)


def _column(values: object, what: str, name: object) -> list[Any]:
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes, bytearray)):
        return list(values)
    raise UsageError(
        f"column {name!r} is a {type(values).__name__}",
        code="usage.rows",
        where=what,
        hint="a mapping holds columns; put a row alone into a list",
    )
