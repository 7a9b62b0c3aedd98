"""Raters: how far people agree, what their labels can prove, and which items to look at again.

Votes are a table of items by raters, None or NaN where a rater gave none; or, where it is not known whose they are, counts of
items by labels (``counts=``).

A perfect model does not agree with labels that carry mistakes: ``noise_ceiling`` says what it would measure. A certificate needs
true labels, which ``two_phase_bound`` gets by adjudicating a part; a posterior of ``DawidSkene`` ranks what to adjudicate, and is
no truth.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._describe import Described
from opspilot.errors import CalibrationError, UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Level = Literal["nominal", "ordinal", "interval"]
#: Rows of items, one label per rater.
Votes: TypeAlias = Sequence[Sequence[Hashable]] | npt.NDArray[Any]

__all__ = [
    "Agreement",
    "DawidSkene",
    "NoiseCeiling",
    "TwoPhaseBound",
    "adjudication_queue",
    "cohen_kappa",
    "counts_of",
    "fleiss_kappa",
    "krippendorff_alpha",
    "noise_ceiling",
    "strict_and_lenient",
    "two_phase_bound",
]


def counts_of(votes: Votes, labels: Sequence[Hashable] | None = None) -> tuple[list[Hashable], Ints]:
    """Labels, in order of their values, and how many votes each item has for each."""
    rows = [[vote for vote in row if not _is_missing(vote)] for row in votes]
    found = set().union(*rows) if rows else set()
    names = list(labels) if labels is not None else _ordered(found)
    number = {name: i for i, name in enumerate(names)}
    if unknown := found - number.keys():
        raise _refused("usage.label", f"a vote for {sorted(map(str, unknown))[0]!r}", "labels", "name all labels that occur")
    out = np.zeros((len(rows), len(names)), np.int64)
    for i, row in enumerate(rows):
        for vote in row:
            out[i, number[vote]] += 1
    return names, out


def cohen_kappa(
    first: Sequence[Hashable], second: Sequence[Hashable], *, weights: Literal["linear", "quadratic"] | None = None
) -> float:
    """Agreement of two raters beyond chance (Cohen 1960, 1968). Items that one of them did not rate are left out. Weighted by the
    distance of labels in their order. NaN when both give one label only."""
    if len(first) != len(second):
        raise _refused("usage.length", f"{len(first)} and {len(second)} votes", "second", "give one vote of each per item")
    if weights not in (None, "linear", "quadratic"):
        raise _refused("usage.option", f"{weights!r} is not known", "weights", "one of: None, linear, quadratic")
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if not _is_missing(a) and not _is_missing(b)]
    names = _ordered({vote for pair in pairs for vote in pair})
    number = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    for a, b in pairs:
        table[number[a], number[b]] += 1
    place = np.arange(len(names))
    distance = np.abs(place[:, None] - place[None, :]).astype(np.float64)
    cost = {None: (distance > 0).astype(np.float64), "linear": distance, "quadratic": distance**2}[weights]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(1, len(pairs))
    by_chance = float((cost * expected).sum())
    return 1.0 - float((cost * table).sum()) / by_chance if by_chance > 0 else math.nan


def fleiss_kappa(votes: Votes | None = None, *, counts: npt.ArrayLike | None = None) -> float:
    """Agreement of several raters beyond chance (Fleiss 1971). Every item needs equally many votes, two or more: where some are
    missing use ``krippendorff_alpha``. NaN when only one label occurs."""
    table = _table(votes, counts)
    each = table.sum(axis=1)
    if len(table) == 0 or each.min() != each.max() or each[0] < 2:
        raise _refused(
            "usage.votes",
            "items with unequally many votes, or fewer than two",
            "votes",
            "use krippendorff_alpha, or leave items out",
        )
    n = float(each[0])
    observed = float(((table * table).sum(axis=1) - n).sum()) / (len(table) * n * (n - 1))
    by_chance = float(np.square(table.sum(axis=0) / table.sum()).sum())
    return (observed - by_chance) / (1.0 - by_chance) if by_chance < 1 else math.nan


def krippendorff_alpha(
    votes: Votes | None = None,
    *,
    counts: npt.ArrayLike | None = None,
    level: Level = "nominal",
    values: Sequence[float] | None = None,
) -> float:
    """Agreement beyond chance for any number of raters and missing votes (Krippendorff 2004): 1 = full, 0 = as by chance.

    ``level``: "nominal", "ordinal" (labels in order) or "interval" (their values, which with ``counts`` are ``values``). Items
    with fewer than two votes are left out. NaN when only one label occurs.
    """
    if level not in ("nominal", "ordinal", "interval"):
        raise _refused("usage.option", f"{level!r} is not known", "level", "one of: nominal, ordinal, interval")
    names: Sequence[Any] = values if values is not None else ()
    if votes is not None and counts is None:
        names, table = counts_of(votes)
    else:
        table = _table(votes, counts)
    table = table[table.sum(axis=1) >= 2].astype(np.float64)
    m = table.sum(axis=1)
    together = (table / (m - 1)[:, None]).T @ table - np.diag((table / (m - 1)[:, None]).sum(axis=0))
    each = together.sum(axis=1)
    distance = _distance(level, each, names)
    expected = float((np.outer(each, each) * distance).sum())
    if expected <= 0:
        return math.nan
    return 1.0 - (float(each.sum()) - 1.0) * float((together * distance).sum()) / expected


def _distance(level: Level, each: Floats, names: Sequence[Any]) -> Floats:
    """Squared differences of labels."""
    size = len(each)
    if level == "nominal":
        return 1.0 - np.eye(size)
    if level == "interval":
        if len(names) != size:
            raise _refused("usage.length", f"{len(names)} values for {size} labels", "values", "give the value of every label")
        try:
            place = np.asarray(names, np.float64)
        except (TypeError, ValueError):
            place = np.array([math.nan])
        if not np.isfinite(place).all():
            raise _refused("usage.level", "labels that are no finite numbers", "values", "give values, or level='nominal'")
        return (place[:, None] - place[None, :]) ** 2
    below = np.concatenate([[0.0], np.cumsum(each)])
    middle = below[:-1] + each / 2  # labels in between, and half of each end
    return (middle[:, None] - middle[None, :]) ** 2


@dataclass(frozen=True, repr=False)
class NoiseCeiling(Described):
    """What labels with mistakes let a perfect model measure, if mistakes are independent, equally frequent and symmetric."""

    disagreement: float
    """Probability that two votes on an item differ."""
    noise: float
    """Probability that one vote is wrong: 7.6 % where 14 % differ, of two labels."""
    noise_lower: float
    noise_upper: float
    """One-sided bounds, from one pair of votes of every item."""
    accuracy: float
    """What a perfect model measures against single votes."""
    majority: float
    """What it measures against the majority of three."""
    best: float
    """What the best possible answers to these very items would score against their single votes; too high for new items."""
    recall: Mapping[Hashable, float]
    """What a perfect model measures as recall of each label against single votes."""
    labels: int
    items: int

    def check(self, max_risk: float) -> None:
        """Raises ``CalibrationError`` calibration.noise_floor for a risk that cannot be certified on single votes."""
        if max_risk <= self.noise_lower:
            raise CalibrationError(
                f"a risk of {max_risk:g} on labels of which at least {self.noise_lower:.3g} are wrong",
                code="calibration.noise_floor",
                where="max_risk",
                hint="adjudicate the apparent errors (two_phase_bound), or let three people label each item",
            )

    def _description(self) -> dict[str, Any]:
        return {"kind": "noise ceiling", **{key: getattr(self, key) for key in self.__dataclass_fields__ if key != "recall"}}


def noise_ceiling(
    votes: Votes | None = None,
    *,
    counts: npt.ArrayLike | None = None,
    labels: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> NoiseCeiling:
    """The noise of single votes from how often two on one item differ. Items with one vote are left out.

    With K labels a wrong vote is any of the others equally likely: d = 1 - (1 - e)² - e² / (K - 1); for two labels
    e = (1 - sqrt(1 - 2 d)) / 2. The bounds use one pair of every item, drawn by ``seed``, since pairs of one item are not
    independent. Raises ``UsageError`` when no item has two votes.
    """
    _check_confidence(confidence)
    if votes is not None and counts is None:
        names, table = counts_of(votes, labels)
    else:
        table = _table(votes, counts)
        names = list(labels) if labels is not None else list(range(table.shape[1]))
    table = table[table.sum(axis=1) >= 2]
    if not len(table) or table.shape[1] < 2:
        raise _refused("usage.votes", "no item with two votes, or one label only", "votes", "let two people label some items")
    n = table.sum(axis=1)
    agree = (table * (table - 1)).sum(axis=1) / (n * (n - 1))
    d = float(1.0 - agree.mean())
    pair = _random_pairs_differ(table, np.random.default_rng(seed))
    lower, upper = _core.binomial_bounds([int(pair.sum())], [len(pair)], 1.0 - confidence)
    size = table.shape[1]
    noise = _noise_of(d, size)
    prevalence = (table / n[:, None]).mean(axis=0)
    true = np.clip((prevalence - noise / (size - 1)) / (1.0 - noise * size / (size - 1)), 0.0, 1.0)
    hit = true * (1.0 - noise)
    seen = hit + (1.0 - true) * noise / (size - 1)
    recall = {name: float(h / s) if s > 0 else math.nan for name, h, s in zip(names, hit, seen, strict=True)}
    return NoiseCeiling(
        d,
        noise,
        _noise_of(float(lower[0]), size),
        _noise_of(float(upper[0]), size),
        1.0 - noise,
        1.0 - _majority_of_three(noise, size),
        float((table.max(axis=1) / n).mean()),
        recall,
        size,
        len(table),
    )


def _noise_of(d: float, labels: int) -> float:
    """The smaller root of d = 1 - (1 - e)² - e² / (K - 1); beyond what noise can explain, pure chance."""
    a = labels / (labels - 1)
    return (1.0 - math.sqrt(max(0.0, 1.0 - a * d))) / a


def _majority_of_three(e: float, labels: int) -> float:
    """Two or three votes for one wrong label; three different votes are settled by lot."""
    other = e / (labels - 1)
    wrong = (labels - 1) * (3 * other * other * (1 - other) + other**3)
    right = (1 - e) ** 3 + 3 * (1 - e) ** 2 * e
    split = max(0.0, 1.0 - wrong - right)
    with_right = 3 * (1 - e) * e * e * (labels - 2) / (labels - 1)  # all three differ and one is right
    return wrong + split - min(split, with_right) / 3


def _random_pairs_differ(table: Ints, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Of every item whether two of its votes, drawn without replacement, differ."""
    n = table.sum(axis=1)
    ends = np.cumsum(table, axis=1)
    first = (ends > rng.integers(0, n)[:, None]).argmax(axis=1)
    left = table.copy()
    left[np.arange(len(left)), first] -= 1
    second = (np.cumsum(left, axis=1) > rng.integers(0, n - 1)[:, None]).argmax(axis=1)
    made: npt.NDArray[np.bool_] = first != second
    return made


