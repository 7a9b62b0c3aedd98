"""STAR operator logs as opspilot records: one task record per decision, labels apart.

A dialogue is replayed event by event.  When the operator acts (a pick, a query or a text of his own) the record is
made from what he had seen until then, and only afterwards the act itself is added to what has been seen.  Nothing
else of the log can reach a record, so permuting the barred fields leaves every record as it was.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Record = dict[str, Any]
SlotValues = Mapping[str, Mapping[str, frozenset[str]]]

#: The class of decisions that no catalogue entry answers: free text, and the entry "custom" of a slate.
OVERRIDE: Final = "override"
START: Final = "<start>"
QUERY_ACTIONS: Final = ("query", "query_check", "query_book")

#: Columns of decisions.csv that say what the operator did or would do; no record may depend on them.
BARRED_COLUMNS: Final = (
    "kind",
    "options",
    "chosen",
    "rank",
    "n_requests",
    "latency_s",
    "t",
    "happy",
    "complete",
    "typed_text",
)
#: Fields of a dialogue that the operator could not see, or saw only afterwards.
BARRED_FIELDS: Final = ("happy", "completion", "wizard_says", "user_task", "conflicts")
#: Events that count as seen once they lie in the past; the others (i, r, t, c, s) are skipped.
SEEN_EVENTS: Final = ("u", "p", "q", "k", "w")

#: The moment at which the whole log is decided again, microseconds since 1970 UTC (2020-12-01): after all of it.
NOW: Final = 1_606_780_800_000_000

_HISTORY: Final = 64
_SECOND: Final = 1_000_000
_FREQUENT: Final = 4
_MOST: Final = 0.75
_VAGUE: Final = frozenset(("yes", "no", "any", "none", "test", "true", "false", "the", "now", "you", "please"))
_QUOTED: Final = re.compile(r'"([^"]*)"')
_NAME: Final = re.compile(r"(?=.*[a-z].*[a-z].*[a-z])[a-z0-9' ]{3,40}")
_WORDS: Final = re.compile(r"[a-z0-9']+")
_TIME_OF_DAY: Final = re.compile(r"\b\d{1,2}(?::\d\d)? ?(?:am|pm|a\.m|p\.m|o'?clock)\b|\bnoon\b|\bmidnight\b")
_NUMBER: Final = re.compile(r"\d+")
_ARTICLES: Final = re.compile(r"\b(?:the|an|a)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Label:
    """What the operator did.  Never an input of job A; ``options`` and ``typed_text`` are inputs of job B."""

    dialogue: int
    turn: int
    split: str
    kind: str
    action: str
    override: bool
    options: tuple[str, ...]
    rank: int
    typed_text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of decisions.csv: the record the operator could have been helped with, and what he did."""

    task: Record
    label: Label


@dataclass(slots=True)
class _Seen:
    """All that an operator has seen of a dialogue so far."""

    actions: list[str] = field(default_factory=list)
    operator_text: str = ""
    customer_texts: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    unanswered_before: list[str] = field(default_factory=list)
    query_api: str = ""
    query_keys: tuple[str, ...] = ()
    query_age: int = -1
    query_same: bool = False
    last_query: str = ""
    steps: tuple[str, ...] = ()
    step: int = -1
    queried: list[str] = field(default_factory=list)
    since_query: list[str] = field(default_factory=list)
    time: float = 0
    answer_time: float | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    result_count: int = -1
    queries: int = 0
    overrides: int = 0
    override_age: int = -1
    own_texts: list[str] = field(default_factory=list)
    task: str = ""


def read_tasks(folder: Path) -> dict[str, Any]:
    """The flow charts: per task its graph, replies, responses and API."""
    tasks: dict[str, Any] = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    return tasks


def read_dialogues(folder: Path) -> Iterator[dict[str, Any]]:
    """Dialogues in file order."""
    with gzip.open(folder / "dialogues.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def read_decision_rows(folder: Path) -> list[dict[str, str]]:
    """Rows of decisions.csv, untouched."""
    with gzip.open(folder / "decisions.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def join(
    tasks: Mapping[str, Any],
    values: SlotValues,
    dialogues: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, str]],
) -> list[Decision]:
    """Pairs the records replayed from the dialogues with the rows of decisions.csv, in the order of the rows."""
    place = {(int(row["dialogue_id"]), int(row["turn"])): i for i, row in enumerate(rows)}
    records: list[Record | None] = [None] * len(rows)
    for dialogue in dialogues:
        for record in dialogue_records(tasks, values, dialogue):
            i = place.get((dialogue["id"], record["turn"]))
            if i is None:
                raise ValueError(f"decision {record['id']} of dialogues.jsonl is not in decisions.csv")
            records[i] = record
    decisions = []
    for row, found in zip(rows, records, strict=True):
        where = f"{row['dialogue_id']}:{row['turn']}"
        if found is None:
            raise ValueError(f"decision {where} of decisions.csv is not in dialogues.jsonl")
        if "|".join(found["tasks"]) != row["tasks"] or found["operator"] != row["wizard"]:
            raise ValueError(f"decision {where}: tasks or operator differ between the two files")
        if found["previous_action"] != row["prev_action"] or found["customer_text"] != row["user_text"]:
            raise ValueError(f"decision {where}: the events before it do not line up")
        decisions.append(Decision(found, _label(row)))
    return decisions


