"""Judging: ranking metrics over tasks, and those of every stage of a bundle on tasks whose right action is known.

A task has candidates, each with a score and a relevance (0 = not relevant, more = better). ``hit@k`` is 1 when one of the first
k is relevant, ``recall@k`` the share of the relevant ones among the first k, MRR the mean of 1 / rank of the first relevant one,
MAP the mean average precision, NDCG@k the discounted gain by that of the best order. Tasks without a relevant candidate have
none of these: they are left out of the means, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._arrays import offsets_of
from opspilot._describe import Described
from opspilot.deciding import Bundle, Engine
from opspilot.errors import UsageError

Floats = npt.NDArray[np.float64]
Gain = Literal["exponential", "linear"]
Ties = Literal["expected", "position"]
Unscored = Literal["last", "absent"]

CUTOFFS: Final = (1, 3, 10)


@dataclass(frozen=True, repr=False)
class RankingMetrics(Described):
    """Means over the tasks that count; ``hit``, ``recall`` and ``ndcg`` by cut-off. NaN when no task counts."""

    tasks: int
    left_out: int
    mrr: float
    map: float
    scored: float
    """Share of the relevant candidates that have a score: the recall of whoever chose what to score."""
    hit: Mapping[int, float]
    recall: Mapping[int, float]
    ndcg: Mapping[int, float]
    per_task: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    """By name ("mrr", "ndcg@10" …) one value per task, NaN where it is left out; empty unless asked for."""

    def row(self) -> dict[str, Any]:
        """All figures by name, None for those that do not exist."""
        by_cutoff = (("hit", self.hit), ("recall", self.recall), ("ndcg", self.ndcg))
        values = {"mrr": self.mrr, "map": self.map, "scored": self.scored}
        values |= {f"{name}@{k}": value for name, values in by_cutoff for k, value in values.items()}
        return {"tasks": self.tasks, **{name: None if np.isnan(value) else value for name, value in values.items()}}

    def _description(self) -> dict[str, Any]:
        return {"kind": "ranking metrics", "left_out": self.left_out, **self.row()}


def ranking_metrics(
    score: npt.ArrayLike,
    relevance: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    k: int | Iterable[int] = CUTOFFS,
    task_index: npt.ArrayLike | None = None,
    gain: Gain = "exponential",
    ties: Ties = "expected",
    unscored: Unscored = "last",
    per_task: bool = False,
) -> RankingMetrics:
    """The metrics of scores in columns, a row per candidate, tasks one after the other.

    ``groups``: rows per task; or ``task_index``: the ascending number of each row's task; neither: all rows are one task.
    ``gain``: what a relevance is worth in NDCG, 2^relevance - 1 or the relevance itself.
    ``ties``: "expected" averages over all orders of equal scores (McSherry, Najork 2008), so that rows may stand in any order;
    "position" puts the earlier row first, as the engine does. ``unscored``: candidates whose score is NaN come "last", after
    all others, or are "absent": never found, though they count among the relevant ones.
    Raises ``UsageError`` with the row for unequal lengths, groups that do not fit, NaN or negative relevance, and k below 1.
    """
    scores, relevances = _column(score, "score"), _column(relevance, "relevance")
    cutoffs = _cutoffs(k)
    options = (_chosen(gain, Gain, "gain") == "linear", _chosen(ties, Ties, "ties") == "position")
    offsets = _offsets(groups, task_index, len(scores))
    made = _core.ranking_metrics(
        scores, relevances, offsets, cutoffs, *options, _chosen(unscored, Unscored, "unscored") == "absent", per_task
    )
    names = ["mrr", "map", "scored"] + [f"{name}@{at}" for at in cutoffs for name in ("hit", "recall", "ndcg")]
    means = dict(zip(names, made["means"].tolist(), strict=True))
    each = {} if made["each"] is None else dict(zip(names, made["each"].reshape(-1, len(names)).T, strict=True))
    hit, recall, ndcg = ({at: means[f"{name}@{at}"] for at in cutoffs} for name in ("hit", "recall", "ndcg"))
    return RankingMetrics(made["tasks"], made["left_out"], means["mrr"], means["map"], means["scored"], hit, recall, ndcg, each)


def ndcg(
    score: npt.ArrayLike,
    relevance: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    k: int | None = None,
    gain: Gain = "exponential",
    ties: Ties = "expected",
) -> float:
    """Mean NDCG@k over tasks; k left out: of all candidates. Arguments as for ``ranking_metrics``."""
    at = _EVERY if k is None else k
    return ranking_metrics(score, relevance, groups, k=at, gain=gain, ties=ties).ndcg[at]


def mrr(score: npt.ArrayLike, relevance: npt.ArrayLike, groups: npt.ArrayLike | None = None, *, ties: Ties = "expected") -> float:
    """Mean reciprocal rank of the first relevant candidate. Arguments as for ``ranking_metrics``."""
    return ranking_metrics(score, relevance, groups, k=(), ties=ties).mrr


def recall_at(
    score: npt.ArrayLike, relevance: npt.ArrayLike, groups: npt.ArrayLike | None = None, *, k: int, ties: Ties = "expected"
) -> float:
    """Mean share of the relevant candidates among the first k. Arguments as for ``ranking_metrics``."""
    return ranking_metrics(score, relevance, groups, k=k, ties=ties).recall[k]


@dataclass(frozen=True, repr=False)
class StageScores(Described):
    """What every stage of a bundle made of the candidates of many tasks; a row per candidate, tasks one after the other.

    Rows of task t: ``offsets[t]`` to ``offsets[t + 1]``, in the order in which its candidates came.
    """

    offsets: npt.NDArray[np.int64]
    action: npt.NDArray[np.int64]
    """Of each row, as an index into ``actions``."""
    actions: Sequence[str]
    stages: Mapping[str, Floats]
    """Scores by stage; NaN where the stage gave none."""
    place: npt.NDArray[np.int64]
    """Of each row, in the decision: 0 = best, after the policies' boosts; forbidden ones last."""
    allowed: npt.NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[StageScores]) -> StageScores:
        """Those of one bundle, made in several calls."""
        if not parts:
            return cls(np.zeros(1, np.int64), np.empty(0, np.int64), (), {}, np.empty(0, np.int64), np.empty(0, np.bool_))
        if any(part.stages.keys() != parts[0].stages.keys() for part in parts):
            raise UsageError("scores of different stages", code="usage.stages", where="parts", hint="join those of one bundle")
        names = {name: i for i, name in enumerate(dict.fromkeys(name for part in parts for name in part.actions))}
        codes = [np.array([names[name] for name in part.actions], np.int64)[part.action] for part in parts]
        starts = np.cumsum([0, *(part.offsets[-1] for part in parts[:-1])])
        tails = [part.offsets[1:] + start for part, start in zip(parts, starts, strict=True)]
        return cls(
            np.concatenate([np.zeros(1, np.int64), *tails]),
            np.concatenate(codes),
            list(names),
            {name: np.concatenate([part.stages[name] for part in parts]) for name in parts[0].stages},
            np.concatenate([part.place for part in parts]),
            np.concatenate([part.allowed for part in parts]),
        )

    def metrics(self, chosen: Sequence[str | None], *, k: int | Iterable[int] = CUTOFFS, ties: Ties = "expected") -> StageMetrics:
        """Judges them by what was right: the action of each task, None where none of the catalogue was."""
        tasks = len(self.offsets) - 1
        if len(chosen) != tasks:
            raise UsageError(
                f"{len(chosen)} chosen actions for {tasks} tasks",
                code="usage.length",
                where="chosen",
                hint="give one action id per task, None where the right one is none of them",
            )
        cutoffs = _cutoffs(k)
        codes = {name: code for code, name in enumerate(self.actions)}
        wanted = np.array([codes.get(name, -1) if name is not None else -1 for name in chosen], np.int64)
        sizes = np.diff(self.offsets)
        relevance = (np.repeat(wanted, sizes) == self.action).astype(np.float64)
        place = self.place.astype(np.float64)
        came = np.arange(len(place)) - np.repeat(self.offsets[:-1], sizes)

        def judged(name: str, score: Floats, unscored: Unscored = "last") -> dict[str, Any]:
            made = ranking_metrics(score, relevance, sizes, k=cutoffs, ties=ties, unscored=unscored)
            return {"stage": name, **made.row()}

        with_choice = sum(name is not None for name in chosen)
        offered = int(relevance.sum())
        generation = {
            "tasks": with_choice,
            "offered": offered,
            "recall": offered / with_choice if with_choice else None,
            "candidates": float(sizes.mean()) if tasks else None,
        }
        return StageMetrics(
            tasks,
            generation,
            judged("as offered", -came.astype(np.float64)),
            [judged(name, score) for name, score in self.stages.items()],
            judged("final order", np.where(self.allowed, -place, np.nan), "absent"),
        )

    def _description(self) -> dict[str, Any]:
        return {
            "kind": "stage scores",
            "tasks": len(self.offsets) - 1,
            "candidates": len(self.action),
            "stages": list(self.stages),
        }


