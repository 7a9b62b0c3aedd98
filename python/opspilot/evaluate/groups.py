"""Groups: how decisions come out for the clients, languages or channels they are about.

>>> report = op.evaluate.groups.report(language, automated=automated, wrong=wrong)
>>> report.rates["selective_risk"]["de"].upper, report.worst("recall")

Rates by group with exact intervals, small cells suppressed; differences; shrinkage before groups are ranked; and alarms on a
stream. A raw gap may be another mix of cases: compare within intents, or give such a column as the group.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._describe import Described
from opspilot.errors import UsageError
from opspilot.evaluate._suppress import kinds_of, visible

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

__all__ = [
    "MIN_COUNT",
    "Difference",
    "GapAlarm",
    "GroupAlarms",
    "GroupReport",
    "Rate",
    "Shrunk",
    "difference",
    "report",
    "shrink",
]

#: Cells of fewer items are not shown.
MIN_COUNT: Final = 30
#: Metrics of which less is worse; of the others more is.
_MORE_IS_BETTER: Final = frozenset({"automation_rate", "recall", "right_rate"})
_UNKNOWN: Final = "(not known)"


@dataclass(frozen=True)
class Rate:
    """``events`` among ``n`` with the Clopper-Pearson interval of the report's confidence; all None where it is suppressed."""

    events: int | None
    n: int | None
    value: float | None
    """None without items too."""
    lower: float | None
    upper: float | None

    @property
    def suppressed(self) -> bool:
        return self.n is None

    def to_dict(self) -> dict[str, Any]:
        return {"events": self.events, "n": self.n, "value": self.value, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True)
class Difference:
    """Of two rates, with Newcombe's interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Shrunk:
    """Rates pulled towards what all groups have in common, by how little each is known (logistic-normal, empirical Bayes)."""

    rates: Floats
    common: float
    spread: float
    """Standard deviation of the groups on the logit scale."""


@dataclass(frozen=True, repr=False)
class GroupReport(Described):
    """Rates by metric and group. ``overall`` has all items together; ``groups`` are in order of size, the largest first."""

    groups: Sequence[Hashable]
    rates: Mapping[str, Mapping[Hashable, Rate]]
    overall: Mapping[str, Rate]
    confidence: float
    min_count: int
    given: Sequence[str] = ()
    """What the comparison is made within, as it was stated."""
    mean_probability: Mapping[Hashable, float | None] = field(default_factory=dict)
    """Believed probability of being right, where ``right_rate`` is shown: what calibration by group is read from."""

    @property
    def suppressed(self) -> list[tuple[str, Hashable]]:
        """(metric, group) of every cell that is not shown."""
        return [(metric, g) for metric, row in self.rates.items() for g, rate in row.items() if rate.suppressed]

    def difference(self, metric: str, first: Hashable, second: Hashable | None = None) -> Difference | None:
        """Rate of ``first`` less that of ``second``, or of everybody else. None where one of them is suppressed or empty."""
        row = _row(self.rates, metric)
        one = _cell(row, first)
        other = _cell(row, second) if second is not None else self._rest(metric, first)
        if not one.n or not other.n or one.events is None or other.events is None:
            return None
        return difference(one.events, one.n, other.events, other.n, confidence=self.confidence)

    def _rest(self, metric: str, group: Hashable) -> Rate:
        all_, one = self.overall[metric], _cell(_row(self.rates, metric), group)
        if all_.n is None or one.n is None or all_.events is None or one.events is None:
            return Rate(None, None, None, None, None)
        return Rate(all_.events - one.events, all_.n - one.n, None, None, None)

    def shrunk(self, metric: str) -> dict[Hashable, float]:
        """Shrunk rates of the groups that are shown, the worst first. Without it the smallest groups lead every ranking."""
        known = [(g, rate) for g, rate in _row(self.rates, metric).items() if rate.n]
        made = shrink([rate.events or 0 for _, rate in known], [rate.n or 0 for _, rate in known])
        sign = 1 if metric in _MORE_IS_BETTER else -1
        pairs = [(g, float(value)) for (g, _), value in zip(known, made.rates, strict=True)]
        return dict(sorted(pairs, key=lambda pair: sign * pair[1]))

    def worst(self, metric: str) -> Hashable | None:
        """The group with the worst shrunk rate; None when none is shown."""
        return next(iter(self.shrunk(metric)), None)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values; groups as texts."""
        return {
            "groups": [str(g) for g in self.groups],
            "confidence": self.confidence,
            "min_count": self.min_count,
            "given": list(self.given),
            "overall": {metric: rate.to_dict() for metric, rate in self.overall.items()},
            "rates": {m: {str(g): rate.to_dict() for g, rate in row.items()} for m, row in self.rates.items()},
            "mean_probability": {str(g): p for g, p in self.mean_probability.items()},
        }

    def _description(self) -> dict[str, Any]:
        rows = []
        for g in [None, *self.groups]:
            row: dict[str, Any] = {"group": "(all)" if g is None else str(g)}
            for metric in self.rates:
                rate = self.overall[metric] if g is None else self.rates[metric][g]
                row[metric] = _text(rate)
            rows.append(row)
        return {
            "kind": "group report",
            "confidence": self.confidence,
            "min_count": self.min_count,
            "given": list(self.given),
            "table": rows,
        }


