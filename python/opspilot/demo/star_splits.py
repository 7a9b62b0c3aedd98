"""Which dialogue serves what: training, calibration, certification, test.  Disjoint, and the same on every run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opspilot.demo import star_data
from opspilot.demo.star_data import Decision

TRAIN: Final = "train"
CALIBRATE: Final = "calibrate"
CERTIFY: Final = "certify"
TEST: Final = "test"

#: Dialogues moved from train to certification.  One decision per dialogue is little evidence: in a study on out-of-fold
#: scores of train, the 320 dialogues of half of dev reached a certificate at 10 % in four of ten draws, 860 in seven.
MOVED: Final = 600
#: The more folds, the closer are out-of-fold scores to those that serve, and the longer training takes.
FOLDS: Final = 8


@dataclass(frozen=True)
class StarLog:
    """The log as decisions, and what each dialogue serves."""

    tasks: Mapping[str, Any]
    decisions: Sequence[Decision]
    part_of: Mapping[int, str]
    first_us: int
    last_us: int

    def part(self, name: str) -> list[Decision]:
        """The decisions of one part, in the order of the log."""
        return [d for d in self.decisions if self.part_of[d.label.dialogue] == name]


def read_log(folder: Path, moved: int = MOVED) -> StarLog:
    """Reads the log; ValueError where its two files disagree."""
    dialogues = list(star_data.read_dialogues(folder))
    return make_log(star_data.read_tasks(folder), dialogues, star_data.read_decision_rows(folder), moved)


def make_log(
    tasks: Mapping[str, Any], dialogues: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, str]], moved: int = MOVED
) -> StarLog:
    """The log from its raw contents.  What is learned for the records, the values of slots, is learned from train alone."""
    parts = divide({d["id"]: d["split"] for d in dialogues}, moved)
    train = frozenset(i for i, part in parts.items() if part == TRAIN)
    decisions = star_data.join(tasks, star_data.learn_values(tasks, dialogues, train), dialogues, rows)
    started = [d["start_unix"] * 1_000_000 for d in dialogues if d["start_unix"] > 0]
    return StarLog(tasks, decisions, parts, min(started), max(started))


def divide(split_of: Mapping[int, str], moved: int = MOVED) -> dict[int, str]:
    """Train stays train but for ``moved`` dialogues, the two halves of dev calibrate and certify, test stays test."""
    parts = {i: split for i, split in split_of.items() if split != "dev"}
    parts |= {i: CALIBRATE if _hash("half", i) % 2 == 0 else CERTIFY for i, split in split_of.items() if split == "dev"}
    train = sorted((i for i, split in split_of.items() if split == "train"), key=lambda i: _hash("move", i))
    return parts | dict.fromkeys(train[:moved], CERTIFY)


def folds(decisions: Sequence[Decision], count: int = FOLDS) -> npt.NDArray[np.uint32]:
    """The fold of each decision; a dialogue lies in one fold."""
    return np.array([_hash("fold", d.label.dialogue) % count for d in decisions], dtype=np.uint32)


def one_per_dialogue(decisions: Sequence[Decision]) -> npt.NDArray[np.intp]:
    """Positions of one decision per dialogue, drawn by a hash of the dialogue: independent where dialogues are."""
    of: dict[int, list[int]] = {}
    for i, decision in enumerate(decisions):
        of.setdefault(decision.label.dialogue, []).append(i)
    return np.array([rows[_hash("draw", dialogue) % len(rows)] for dialogue, rows in of.items()], dtype=np.intp)


def _hash(purpose: str, dialogue: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}:{dialogue}".encode()).digest()[:8], "big")
