"""A simulated support operation with known truth: what was right, with which probability, before any operator erred.

    operation = SupportOperation(seed=1)
    for task in operation.tasks(1000):
        task.record      what is known when somebody has to act
        task.label       what the operator did, and what the log says
        task.truth       the hidden intent, and how probable every action is to be right

Customers of several clients open cases around the clock. A case goes through stages (identify, order, solve, close); at each
an operator acts, may err, may write a text of his own, and the log may note something else. What is right depends on the
client, the hidden intent and the facts of the case, and changes when a drift sets in. Everything follows from the seed, and
``tasks(n)`` begins with ``tasks(m)`` for m < n.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from opspilot.demo.simulate_world import (
    BY_STAGE,
    CLIENTS,
    DRIFT,
    HOURS,
    INTENTS,
    OPERATORS,
    VAGUE,
    Client,
    Drift,
    Facts,
    Intent,
    Operator,
)
from opspilot.demo.star_data import NOW, OVERRIDE, Decision, Label

__all__ = ["DAY", "Client", "Drift", "Intent", "Label", "Operator", "SimulatedTask", "SupportOperation", "Truth"]

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
_MOST_STEPS: Final = 10
_AGAIN: Final = ("that is not what i need", "no", "you did not answer")
_FILLERS: Final = ("please", "hello", "thanks", "as soon as possible", "this is urgent", "can you check", "again", "since monday")


@dataclass(frozen=True, slots=True)
class Truth:
    """What nobody in the operation sees. ``right`` sums to at most 1; what is missing needs a text of its own."""

    intent: str
    stage: str
    right: Mapping[str, float]

    def error_of(self, action: str) -> float:
        """The probability that the action is wrong here: no operator and no log stand between."""
        return 1.0 - self.right.get(action, 0.0)


@dataclass(frozen=True, slots=True)
class SimulatedTask:
    """One decision of the operation."""

    record: dict[str, Any]
    label: Label
    truth: Truth
    at: int
    """Microseconds since the operation began."""

    @property
    def decision(self) -> Decision:
        """Without the truth: what a log would hold."""
        return Decision(self.record, self.label)


@dataclass(slots=True)
class _Case:
    number: int
    draw: random.Random
    client: Client
    intent: Intent
    operator: Operator
    facts: Facts
    opening: str
    text: str
    channel: str
    opened: int
    waiting: int
    done: list[str] = field(default_factory=list)


class SupportOperation:
    """Clients, operators and a clock. ``drift`` None: the world stays as it is. ``label_noise``: share of wrong log entries."""

    def __init__(
        self,
        seed: int = 1,
        clients: Sequence[Client] = CLIENTS,
        operators: Sequence[Operator] = OPERATORS,
        intents: Sequence[Intent] = INTENTS,
        *,
        label_noise: float = 0.005,
        drift: Drift | None = DRIFT,
        hours: Sequence[float] = HOURS,
    ) -> None:
        self.seed = seed
        self.clients = tuple(clients)
        self.operators = tuple(operators)
        self.intents = tuple(intents)
        self.label_noise = label_noise
        self.drift = drift
        self.hours = tuple(hours)

    @property
    def drift_at(self) -> int | None:
        """When the drift sets in, microseconds since the operation began."""
        return None if self.drift is None else round(self.drift.day * DAY)

    def tasks(self, n: int) -> Iterator[SimulatedTask]:
        """The first n decisions, in the order in which they come up."""
        arrivals = self._arrivals()
        coming = next(arrivals)
        pending: list[tuple[int, int, _Case]] = []
        for _ in range(n):
            while not pending or coming.opened <= pending[0][0]:
                heapq.heappush(pending, (coming.opened + _wait(coming.draw), coming.number, coming))
                coming = next(arrivals)
            at, number, case = heapq.heappop(pending)
            task, act = self._decide(case, at)
            yield task
            if self._act(case, act, task.truth):
                case.waiting = at + _wait(case.draw)
                heapq.heappush(pending, (case.waiting + _wait(case.draw), number, case))

    def _arrivals(self) -> Iterator[_Case]:
        """Cases by a Poisson process whose rate follows the hour of the day (thinning)."""
        draw = random.Random(f"{self.seed}/arrivals")
        volumes = [client.volume for client in self.clients]
        highest = sum(volumes) * max(self.hours) / DAY
        at, number = 0.0, 0
        while True:
            at += draw.expovariate(highest)
            if draw.random() * max(self.hours) > self.hours[int(at % DAY // HOUR)]:
                continue
            yield self._case(number, int(at), draw.choices(self.clients, volumes)[0])
            number += 1

    def _case(self, number: int, at: int, client: Client) -> _Case:
        draw = random.Random(f"{self.seed}/case/{number}")
        intent = draw.choices(self.intents, [client.mix.get(intent.name, 1.0) * intent.weight for intent in self.intents])[0]
        hour = at % DAY // HOUR
        working = [operator for operator in self.operators if operator.works_at(hour)] or list(self.operators)
        amount, days = min(2000.0, round(draw.lognormvariate(4.0, 0.9), 2)), min(120, int(draw.expovariate(1 / 22)))
        facts = Facts(
            client.plan, client.generous, amount, days, flagged=draw.random() < (0.85 if intent.name == "fraud" else 0.01)
        )
        opening = self._opening(intent, draw)
        channel = draw.choice(("mail", "chat", "form"))
        return _Case(number, draw, client, intent, draw.choice(working), facts, opening, opening, channel, at, at)

    def _opening(self, intent: Intent, draw: random.Random) -> str:
        """What the customer writes first: mostly to the point, now and then vague, or about two matters at once."""
        parts = [draw.choice(VAGUE if draw.random() < 0.08 else intent.phrases)]
        if draw.random() < 0.07:
            parts.append(draw.choice(draw.choice(self.intents).phrases))
        parts += draw.sample(_FILLERS, draw.randint(0, 2))
        draw.shuffle(parts)
        return " ".join(parts)

    def _decide(self, case: _Case, at: int) -> tuple[SimulatedTask, str]:
        """The task as it is now, and what the operator really does."""
        draw, operator = case.draw, case.operator
        stage = case.facts.stage(case.intent.needs)
        right = dict(self._right(case, stage, at))
        act = _chosen(right, draw)
        if draw.random() < operator.error_rate:
            act = draw.choice([other for other in BY_STAGE[stage] if other != act] or [act])
        if draw.random() < operator.override_rate:
            act = OVERRIDE
        logged = draw.choice(BY_STAGE[draw.choice(list(BY_STAGE))]) if draw.random() < self.label_noise else act
        record = self._record(case, at)
        override, options = logged == OVERRIDE, self._slate(logged, stage, draw)
        rank = options.index(logged) if options else -1
        kind = "utter" if override else "pick"
        label = Label(case.number, len(case.done), "simulated", kind, logged, override, options, rank, "")
        return SimulatedTask(record, label, Truth(case.intent.name, stage, right), at), act

    def _right(self, case: _Case, stage: str, at: int) -> Mapping[str, float]:
        if stage == "identify":
            return {"ask_identity": 0.994, "ask_order": 0.004}
        if stage == "order":
            return {"ask_order": 0.99, "ask_details": 0.006}
        if stage == "close":
            return {"close_case": 0.9, "ask_satisfied": 0.09}
        solve: Callable[[Facts], Mapping[str, float]] = case.intent.solve
        if self.drift is not None and self.drift.intent == case.intent.name and at >= self.drift.day * DAY:
            solve = self.drift.solve
        return solve(case.facts)

    def _slate(self, logged: str, stage: str, draw: random.Random) -> tuple[str, ...]:
        """Three suggestions of a plain search; when the operator took one of the catalogue, it is among them."""
        if logged == OVERRIDE:
            return ()
        pool = [other for other in (*BY_STAGE[stage], *BY_STAGE["solve"]) if other != logged]
        options = list(dict.fromkeys(draw.sample(pool, len(pool))))[:2]
        options.insert(0 if draw.random() < 0.66 else draw.randint(1, 2), logged)
        return tuple(options)

    def _record(self, case: _Case, at: int) -> dict[str, Any]:
        facts, past = case.facts, ["<start>", "<start>", *case.done]
        return {
            "id": f"{case.number}:{len(case.done)}",
            "client": case.client.name,
            "plan": facts.plan,
            "operator": case.operator.name,
            "channel": case.channel,
            "hour": at % DAY // HOUR,
            "step": len(case.done),
            "text": case.text,
            "opening": case.opening,
            "amount": facts.amount,
            "days": facts.days,
            "flagged": facts.flagged,
            "verified": facts.verified,
            "order_known": facts.order_known,
            "solved": facts.solved,
            "repeats": facts.repeats,
            "previous_action": past[-1],
            "previous_action_2": past[-2],
            "history": list(case.done),
            "waiting_since": NOW - (at - case.waiting),
        }

    def _act(self, case: _Case, act: str, truth: Truth) -> bool:
        """What the act leads to; False when the case is over."""
        draw, facts = case.draw, case.facts
        case.done.append(act if act != OVERRIDE else "own_text")
        if act == "close_case" or len(case.done) >= _MOST_STEPS:
            return False
        helped = act == OVERRIDE and draw.random() < 0.7
        if act == "ask_identity" or (helped and truth.stage == "identify"):
            facts.verified = facts.verified or draw.random() < 0.93
            case.text = f"my customer number is {draw.randint(10_000, 99_999)}"
        elif act == "ask_order" or (helped and truth.stage == "order"):
            facts.order_known = facts.order_known or draw.random() < 0.93
            case.text = f"it is order {draw.randint(100_000, 999_999)}"
        elif truth.stage == "solve" and (helped or truth.right.get(act, 0.0) > 0.04):
            facts.solved = True
            case.text = draw.choice(("thank you that helps", "ok thanks", "great", "fine with me", "thanks a lot"))
        elif truth.stage == "close":
            case.text = draw.choice(("yes all good", "nothing else", "that is all", "thanks bye"))
        else:
            facts.repeats += 1
            case.text = (
                f"{draw.choice(('that is not what i need', 'no', 'you did not answer'))} {draw.choice(case.intent.phrases)}"
            )
        return True


def _wait(draw: random.Random) -> int:
    """Between a message and its answer, either way."""
    return round(draw.lognormvariate(5.5, 0.9) * SECOND)


def _chosen(right: Mapping[str, float], draw: random.Random) -> str:
    """One of the actions by its probability; what is missing to 1 is an own text."""
    point = draw.random()
    for action, probability in right.items():
        point -= probability
        if point < 0:
            return action
    return OVERRIDE