def dialogue_records(tasks: Mapping[str, Any], values: SlotValues, dialogue: Mapping[str, Any]) -> Iterator[Record]:
    """Replays a dialogue: one record before each act of the operator, from earlier events only."""
    seen = _Seen()
    active: list[str] = list(dialogue["tasks"])
    slots = _merged(values, active)
    owner = _owners(tasks, active)
    if len(active) == 1:
        seen.task = active[0]
    turn = 0
    for event in dialogue["events"]:
        kind = event[0]
        if kind not in SEEN_EVENTS:
            continue
        if kind in ("p", "q", "w"):
            yield _record(dialogue["id"], turn, dialogue["wizard"], active, slots, seen)
            turn += 1
        _see(seen, event, owner)


def _see(seen: _Seen, event: Sequence[Any], owner: Mapping[str, str]) -> None:
    kind = event[0]
    seen.time = max(seen.time, event[1])
    if kind == "u":
        seen.unanswered.append(event[2])
        seen.customer_texts.append(event[2])
        return
    if kind == "k":
        seen.result = event[3] if isinstance(event[3], dict) else {}
        seen.result_count = event[4]
        seen.steps, seen.step = _steps(seen.result), -1
        seen.answer_time = seen.time
        return
    if seen.unanswered:
        seen.unanswered_before = seen.unanswered
    seen.unanswered = []
    seen.query_age += seen.query_age >= 0
    seen.override_age += seen.override_age >= 0
    if kind == "q":
        keys = json.dumps([event[2], event[4]], sort_keys=True)
        seen.query_api, seen.query_keys, seen.query_age = event[2], tuple(event[4]), 0
        seen.query_same, seen.last_query = keys == seen.last_query, keys
        seen.queries += 1
        seen.task = event[2]
        seen.actions.append(event[3])
        seen.queried.append(f"{event[3]}:{event[2]}")
        seen.since_query = []
        return
    own = kind == "w"
    action = "custom_utterance" if own else event[2]
    text = event[2] if own else event[4]
    seen.actions.append(action)
    seen.since_query.append(action)
    seen.operator_text = text
    seen.step = max(seen.step, _place(seen.steps, text))
    if own or action == "custom":
        seen.overrides += 1
        seen.override_age = 0
        seen.own_texts.append(text)
    seen.task = owner.get(action, seen.task)


def _record(
    dialogue: int, turn: int, operator: str, active: list[str], slots: Mapping[str, frozenset[str]], seen: _Seen
) -> Record:
    past = [START, START, START, *seen.actions]
    of_task = [q for q in seen.queried if q.endswith(f":{seen.task}")]
    earlier = seen.customer_texts[: len(seen.customer_texts) - len(seen.unanswered)]
    return {
        "id": f"{dialogue}:{turn}",
        "operator": operator,
        "tasks": active,
        "current_task": seen.task,
        "turn": turn,
        "previous_action": past[-1],
        "previous_action_2": past[-2],
        "previous_action_3": past[-3],
        "history": seen.actions[-_HISTORY:],
        "since_query": seen.since_query[-_HISTORY:],
        "queried": seen.queried[-_HISTORY:],
        "task_query": of_task[-1] if of_task else "",
        "task_queries": len(of_task),
        "customer_text": " / ".join(seen.unanswered),
        "customer_text_before": " / ".join(seen.unanswered_before),
        "customer_text_earlier": " / ".join(earlier[-12:]),
        "customer_messages": len(seen.unanswered),
        "operator_text": seen.operator_text,
        "own_text": " / ".join(seen.own_texts[-6:]),
        "mentioned": _mentioned(slots, seen.customer_texts),
        "mentioned_now": _mentioned(slots, seen.unanswered),
        "api": seen.query_api,
        "api_fields": sorted(seen.query_keys),
        "api_at": None if seen.answer_time is None else NOW - int((seen.time - seen.answer_time) * _SECOND),
        "api_age": seen.query_age,
        "api_repeated": seen.query_same,
        "api_found": seen.result_count != 0,
        "api_text": None if seen.answer_time is None else _result_text(seen.result),
        "api_message": _message(seen.result),
        "api_answer": " ".join(_ARTICLES.sub(" ", str(seen.result.get("Answer", ""))).split()),
        "api_steps": len(seen.steps),
        "api_steps_left": len(seen.steps) - 1 - seen.step,
        "queries": seen.queries,
        "overrides": seen.overrides,
        "override_age": seen.override_age,
    }


