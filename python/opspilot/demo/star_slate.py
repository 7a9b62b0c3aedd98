"""The slate job: which of the suggestions on his screen the operator picks, given what he typed to get them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from opspilot.demo import star_bundle, star_documents, star_models, star_splits
from opspilot.demo.star_bundle import Confidence
from opspilot.demo.star_catalogue import describe_action
from opspilot.demo.star_certify import Cases, Certified, certify_and_build
from opspilot.demo.star_data import NOW, Decision, Record
from opspilot.demo.star_decide import decide_all
from opspilot.demo.star_splits import CALIBRATE, CERTIFY, TEST, TRAIN, StarLog
from opspilot.demo.star_train import Clock
from opspilot.features import Features, TrainingSet

Json = dict[str, Any]

_FOLDS: Final = 3
_TREES: Final[Mapping[str, Any]] = {"num_leaves": 15, "learning_rate": 0.06, "feature_fraction": 0.6, "rounds": 150}
_LINEAR: Final[Mapping[str, Any]] = {"l2": 4.0, "max_entries": 500_000}
#: Where in the logged list a suggestion stands; the run without them shows what the list's order is worth.
_POSITIONS: Final = ("position", "position.last")
_LAST: Final = "task.previous_action"
_TASK: Final = "task.current_task"
_OPERATOR: Final = "task.operator"


def run(log: StarLog, clock: Clock) -> Json:
    """Trains with and without the logged position; what each picks on test."""
    train, test = slate_cases(log.part(TRAIN)), slate_cases(log.part(TEST))
    actions = _actions(log)
    with clock.phase("slate") as done:
        parts, features, fitted = _linear(train, actions)
        done(0.4)
        top1 = {}
        for name, left_out in (("top1", ()), ("top1_without_position", _POSITIONS)):
            job = _job(log, parts | {"rank/trees.txt": fitted(left_out)}, features)
            top1[name] = right_share(job, test)
            done(0.7 if not left_out else 1.0)
    first = np.mean([d.label.rank == 0 for d in test.decisions])
    return {"n": len(test.decisions), **top1, "logged_order": float(first), "goal": {"top1": 0.92}}


def right_share(job: Certified, cases: Cases) -> float:
    """Share of the picks that the bundle puts first."""
    return float(decide_all(job.bundle, cases.decisions, cases.candidates).right.mean())


def slate_cases(decisions: Sequence[Decision]) -> Cases:
    """Picks that were not overrides, with what was typed and shown; a suggestion shown twice is one candidate."""
    picks = [d for d in decisions if d.label.kind == "pick" and not d.label.override]
    tasks = [Decision(slate_task(d), d.label) for d in picks]
    return Cases(tasks, [slate_candidates(d.label.options) for d in picks])


def slate_task(decision: Decision) -> Record:
    """The record of the moment, and what the operator did with it so far: he typed, and was shown a slate."""
    return {**decision.task, "typed_text": decision.label.typed_text, "offered": sorted(set(decision.label.options))}


def slate_candidates(options: Sequence[str]) -> list[Record]:
    """The distinct suggestions in logged order, with their first and last place in it."""
    last = {option: len(options) - 1 - i for i, option in enumerate(options)}
    return [{"id": option, "position": options.index(option), "from_end": last[option]} for option in dict.fromkeys(options)]


def _actions(log: StarLog) -> list[Record]:
    """Everything that the flow charts can say, and whatever else was suggested in train."""
    known = {action for chart in log.tasks.values() for action in chart["replies"]}
    known |= {option for d in log.part(TRAIN) for option in d.label.options}
    actions = []
    for action in sorted(known):
        listed = [task for task, chart in log.tasks.items() if action in chart["replies"]]
        actions.append(describe_action(action, log.tasks, sorted(listed)))
    return actions


def schema() -> Json:
    """The next-action schema and what a slate adds to it."""
    document = star_documents.schema()
    document["task"] += [
        {"name": "typed_text", "type": "string", "pii": "personal", "description": "what the operator typed"},
        {"name": "offered", "type": "list<string>", "description": "the suggestions shown, sorted"},
    ]
    document["candidate"] = [
        {"name": "position", "type": "int", "description": "first place in the logged list, 0 = top"},
        {"name": "from_end", "type": "int", "description": "last place in it, counted from the end"},
    ]
    return document


def features() -> Json:
    """Declared transforms: one sparse block for the classifier, dense columns for the trees."""
    return {"version": 1, "transforms": [_block(), *_rates(), *_columns()]}


def _typed(most: int = 1, least: int = 1, **keys: Any) -> Json:
    return {"input": "task.typed_text", "kind": "words", "ngrams": [least, most], "symbols": "?!", **keys}


def _block() -> Json:
    customer = {"input": "task.customer_messages", "edges": [1, 2]}
    message = ["task.api_message", {"input": "task.api_age", "edges": [0, 1, 2, 3]}]
    plain = [
        [_TASK],
        [_LAST],
        [_TASK, _LAST],
        [_OPERATOR],
        [_LAST, customer],
        message,
        [{"input": "task.offered", "kind": "set"}],
        [_LAST, "task.previous_action_2"],
        ["task.offered"],
        ["task.history"],
        [{"input": "task.typed_text", "kind": "phrase", "head": 12}],
        [_OPERATOR, {"input": "task.typed_text", "kind": "phrase", "head": 1}],
    ]
    sources: list[Json] = [{"name": f"value {i}", "tokens": tokens, "tf": "binary"} for i, tokens in enumerate(plain)]
    for name, weight, tokens in (
        ("typed", 2.0, [_typed(2)]),
        ("typed three", 1.0, [_typed(3, 3)]),
        ("characters", 2.0, [{"input": "task.typed_text", "kind": "chars", "ngrams": [3, 5], "head": 40, "symbols": "?!"}]),
        ("task x typed", 1.5, [_TASK, _typed(2)]),
        ("last x typed", 1.0, [_LAST, _typed()]),
        ("customer", 0.5, [{"input": "task.customer_text", "kind": "words", "ngrams": [1, 2], "symbols": "?!"}]),
        ("first words", 0.7, [{"input": "task.typed_text", "kind": "phrase", "head": 2}]),
        ("operator x typed", 0.7, [_OPERATOR, _typed()]),
    ):
        sources.append({"name": name, "tokens": tokens, "weight": weight, "tf": "log", "idf": True, "norm": "l2"})
    return {"name": "typed", "op": "text_hash", "bits": 18, "min_count": 2, "sources": sources}


def _rates() -> list[Json]:
    """How often a suggestion was picked where it was shown."""
    offered = {"input": "task.offered", "kind": "set"}
    columns: list[Json] = []
    for name, key in (
        ("action", ["action.id"]),
        ("slate", [offered, "action.id"]),
        ("operator", [_OPERATOR, "action.id"]),
        ("last", [_LAST, {"input": "task.customer_messages", "edges": [1]}, "action.id"]),
    ):
        columns.append({"name": f"picked.{name}", "op": "target_statistics", "key": key, "smoothing": 1.5, "min_count": 2})
    columns.append({**columns[1], "name": "picked.slate.rows", "value": "count"})
    return columns


def _columns() -> list[Json]:
    template = {"input": "action.template", "kind": "words", "symbols": "?!"}
    typed_chars = {"input": "task.typed_text", "kind": "chars", "ngrams": [3, 4], "head": 60}
    template_chars = {"input": "action.template", "kind": "chars", "ngrams": [3, 4]}
    name_words = {"input": "action.words", "kind": "words"}
    overlaps = (
        ("typed_template", _typed(), template, "jaccard"),
        ("typed_in_template", _typed(), template, "of_a"),
        ("template_in_typed", _typed(), template, "of_b"),
        ("typed_template.characters", typed_chars, template_chars, "jaccard"),
        ("typed_in_template.characters", typed_chars, template_chars, "of_a"),
        ("typed_name", _typed(), name_words, "jaccard"),
        ("typed_told", _typed(), {"input": "task.operator_text", "kind": "words", "symbols": "?!"}, "of_a"),
    )
    return [
        *({"name": name, "op": "overlap", "a": a, "b": b, "measure": how} for name, a, b, how in overlaps),
        {"name": "typed.count", "op": "count", "tokens": _typed()},
        {"name": "template.count", "op": "count", "tokens": template},
        {"name": "offered.count", "op": "count", "tokens": "task.offered"},
        {"name": "repeats", "op": "equal", "a": _LAST, "b": "action.id"},
        {"name": "times", "op": "count_in_history", "history": "task.history"},
        {"name": "customer_messages", "op": "number", "input": "task.customer_messages"},
        {"name": "turn", "op": "number", "input": "task.turn"},
        {"name": "position", "op": "number", "input": "candidate.position"},
        {"name": "position.last", "op": "number", "input": "candidate.from_end"},
    ]


def _linear(train: Cases, actions: Sequence[Record]) -> tuple[dict[str, bytes], Features, Any]:
    """Features and classifier; what trains the trees without some columns."""
    data = TrainingSet(schema(), actions)
    data.add_tasks([d.task for d in train.decisions], NOW)
    given = train.candidates or ()
    data.set_candidates([{"task_index": i, **candidate} for i, own in enumerate(given) for candidate in own])
    chosen = data.set_chosen([d.label.action for d in train.decisions])
    folds = star_splits.folds(train.decisions, _FOLDS)
    data.set_folds(folds)
    choices = star_models.choices_of(data, chosen)
    fitted = Features.fit(features(), data)
    x = fitted.transform(data, out_of_fold=True, threads=star_models.THREADS)
    model, scores = star_models.fit_classifier(
        fitted, x, choices, data.action_ids, folds, name="slate", override=False, **_LINEAR
    )
    staged = star_models.stage_columns(scores, choices)

    def trees(left_out: Sequence[str]) -> bytes:
        kept = [j for j, name in enumerate(fitted.columns) if name not in left_out]
        names = [fitted.columns[j] for j in kept]
        return star_models.fit_trees(names, x.dense[:, kept], staged, choices, (), **_TREES)

    documents = {
        "bundle.json": {"name": "star-slate", "version": "1", "description": "Which suggestion of a slate is picked."},
        "schema.json": schema(),
        "catalogue.json": list(actions),
        "rank/stages.json": star_bundle.stages(("slate", "trees")),
        "rollout.json": {"stage": "shadow"},
    }
    parts = {name: star_bundle.document(content) for name, content in documents.items()}
    return parts | {"features.json": fitted.document, "rank/slate.model": model}, fitted, trees


def _job(log: StarLog, parts: dict[str, bytes], fitted: Features) -> Certified:
    model = star_bundle.model_fingerprint(fitted, parts)
    calibrate, certify = slate_cases(log.part(CALIBRATE)), slate_cases(log.part(CERTIFY))
    raw = Confidence(None, None, model, (log.first_us, log.last_us), abstain_below=0.0)
    return certify_and_build(parts, raw, calibrate, certify)
