"""Decision logs as columns: decisions in the order of their lines, each with what came of it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot.errors import AuditError, UsageError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Fields of a catalogue's actions, by id.
Actions = Mapping[str, Mapping[str, Any]]

#: What may name the decision of a row of attributes.
KEYS: Final = ("decision", "task")
#: Reasons of rules that keep a candidate from automation whatever its probability.
_NARROWING: Final = frozenset(
    f"policy.{effect}"
    for effect in ("forbid", "require_approval", "escalate", "suggest_only", "limit", "kill", "abstain", "route", "rule")
)


@dataclass
class DecisionLog:
    """What is read of a log for judging: one entry per decision."""

    ids: list[str] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    client: list[str] = field(default_factory=list)
    task: list[str] = field(default_factory=list)
    proposed: list[str] = field(default_factory=list)
    action: list[str] = field(default_factory=list)
    probability: list[float | None] = field(default_factory=list)
    fields: list[Mapping[str, Any]] = field(default_factory=list)
    bundle: list[str] = field(default_factory=list)
    model: list[str] = field(default_factory=list)
    calibration: list[str] = field(default_factory=list)
    open: list[bool] = field(default_factory=list)
    """No rule keeps the best candidate from automation: what confidence alone decides."""
    outcome: list[str | None] = field(default_factory=list)
    """Kind of the outcome that says what people did: of the largest time, of equal times the later line."""
    delay_us: list[int | None] = field(default_factory=list)
    repeated: int = 0
    """Lines of decisions that stood already."""
    strangers: int = 0
    """Outcomes whose decision is in none of the logs."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def automated(self) -> Flags:
        """What would be done without a person: before the rollout stage narrows it, so that a shadow log tells of the launch."""
        return np.array([verdict == "auto_execute" for verdict in self.proposed], np.bool_)

    def wrong(self, kinds: Iterable[str]) -> Floats:
        """1 where the outcome is one of the kinds, 0 where it is another, NaN where there is none."""
        of = frozenset(kinds)
        return np.array([np.nan if kind is None else float(kind in of) for kind in self.outcome])

    def only(self, rows: Sequence[int]) -> DecisionLog:
        """Some of its decisions."""
        out = DecisionLog(repeated=self.repeated, strangers=self.strangers)
        for column in fields(self):
            if isinstance(values := getattr(self, column.name), list):
                setattr(out, column.name, [values[i] for i in rows])
        return out

    def units(self, name: str, attributes: Attributes | None = None, actions: Actions | None = None) -> list[str]:
        """What ``by`` says, and for a decision of which that is not known a unit of its own."""
        return [unit or f"decision {own}" for unit, own in zip(self.by(name, attributes, actions), self.ids, strict=True)]

    def by(self, name: str, attributes: Attributes | None = None, actions: Actions | None = None) -> list[str | None]:
        """Groups: "client", "action" (id of the best one), "action.NAME" (of it in the catalogue), a recorded field "task.NAME",
        or a column of the attributes; None where it is not known."""
        if name == "client":
            return [client or None for client in self.client]
        if name == "action":
            return [action or None for action in self.action]
        if name.startswith("task."):
            key = name.removeprefix("task.")
            return [_group(fields.get(key)) for fields in self.fields]
        if name.startswith("action."):
            return self._of_actions(name, actions)
        if attributes is None or name not in attributes.columns:
            have = ", ".join(["client", "action", "task.FIELD", "action.FIELD", *(attributes.columns if attributes else ())])
            raise UsageError(f"no groups are called '{name}'", code="usage.groups", where="by", hint=f"one of: {have}")
        column = attributes.columns[name]
        return [column.get(value) for value in (self.ids if attributes.key == "decision" else self.task)]

    def _of_actions(self, name: str, actions: Actions | None) -> list[str | None]:
        if actions is None:
            raise UsageError(
                f"'{name}' stands in the catalogue, and there is none", code="usage.groups", where="by", hint="give the bundle"
            )
        key = name.removeprefix("action.")
        if not any(key in fields for fields in actions.values()):
            raise UsageError(
                f"no action of the catalogue has a '{key}'", code="usage.groups", where="by", hint="see opspilot describe BUNDLE"
            )
        return [_group(actions.get(action, {}).get(key)) for action in self.action]


def one_of_each(units: Sequence[str]) -> list[int]:
    """At most one row of every unit, drawn so that every row is equally likely; by a hash of the unit, so that neither scores nor
    labels have a say. One row of each for certain would weight units alike, and rows of long ones too little: with the longest of
    L rows each unit names one of L places, and where it has no such row it gives none.
    """
    longest = max(Counter(units).values(), default=1)
    seen: Counter[str] = Counter()
    kept = []
    for row, unit in enumerate(units):
        named = int.from_bytes(blake2b(unit.encode(), digest_size=8, person=b"one of each").digest()) % longest
        if seen[unit] == named:
            kept.append(row)
        seen[unit] += 1
    return kept


@dataclass(frozen=True)
class Attributes:
    """What is known of decisions beside the log: groups that the log must not hold, labels of adjudicators."""

    key: str
    columns: Mapping[str, Mapping[str, str]]
    """By column, values by decision or task."""