@dataclass(frozen=True)
class TwoPhaseBound(Described):
    """An upper bound of the true risk, whatever the noise of the first labels."""

    risk_upper: float
    apparent_part: float
    """Bound of: labelled as an error, and one."""
    rest_part: float
    """Bound of: not labelled as an error, and one."""
    confidence: float

    def _description(self) -> dict[str, Any]:
        return {"kind": "two-phase bound", **{key: getattr(self, key) for key in self.__dataclass_fields__}}


def two_phase_bound(
    n: int,
    apparent: int,
    *,
    adjudicated: int,
    confirmed: int,
    rest_adjudicated: int,
    rest_found: int,
    confidence: float = 0.95,
) -> TwoPhaseBound:
    """The risk of ``n`` automated items, labelled once, of which ``apparent`` look wrong, after an adjudicator, who is right, saw
    ``adjudicated`` of these (all, or a random part), confirming ``confirmed``, and a random ``rest_adjudicated`` of the others,
    finding ``rest_found``.

    R <= a_U q_U + (1 - a_L) h_U by Clopper-Pearson at a quarter of the failure probability each; with all apparent errors
    adjudicated, the confirmed are a count among n, and a third each. Raises ``UsageError`` for counts that cannot be.
    """
    parts = [(apparent, n), (adjudicated, apparent), (confirmed, adjudicated), (rest_adjudicated, n - apparent)]
    for part, whole in [*parts, (rest_found, rest_adjudicated)]:
        if not 0 <= part <= whole:
            raise _refused("usage.counts", f"{part} of {whole}", "counts", "every part is from 0 to its whole")
    _check_confidence(confidence)
    every = adjudicated == apparent
    delta = (1.0 - confidence) / (3 if every else 4)
    lower, upper = _core.binomial_bounds(
        [apparent, confirmed if every else apparent, confirmed, rest_found], [n, n, adjudicated, rest_adjudicated], delta
    )
    first = float(upper[1]) if every else float(upper[1] * upper[2])
    rest = min(1.0, 1.0 - float(lower[0])) * float(upper[3])
    return TwoPhaseBound(min(1.0, first + rest), first, rest, confidence)


