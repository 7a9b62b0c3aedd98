"""Python values as JSON rows, and times as microseconds: the slow door beside Arrow."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from opspilot.errors import SchemaError, UsageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(now: object) -> int:
    """Microseconds since 1970 UTC of an aware datetime, or of an integer."""
    if isinstance(now, datetime):
        if now.tzinfo is None:
            raise UsageError("a datetime without time zone", code="usage.naive_datetime", where="now", hint="give it a tzinfo")
        return (now - _EPOCH) // timedelta(microseconds=1)
    index = getattr(now, "__index__", None)
    if index is not None and not isinstance(now, bool):
        return int(index())
    raise UsageError(
        f"a time of type {type(now).__name__}",
        code="usage.time",
        where="now",
        hint="give integer microseconds since 1970 UTC or an aware datetime",
    )


def encode(value: object, what: str) -> bytes:
    """A mapping, or a sequence of mappings, as JSON. NaN becomes null: it means missing. Infinity is refused."""
    if isinstance(value, Mapping):
        rows: Any = dict(value)
    elif isinstance(value, Sequence) and all(isinstance(row, Mapping) for row in value):
        rows = [dict(row) for row in value]
    else:
        raise UsageError(
            f"{what} is a {type(value).__name__}",
            code="usage.rows",
            where=what,
            hint="give a mapping, a list of mappings, bytes of JSON, or a table with __arrow_c_stream__",
        )
    try:
        return json.dumps(rows, default=_plain, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError as problem:
        raise SchemaError(
            f"a text with a lone surrogate (U+{ord(problem.object[problem.start]):04X})",
            code="schema.utf8",
            where=f"/{what}",
            hint="decode the text with its real encoding",
        ) from None
    except ValueError:
        return json.dumps(_without_nan(rows, f"/{what}"), default=_plain, ensure_ascii=False).encode("utf-8", "replace")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return microseconds(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise UsageError(
        f"a value of type {type(value).__name__}",
        code="usage.value",
        hint="fields are bool, int, float, str, list of str or datetime",
    )


def _without_nan(value: object, where: str) -> object:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        if math.isinf(value):
            raise SchemaError("an infinite number", code="schema.not_finite", where=where, hint="leave the field out, or clip it")
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {key: _without_nan(item, f"{where}/{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item, f"{where}/{i}") for i, item in enumerate(value)]
    return value
