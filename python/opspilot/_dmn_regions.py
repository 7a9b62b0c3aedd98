"""Rows of a decision table as boxes: where two of them meet, and what none of them covers. Exact, because along every input a
table names finitely many values, and between them it does not tell values apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from opspilot._dmn_cells import Cell

#: An example per input; None where any value will do.
Gap = list[Any]

#: Steps of the search after which the rest is left undecided.
_MOST_STEPS = 200_000
_MOST_GAPS = 10


def probes(cells: Sequence[Cell], allowed: Cell | None) -> list[Any]:
    """One value of every region that the cells of an input tell apart, of those that are allowed."""
    kind = cells[0].kind
    named = [*cells, *([allowed] if allowed is not None else [])]
    if kind == "boolean":
        found: list[Any] = [True, False]
    elif kind == "string":
        texts = sorted({str(value) for cell in named for value in cell.values})
        other = "other"
        while other in texts:
            other += "_"
        found = [*texts, other]
    else:
        ends = sorted({end for cell in named for i in cell.intervals for end in (i.low, i.high) if end is not None})
        found = [ends[0] - 1] if ends else [Fraction(0)]
        for i, end in enumerate(ends):
            found.append(end)
            found.append((end + ends[i + 1]) / 2 if i + 1 < len(ends) else end + 1)
    return [value for value in found if allowed is None or allowed.holds(value)]


def shown(value: Any, cell: Cell) -> Any:
    """A probe as people write it."""
    if not isinstance(value, Fraction):
        return value
    if cell.kind == "number":
        return int(value) if value.denominator == 1 else float(value)
    moment = datetime.fromtimestamp(float(value), UTC)
    return f"{moment:%Y-%m-%d}" if cell.kind == "date" else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def meet(first: Sequence[Cell], second: Sequence[Cell], domains: Sequence[Cell | None]) -> Gap | None:
    """An input that both rows match, or None when there is none."""
    example: Gap = []
    for a, b, allowed in zip(first, second, domains, strict=True):
        if a.any and b.any:
            example.append(None)
            continue
        value = next((value for value in probes((a, b), allowed) if a.holds(value) and b.holds(value)), None)
        if value is None:
            return None
        example.append(shown(value, a))
    return example


def find_gaps(rows: Sequence[Sequence[Cell]], domains: Sequence[Cell | None]) -> tuple[list[Gap], bool]:
    """Inputs that no row matches, one of every region up to a few, and whether all were looked for."""
    columns = len(domains)
    along = [probes([row[c] for row in rows], domains[c]) for c in range(columns)]
    plain = [all(row[c].any for row in rows) for c in range(columns)]
    gaps: list[Gap] = []
    covered: set[tuple[int, frozenset[int]]] = set()
    steps = 0
    # A stack of (column, rows that still match, values so far, probes left); a level per input.
    stack: list[tuple[int, frozenset[int], Gap, list[Any]]] = [(0, frozenset(range(len(rows))), [], _probes(0, along, plain))]
    whole = [True]  # per level: no gap was found below
    while stack:
        column, matching, values, left = stack[-1]
        if not left:
            stack.pop()
            if whole.pop():
                covered.add((column, matching))
            elif whole:
                whole[-1] = False
            continue
        steps += 1
        if steps > _MOST_STEPS or len(gaps) >= _MOST_GAPS:
            return gaps, False
        value = left.pop(0)
        still = matching if value is _ANY else frozenset(r for r in matching if rows[r][column].holds(value))
        example = [*values, None if value is _ANY else shown(value, rows[0][column])]
        if not still:
            gaps.append([*example, *[None] * (columns - column - 1)])
            whole[-1] = False
        elif column + 1 < columns and (column + 1, still) not in covered and not _settled(rows, still, column + 1):
            stack.append((column + 1, still, example, _probes(column + 1, along, plain)))
            whole.append(True)
    return gaps, True


_ANY = object()


def _settled(rows: Sequence[Sequence[Cell]], matching: frozenset[int], column: int) -> bool:
    """Whether one of the rows asks for nothing more."""
    return any(all(cell.any for cell in rows[r][column:]) for r in matching)


def _probes(column: int, along: list[list[Any]], plain: list[bool]) -> list[Any]:
    return [_ANY] if plain[column] else list(along[column])