class DawidSkene(Described):
    """The labels behind votes by EM: every rater has a confusion matrix (Dawid, Skene 1979).

    ``smoothing`` is added to every count of a confusion matrix, so that no rater is certain of anything.
    """

    def __init__(self, *, smoothing: float = 0.01, iterations: int = 1000, tolerance: float = 1e-8) -> None:
        for name, given, least in (("smoothing", smoothing, 0), ("iterations", iterations, 1), ("tolerance", tolerance, 0)):
            if not least <= given < math.inf:
                raise _refused("usage.option", f"{name} of {given}", name, f"{least} or more")
        self.smoothing, self.iterations, self.tolerance = smoothing, iterations, tolerance
        self.labels_: list[Hashable] = []
        self.items_: list[Hashable] = []
        self.raters_: list[Hashable] = []
        self.posterior_: Floats = np.empty((0, 0))
        """By item and label."""
        self.prior_: Floats = np.empty(0)
        self.confusion_: Floats = np.empty((0, 0, 0))
        """By rater, true label, vote."""
        self.log_likelihood_ = math.nan
        self.rounds_ = 0

    def fit(self, item: Sequence[Hashable], rater: Sequence[Hashable], label: Sequence[Hashable]) -> Self:
        """One row per vote."""
        if not len(item) == len(rater) == len(label):
            raise _refused("usage.length", f"{len(item)}, {len(rater)}, {len(label)} votes", "label", "give one row per vote")
        if not len(item):
            raise _refused("usage.votes", "no votes", "item", "give one row per vote")
        row = next((i for i, vote in enumerate(label) if _is_missing(vote)), None)
        if row is not None:
            raise _refused("usage.votes", "a row without a vote", f"label row {row}", "leave rows without a vote out")
        self.items_, items = _numbered(item, list(dict.fromkeys(item)))
        self.raters_, raters = _numbered(rater, list(dict.fromkeys(rater)))
        self.labels_, votes = _numbered(label, _ordered(set(label)))
        self._run(items, raters, votes)
        return self

    def fit_counts(self, counts: npt.ArrayLike) -> Self:
        """Counts of items by labels, when it is not known whose votes they are: all of one confusion matrix."""
        table = _table(None, counts)
        rows, columns = np.nonzero(table)
        times = table[rows, columns]
        self.items_, self.raters_, self.labels_ = list(range(len(table))), ["anybody"], list(range(table.shape[1]))
        self._run(np.repeat(rows, times), np.zeros(int(times.sum()), np.int64), np.repeat(columns, times))
        return self

    def _run(self, item: Ints, rater: Ints, vote: Ints) -> None:
        items, raters, labels = len(self.items_), len(self.raters_), len(self.labels_)
        posterior = np.bincount(item * labels + vote, minlength=items * labels).reshape(items, labels).astype(np.float64)
        posterior /= np.maximum(1.0, posterior.sum(axis=1, keepdims=True))
        told = rater * labels + vote
        before = -math.inf
        for round_ in range(1, self.iterations + 1):
            self.rounds_ = round_
            self.prior_ = posterior.mean(axis=0)
            confusion = np.full((raters, labels, labels), self.smoothing)
            for j in range(labels):
                confusion[:, j, :] += np.bincount(told, posterior[item, j], raters * labels).reshape(raters, labels)
            whole = confusion.sum(axis=2, keepdims=True)
            self.confusion_ = np.divide(confusion, whole, out=np.zeros_like(confusion), where=whole > 0)
            with np.errstate(divide="ignore"):
                logs, log_prior = np.log(self.confusion_), np.log(self.prior_)
            joint = np.stack([log_prior[j] + np.bincount(item, logs[rater, j, vote], items) for j in range(labels)], axis=1)
            top = joint.max(axis=1, keepdims=True)
            weights = np.exp(joint - top)
            mass = weights.sum(axis=1, keepdims=True)
            posterior = weights / mass
            self.log_likelihood_ = float((top + np.log(mass)).sum())
            if abs(self.log_likelihood_ - before) <= self.tolerance * abs(self.log_likelihood_):
                break
            before = self.log_likelihood_
        self.posterior_ = posterior

    def queue(self, most: int | None = None) -> list[tuple[Hashable, float]]:
        """Items with their uncertainty, the least certain first: what to adjudicate."""
        return [(self.items_[i], u) for i, u in adjudication_queue(self.posterior_, most)]

    def _description(self) -> dict[str, Any]:
        return {
            "kind": "dawid-skene",
            "items": len(self.items_),
            "raters": len(self.raters_),
            "labels": [str(name) for name in self.labels_],
            "rounds": self.rounds_,
            "log_likelihood": self.log_likelihood_,
        }