def report(
    group: Sequence[Hashable | None],
    *,
    automated: npt.ArrayLike,
    wrong: npt.ArrayLike | None = None,
    needed: npt.ArrayLike | None = None,
    slow: npt.ArrayLike | None = None,
    probability: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    min_count: int = MIN_COUNT,
    given: Sequence[str] = (),
) -> GroupReport:
    """Rates by group, one item per decision.

    ``automated``: done without a person. ``wrong``: the action was wrong, NaN where that is not known. ``needed``: a person was
    needed, which is otherwise taken to be ``wrong``. ``slow``: it took too long, NaN where not known. ``probability``: believed
    probability of being right. A group of None is shown as "(not known)". ``given``: what the comparison is made within.

    Metrics: ``automation_rate`` of all items; of those that are known, ``selective_risk`` (wrong, of the automated), ``recall``
    (left to a person, of those that needed one), ``false_negative_rate`` (automated, of the same), ``false_positive_rate`` (left
    to a person, of those that needed none), ``slow_rate``, and with probabilities ``right_rate``.

    Cells of fewer than ``min_count`` items are suppressed, and then as many others as it takes that nobody can subtract them
    out, with the totals of ``overall`` at hand.
    """
    names, codes = _codes(group)
    counted = _Counted(codes, len(names), automated, wrong, needed, slow, probability is not None)
    _check(confidence, min_count)
    metrics = counted.metrics()
    events = np.stack([counted.count(e) for e, _ in metrics.values()], axis=1)
    n = np.stack([counted.count(of) for _, of in metrics.values()], axis=1)
    order = sorted(range(len(names)), key=lambda i: (-int(n[i, 0]), str(names[i])))
    shown = _visible(list(metrics), n, counted.kinds(), min_count)
    shown_total = n.sum(axis=0) >= min_count
    delta = (1.0 - confidence) / 2
    lower, upper = (b.reshape(n.shape) for b in _core.binomial_bounds(events.ravel(), n.ravel(), delta))
    all_lower, all_upper = _core.binomial_bounds(events.sum(axis=0), n.sum(axis=0), delta)

    def rate(e: int, of: int, low: float, high: float, show: bool) -> Rate:
        if not show:
            return Rate(None, None, None, None, None)
        return Rate(e, of, e / of if of else None, float(low) if of else None, float(high) if of else None)

    rates = {
        metric: {names[g]: rate(int(events[g, m]), int(n[g, m]), lower[g, m], upper[g, m], bool(shown[g, m])) for g in order}
        for m, metric in enumerate(metrics)
    }
    overall = {
        metric: rate(
            int(events[:, m].sum()), int(n[:, m].sum()), all_lower[m], all_upper[m], bool(shown_total[m]) or not n[:, m].any()
        )
        for m, metric in enumerate(metrics)
    }
    means: dict[Hashable, float | None] = {}
    if probability is not None:
        believed = _probabilities(probability, len(codes))
        sums = np.bincount(codes, np.where(counted.known, believed, 0.0), len(names))
        base = n[:, list(metrics).index("right_rate")]
        for g in order:
            there = not rates["right_rate"][names[g]].suppressed and base[g] > 0
            means[names[g]] = float(sums[g] / base[g]) if there else None
    return GroupReport([names[g] for g in order], rates, overall, confidence, min_count, tuple(given), means)


