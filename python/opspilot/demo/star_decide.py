"""Deciding the log again, in batches, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from opspilot.deciding import Bundle, Engine
from opspilot.demo.judging import Decided
from opspilot.demo.star_data import NOW, Decision, Record

_BATCH: Final = 4096


def decide_all(bundle: Bundle, decisions: Sequence[Decision], candidates: Sequence[Sequence[Record]] | None = None) -> Decided:
    """Decides with a draft whose line is 0: there ``auto_execute`` is what policies leave open.

    ``candidates`` of each decision, where the host brings them; otherwise they are generated.
    """
    engine = Engine(bundle)
    action: list[str] = []
    proposed: list[str] = []
    probability: list[float] = []
    for first in range(0, len(decisions), _BATCH):
        tasks, offered = [d.task for d in decisions[first : first + _BATCH]], None
        if candidates is not None:
            given = enumerate(candidates[first : first + _BATCH])
            offered = [{"task_index": i, **candidate} for i, own in given for candidate in own]
        answers = engine.decide_batch(tasks, offered, now=NOW)
        action += [found or "" for found in answers.column("action")]
        proposed += answers.column("proposed")
        probability += [0.0 if p is None else p for p in answers.column("probability")]
    right = np.array([d.label.action == a for d, a in zip(decisions, action, strict=True)], dtype=bool)
    opened = np.array([v == "auto_execute" for v in proposed], dtype=bool)
    return Decided(action, np.array(probability, dtype=np.float64), proposed, right, opened)


def verdicts_at(decided: Decided, line: float | None) -> list[str]:
    """The verdicts with another line, from those of a draft whose line is 0."""
    crossed = decided.probability > (np.inf if line is None else line)
    return [
        "suggest" if verdict in ("auto_execute", "require_approval") and not above else verdict
        for verdict, above in zip(decided.proposed, crossed, strict=True)
    ]
