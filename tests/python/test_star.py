"""The demo on STAR logs: what a record may depend on, who certifies, and a small bundle trained the demo's way."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opspilot import parity
from opspilot.deciding import Bundle, Engine
from opspilot.demo import star_data, star_documents, star_evaluate, star_slate, star_splits, star_train
from opspilot.demo.star_catalogue import catalogue
from opspilot.demo.star_certify import Certified
from opspilot.demo.star_data import BARRED_COLUMNS, BARRED_FIELDS, NOW, SEEN_EVENTS
from opspilot.demo.star_decide import decide_all
from opspilot.demo.star_splits import CALIBRATE, CERTIFY, TEST, TRAIN, StarLog

DIALOGUES = 900
MOVED = 60

Json = dict[str, Any]


def _folder() -> Path | None:
    root = Path(__file__).resolve().parents[2]
    given = os.environ.get("OPSPILOT_DATA")
    for folder in (
        *([Path(given), Path(given) / "star"] if given else []),
        root.parent / "shared/data/star",
        root / "shared/data/star",
    ):
        if (folder / "decisions.csv.gz").exists():
            return folder
    return None


FOLDER = _folder()
pytestmark = pytest.mark.skipif(FOLDER is None, reason="the STAR logs are not here; set OPSPILOT_DATA")


@dataclass(frozen=True)
class Raw:
    """The first dialogues of the log, as read."""

    tasks: Json
    dialogues: list[Json]
    rows: list[dict[str, str]]

    def log(self) -> StarLog:
        return star_splits.make_log(self.tasks, self.dialogues, self.rows, MOVED)


@pytest.fixture(scope="module")
def raw() -> Raw:
    assert FOLDER is not None
    dialogues = list(star_data.read_dialogues(FOLDER))[:DIALOGUES]
    known = {str(d["id"]) for d in dialogues}
    rows = [row for row in star_data.read_decision_rows(FOLDER) if row["dialogue_id"] in known]
    return Raw(star_data.read_tasks(FOLDER), dialogues, rows)


@pytest.fixture(scope="module")
def log(raw: Raw) -> StarLog:
    return raw.log()


class WithoutTest(StarLog):
    """A log that hands out no decision of test."""

    def part(self, name: str) -> list[star_data.Decision]:
        assert name != TEST, "test was asked for before judging"
        return super().part(name)


@pytest.fixture(scope="module")
def job(log: StarLog) -> Certified:
    """Trained, calibrated and certified without test."""
    blind = WithoutTest(log.tasks, log.decisions, log.part_of, log.first_us, log.last_us)
    return star_train.train(blind, star_train.Clock(lambda *_: None), folds=2, rounds=25)


def permuted(raw: Raw) -> Raw:
    """Every barred value moved to another row or dialogue, and every event that may not be seen dropped."""
    draw = random.Random(7)
    rows = [dict(row) for row in raw.rows]
    for column in BARRED_COLUMNS:
        values = [row[column] for row in raw.rows]
        draw.shuffle(values)
        for row, value in zip(rows, values, strict=True):
            row[column] = value
    dialogues = [{**d, "events": [e for e in d["events"] if e[0] in SEEN_EVENTS]} for d in raw.dialogues]
    for field in BARRED_FIELDS:
        values = [d[field] for d in raw.dialogues]
        draw.shuffle(values)
        for dialogue, value in zip(dialogues, values, strict=True):
            dialogue[field] = value
    for dialogue in dialogues:  # slates of earlier picks say what was offered, not what happened
        dialogue["events"] = [[*e[:3], draw.sample(e[3], len(e[3])), *e[4:]] if e[0] == "p" else e for e in dialogue["events"]]
    return Raw(raw.tasks, dialogues, rows)


def test_barred_fields_change_no_record_and_no_score(raw: Raw, log: StarLog, job: Certified) -> None:
    other = permuted(raw).log()
    assert [d.label for d in other.decisions] != [d.label for d in log.decisions]
    assert [d.task for d in other.decisions] == [d.task for d in log.decisions]
    bundle = Bundle.draft(job.line_zero)
    before, after = decide_all(bundle, log.part(TEST)), decide_all(bundle, other.part(TEST))
    assert np.array_equal(before.probability, after.probability)
    assert before.action == after.action
    assert not np.array_equal(before.right, after.right), "the labels were permuted, so they cannot agree"


def test_a_record_knows_nothing_of_what_comes_after(raw: Raw, log: StarLog) -> None:
    train = frozenset(i for i, part in log.part_of.items() if part == TRAIN)
    values = star_data.learn_values(raw.tasks, raw.dialogues, train)
    cut = 0
    for dialogue in raw.dialogues[:60]:
        whole = list(star_data.dialogue_records(raw.tasks, values, dialogue))
        acts = [i for i, event in enumerate(dialogue["events"]) if event[0] in ("p", "q", "w")]
        for turn, place in enumerate(acts):
            blank = [dialogue["events"][place][0], dialogue["events"][place][1], "", "", "", {}]
            part = {**dialogue, "events": [*dialogue["events"][:place], blank]}
            *_, last = _until(star_data.dialogue_records(raw.tasks, values, part), turn)
            assert last == whole[turn]
            cut += 1
    assert cut > 300


def _until(records: Iterator[Json], turn: int) -> Iterator[Json]:
    """Stops at a record, before the act that follows it is looked at."""
    for record in records:
        yield record
        if record["turn"] == turn:
            return


def test_parts_are_disjoint_and_certification_never_sees_test(raw: Raw, log: StarLog) -> None:
    split = {d["id"]: d["split"] for d in raw.dialogues}
    ids = {name: {i for i, part in log.part_of.items() if part == name} for name in (TRAIN, CALIBRATE, CERTIFY, TEST)}
    assert sum(map(len, ids.values())) == len(split)
    assert set.union(*ids.values()) == set(split)
    assert ids[TEST] == {i for i, name in split.items() if name == "test"}
    assert {split[i] for i in ids[CERTIFY]} == {"train", "dev"}
    assert {split[i] for i in ids[CALIBRATE]} == {"dev"}
    assert {split[i] for i in ids[TRAIN]} == {"train"}
    assert sum(split[i] == "train" for i in ids[CERTIFY]) == MOVED
    assert log.part_of == star_splits.divide(dict(reversed(split.items())), MOVED)


def test_one_decision_per_dialogue_is_drawn(log: StarLog) -> None:
    decisions = log.part(CERTIFY)
    drawn = [decisions[i].label.dialogue for i in star_splits.one_per_dialogue(decisions)]
    assert len(drawn) == len(set(drawn)) == len({d.label.dialogue for d in decisions})
    again = [decisions[i] for i in star_splits.one_per_dialogue(decisions)]
    assert len({d.label.turn for d in again}) > 5, "not always the same place of a dialogue"


def test_folds_keep_dialogues_together(log: StarLog) -> None:
    decisions = log.part(TRAIN)
    folds = star_splits.folds(decisions)
    pairs = {(d.label.dialogue, int(fold)) for d, fold in zip(decisions, folds, strict=True)}
    assert len(pairs) == len({dialogue for dialogue, _ in pairs})
    assert set(folds.tolist()) == set(range(star_splits.FOLDS))


def test_training_parity_holds_bit_for_bit(job: Certified) -> None:
    found = parity.check(job.bundle)
    assert found["mismatches"] == 0, found["examples"]
    assert found["missing_values"] > 0
    assert len(found["notes"]) == 3
    assert found["values"] > 10_000


def test_fraud_always_goes_to_a_person(log: StarLog, job: Certified) -> None:
    fraud = [d for d in log.part(TEST) if d.task["current_task"] == "bank_fraud_report"]
    assert len(fraud) > 20
    engine = Engine(Bundle.draft(job.line_zero))
    for decision in fraud:
        made = engine.decide(decision.task, now=NOW)
        assert (made.proposed, made.queue) == ("escalate", "fraud-desk")


def test_a_booking_is_never_automatic(log: StarLog, job: Certified) -> None:
    decided = decide_all(Bundle.draft(job.line_zero), log.part(TEST))
    verdicts = {verdict for verdict, action in zip(decided.proposed, decided.action, strict=True) if action == "query_book"}
    assert verdicts
    assert "auto_execute" not in verdicts


def test_what_is_reported(log: StarLog, job: Certified, tmp_path: Path) -> None:
    records = tmp_path / "decisions.log"
    result = star_evaluate.judge(log, job, star_train.Clock(lambda *_: None), records)
    n = len(log.part(TEST))
    assert result["automation"]["n"] == n == len(records.read_bytes().splitlines()) // 2  # and what was done
    assert result["next_action"]["n"] == sum(not d.label.override for d in log.part(TEST))
    assert result["next_action"]["top1"] > result["baseline"]["top1"] > 0.25
    stages = result["stages"]
    for k in (1, 3):  # the final order, from end to end, is what single decisions show
        assert stages["final"][f"hit@{k}"] * stages["generation"]["recall"] == pytest.approx(result["next_action"][f"top{k}"])
    for level in ("at_5", "at_10"):
        assert {"share", "risk_upper", "test_error", "naive_share", "naive_test_error"} <= set(result["automation"][level])
    assert sum(result["verdicts"].values()) == n
    assert next(rule for rule in result["rules"] if rule["id"] == "fraud-to-desk")["verdict_changes"] > 0


def test_same_run_same_bytes(log: StarLog, job: Certified) -> None:
    again = star_train.train(log, star_train.Clock(lambda *_: None), folds=2, rounds=25)
    assert again.bundle.fingerprint == job.bundle.fingerprint


def test_catalogue_offers_what_was_done(log: StarLog) -> None:
    actions = catalogue(log.tasks, log.part(TRAIN))
    offered = {action["id"]: set(action["tasks"]) for action in actions}
    taken = [d for d in log.part(TRAIN) if not d.label.override]
    reached = [bool(offered[d.label.action] & set(d.task["tasks"])) for d in taken]
    assert np.mean(reached) > 0.995


def test_slate_candidates_are_distinct_and_keep_their_places() -> None:
    rows = star_slate.slate_candidates(["a", "b", "a", "c"])
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [(row["position"], row["from_end"]) for row in rows] == [(0, 1), (1, 2), (3, 0)]


def test_next_action_records_hold_no_slate(log: StarLog) -> None:
    declared = {field["name"] for field in star_documents.schema()["task"]}
    seen: Sequence[str] = sorted(log.decisions[0].task)
    assert set(seen) == declared
    assert not declared & {"typed_text", "options", "offered", "chosen", "rank", "kind", "happy"}
