"""Deciding the log again, and what came of it, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from opspilot.deciding import Bundle, Engine
from opspilot.demo.star_data import NOW, Decision

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_BATCH: Final = 4096


@dataclass(frozen=True)
class Decided:
    """What an engine answered: the best action, its probability, the verdict that policies leave above any line."""

    action: Sequence[str]
    probability: Floats
    proposed: Sequence[str]
    right: Flags
    open: Flags
    """Automation is a matter of confidence alone: no policy narrows the best candidate."""

    def verdicts_at(self, line: float | None) -> list[str]:
        """The verdicts with another line, from those of a draft whose line is 0."""
        crossed = self.probability > (np.inf if line is None else line)
        widths = ("auto_execute", "require_approval")
        return [
            "suggest" if verdict in widths and not above else verdict
            for verdict, above in zip(self.proposed, crossed, strict=True)
        ]


def decide_all(bundle: Bundle, decisions: Sequence[Decision]) -> Decided:
    """Decides in batches with a draft whose line is 0: there ``auto_execute`` is what policies leave open."""
    engine = Engine(bundle)
    action: list[str] = []
    proposed: list[str] = []
    probability: list[float] = []
    for first in range(0, len(decisions), _BATCH):
        answers = engine.decide_batch([d.task for d in decisions[first : first + _BATCH]], now=NOW)
        action += [found or "" for found in answers.column("action")]
        proposed += answers.column("proposed")
        probability += [0.0 if p is None else p for p in answers.column("probability")]
    right = np.array([d.label.action == a for d, a in zip(decisions, action, strict=True)], dtype=bool)
    return Decided(
        action, np.array(probability, dtype=np.float64), proposed, right, np.array([v == "auto_execute" for v in proposed])
    )