def adjudication_queue(posterior: npt.ArrayLike, most: int | None = None) -> list[tuple[int, float]]:
    """(row, uncertainty) with the least certain first: 1 less the probability of the likeliest label, then the entropy."""
    p = np.asarray(posterior, np.float64)
    if p.ndim != 2 or p.shape[1] < 1 or np.any(~((p >= 0) & (p <= 1))):
        raise _refused("usage.shape", f"probabilities of shape {p.shape}", "posterior", "give items by labels")
    doubt = 1.0 - p.max(axis=1)
    entropy = -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0), axis=1)
    order = np.lexsort((np.arange(len(p)), -entropy, -doubt))[:most]
    return [(int(i), float(doubt[i])) for i in order]


@dataclass(frozen=True, repr=False)
class Agreement(Described):
    """How often answers are right, read strictly and leniently, with Clopper-Pearson intervals."""

    strict: float
    """Equal to the majority; an item without one counts against."""
    strict_interval: tuple[float, float]
    lenient: float
    """Equal to any vote."""
    lenient_interval: tuple[float, float]
    expected: float
    """Against one vote drawn at random."""
    items: int
    without_majority: int
    recall: Mapping[Hashable, Mapping[str, float]]
    """By label: strict (of items whose majority it is) and lenient (of items with a vote for it)."""

    def _description(self) -> dict[str, Any]:
        return {"kind": "agreement", **{k: getattr(self, k) for k in self.__dataclass_fields__ if k != "recall"}}


