"""Suggestion sets from Python: rows or lists, names of groups, keys; what they cover is tested in C++."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot.calibrate import ConformalSets


def sample(n: int, seed: int, k: int = 6) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    scores = 2 * rng.normal(size=(n, k))
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    right = np.array([rng.choice(k, p=row) for row in p])
    sharp = np.exp(1.5 * scores)
    return sharp / sharp.sum(axis=1, keepdims=True), right


@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
def test_rows_and_lists_are_the_same_and_cover(method: Any) -> None:
    p, right = sample(2000, 0)
    sets = ConformalSets(method, confidence=0.9).fit(p, right)
    fresh, truth = sample(4000, 1)
    made = sets.sets(fresh)
    assert made == ConformalSets(method, confidence=0.9).fit(p.tolist(), right.tolist()).sets(fresh.tolist())
    covered = np.mean([t in members for t, members in zip(truth, made, strict=True)])
    assert 0.875 < covered < 0.93
    assert all(row[members[0]] == row.max() for row, members in zip(fresh, made, strict=True))


def test_the_smallest_sets_are_chosen_on_lists_of_their_own() -> None:
    def drawn(n: int, seed: int) -> tuple[Any, Any]:
        """A model that is less sure than it could be: its sets have long tails."""
        rng = np.random.default_rng(seed)
        scores = 4 * rng.normal(size=(n, 40))
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        flat = np.exp(0.3 * scores)
        return flat / flat.sum(axis=1, keepdims=True), np.array([rng.choice(40, p=row) for row in p])

    (p, right), (fresh, truth) = drawn(3000, 5), drawn(6000, 6)
    plain = ConformalSets("raps", confidence=0.9).fit(p, right)
    chosen = ConformalSets("raps", confidence=0.9, penalty="smallest").fit(p, right)
    sizes = [float(np.mean([len(members) for members in made.sets(fresh)])) for made in (plain, chosen)]
    assert sizes[1] < sizes[0]
    covered = np.mean([t in members for t, members in zip(truth, chosen.sets(fresh), strict=True)])
    assert covered > 0.9 - 3 * np.sqrt(0.09 * (1 / 2400 + 1 / 6000))
    assert chosen.lines[""]["n"] == 2400 and chosen.penalty == "smallest"
    assert ConformalSets.from_json(chosen.to_json()).penalty == chosen.penalty_ == 0.1
    with pytest.raises(op.CalibrationError, match="lists are to choose the penalty"):
        ConformalSets("raps", confidence=0.9, penalty="smallest").fit(p[:40], right[:40])


def test_groups_have_names_and_keys_fix_chance() -> None:
    p, right = sample(1200, 2)
    language = ["de" if i % 3 else "en" for i in range(1200)]
    sets = ConformalSets(confidence=0.8, seed=4).fit(p, right, language)
    assert sets.groups_ == ["en", "de"] and sets.lines["de"]["n"] == 800
    made = sets.sets(p[:50], language[:50], keys=list(range(100, 150)))
    assert made == sets.sets(p[:50], language[:50], keys=list(range(100, 150)))
    assert made != sets.sets(p[:50], language[:50])
    for again in (ConformalSets.from_json(sets.to_json()), pickle.loads(pickle.dumps(sets))):
        assert again.sets(p[:50], language[:50]) == sets.sets(p[:50], language[:50])
        assert again.confidence == 0.8 and again.method == "aps"
    assert '"lines"' in sets.describe("json")


def test_what_cannot_be_is_named() -> None:
    p, right = sample(100, 3)

    def code(call: Any) -> str:
        with pytest.raises(op.Error) as caught:
            call()
        return str(caught.value.code)

    assert code(lambda: ConformalSets().sets(p)) == "calibration.not_fitted"
    assert code(lambda: ConformalSets(confidence=0.999).fit(p, right)) == "calibration.too_few"
    assert code(lambda: ConformalSets().fit(p, [None] * 100)) == "calibration.not_offered"
    assert code(lambda: ConformalSets().fit(p[0], [0])) == "calibration.shape"
    assert code(lambda: ConformalSets("best").fit(p, right)) == "usage.option"  # type: ignore[arg-type]
    fitted = ConformalSets().fit(p, right, ["a"] * 100)
    assert code(lambda: fitted.sets(p)) == "calibration.bad_group"
    assert code(lambda: fitted.sets(p[:1], ["b"])) == "calibration.bad_group"
    assert code(lambda: fitted.sets(p, ["a"] * 100, keys=[1])) == "calibration.length_mismatch"
    assert code(lambda: ConformalSets.from_json("{}")) == "calibration.missing_field"
