#!/usr/bin/env python3
"""Suggestion sets beside MAPIE's on real texts: how often the right answer is among them, and how many they suggest.

compare_sets.py [--sets NAME...] [--json FILE]
    sets: banking77 clinc150 label-disagreement; read from $OPSPILOT_DATA, default ../shared/data

Both get the same probabilities: one model per set, fitted on rows of its own; a third of the others calibrates, the rest tests.
Needs scikit-learn and mapie (requirements-certificates.txt). Exit 1 where the right answer is found less often than promised, by
more than three standard errors of calibration and test.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from automation_table import Floats, data_folder, parts, probabilities, rows_of

from opspilot import calibrate

Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

CONFIDENCES = (0.8, 0.9, 0.95)
METHODS = ("lac", "aps", "raps")


@dataclass(frozen=True)
class Texts:
    """Probabilities of all classes and the right one, of rows that calibrate and rows that test."""

    about: str
    calibrate: tuple[Floats, Ints]
    test: tuple[Floats, Ints]


def texts(about: str, rows: list[dict[str, str]], text: str, label: str, purpose: str, c: float) -> Texts:
    part = parts(purpose, [r[text] for r in rows], 0.5, 0.17)
    fitted = [r for r, p in zip(rows, part, strict=True) if p == 0]
    held = [r for r, p in zip(rows, part, strict=True) if p > 0]
    p, classes = probabilities([r[text] for r in fitted], [r[label] for r in fitted], [r[text] for r in held], c)
    number = {name: i for i, name in enumerate(classes.tolist())}
    right = np.array([number[r[label]] for r in held])
    of = part[part > 0]
    return Texts(about, (p[of == 1], right[of == 1]), (p[of == 2], right[of == 2]))


def banking77() -> Texts:
    rows = [*rows_of("banking77", "train.csv.gz"), *rows_of("banking77", "test.csv.gz")]
    return texts("77 intents of bank customers", rows, "text", "category", "sets of banking77", 20)


def clinc150() -> Texts:
    rows = [r for r in rows_of("clinc150", "data_full.csv.gz") if r["intent"] != "oos"]
    return texts("150 intents, requests out of scope left out", rows, "text", "intent", "sets of clinc150", 20)


def label_disagreement() -> Texts:
    rows = list(rows_of("label-disagreement", "labeled_data.csv.gz"))
    return texts("3 classes of messages", rows, "tweet", "class", "sets of disagreement", 5)


SETS: dict[str, Callable[[], Texts]] = {
    "banking77": banking77,
    "clinc150": clinc150,
    "label-disagreement": label_disagreement,
}


class Given:
    """A fitted classifier whose rows are their own probabilities."""

    def __init__(self, classes: int) -> None:
        self.classes_ = np.arange(classes)

    def fit(self, *_: object) -> Given:
        return self

    def predict(self, p: Floats) -> Ints:
        return p.argmax(axis=1)

    def predict_proba(self, p: Floats) -> Floats:
        return p

    def __sklearn_is_fitted__(self) -> bool:
        return True


def ours(data: Texts, method: str, confidence: float) -> Bools:
    made = calibrate.ConformalSets(method, confidence=confidence, seed=1, penalty="smallest" if method == "raps" else 0.01).fit(
        *data.calibrate
    )  # type: ignore[arg-type]
    inside = np.zeros(data.test[0].shape, np.bool_)
    for row, members in enumerate(made.sets(data.test[0])):
        inside[row, members] = True
    return inside


def mapie(data: Texts, method: str, confidence: float) -> Bools:
    from mapie.classification import SplitConformalClassifier

    made = SplitConformalClassifier(
        Given(data.test[0].shape[1]), confidence_level=confidence, conformity_score=method, prefit=True, random_state=1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.conformalize(*data.calibrate)
        # As ours: chance decides on the last label, which makes the smallest sets that keep the promise.
        last = None if method == "lac" else {"include_last_label": "randomized"}
        return np.asarray(made.predict_set(data.test[0], conformity_score_params=last)[1][:, :, 0], np.bool_)


def measured(data: Texts) -> list[dict[str, Any]]:
    out = []
    right = data.test[1]
    for confidence in CONFIDENCES:
        for method in METHODS:
            for system, sets in (("opspilot", ours), ("MAPIE", mapie)):
                inside = sets(data, method, confidence)
                out.append(
                    {
                        "system": system,
                        "method": method,
                        "confidence": confidence,
                        "coverage": float(inside[np.arange(len(right)), right].mean()),
                        "size": float(inside.sum(axis=1).mean()),
                        "most": int(inside.sum(axis=1).max()),
                    }
                )
    return out


def show(name: str, data: Texts, entries: list[dict[str, Any]]) -> list[str]:
    """Prints a table; returns what is below its promise."""
    n = (len(data.calibrate[1]), len(data.test[1]))
    print(f"\n{name}: {data.about}; {n[0]} rows calibrate, {n[1]} test")
    print(f"  {'share with the right one, mean size, largest':46}" + "".join(f"{f'{c:.0%}':>24}" for c in CONFIDENCES))
    below = []
    for method in METHODS:
        for system in ("opspilot", "MAPIE"):
            cells = []
            for entry in entries:
                if entry["method"] != method or entry["system"] != system:
                    continue
                c = entry["confidence"]
                cells.append(f"{entry['coverage']:.1%}, {entry['size']:.2f}, {entry['most']}")
                if entry["coverage"] < c - 3 * np.sqrt(c * (1 - c) * (1 / n[0] + 1 / n[1])):
                    below.append(f"{name}: {system} {method} holds the right one in {entry['coverage']:.1%}, promised {c:.0%}")
            print(f"  {f'{system}, {method}':46}" + "".join(f"{cell:>24}" for cell in cells))
    return below


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if not data_folder().is_dir():
        parser.error(f"no data in {data_folder()}: scripts/get_data.py, or OPSPILOT_DATA")
    found = {}
    below = []
    for name in asked.sets:
        data = SETS[name]()
        found[name] = measured(data)
        below += [line for line in show(name, data, found[name]) if "opspilot" in line]
    for line in below:
        print(f"FAIL  {line}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