@dataclass(frozen=True, repr=False)
class StageMetrics(Described):
    """How well each stage of a bundle ranks by itself, and what the decision made of it.

    ``generation`` is measured alone: of the tasks for which an action of the catalogue was right, the share whose candidates
    hold it (``recall``). All other figures are means over these tasks; multiplied with this recall they hold from end to end.
    """

    tasks: int
    """All of them, with those for which no action was right."""
    generation: Mapping[str, Any]
    as_offered: Mapping[str, Any]
    """The order in which candidates came: the host's list, or the catalogue's order. What ranking starts from."""
    stages: Sequence[Mapping[str, Any]]
    """By stage, each measured alone: "stage", "tasks", "mrr", "map", "hit@k", "recall@k", "ndcg@k", and "scored", the share of
    the right candidates to which it gave a score at all (a cascade's dear stages score few)."""
    final: Mapping[str, Any]
    """The decision's order, after policies: a forbidden candidate is never found."""

    def rows(self) -> list[Mapping[str, Any]]:
        """From first to last: as offered, the stages, the final order."""
        return [self.as_offered, *self.stages, self.final]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "tasks": self.tasks,
            "generation": dict(self.generation),
            "as_offered": dict(self.as_offered),
            "stages": [dict(row) for row in self.stages],
            "final": dict(self.final),
        }

    def _description(self) -> dict[str, Any]:
        return {
            "kind": "stage metrics",
            "tasks": self.tasks,
            "generation": dict(self.generation),
            "order": [dict(row) for row in self.rows()],
        }