def _visible(metrics: Sequence[str], n: Ints, kinds: Floats, min_count: int) -> Flags:
    """Recall and false negatives are one cell seen from two sides: both are shown or neither."""
    twin, other = metrics.index("false_negative_rate"), metrics.index("recall")
    kept = [m for m in range(len(metrics)) if m != twin]
    out = np.zeros(n.shape, np.bool_)
    out[:, kept] = visible(n[:, kept], kinds[kept], min_count)
    out[:, twin] = out[:, other]
    return out


class _Counted:
    """Flags of items, and what each metric counts of them."""

    def __init__(
        self,
        codes: Ints,
        groups: int,
        automated: npt.ArrayLike,
        wrong: npt.ArrayLike | None,
        needed: npt.ArrayLike | None,
        slow: npt.ArrayLike | None,
        with_right: bool,
    ) -> None:
        n = len(codes)
        self.codes, self.groups, self.with_right = codes, groups, with_right
        self.automated = _flags(automated, "automated", n, known=True) == 1
        unknown = np.full(n, np.nan)
        self.wrong = _flags(wrong, "wrong", n) if wrong is not None else unknown
        self.own_needed = needed is not None
        self.needed = _flags(needed, "needed", n) if needed is not None else self.wrong
        self.slow = _flags(slow, "slow", n) if slow is not None else None
        self.known = ~np.isnan(self.wrong)

    def metrics(self) -> dict[str, tuple[Flags, Flags]]:
        return _metrics(self.automated, self.wrong, self.needed, self.slow, self.with_right)

    def count(self, flags: Flags) -> Ints:
        return np.bincount(self.codes[flags], minlength=self.groups).astype(np.int64)

    def kinds(self) -> Floats:
        """What each metric counts of every kind of item that could exist."""
        states = (0.0, 1.0, math.nan)
        kinds = [
            (a, w, need, s)
            for a in (False, True)
            for w in states
            for need in (states if self.own_needed else (w,))
            for s in (states if self.slow is not None else (math.nan,))
        ]
        columns = [np.array(column) for column in zip(*kinds, strict=True)]
        slow = columns[3] if self.slow is not None else None
        return kinds_of(_metrics(columns[0].astype(bool), columns[1], columns[2], slow, self.with_right))


def _metrics(
    automated: Flags, wrong: Floats, needed: Floats, slow: Floats | None, with_right: bool
) -> dict[str, tuple[Flags, Flags]]:
    """Events and base of each metric, as flags of items."""
    known = ~np.isnan(wrong)
    made = {
        "automation_rate": (automated, np.ones(len(automated), np.bool_)),
        "selective_risk": (automated & (wrong == 1), automated & known),
        "recall": (~automated & (needed == 1), needed == 1),
        "false_negative_rate": (automated & (needed == 1), needed == 1),
        "false_positive_rate": (~automated & (needed == 0), needed == 0),
    }
    if slow is not None:
        made["slow_rate"] = (slow == 1, ~np.isnan(slow))
    if with_right:
        made["right_rate"] = (wrong == 0, known)
    return made


