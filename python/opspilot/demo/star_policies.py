"""Policies of the next-action job, written from the flow charts of tasks.json: compliance, business, and the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opspilot.demo.star_catalogue import stage_of

Json = dict[str, Any]

FRAUD: Final = "bank_fraud_report"
FRAUD_DESK: Final = "fraud-desk"
#: What the chart adds to a candidate's score.  Small: the models have read the chart, too.
_CHART_BOOST: Final = 0.05

#: A conversation in the middle of a task, for the documents' own tests.
_QUIET: Final[Json] = {
    "tasks": ["hotel_book"],
    "current_task": "hotel_book",
    "previous_action": "ask_name",
    "previous_action_2": "hello",
    "history": ["hello", "ask_name"],
    "since_query": ["hello", "ask_name"],
    "task_query": "",
    "queries": 0,
    "overrides": 0,
    "override_age": -1,
    "api_found": True,
}
_ASK: Final[Json] = {
    "id": "hotel_ask_hotel",
    "stage": "ask",
    "tasks": ["hotel_book"],
    "after_query": False,
    "predecessors": ["hotel_book/ask_name", "hotel_book/no"],
}


def booking_tasks(tasks: Mapping[str, Any]) -> list[str]:
    """Tasks whose chart prescribes ``query_book``."""
    return sorted(task for task, chart in tasks.items() if "query_book" in chart["graph"].values())


def changing_tasks(tasks: Mapping[str, Any]) -> list[str]:
    """Tasks whose plain query changes something: the chart announces its success."""
    return sorted(
        task
        for task, chart in tasks.items()
        if "query" in chart["graph"].values()
        and any(stage_of(chart["graph"].get(after, "")) == "success" for after in ("query", "query_success"))
    )


def compliance(tasks: Mapping[str, Any]) -> Json:
    """The layer that no other may widen."""
    successes = sorted({a for chart in tasks.values() for a in chart["graph"].values() if stage_of(a) == "success"})
    done = "task.since_query.exists(said, said in " + _texts(successes) + ")"
    fraud = f"task.current_task == '{FRAUD}' || (task.current_task == '' && '{FRAUD}' in task.tasks)"
    rules: list[Json] = [
        {
            "id": "fraud-to-desk",
            "when": fraud,
            "effect": "escalate",
            "queue": FRAUD_DESK,
            "locked": True,
            "because": "A bank fraud report always goes to a person.",
        },
        {
            "id": "booking-needs-approval",
            "when": "action.id == 'query_book'",
            "effect": "require_approval",
            "locked": True,
            "because": "A booking binds the customer; a person approves it.",
        },
        {
            "id": "change-needs-approval",
            "when": f"action.id == 'query' && task.current_task in {_texts(changing_tasks(tasks))}",
            "effect": "require_approval",
            "locked": True,
            "because": "This query changes something at the back end; a person approves it.",
        },
        {
            "id": "no-second-booking",
            "when": f"action.id == 'query_book' && task.task_query.startsWith('query_book') && {done}",
            "effect": "suggest_only",
            "locked": True,
            "because": "This task has been booked already; a second booking is a person's choice.",
        },
    ]
    invariants: list[Json] = [
        {"id": "never-auto-fraud", "when": f"task.current_task == '{FRAUD}'", "never": "require_approval"},
        {"id": "never-auto-booking", "when": "action.id == 'query_book'", "never": "auto_execute"},
    ]
    book = {**_ASK, "id": "query_book", "stage": "query", "tasks": booking_tasks(tasks), "predecessors": []}
    booked = {"queries": 2, "task_query": "query_book:hotel_book", "since_query": ["hotel_reservation_succeeded"]}
    tests = [
        _test({"tasks": [FRAUD], "current_task": FRAUD}, {}, verdict="escalate", rule="fraud-to-desk", queue=FRAUD_DESK),
        _test({"tasks": ["trivia", FRAUD], "current_task": ""}, {}, verdict="escalate", rule="fraud-to-desk"),
        _test({"tasks": ["trivia", FRAUD], "current_task": "trivia"}, {}, verdict="auto_execute"),
        _test({}, book, verdict="require_approval", rule="booking-needs-approval"),
        _test(booked, book, verdict="suggest", rule="no-second-booking"),
        _test({"current_task": "ride_change"}, {**book, "id": "query"}, verdict="require_approval", rule="change-needs-approval"),
        _test({"current_task": "weather"}, {**book, "id": "query"}, verdict="auto_execute"),
    ]
    return _document("compliance", rules, invariants, tests)


def business() -> Json:
    """How the operation wants it: the chart's order, no announcements without facts, hands off where people took over."""
    rules: list[Json] = [
        {
            "id": "no-result-before-query",
            "when": "action.after_query && task.queries == 0",
            "effect": "forbid",
            "because": "It tells what a back end answered, and none has been asked.",
        },
        {
            "id": "person-took-over",
            "when": "task.overrides >= 2 && task.override_age >= 0 && task.override_age <= 1",
            "effect": "suggest_only",
            "because": "The operator has been writing himself; the machine only suggests.",
        },
        {
            "id": "follow-the-chart",
            "when": "(task.current_task + '/' + task.previous_action) in action.predecessors",
            "effect": "boost",
            "by": _CHART_BOOST,
            "because": "The flow chart prescribes this step next.",
        },
    ]
    success = {
        "id": "hotel_reservation_succeeded",
        "stage": "success",
        "after_query": True,
        "predecessors": ["hotel_book/query_success"],
    }
    tests = [
        _test({}, success, allowed=False, rule="no-result-before-query"),
        _test({"queries": 1}, success, allowed=True, verdict="auto_execute"),
        _test({"overrides": 2, "override_age": 0}, {}, verdict="suggest", rule="person-took-over"),
        _test({"overrides": 2, "override_age": 2}, {}, verdict="auto_execute"),
        _test({}, {}, boost=_CHART_BOOST, rule="follow-the-chart"),
        _test({"previous_action": "hello"}, {}, boost=0.0),
    ]
    return _document("business", rules, [], tests)