def strict_and_lenient(
    answer: Sequence[Hashable],
    votes: Votes | None = None,
    *,
    counts: npt.ArrayLike | None = None,
    labels: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
) -> Agreement:
    """Judges answers by votes. Items without a vote are left out. With ``counts``, ``labels`` names the columns (0, 1 …)."""
    _check_confidence(confidence)
    if votes is not None and counts is None:
        names, table = counts_of(votes, labels)
    else:
        table = _table(votes, counts)
        names = list(labels) if labels is not None else list(range(table.shape[1]))
    if len(answer) != len(table) or len(names) != table.shape[1]:
        raise _refused(
            "usage.length", f"{len(answer)} answers for {len(table)} items", "answer", "give one per item, a name per label"
        )
    number = {name: i for i, name in enumerate(names)}
    given = np.array([number.get(a, -1) for a in answer], np.int64)
    there = table.sum(axis=1) > 0
    given, table = given[there], table[there]
    n = len(table)
    if n == 0:
        raise _refused("usage.votes", "no item has a vote", "votes", "give votes")
    most = table.max(axis=1)
    clear = (table == most[:, None]).sum(axis=1) == 1
    majority = np.where(clear, table.argmax(axis=1), -2)
    mine = np.where(given >= 0, table[np.arange(n), np.maximum(given, 0)], 0)
    strict, lenient = given == majority, mine > 0
    lower, upper = _core.binomial_bounds([int(strict.sum()), int(lenient.sum())], [n, n], (1.0 - confidence) / 2)
    recall = {}
    for j, name in enumerate(names):
        of, any_vote = majority == j, table[:, j] > 0
        recall[name] = {
            "strict": float((given[of] == j).mean()) if of.any() else math.nan,
            "lenient": float((given[any_vote] == j).mean()) if any_vote.any() else math.nan,
        }
    return Agreement(
        float(strict.mean()),
        (float(lower[0]), float(upper[0])),
        float(lenient.mean()),
        (float(lower[1]), float(upper[1])),
        float((mine / table.sum(axis=1)).mean()),
        n,
        int((~clear).sum()),
        recall,
    )