def difference(events: int, n: int, other_events: int, other_n: int, *, confidence: float = 0.95) -> Difference:
    """events / n less other_events / other_n, with Newcombe's hybrid of Wilson intervals (1998, method 10)."""
    for k, of in ((events, n), (other_events, other_n)):
        if not 0 <= k <= of or of == 0:
            raise UsageError(f"{k} events among {of}", code="usage.counts", where="events", hint="0 <= events <= n, and n > 0")
    _check(confidence, 1)
    return Difference(*_core.newcombe_difference(events, n, other_events, other_n, (1.0 - confidence) / 2))


def shrink(events: npt.ArrayLike, n: npt.ArrayLike) -> Shrunk:
    """Rates of many groups, shrunk towards the common one by as much as the data say they differ.

    logit p_k = common + u_k, u_k ~ N(0, spread²), spread by empirical Bayes (EM on the Laplace approximation). Without it the
    largest gap between many small groups is mostly noise, and the smallest groups lead every ranking.
    """
    k, of = np.asarray(events, np.float64), np.asarray(n, np.float64)
    if k.shape != of.shape or k.ndim != 1 or not np.all((k >= 0) & (k <= of) & (of < np.inf)):
        raise UsageError("events that are not counts among n", code="usage.counts", where="events", hint="0 <= events <= n")
    if not len(k) or of.sum() == 0:
        return Shrunk(np.full(len(k), np.nan), math.nan, 0.0)
    variance = 0.25
    for _ in range(500):
        common, u, v = _modes(k, of, variance)
        after = max(1e-6, float(np.mean(u * u + v)))
        done = abs(after - variance) <= 1e-8 * variance
        variance = after
        if done:
            break
    common, u, v = _modes(k, of, variance)
    rates = 1.0 / (1.0 + np.exp(-(common + u) / np.sqrt(1.0 + math.pi * v / 8.0)))
    return Shrunk(rates, 1.0 / (1.0 + math.exp(-common)), math.sqrt(variance))


def _modes(k: Floats, n: Floats, variance: float) -> tuple[float, Floats, Floats]:
    """Joint mode of the common logit and the deviations for a given variance, by damped Newton; and their variances."""
    # A prior of half an event keeps the common logit finite where every group has none.
    start = (k.sum() + 0.5) / (n.sum() + 1.0)
    common, u = math.log(start / (1.0 - start)), np.zeros(len(k))

    def loss(c: float, d: Floats) -> float:
        z = c + d
        prior = np.logaddexp(0.0, c) - 0.5 * c
        return float(np.sum(n * np.logaddexp(0.0, z) - k * z) + np.sum(d * d) / (2 * variance) + prior)

    best = loss(common, u)
    for _ in range(200):
        p = 1.0 / (1.0 + np.exp(-(common + u)))
        p0 = 1.0 / (1.0 + math.exp(-common))
        weight = n * p * (1.0 - p)
        gradient = n * p - k
        rest = gradient + u / variance
        curve = weight + 1.0 / variance
        # The deviations are eliminated: one equation for the common logit is left.
        pivot = float(np.sum(weight - weight * weight / curve)) + p0 * (1.0 - p0)
        step0 = -(float(np.sum(gradient - weight * rest / curve)) + p0 - 0.5) / pivot
        step = -(rest + weight * step0) / curve
        size = 1.0
        while (now := loss(common + size * step0, u + size * step)) > best and size > 1e-10:
            size /= 2
        common, u, best = common + size * step0, u + size * step, min(best, now)
        if size * max(abs(step0), float(np.abs(step).max())) < 1e-12:
            break
    p = 1.0 / (1.0 + np.exp(-(common + u)))
    return common, u, 1.0 / (n * p * (1.0 - p) + 1.0 / variance)


