#!/usr/bin/env python3
"""How much of five real sets may be automated at a certified risk: opspilot beside MAPIE, SGR and a plain reading of the data.

automation_table.py [--sets NAME...] [--json FILE]
    sets: banking77 clinc150 servicenow star label-disagreement; read from $OPSPILOT_DATA, default ../shared/data

One model per set; all methods get the same scores. Rows that the model was fitted on, rows that calibrate, rows that certify and
rows that test are disjoint. A cell is the share of the test rows above the line, and the error among them. Needs scikit-learn,
LightGBM (star), scipy and mapie (requirements-certificates.txt).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from certificates_worlds import mapie, sgr

from opspilot import calibrate

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RISKS = (0.01, 0.02, 0.05, 0.10)
DELTA = 0.05


@dataclass(frozen=True)
class Scored:
    """Calibrated confidence in the best answer, and whether it is wrong."""

    about: str
    certify: tuple[Floats, Bools]
    test: tuple[Floats, Bools]


def ours(score: Floats, error: Floats, risk: float) -> float | None:
    return calibrate.automation_threshold(score, error, max_risk=risk, confidence=1 - DELTA, start_probability=score).value


def plain(score: Floats, error: Floats, risk: float) -> float | None:
    return calibrate.naive_threshold(score, error, max_risk=risk).value


METHODS: dict[str, Callable[[Floats, Floats, float], float | None]] = {
    "opspilot": ours,
    "MAPIE, Holm": lambda s, e, risk: mapie(s, e, risk, "bonferroni_holm", DELTA),
    "MAPIE, fixed sequence": lambda s, e, risk: mapie(s, e, risk, "fixed_sequence", DELTA),
    "SGR": lambda s, e, risk: sgr(s, e, risk, DELTA),
    "naive": plain,
}


def data_folder() -> Path:
    return Path(os.environ.get("OPSPILOT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def rows_of(*names: str) -> Iterator[dict[str, str]]:
    path = data_folder().joinpath(*names)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def bucket(purpose: str, key: object) -> float:
    """A share in [0, 1) that stays the same on every run."""
    return int.from_bytes(hashlib.sha256(f"{purpose}:{key}".encode()).digest()[:8], "big") / 2**64


def parts(purpose: str, keys: Sequence[object], *shares: float) -> npt.NDArray[np.intp]:
    """Per key the number of its part; the last part gets the rest."""
    edges = np.cumsum(shares)
    return np.array([int(np.searchsorted(edges, bucket(purpose, key), side="right")) for key in keys])


def logit(p: Floats) -> Floats:
    q = np.clip(p, 1e-12, 1 - 1e-12)
    return np.log(q) - np.log1p(-q)


def scored(about: str, confidence: Floats, wrong: Bools, part: npt.NDArray[np.intp]) -> Scored:
    """Part 0 calibrates, part 1 certifies, part 2 tests."""
    curve = calibrate.Platt().fit(logit(confidence[part == 0]), ~wrong[part == 0])
    score = curve.probability(logit(confidence))
    return Scored(about, (score[part == 1], wrong[part == 1]), (score[part == 2], wrong[part == 2]))


def classified(texts: Sequence[str], labels: Sequence[str], of: Sequence[str], c: float) -> tuple[Floats, npt.NDArray[np.str_]]:
    """Confidence and answer for the texts ``of``, by TF-IDF and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(C=c, max_iter=400)
    model.fit(vectors.fit_transform(texts), labels)
    p = model.predict_proba(vectors.transform(of))
    return p.max(axis=1), np.asarray(model.classes_)[p.argmax(axis=1)]


def banking77() -> Scored:
    # Its own test rows hold 40 of each intent, the others do not: pooled, so that a certificate speaks of what is tested.
    rows = [*rows_of("banking77", "train.csv.gz"), *rows_of("banking77", "test.csv.gz")]
    part = parts("banking77", [r["text"] for r in rows], 0.45, 0.08, 0.22) - 1
    fitted = [r for r, p in zip(rows, part, strict=True) if p < 0]
    held = [r for r, p in zip(rows, part, strict=True) if p >= 0]
    confidence, answer = classified([r["text"] for r in fitted], [r["category"] for r in fitted], [r["text"] for r in held], 20)
    wrong = answer != np.array([r["category"] for r in held])
    return scored("77 intents of bank customers", confidence, wrong, part[part >= 0])


def clinc150() -> Scored:
    rows = list(rows_of("clinc150", "data_full.csv.gz"))
    fitted = [r for r in rows if r["split"] == "train" and r["intent"] != "oos"]
    held = [r for r in rows if r["split"] != "train"]  # validation holds few requests out of scope, test many: pooled
    part = parts("clinc150", [r["text"] for r in held], 0.15, 0.45)
    confidence, answer = classified([r["text"] for r in fitted], [r["intent"] for r in fitted], [r["text"] for r in held], 20)
    wrong = answer != np.array([r["intent"] for r in held])
    share = np.mean([r["intent"] == "oos" for r in held])
    return scored(
        f"150 intents; {share:.0%} of the requests are out of scope, every answer to them is wrong", confidence, wrong, part
    )


