"""The demo's documents: schema, candidate generation and the declared transforms of the next-action job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

#: Fields of a task: name, type, PII class, what it is.  Texts are as typed by crowd workers playing both sides.
_TASK_FIELDS: Final = (
    ("id", "string", "none", "dialogue and decision, as dialogue:turn"),
    ("operator", "string", "pseudonymous", "who decides"),
    ("tasks", "list<string>", "none", "tasks the operator works on"),
    ("current_task", "string", "none", "task that the last act belonged to, empty if that is open"),
    ("turn", "int", "none", "acts of the operator so far"),
    ("previous_action", "string", "none", "last act; <start> before the first, custom_utterance for own texts"),
    ("previous_action_2", "string", "none", "the act before"),
    ("previous_action_3", "string", "none", "the one before that"),
    ("history", "list<string>", "none", "the last 64 acts, oldest first"),
    ("since_query", "list<string>", "none", "acts since the last query to a back end"),
    ("queried", "list<string>", "none", "queries so far, as action:task"),
    ("task_query", "string", "none", "last query of the current task"),
    ("task_queries", "int", "none", "number of queries of the current task"),
    ("customer_text", "string", "personal", "messages of the customer that wait for an answer"),
    ("customer_text_before", "string", "personal", "messages answered last"),
    ("customer_text_earlier", "string", "personal", "up to twelve messages answered before"),
    ("customer_messages", "int", "none", "number of messages that wait"),
    ("operator_text", "string", "personal", "what the customer was told last"),
    ("own_text", "string", "personal", "up to six texts the operator wrote himself"),
    ("mentioned", "list<string>", "none", "slots of the tasks' back ends that the customer has named"),
    ("mentioned_now", "list<string>", "none", "slots named in the messages that wait"),
    ("api", "string", "none", "back end asked last"),
    ("api_fields", "list<string>", "none", "inputs it was asked with"),
    ("api_at", "timestamp", "none", "when it answered"),
    ("api_age", "int", "none", "acts since the query, -1 before the first"),
    ("api_repeated", "bool", "none", "the last query repeats the one before"),
    ("api_found", "bool", "none", "it found something"),
    ("api_text", "string", "personal", "its answer as words"),
    ("api_message", "string", "none", "verdict of its answer"),
    ("api_answer", "string", "none", "expected answer of a trivia question"),
    ("api_steps", "int", "none", "steps of directions it gave"),
    ("api_steps_left", "int", "none", "steps not told yet"),
    ("queries", "int", "none", "queries so far"),
    ("overrides", "int", "none", "own texts of the operator so far"),
    ("override_age", "int", "none", "acts since the last own text, -1 without one"),
)
_ACTION_FIELDS: Final = (
    ("kind", "string", "query, ask, inform, bye or say"),
    ("stage", "string", "where in a conversation it belongs"),
    ("role", "string", "id without its domain"),
    ("tasks", "list<string>", "tasks in which it is offered"),
    ("after_query", "bool", "it tells what a back end answered"),
    ("template", "string", "what the customer reads, without its placeholders"),
    ("words", "string", "its id as words"),
    ("predecessors", "list<string>", "steps task/action after which a flow chart prescribes it"),
)
#: An answer older than this says little about the world: its words are not used.
_ANSWER_AGE: Final = "1h"
_UNITS: Final = {"turn": "acts", "api_age": "acts", "override_age": "acts", "customer_messages": "messages"}


def schema() -> Json:
    """schema.json of the next-action bundle; no fields exist for a pair alone."""
    task: list[Json] = []
    for name, kind, pii, text in _TASK_FIELDS:
        field: Json = {"name": name, "type": kind, "description": text}
        if pii != "none":
            field["pii"] = pii
        if name in _UNITS:
            field["unit"] = _UNITS[name]
        task.append(field)
    by_name = {field["name"]: field for field in task}
    by_name["api_at"] |= {"optional": True}
    by_name["api_text"] |= {"max_age": _ANSWER_AGE, "as_of": "api_at", "default": ""}
    action = [{"name": name, "type": kind, "description": text} for name, kind, text in _ACTION_FIELDS]
    return {"task": task, "action": action, "candidate": []}


def candidates() -> Json:
    """candidates.json: the actions of the tasks the operator works on."""
    return {"generators": [{"kind": "match", "task": "task.tasks", "action": "action.tasks"}], "limit": 400}


# Parts of tokens

_TASK: Final = "task.current_task"
_LAST: Final = "task.previous_action"
_LAST_2: Final = "task.previous_action_2"
_LAST_3: Final = "task.previous_action_3"
_OPERATOR: Final = "task.operator"
_WAITING: Final = {"input": "task.customer_messages", "edges": [1, 2]}
_AGE: Final = {"input": "task.api_age", "edges": [0, 1, 2]}
_AGE_5: Final = {"input": "task.api_age", "edges": [0, 1, 2, 3, 4]}
_TASKS: Final = {"input": "task.tasks", "kind": "set"}
_MENTIONED: Final = {"input": "task.mentioned", "kind": "set"}
_MENTIONED_NOW: Final = {"input": "task.mentioned_now", "kind": "set"}
_STEPS_LEFT: Final = {"input": "task.api_steps_left", "edges": [0, 1, 2, 3, 4, 5, 6]}
_STEPS_AHEAD: Final = {"input": "steps_ahead", "edges": [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8]}
_ANSWERED: Final = {"input": "answered", "edges": [0.001, 0.999]}
_MESSAGE: Final = "task.api_message"

#: Crossed values that describe where the conversation stands.
_CONTEXT: Final[tuple[tuple[Any, ...], ...]] = (
    (_TASK,),
    (_LAST,),
    (_WAITING,),
    (_LAST, _LAST_2),
    (_LAST, _LAST_2, _LAST_3),
    (_LAST, _WAITING),
    (_TASK, _LAST),
    (_TASK, _LAST, _WAITING),
    (_TASK, _LAST, _LAST_2, _WAITING),
    (_TASK, _LAST, _LAST_2, _LAST_3, _WAITING),
    ("task.tasks",),
    (_TASKS,),
    (_OPERATOR,),
    (_OPERATOR, _WAITING),
    (_OPERATOR, _LAST, _WAITING),
    (_OPERATOR, _TASK),
    (_OPERATOR, _TASK, _LAST),
    (_OPERATOR, _LAST, _LAST_2),
    (_OPERATOR, _TASKS),
    ("task.history",),
    ("task.history", _TASK),
    ("task.history", _LAST),
    ({"input": "task.history", "counts": 4},),
    ("task.queried",),
    ("task.queried", _TASK, _WAITING),
    ("task.task_query", _TASK, {"input": "task.task_queries", "edges": [1, 2, 3]}),
    ("task.task_query", _LAST, _WAITING),
    (_TASK, {"input": "task.since_query", "kind": "set"}, _WAITING),
    (_AGE_5,),
    ("task.mentioned",),
    ("task.mentioned", _TASK),
    ("task.mentioned", _LAST),
    (_TASK, _MENTIONED),
    ("task.mentioned_now",),
    ("task.mentioned_now", _LAST),
    (_LAST, _MENTIONED_NOW),
    ({"input": "task.overrides", "edges": [1, 2, 3, 5]},),
    ({"input": "task.override_age", "edges": [0, 1, 2, 4]}, _LAST),
    ({"input": "task.turn", "edges": [1, 2, 3, 4, 5, 7, 10, 15, 20]},),
    ({"input": "task.turn", "edges": [1, 2, 3, 5, 8, 12]}, _TASK, _WAITING),
    ({"input": "task.queries", "edges": [1, 2, 3, 4]}, _TASK),
)
#: The same after a first query: what the back end said, and how long ago.
_AFTER_QUERY: Final[tuple[tuple[Any, ...], ...]] = (
    (_MESSAGE, _AGE),
    (_MESSAGE, _LAST, _WAITING),
    (_OPERATOR, _MESSAGE, _AGE),
    ("task.api", _AGE_5),
    ("task.api", "task.api_found", _LAST),
    ("task.api_repeated", _LAST),
)
_WITH_STEPS: Final[tuple[tuple[Any, ...], ...]] = (
    (_STEPS_AHEAD,),
    (_STEPS_AHEAD, _LAST, _WAITING),
    (_STEPS_LEFT,),
    (_STEPS_LEFT, _LAST, _WAITING),
    (_STEPS_LEFT, _OPERATOR, _WAITING),
)


def _words(field: str, most: int = 1, **keys: Any) -> Json:
    return {"input": f"task.{field}", "kind": "words", "ngrams": [1, most], "symbols": "?!", **keys}


def _text(name: str, weight: float, *parts: Any, tf: str = "log", when: str = "") -> Json:
    """A text group: tf-idf, length 1, then its weight among the groups."""
    source: Json = {"name": name, "tokens": list(parts), "weight": weight, "tf": tf, "idf": True, "norm": "l2"}
    return source | ({"when": when} if when else {})


def _context_source(parts: tuple[Any, ...], when: str = "") -> Json:
    names = [part if isinstance(part, str) else f"{part['input']}/{part.get('kind', 'bin')}" for part in parts]
    counted = any(isinstance(part, Mapping) and "counts" in part for part in parts)
    source: Json = {"name": " x ".join([*names, *(["counts"] if counted else []), str(len(names))]), "tokens": list(parts)}
    return source | {"tf": "binary"} | ({"when": when} if when else {})


def _context_block() -> Json:
    sources = [_context_source(parts) for parts in _CONTEXT]
    sources += [_context_source(parts, when="asked") for parts in _AFTER_QUERY]
    sources += [_context_source(parts, when="task.api_steps") for parts in _WITH_STEPS]
    sources.append(_context_source(("task.api_fields", _TASK, _LAST), when="just_asked"))
    sources += [_context_source((_ANSWERED, *rest), when="question_asked") for rest in ((), (_LAST, _WAITING))]
    return {"name": "context", "op": "text_hash", "bits": 18, "sources": _distinct(sources)}


def _distinct(sources: list[Json]) -> list[Json]:
    """Names must differ, or tokens of two sources would share their buckets."""
    seen: dict[str, int] = {}
    for source in sources:
        count = seen[source["name"]] = seen.get(source["name"], 0) + 1
        if count > 1:
            source["name"] += f" #{count}"
    return sources


def _words_block() -> Json:
    characters = {"input": "task.customer_text", "kind": "chars", "ngrams": [3, 5], "head": 60, "symbols": "?!"}
    earlier = _words("customer_text_earlier", tail=60)
    sources = [
        _text("customer", 1.5, _words("customer_text", 2)),
        _text("customer characters", 1.5, characters),
        _text("last x customer", 1.5, _LAST, _words("customer_text")),
        _text("task x customer", 1.5, _TASK, _words("customer_text", 2)),
        _text("before", 0.7, _words("customer_text_before", 2)),
        _text("last x before", 0.7, _LAST, _words("customer_text_before")),
        _text("earlier", 0.7, earlier, tf="binary"),
        _text("task x earlier", 0.7, _TASK, earlier, tf="binary"),
        _text("told", 0.5, _words("operator_text", 2)),
        _text("just written", 1.0, _words("operator_text", 2), when="just_written"),
        _text("written", 0.7, _words("own_text"), tf="binary"),
        _text("task x written", 0.7, _TASK, _words("own_text"), tf="binary"),
        _text("answer", 0.7, _words("api_text", 2), when="just_asked"),
    ]
    return {"name": "words", "op": "text_hash", "bits": 20, "min_count": 2, "sources": sources}


def _hidden(name: str, op: str, **keys: Any) -> Json:
    return {"name": name, "op": op, "output": False, **keys}


#: Contexts of which it was counted what operators did in them.
_HABITS: Final[Mapping[str, list[Any]]] = {
    "last": [_TASK, _LAST, _WAITING],
    "last_two": [_TASK, _LAST, _LAST_2, _WAITING],
    "last_three": [_LAST, _LAST_2, _LAST_3, _WAITING],
    "operator": [_OPERATOR],
    "operator_last": [_OPERATOR, _TASK, _LAST, _WAITING],
    "operator_last_two": [_OPERATOR, _LAST, _LAST_2, _WAITING],
    "operator_message": [_OPERATOR, _MESSAGE, _AGE, _WAITING],
    "message": [_MESSAGE, {"input": "task.api_age", "edges": [0, 1, 2, 3]}, _LAST, _WAITING, _TASK],
    "mentioned": [_TASK, _LAST, _MENTIONED, _WAITING],
    "acts": [_TASK, _LAST, {"input": "task.history", "kind": "set"}],
    "steps": [_LAST, "task.api_steps_left", {"input": "task.api_steps", "edges": [1]}, _WAITING],
    "queries": [
        _TASK,
        _LAST,
        _WAITING,
        {"input": "task.queried", "last": 1, "missing": ""},
        {"input": "task.queried", "last": 2, "missing": ""},
    ],
    "phrase": [_LAST, {"input": "task.customer_text", "kind": "phrase", "head": 7, "symbols": "?!"}],
}
#: The same, where only what was done matters and not how often the context was seen.
_FINER_HABITS: Final[Mapping[str, list[Any]]] = {
    "now": [_TASK, _LAST, _MENTIONED_NOW, _WAITING],
    "slots": [_TASK, _MENTIONED, {"input": "task.task_queries", "edges": [1, 2]}, _LAST],
    "since_query": [_TASK, {"input": "task.since_query", "kind": "set"}, _WAITING],
    "answer": [_LAST, _AGE, {"input": "task.api_text", "kind": "phrase", "head": 8}],
    "told": [_LAST, {"input": "task.operator_text", "kind": "phrase", "head": 6, "symbols": "?!"}, _WAITING],
    "first_words": [_TASK, _LAST, {"input": "task.customer_text", "kind": "phrase", "head": 3, "symbols": "?!"}],
    "message_now": [_MESSAGE, {"input": "task.api_age", "edges": [0, 1, 2, 3]}, _LAST, _MENTIONED_NOW],
}
_FEWEST: Final = 2


def _habits() -> list[Json]:
    columns: list[Json] = []
    for name, context in (*_HABITS.items(), *_FINER_HABITS.items()):
        shared = {"op": "transition", "context": context, "smoothing": 2, "min_count": _FEWEST}
        columns.append({"name": f"habit.{name}", **shared, "value": "probability"})
        if name in _HABITS:
            columns.append({"name": f"habit.{name}.seen", **shared, "value": "count"})
    return columns


def _chart(name: str, *parts: Any) -> Json:
    """Whether a flow chart prescribes the action after one of these steps."""
    steps = {"tokens": list(parts), "separator": "/"}
    return {"name": f"chart.{name}", "op": "overlap", "a": steps, "b": "action.predecessors", "measure": "any"}


def _overlap(name: str, a: Any, b: Any, measure: str) -> Json:
    return {"name": name, "op": "overlap", "a": a, "b": b, "measure": measure}


def _pair_columns() -> list[Json]:
    customer, template = _words("customer_text"), {"input": "action.template", "kind": "words"}
    return [
        {"name": "times", "op": "count_in_history", "history": "task.history"},
        {"name": "recency", "op": "recency_in_history", "history": "task.history", "missing": 99},
        _chart("next", _TASK, _LAST),
        _chart("next_recent", "task.tasks", {"input": "task.history", "kind": "items", "tail": 3}),
        _chart("next_any", "task.tasks", "task.history"),
        {"name": "in_task", "op": "contains", "list": "action.tasks", "item": _TASK},
        _overlap("tasks_shared", "task.tasks", "action.tasks", "of_a"),
        _overlap("customer_template", customer, template, "jaccard"),
        _overlap("customer_in_template", customer, template, "of_a"),
        _overlap("template_in_customer", customer, template, "of_b"),
        _overlap("told_template", _words("operator_text"), template, "jaccard"),
    ]


def _numbers() -> list[Json]:
    fields = "turn customer_messages api_age api_steps api_steps_left overrides override_age queries api_repeated api_found"
    columns: list[Json] = [{"name": name, "op": "number", "input": f"task.{name}"} for name in fields.split()]
    for name, tokens in (("tasks", "task.tasks"), ("mentioned", "task.mentioned"), ("words", _words("customer_text"))):
        columns.append({"name": f"{name}.count", "op": "count", "tokens": tokens})
    return columns


def features() -> Json:
    """features.json, not fitted: two sparse blocks for the linear models, dense columns for the trees."""
    api_age = {"input": "task.api_age"}
    transforms: list[Json] = [
        _hidden("asked", "between", **api_age, min=0),
        _hidden("just_asked", "between", **api_age, min=0, max=0),
        _hidden("just_written", "between", input="task.override_age", min=0, max=0),
        _hidden("steps_ahead", "difference", a="task.api_steps", b="task.api_age"),
        _hidden("question_asked", "count", tokens={"input": "task.api_answer", "kind": "words"}),
        _overlap("answered", {"input": "task.api_answer", "kind": "words"}, _words("customer_text"), "of_a"),
        _context_block(),
        _words_block(),
        *_habits(),
        *_pair_columns(),
        *_numbers(),
        {"name": "answer.seconds", "op": "age", "input": "task.api_at"},
        {"name": "answer.staleness", "op": "staleness", "input": "task.api_text"},
        {"name": "answer.stale", "op": "stale", "input": "task.api_text"},
        {"name": "kind", "op": "dictionary", "input": "action.kind"},
        {"name": "action", "op": "dictionary", "input": "action.id"},
        {"name": "tasks_of_action", "op": "count", "tokens": "action.tasks"},
    ]
    return {"version": 1, "transforms": transforms}