class GapAlarm(Described):
    """An alarm on the difference of two groups' means that may be read after every item.

    The probability that it is ever raised while the difference is within ``tolerance`` is at most ``alpha``, however often it
    is read (betting; Chugg et al. 2023). Values are in [0, 1]. Items are paired in order of arrival; the surplus of a group
    waits, up to ``queue`` items. ``GapAlarm.loads(alarm.dumps())`` goes on where it stopped.
    """

    def __init__(
        self, first: Hashable, second: Hashable, *, tolerance: float = 0.0, alpha: float = 0.05, queue: int = 4096
    ) -> None:
        if first == second:
            raise UsageError("a group beside itself", code="usage.groups", where="second", hint="give two names that differ")
        self.first, self.second = first, second
        self._core = _core.GapAlarm(tolerance, alpha, queue)
        self.alpha, self.tolerance = alpha, tolerance

    def add(self, group: Hashable | Sequence[Hashable], value: npt.ArrayLike) -> bool:
        """One item or several in order of arrival; items of other groups count for nothing. Whether the alarm is raised."""
        values = np.atleast_1d(np.asarray(value, np.float64))
        groups = [group] if np.ndim(value) == 0 else list(group)  # type: ignore[arg-type]
        if len(groups) != len(values):
            raise UsageError(f"{len(groups)} groups for {len(values)} values", code="usage.length", where="group")
        ours = np.array([g in (self.first, self.second) for g in groups], np.bool_)
        self._core.add(np.array([g == self.second for g in groups], np.bool_)[ours], values[ours])
        return self.raised

    @property
    def raised(self) -> bool:
        """Whether the evidence has ever reached 1 / alpha: an alarm is not taken back."""
        return self._core.raised

    @property
    def evidence(self) -> float:
        """The e-value now."""
        return math.exp(min(700.0, self._core.log_evidence))

    @property
    def log_evidence(self) -> float:
        return self._core.log_evidence

    @property
    def higher(self) -> Hashable | None:
        """Whose mean the evidence says is higher."""
        return {1: self.first, -1: self.second, 0: None}[self._core.direction]

    @property
    def pairs(self) -> int:
        return self._core.pairs

    def dumps(self) -> str:
        """The state as JSON; names of groups must be texts."""
        return json.dumps({"first": self.first, "second": self.second, "state": json.loads(self._core.to_json())})

    @classmethod
    def loads(cls, text: str) -> Self:
        try:
            about = json.loads(text)
            first, second, state = about["first"], about["second"], about["state"]
        except (ValueError, KeyError, TypeError) as problem:
            raise UsageError(
                f"no state of an alarm: {problem}", code="usage.gap_alarm", where="text", hint="give what dumps wrote"
            ) from None
        made = cls.__new__(cls)
        made.first, made.second = first, second
        made._core = _core.GapAlarm.parse(json.dumps(state))
        made.alpha, made.tolerance = state["alpha"], state["tolerance"]
        return made

    def _description(self) -> dict[str, Any]:
        return {
            "kind": "gap alarm",
            "first": str(self.first),
            "second": str(self.second),
            "raised": self.raised,
            "evidence": self.evidence,
            "pairs": self.pairs,
            "tolerance": self.tolerance,
            "alpha": self.alpha,
        }


