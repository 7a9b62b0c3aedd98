"""STAR actions as a catalogue: what an operator can do besides writing himself, and where the flow charts place it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opspilot.demo.star_data import QUERY_ACTIONS, Decision, Record

_PLACEHOLDER: Final = re.compile(r"\{[^}]*\}")
_TWICE: Final = 2
#: Steps of a chart that stand for what a back end answered.
_OUTCOMES: Final = frozenset(
    (
        *("query", "query_check", "query_book", "query_success", "query_failure"),
        *("available", "unavailable", "correct", "incorrect", "noanswer"),
    )
)
#: An action counts as never said before a query when train says it so at most once in a hundred times.
_RARELY: Final = 0.01
_DOMAINS: Final = frozenset(
    (
        *("apartment", "bank", "doctor", "hotel", "meeting", "party", "plane"),
        *("restaurant", "ride", "spaceship", "trip", "trivia", "weather"),
    )
)
#: What an action does, by words of its role; the first that occurs decides.
_STAGES: Final = (
    ("success", re.compile("successful|succeeded|inform_confirmed|submitted|confirm_rsvp")),
    ("failure", re.compile("fail|unavailable|nothing_found|cannot|not_available|no_venue")),
    ("confirm", re.compile("confirm")),
    ("ask", re.compile("^ask")),
    ("bye", re.compile("^bye$")),
    ("other", re.compile("^(hello|anything_else|out_of_scope)$")),
)


def catalogue(tasks: Mapping[str, Any], train: Sequence[Decision]) -> list[Record]:
    """The actions on offer: those of the flow charts that are taken in train, and the queries.

    ``tasks`` are the tasks in which an action is offered: those whose flow chart lists it, and those in which train
    takes it at least twice while only they are active.  ``predecessors`` are the charted steps ``task/previous``.
    """
    taken = Counter(d.label.action for d in train if not d.label.override)
    used: Counter[tuple[str, str]] = Counter()
    for decision in train:
        if not decision.label.override and len(decision.task["tasks"]) == 1:
            used[decision.label.action, decision.task["tasks"][0]] += 1
    early = Counter(d.label.action for d in train if not d.label.override and d.task["queries"] == 0)
    actions = []
    for action in sorted(taken):
        listed = {task for task, chart in tasks.items() if action in chart["replies"] or action in chart["graph"]}
        listed |= {task for task in tasks if used[action, task] >= _TWICE}
        reports = _reports_outcome(action, tasks) and early[action] <= _RARELY * taken[action]
        actions.append(describe_action(action, tasks, sorted(listed), reports))
    return actions


def describe_action(action: str, tasks: Mapping[str, Any], listed: Sequence[str], after_query: bool = False) -> Record:
    """One entry of the catalogue, offered in the tasks that are listed."""
    templates = {chart["replies"][action] for chart in tasks.values() if action in chart["replies"]}
    return {
        "id": action,
        "kind": kind_of(action),
        "stage": stage_of(action),
        "role": role_of(action),
        "tasks": list(listed),
        "template": _PLACEHOLDER.sub(" ", " / ".join(sorted(templates))),
        "words": " ".join(action.split("_")),
        "after_query": after_query,
        "predecessors": predecessors(action, tasks),
    }


def predecessors(action: str, tasks: Mapping[str, Any]) -> list[str]:
    """The steps ``task/previous action`` after which a flow chart prescribes this action."""
    return [
        f"{task}/{previous}"
        for task, chart in tasks.items()
        for previous, following in chart["graph"].items()
        if following == action
    ]


def _reports_outcome(action: str, tasks: Mapping[str, Any]) -> bool:
    """Whether the charts prescribe the action after answers of a back end, and after nothing else."""
    steps = {step.partition("/")[2] for step in predecessors(action, tasks)}
    return bool(steps) and steps <= _OUTCOMES


def kind_of(action: str) -> str:
    """query, ask, inform, bye or say: what thresholds and policies tell apart."""
    if action in QUERY_ACTIONS:
        return "query"
    for kind in ("ask", "inform", "bye"):
        if f"_{kind}_" in f"_{action}_":
            return kind
    return "bye" if action.startswith("goodbye") else "say"


def role_of(action: str) -> str:
    """The id without its domain, so that what several tasks share is learned once; all farewells are one."""
    words = action.split("_")
    role = "_".join(words[1:] if words[0] in _DOMAINS else words)
    return "bye" if role.startswith("goodbye") else role


def stage_of(action: str) -> str:
    """Where in a conversation an action belongs: query, ask, confirm, success, failure, bye, inform or other."""
    if action in QUERY_ACTIONS:
        return "query"
    role = role_of(action)
    return next((stage for stage, words in _STAGES if words.search(role)), "inform")
