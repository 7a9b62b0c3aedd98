"""Labelled scores to certify on: rows of a file, or decisions of a log with what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from opspilot._decision_log import Actions, Attributes, DecisionLog, _rows, one_of_each
from opspilot.errors import UsageError

Floats = npt.NDArray[np.float64]

#: Name of the group of rows whose group is not known.
UNKNOWN = "(not known)"


@dataclass
class Labelled:
    """Rows to certify on: one item each, drawn like the traffic."""

    source: str
    score: Floats | None = None
    error: Floats | None = None
    flags: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    """By class: scores that it is of the class, and whether it is."""
    groups: list[str] | None = None
    by: str = ""
    time: list[int] | None = None
    model: str = ""
    """Fingerprint of the model that decided; "" where rows do not tell."""
    calibration: str = ""
    """Hash of the calibration.json that decided; "" where rows do not tell."""
    left_out: int = 0
    """Rows of which the outcome is not known."""
    blocked: int = 0
    """Rows that rules keep from automation: below every line."""
    one_per: str = ""
    """What comes in several rows, of which at most one was drawn."""
    repeats: int = 0
    """Rows left out for that."""


def from_rows(file: str | Path, targets: Sequence[str], by: str | None, one_per: str | None = None) -> Labelled:
    """A CSV file with a header, or JSON Lines, one item per row: for target "" ``score`` and ``error`` (1 = wrong; or ``right``);
    for a class NAME a score in a column ``NAME``, and in ``label`` NAME or another class, or for one class alone 1 or 0; and
    columns of groups and units."""
    path = Path(file)
    rows = _rows(path)
    out = Labelled(path.name)
    if one_per is not None:
        units = [str(_value(row, one_per, path, i)) for i, row in enumerate(rows)]
        drawn = one_of_each(units)
        out.one_per, out.repeats = one_per, len(rows) - len(drawn)
        rows = [rows[i] for i in drawn]
    if "" in targets:
        out.score = _numbers(rows, "score", path)
        out.error = _numbers(rows, "error", path) if "error" in rows[0] else 1.0 - _numbers(rows, "right", path)
    classes = {name for name in targets if name}
    for name in classes:
        labels = [str(_value(row, "label", path, i)) for i, row in enumerate(rows)]
        # Numbers that say yes or no speak of the one class asked for.
        positive = "1" if len(classes) == 1 and set(labels) <= {"0", "1"} else name
        if positive not in labels and set(labels) <= {"0", "1"}:
            raise UsageError(
                f"labels are 0 and 1, and {len(classes)} classes are asked for",
                code="usage.column",
                where=f"{path} column label",
                hint="the name of the class of each row",
            )
        out.flags[name] = (_numbers(rows, name, path), np.array([float(label == positive) for label in labels]))
    if by is not None:
        out.groups, out.by = [str(_value(row, by, path, i)) for i, row in enumerate(rows)], by
    if rows and "time" in rows[0]:
        out.time = _times(rows, path)
    return out


def from_log(
    log: DecisionLog,
    wrong: Sequence[str],
    by: str | None,
    source: str,
    *,
    one_per: str | None = None,
    attributes: Attributes | None = None,
    actions: Actions | None = None,
) -> Labelled:
    """Decisions of a log whose outcome is known: the probability of the best action, and whether people did otherwise. What rules
    keep from automation is below every line. Raises ``UsageError`` when the log mixes models or calibrations: a certificate is of
    one, and probabilities of two calibrators have no common scale."""
    errors = log.wrong(wrong)
    kept = np.flatnonzero(~np.isnan(errors) & np.array([p is not None for p in log.probability], np.bool_))
    out = Labelled(source)
    out.model = _the_one("models", [log.model[i] for i in kept], source)
    out.calibration = _the_one("calibrations", [log.calibration[i] for i in kept], source)
    out.left_out = len(log) - len(kept)
    if one_per is not None:
        units = log.units(one_per, attributes, actions)
        drawn = one_of_each([units[i] for i in kept])
        out.one_per, out.repeats = one_per, len(kept) - len(drawn)
        kept = kept[drawn]
    opened = np.array([log.open[i] for i in kept], np.bool_)
    out.score = np.where(opened, np.array([log.probability[i] for i in kept], np.float64), 0.0)
    out.error, out.blocked = errors[kept], int((~opened).sum())
    out.time = [log.time[i] for i in kept]
    if by is not None:
        found = log.by(by, attributes, actions)
        out.groups, out.by = [found[i] or UNKNOWN for i in kept], by
    return out


def _the_one(what: str, of_rows: Sequence[str], source: str) -> str:
    found = sorted(set(of_rows))
    if len(found) > 1:
        raise UsageError(
            f"decisions of {len(found)} {what}",
            code=f"usage.{what}",
            where=source,
            hint="give the log of one: a certificate is of one",
        )
    return found[0] if found else ""


def _value(row: Mapping[str, Any], name: str, path: Path, number: int) -> Any:
    if name not in row or row[name] is None or row[name] == "":
        have = ", ".join(row)
        raise UsageError(
            f"no '{name}'", code="usage.column", where=f"{path} row {number + 1}", hint=f"columns are: {have}" if have else ""
        )
    return row[name]


def _times(rows: Sequence[Mapping[str, Any]], path: Path) -> list[int]:
    times = _numbers(rows, "time", path)
    bad = np.flatnonzero(~(np.abs(times) < 2**63))
    if len(bad):
        raise UsageError(
            f"a time of {times[bad[0]]}",
            code="usage.column",
            where=f"{path} row {bad[0] + 1}",
            hint="microseconds since 1970 UTC",
        )
    return [int(time) for time in times]


def _numbers(rows: Sequence[Mapping[str, Any]], name: str, path: Path) -> Floats:
    if not rows:
        raise UsageError("no rows", code="usage.rows", where=str(path), hint="give a header and a row per item")
    out = np.empty(len(rows))
    for number, row in enumerate(rows):
        value = _value(row, name, path, number)
        try:
            out[number] = float(value)
        except (TypeError, ValueError, OverflowError):
            raise UsageError(
                f"'{name}' is {str(value)[:80]!r}", code="usage.column", where=f"{path} row {number + 1}", hint="give a number"
            ) from None
    return out