def _label(row: Mapping[str, str]) -> Label:
    chosen = row["chosen"]
    override = row["kind"] == "utter" or chosen == "custom"
    return Label(
        dialogue=int(row["dialogue_id"]),
        turn=int(row["turn"]),
        split=row["split"],
        kind=row["kind"],
        action=OVERRIDE if override else chosen.partition(":")[0],
        override=override,
        options=tuple(row["options"].split("|")) if row["options"] else (),
        rank=int(row["rank"]),
        typed_text=row["typed_text"],
    )


# What the customer has said already, by slot of the back-end call


def learn_values(tasks: Mapping[str, Any], dialogues: Sequence[Mapping[str, Any]], train: Container[int]) -> SlotValues:
    """Per task and input of its API the values that name it: the listed ones, and free ones frequent in ``train``."""
    used: Counter[tuple[str, str, str]] = Counter()
    for dialogue in dialogues:
        if dialogue["id"] in train:
            for event in dialogue["events"]:
                if event[0] == "q":
                    for slot, constraint in event[4].items():
                        used.update((event[2], slot, v.casefold().strip()) for v in _QUOTED.findall(str(constraint)))
    values: dict[str, dict[str, frozenset[str]]] = {}
    for task, chart in tasks.items():
        values[task] = {}
        for slot in chart["api"]["input"]:
            if slot["Name"] == "RequestType" or slot["Type"] in ("Integer", "LongString"):
                continue
            found = {str(c).casefold() for c in slot.get("Categories", ())}
            found |= {v for (t, s, v), n in used.items() if (t, s) == (task, slot["Name"]) and n >= _FREQUENT}
            named = (" ".join(_WORDS.findall(v)) for v in found)
            values[task][slot["Name"]] = frozenset(v for v in named if _NAME.fullmatch(v) and v not in _VAGUE)
    return values


def _merged(values: SlotValues, active: Sequence[str]) -> dict[str, frozenset[str]]:
    merged: dict[str, frozenset[str]] = {}
    for task in active:
        for slot, words in values[task].items():
            merged[slot] = merged.get(slot, frozenset()) | words
    return dict(sorted(merged.items()))


def _mentioned(slots: Mapping[str, frozenset[str]], texts: Sequence[str]) -> list[str]:
    """Slots named in the texts, with "time" and "number" for what has a form rather than a list of values."""
    if not texts:
        return []
    text = " ".join(texts).casefold()
    padded = f" {' '.join(_WORDS.findall(text))} "
    found = [name for name, words in slots.items() if any(f" {v} " in padded for v in words)]
    clock = _TIME_OF_DAY.sub(" ", text)
    if clock != text:
        found.append("time")
    found += sorted({f"number{min(len(n), 9)}" for n in _NUMBER.findall(clock)})
    return found


# The answer of the back end


def _result_text(result: Mapping[str, Any]) -> str:
    """The API's answer as words: keys, and values where these are words or truth values."""
    parts = []
    for key, value in sorted(result.items()):
        if key == "APIName":
            continue
        if isinstance(value, bool | str):
            parts.append(f"{key} {value}")
        else:
            parts.append(key)
    return " / ".join(parts)[:400]


def _message(result: Mapping[str, Any]) -> str:
    """The answer's verdict without its particulars, a category of a few hundred values at most."""
    for key in ("Message", "ReservationStatus", "RideStatus", "Confirmation", "Status"):
        value = result.get(key)
        if isinstance(value, str):
            return _NUMBER.sub("0", value.casefold())[:48]
    return "|".join(sorted(k for k in result if k != "APIName"))[:48]


def _steps(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The steps of directions, in short form."""
    for key, value in result.items():
        if key.endswith("Instructions") and not key.startswith("Detailed") and isinstance(value, list):
            return tuple(str(v) for v in value)
    return ()


def _place(steps: Sequence[str], text: str) -> int:
    """The last step that a text tells of, -1 if none: most of its words occur in the text."""
    said = set(_WORDS.findall(text.casefold()))
    for i in range(len(steps) - 1, -1, -1):
        words = set(_WORDS.findall(steps[i].casefold()))
        if words and len(words & said) >= _MOST * len(words):
            return i
    return -1


def _owners(tasks: Mapping[str, Any], active: Sequence[str]) -> dict[str, str]:
    """Actions that belong to one active task only, with that task."""
    counts: Counter[str] = Counter()
    owner: dict[str, str] = {}
    for task in active:
        for action in tasks[task]["replies"]:
            counts[action] += 1
            owner[action] = task
    return {action: task for action, task in owner.items() if counts[action] == 1}