def servicenow() -> Scored:
    first: dict[str, dict[str, str]] = {}
    group: dict[str, str] = {}
    for row in rows_of("servicenow-incidents", "incident_event_log.csv.gz"):
        first.setdefault(row["number"], row)
        group[row["number"]] = row["assignment_group"]
    cases = sorted(first, key=lambda number: (first[number]["opened_at"], number))
    learned, held = cases[: len(cases) // 2], cases[len(cases) // 2 :]
    known = (
        "category",
        "subcategory",
        "u_symptom",
        "location",
        "contact_type",
        "impact",
        "urgency",
        "opened_by",
        "caller_id",
        "cmdb_ci",
    )

    def words(number: str) -> str:
        return " ".join(f"{name}_{first[number][name]}" for name in known)

    confidence, answer = classified([words(n) for n in learned], [group[n] for n in learned], [words(n) for n in held], 5)
    wrong = answer != np.array([group[n] for n in held])
    part = parts("servicenow", held, 0.15, 0.45)
    return scored("final group of an incident from its first event; the later half of the log", confidence, wrong, part)


def label_disagreement() -> Scored:
    rows = list(rows_of("label-disagreement", "labeled_data.csv.gz"))
    part = parts("disagreement", [r["id"] for r in rows], 0.4, 0.1, 0.25) - 1
    fitted = [r for r, p in zip(rows, part, strict=True) if p < 0]
    held = [r for r, p in zip(rows, part, strict=True) if p >= 0]
    confidence, answer = classified([r["tweet"] for r in fitted], [r["class"] for r in fitted], [r["tweet"] for r in held], 5)
    wrong = answer != np.array([r["class"] for r in held])
    votes = np.array([[int(r[name]) for name in ("hate_speech", "offensive_language", "neither")] for r in held])
    against = 1 - votes.max(axis=1).sum() / votes.sum()
    return scored(
        f"class of a message by the majority of its reviewers; {against:.1%} of single votes are against it",
        confidence,
        wrong,
        part[part >= 0],
    )


def star() -> Scored:
    from opspilot.deciding import Bundle
    from opspilot.demo import star_splits, star_train
    from opspilot.demo.star_decide import decide_all

    log = star_splits.read_log(data_folder() / "star")
    made = star_train.train(log, star_train.Clock(lambda name, done: None))
    draft = Bundle.draft(dict(made.line_zero))
    sides = []
    for part in (star_splits.CERTIFY, star_splits.TEST):
        decisions = log.part(part)
        decided = decide_all(draft, decisions)
        score = np.where(decided.open, decided.probability, 0.0)  # what policies keep back lies below every line
        drawn = star_splits.one_per_dialogue(decisions) if part == star_splits.CERTIFY else slice(None)
        sides.append((score[drawn], ~decided.right[drawn]))
    return Scored("next action of an operator, by the whole engine with its policies; one decision a dialogue certifies", *sides)


SETS: dict[str, Callable[[], Scored]] = {
    "banking77": banking77,
    "clinc150": clinc150,
    "servicenow": servicenow,
    "star": star,
    "label-disagreement": label_disagreement,
}


def measured(data: Scored) -> list[dict[str, Any]]:
    score, error = data.certify[0], data.certify[1].astype(np.float64)
    out = []
    for name, method in METHODS.items():
        for risk in RISKS:
            line = method(score, error, risk)
            above = data.test[0] > (np.inf if line is None else line)
            wrong = int(data.test[1][above].sum())
            out.append(
                {
                    "method": name,
                    "risk": risk,
                    "certified": line is not None and name != "naive",
                    "automated": float(above.mean()),
                    "errors": wrong,
                    "test_error": wrong / int(above.sum()) if above.any() else None,
                }
            )
    return out


def show(name: str, data: Scored, entries: Sequence[dict[str, Any]]) -> None:
    print(f"\n{name}: {data.about}")
    print(f"  {len(data.certify[0])} rows certify, {len(data.test[0])} test; without a line {data.test[1].mean():.1%} are wrong")
    print(f"  {'automated, error on test':24}" + "".join(f"{f'risk <= {risk:.0%}':>18}" for risk in RISKS))
    for method in METHODS:
        cells = []
        for entry in entries:
            if entry["method"] != method:
                continue
            if entry["test_error"] is None:
                cells.append("–")
                continue
            over = "!" if entry["test_error"] > entry["risk"] else " "
            cells.append(f"{entry['automated']:.1%}, {entry['test_error']:.2%}{over}")
        print(f"  {method:24}" + "".join(f"{cell:>18}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    print(
        f"share of the test rows above a line certified at {1 - DELTA:.0%}, and the error among them; ! above the risk asked for"
    )
    found = {}
    for name in asked.sets:
        data = SETS[name]()
        found[name] = measured(data)
        show(name, data, found[name])
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