class GroupAlarms:
    """Each of several groups against the rest, with the share of false alarms among those raised held at ``alpha`` (e-BH)."""

    def __init__(self, groups: Sequence[Hashable], *, tolerance: float = 0.0, alpha: float = 0.05, queue: int = 4096) -> None:
        if len(set(groups)) != len(groups) or len(groups) < 2:
            raise UsageError("groups that do not differ", code="usage.groups", where="groups", hint="give two or more names")
        self.alpha = alpha
        self._alarms = {g: _core.GapAlarm(tolerance, alpha, queue) for g in groups}

    def add(self, group: Sequence[Hashable], value: npt.ArrayLike) -> list[Hashable]:
        """Items in order of arrival; groups that were not named belong to everybody's rest. What ``raised`` says after them."""
        values = np.atleast_1d(np.asarray(value, np.float64))
        if len(group) != len(values):
            raise UsageError(f"{len(group)} groups for {len(values)} values", code="usage.length", where="group")
        for name, alarm in self._alarms.items():
            alarm.add(np.array([g != name for g in group], np.bool_), values)
        return self.raised

    @property
    def raised(self) -> list[Hashable]:
        """Groups that differ from the rest, by what is known now, the clearest first."""
        ordered = sorted(self._alarms, key=lambda g: -self._alarms[g].log_evidence)
        count = len(ordered)
        most = 0
        for k, g in enumerate(ordered, 1):
            if self._alarms[g].log_evidence >= math.log(count / (k * self.alpha)):
                most = k
        return ordered[:most]

    def __iter__(self) -> Iterator[tuple[Hashable, float]]:
        """(group, log evidence)."""
        return ((g, alarm.log_evidence) for g, alarm in self._alarms.items())


def _codes(group: Sequence[Hashable | None]) -> tuple[list[Hashable], Ints]:
    numbers: dict[Hashable, int] = {}
    codes = np.array([numbers.setdefault(_UNKNOWN if g is None else g, len(numbers)) for g in group], np.int64)
    return list(numbers), codes


def _floats(values: npt.ArrayLike, what: str, n: int) -> Floats:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise UsageError(
            "values that are no numbers", code="usage.flag", where=what, hint="0, 1, or NaN where not known"
        ) from None
    if array.shape != (n,):
        raise UsageError(f"{array.shape} values for {n} items", code="usage.length", where=what, hint="give one per item")
    return array


def _flags(values: npt.ArrayLike, what: str, n: int, known: bool = False) -> Floats:
    array = _floats(values, what, n)
    bad = np.flatnonzero(~((array == 0) | (array == 1) | (np.isnan(array) & (not known))))
    if len(bad):
        hint = "0 or 1" if known else "0, 1, or NaN where not known"
        raise UsageError(f"a flag of {array[bad[0]]}", code="usage.flag", where=f"{what} row {bad[0]}", hint=hint)
    return array


def _probabilities(values: npt.ArrayLike, n: int) -> Floats:
    array = _floats(values, "probability", n)
    bad = np.flatnonzero(~((array >= 0) & (array <= 1)))
    if len(bad):
        raise UsageError(
            f"a probability of {array[bad[0]]}", code="usage.probability", where=f"probability row {bad[0]}", hint="from 0 to 1"
        )
    return array


def _check(confidence: float, min_count: int) -> None:
    if not 0 < confidence < 1:
        raise UsageError(f"a confidence of {confidence}", code="usage.confidence", where="confidence", hint="0.95, not 95")
    if min_count < 1:
        raise UsageError(f"a minimum of {min_count} items", code="usage.min_count", where="min_count", hint="1 or more")


def _row(rates: Mapping[str, Mapping[Hashable, Rate]], metric: str) -> Mapping[Hashable, Rate]:
    if metric not in rates:
        raise UsageError(
            f"no metric is called '{metric}'", code="usage.metric", where="metric", hint=f"one of: {', '.join(rates)}"
        )
    return rates[metric]


def _cell(row: Mapping[Hashable, Rate], group: Hashable) -> Rate:
    if group not in row:
        known = ", ".join(str(g) for g in list(row)[:12])
        raise UsageError(f"no group is called '{group}'", code="usage.group", where="group", hint=f"one of: {known}")
    return row[group]


def _text(rate: Rate) -> str:
    if rate.suppressed:
        return "hidden"
    if rate.value is None or rate.lower is None or rate.upper is None:
        return "none"
    return f"{rate.value:.3f} [{rate.lower:.3f}, {rate.upper:.3f}] of {rate.n}"