def _table(votes: Votes | None, counts: npt.ArrayLike | None) -> Ints:
    if (votes is None) == (counts is None):
        raise _refused("usage.votes", "votes and counts, or neither", "votes", "give one of the two")
    if votes is not None:
        return counts_of(votes)[1]
    try:
        given = np.asarray(counts)
    except ValueError:
        raise _refused("usage.counts", "rows of unequal lengths", "counts", "give whole numbers, items by labels") from None
    if given.ndim != 2 or (
        given.size
        and (given.dtype.kind not in "iuf" or not np.all((given >= 0) & (given < 2**53)) or np.any(given != np.floor(given)))
    ):
        raise _refused("usage.counts", f"counts of shape {given.shape}", "counts", "give whole numbers, items by labels")
    return given.astype(np.int64)


def _numbered(values: Sequence[Hashable], names: list[Hashable]) -> tuple[list[Hashable], Ints]:
    number = {name: i for i, name in enumerate(names)}
    return names, np.array([number[value] for value in values], np.int64)


def _ordered(labels: set[Hashable]) -> list[Hashable]:
    """By value where labels have an order, else as texts."""
    try:
        return sorted(labels)  # type: ignore[type-var]
    except TypeError:
        return sorted(labels, key=str)


def _is_missing(vote: object) -> bool:
    return vote is None or (isinstance(vote, (float, np.floating)) and math.isnan(vote))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise _refused("usage.confidence", f"a confidence of {confidence}", "confidence", "0.95, not 95")


def _refused(code: str, message: str, where: str, hint: str) -> UsageError:
    return UsageError(message, code=code, where=where, hint=hint)