def stage_scores(bundle: Bundle | Engine, tasks: object, candidates: object = None, *, now: object) -> StageScores:
    """Decides tasks as ``Engine.decide_batch`` does, with its arguments, and keeps what every stage made of every candidate.

    For judging: the rollout stage and kill switches do not apply, and nothing is recorded or counted.
    """
    core = _core.Engine(bundle._core) if isinstance(bundle, Bundle) else bundle._core
    made = core.stage_scores(tasks, candidates, now)
    names = core.bundle.stage_names
    scores = made["scores"] or [np.empty(0)] * len(names)
    return StageScores(
        made["offsets"],
        made["action"],
        made["actions"],
        dict(zip(names, scores, strict=True)),
        made["place"],
        made["allowed"].astype(np.bool_),
    )


def stage_metrics(
    bundle: Bundle | Engine,
    tasks: object,
    chosen: Sequence[str | None],
    candidates: object = None,
    *,
    now: object,
    k: int | Iterable[int] = CUTOFFS,
    ties: Ties = "expected",
) -> StageMetrics:
    """How well each stage of a bundle, and its final order, rank the right action of tasks for which it is known.

    ``chosen``: per task the id of the right action; None where none of the catalogue was (an override): such tasks are in no
    figure. ``tasks``, ``candidates`` and ``now`` as for ``Engine.decide_batch``; ``k`` and ``ties`` as for ``ranking_metrics``.
    With one right action per task recall@k and hit@k are the same figure.
    """
    return stage_scores(bundle, tasks, candidates, now=now).metrics(chosen, k=k, ties=ties)


_EVERY: Final = 2**62


def _column(values: npt.ArrayLike, what: str) -> Floats:
    array = np.asarray(values)
    if array.ndim != 1 or (array.dtype.kind not in "fiub" and array.size):
        raise UsageError(
            f"an array of shape {array.shape} and type {array.dtype}",
            code="usage.shape",
            where=what,
            hint="give one number per candidate, shape (n,)",
        )
    return np.ascontiguousarray(array, np.float64)


def _cutoffs(k: int | Iterable[int]) -> list[int]:
    given = [k] if isinstance(k, (int, np.integer)) else list(k)
    for value in given:
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise UsageError(
                f"a cut-off of {value!r} candidates", code="usage.cutoffs", where="k", hint="give integers from 1 on"
            )
    return sorted({int(value) for value in given})


def _chosen(value: str, kind: Any, where: str) -> str:
    known: tuple[str, ...] = kind.__args__
    if value not in known:
        raise UsageError(f"{value!r} is not known", code="usage.option", where=where, hint=f"one of: {', '.join(known)}")
    return value


def _offsets(groups: npt.ArrayLike | None, task_index: npt.ArrayLike | None, rows: int) -> npt.NDArray[np.int64]:
    if groups is not None and task_index is not None:
        raise UsageError("groups and task_index", code="usage.groups", where="task_index", hint="give one of the two")
    if groups is not None:
        return offsets_of(groups, None)
    if task_index is None:
        return np.array([0, rows], np.int64)
    index = np.asarray(task_index)
    if index.ndim != 1 or len(index) != rows or (index.size and index.dtype.kind not in "iu"):
        raise UsageError(
            f"an index of shape {index.shape} and type {index.dtype} for {rows} rows",
            code="usage.groups",
            where="task_index",
            hint="give one whole number per row",
        )
    falls = np.flatnonzero(index[1:] < index[:-1])
    if falls.size:
        at = int(falls[0]) + 1
        raise UsageError(
            f"task {index[at]} after task {index[at - 1]}",
            code="usage.groups",
            where=f"task_index row {at}",
            hint="sort the rows by task",
        )
    return np.concatenate([[0], np.flatnonzero(index[1:] != index[:-1]) + 1, [rows]] if rows else [[0]]).astype(np.int64)