def read(logs: Sequence[str | Path | bytes]) -> DecisionLog:
    """Decisions and outcomes of several logs together. Raises ``AuditError`` for a line that is neither, and for one id with two
    decisions."""
    out = DecisionLog()
    place: dict[str, int] = {}
    lines: dict[str, bytes] = {}  # what stood there, as a hash
    latest: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, log in enumerate(logs):
        content = log if isinstance(log, bytes) else Path(log).read_bytes()
        name = f"log {number + 1}" if isinstance(log, bytes) else str(log)
        _check(content, name)
        for line in content.split(b"\n")[:-1]:  # a log that was checked ends with a line end
            row = json.loads(line)
            if row["type"] == "outcome":
                # Whatever people did, the later line of equal times; a line about a reward alone answers another question.
                if row["kind"] != "observed" and row["time"] >= latest.get(row["decision"], (-(2**63), {}))[0]:
                    latest[row["decision"]] = (row["time"], row)
                continue
            if row["id"] in place:
                if lines[row["id"]] != blake2b(line, digest_size=16).digest():
                    raise AuditError(
                        f"two decisions with the id {row['id']}",
                        code="audit.duplicate",
                        where=name,
                        hint="give logs of different decisions",
                    )
                out.repeated += 1
                continue
            place[row["id"]] = len(out.ids)
            lines[row["id"]] = blake2b(line, digest_size=16).digest()
            _append(out, row)
    for decision, (time, row) in latest.items():
        at = place.get(decision)
        if at is None:
            out.strangers += 1
            continue
        out.outcome[at] = row["kind"]
        out.delay_us[at] = row["delay_us"] if row["delay_us"] is not None else max(0, time - out.time[at])
    return out


def _check(content: bytes, name: str) -> None:
    checked = _core.check_log(content)
    if checked["first_bad"] is not None:
        bad = checked["first_bad"]
        raise AuditError(
            bad["problem"],
            code="audit.log",
            where=f"{name} line {bad['line']}",
            hint="see opspilot describe for what a log holds",
        )


def _append(out: DecisionLog, row: Mapping[str, Any]) -> None:
    out.ids.append(row["id"])
    out.time.append(row["time"])
    out.client.append(row["client"])
    out.task.append(row["task"])
    out.proposed.append(row["proposed"])
    out.action.append(row["action"])
    out.probability.append(row["probability"])
    out.fields.append(row["fields"])
    out.bundle.append(row["versions"]["bundle"])
    out.model.append(row["versions"]["model"])
    out.calibration.append(row["versions"]["calibration"])
    out.open.append(_is_open(row))
    out.outcome.append(None)
    out.delay_us.append(None)


def _is_open(row: Mapping[str, Any]) -> bool:
    best: Sequence[Mapping[str, Any]] = next((c["reasons"] for c in row["ranked"] if c["action"] == row["action"]), [])
    return bool(row["action"]) and not any(reason["code"] in _NARROWING for reason in [*row["reasons"], *best])


def actions_of(catalogue: bytes) -> Actions:
    """The catalogue of a bundle by the actions' ids; empty when it has none."""
    return {str(action["id"]): action for action in json.loads(catalogue)} if catalogue else {}


def read_attributes(file: str | Path) -> Attributes:
    """A CSV file with a header, or JSON Lines of objects, with a column ``decision`` or ``task`` and others; values become texts,
    an empty one is not known. Raises ``UsageError`` for a file without such a column and for one key with two values."""
    path = Path(file)
    rows = _rows(path)
    if not rows:
        raise UsageError("no rows", code="usage.attributes", where=str(path), hint="one row per decision or task")
    key = next((name for name in KEYS if name in rows[0]), None)
    if key is None:
        raise UsageError(
            "no column 'decision' or 'task'", code="usage.attributes", where=str(path), hint="name the decision of every row"
        )
    columns: dict[str, dict[str, str]] = {name: {} for row in rows for name in row if name not in KEYS}
    for number, row in enumerate(rows, 1):
        who = _group(row.get(key))
        if who is None:
            raise UsageError(
                f"no {key}", code="usage.attributes", where=f"{path} row {number}", hint=f"every row names its {key}"
            )
        for name, values in columns.items():
            value = _group(row.get(name))
            if value is None:
                continue
            if values.setdefault(who, value) != value:
                raise UsageError(
                    f"{key} {who!r} has two values of '{name}'",
                    code="usage.attributes",
                    where=f"{path} row {number}",
                    hint="groups are fixed, one per decision",
                )
    return Attributes(key, columns)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise UsageError(f"no UTF-8: {problem.reason}", code="usage.rows", where=str(path), hint="save it as UTF-8") from None
    if text.lstrip().startswith("{"):
        rows = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as problem:
                raise UsageError(
                    f"no JSON: {problem}", code="usage.rows", where=f"{path} line {number}", hint="JSON Lines"
                ) from None
            if not isinstance(row, dict):
                raise UsageError("no object", code="usage.rows", where=f"{path} line {number}", hint="one JSON object per line")
            rows.append(row)
        return rows
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        found = list(reader)
    except csv.Error as problem:
        raise UsageError(f"no CSV: {problem}", code="usage.rows", where=str(path), hint="a header and one row per line") from None
    for number, row in enumerate(found, 2):
        if None in row or None in row.values():
            raise UsageError(
                "a row of another length than the header", code="usage.rows", where=f"{path} line {number}", hint="quote commas"
            )
    return found


def _group(value: object) -> str | None:
    """A value as the name of a group; lists, numbers that are no names, and nothing are not known."""
    if value is None or value == "" or isinstance(value, (list, dict)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