def baseline() -> Json:
    """The charts alone, as boosts: what ranks when the models are unavailable, and the rival of the report."""
    asked = "task.previous_action.startsWith('query')"
    scores = (
        ("chart-next", "(task.current_task + '/' + task.previous_action) in action.predecessors", 8.0),
        ("chart-found", f"{asked} && task.api_found && {_after('query_success', 'available', 'correct')}", 7.0),
        ("chart-not-found", f"{asked} && !task.api_found && {_after('query_failure', 'unavailable')}", 7.0),
        ("chart-failed", f"{asked} && {_after('query_failure', 'unavailable', 'incorrect')}", 4.0),
        ("chart-next-but-one", "(task.current_task + '/' + task.previous_action_2) in action.predecessors", 3.0),
        ("chart-earlier", "task.history.exists(said, (task.current_task + '/' + said) in action.predecessors)", 2.0),
        ("start", "task.previous_action == '<start>' && action.id == 'hello'", 6.0),
        ("own-task", "task.current_task in action.tasks", 1.5),
        ("not-said", "!(action.id in task.history)", 1.0),
        ("query-again", "action.stage == 'query'", 0.5),
    )
    rules = [
        {"id": name, "when": when, "effect": "boost", "by": by, "because": "The flow charts say so."} for name, when, by in scores
    ]
    return _document("business", rules, [], [])


def _after(*outcomes: str) -> str:
    """The chart prescribes the action after one of these outcomes of a query."""
    steps = (f"(task.current_task + '/{outcome}') in action.predecessors" for outcome in outcomes)
    return f"({' || '.join(steps)})"


def _texts(values: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


def _test(task: Mapping[str, Any], candidate: Mapping[str, Any], **expect: Any) -> Json:
    return {"task": {**_QUIET, **task}, "candidate": {**_ASK, **candidate}, "expect": expect}


def _document(layer: str, rules: list[Json], invariants: list[Json], tests: list[Json]) -> Json:
    document: Json = {"layer": layer, "version": "1", "rules": rules}
    return document | {key: value for key, value in (("invariants", invariants), ("tests", tests)) if value}
