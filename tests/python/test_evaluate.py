"""Ranking metrics against scikit-learn and XGBoost; stages judged against ranks counted by hand; the verb."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import opspilot as op
from opspilot.evaluate import StageScores, mrr, ndcg, ranking_metrics, recall_at, stage_metrics, stage_scores

Floats = npt.NDArray[np.float64]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NOW = 1_700_000_000_000_000
TASKS: list[dict[str, Any]] = [
    {"intent": "refund", "amount": 9.0},
    {"intent": "billing", "amount": 1.0},
    {"intent": "billing"},
    {"intent": "fraud"},
    {"intent": "refund"},
    {"intent": "refund"},
]
#: Of each task: refund matches refund and ask, billing ask and explain, fraud nothing.
CANDIDATES = [
    {"task_index": 0, "id": "ask", "match": 0.5},
    {"task_index": 0, "id": "refund", "match": 2.0},
    {"task_index": 0, "id": "explain", "match": 2.0},
    {"task_index": 1, "id": "explain", "match": 0.1},
    {"task_index": 1, "id": "ask"},
    {"task_index": 2, "id": "ask", "match": 3.0},
    {"task_index": 2, "id": "refund", "match": 2.0},
    {"task_index": 2, "id": "explain", "match": 1.0},
    {"task_index": 3, "id": "ask", "match": 1.0},
    {"task_index": 4, "id": "ask"},
    {"task_index": 4, "id": "refund"},
    {"task_index": 5, "id": "refund", "match": 9.0},
]
CHOSEN = ["refund", "ask", "explain", None, "refund", "explain"]
FORBIDDING = {
    "layer": "business",
    "version": "1",
    "rules": [
        {"id": "no", "when": "action.id == 'ask'", "effect": "forbid", "because": "Not today."},
        {"id": "more", "when": "action.id == 'explain'", "effect": "boost", "by": 10.0, "because": "Explain first."},
    ],
}


def _documents() -> dict[str, Any]:
    documents: dict[str, Any] = dict(_load("test_decide").DOCUMENTS)
    documents["rank/stages.json"] = {
        "version": 1,
        "stages": [
            {"name": "theirs", "kind": "host", "field": "candidate.match"},
            {"name": "score", "kind": "linear", "model": "rank/linear.json"},
        ],
    }
    return documents


@pytest.fixture(scope="module")
def bundle() -> op.Bundle:
    documents = _documents() | {"policy/business.json": FORBIDDING}
    return op.Bundle.draft({name: json.dumps(document).encode() for name, document in documents.items()})


def _world(seed: int, ties: bool) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    groups = draw.integers(2, 40, 60)
    n = int(groups.sum())
    score = draw.integers(0, 6, n).astype(float) if ties else draw.permutation(n).astype(float)
    relevance = np.where(draw.uniform(size=n) < 0.3, draw.integers(1, 5, n), 0).astype(float)
    return score, relevance, groups


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [1, 3, 10, None])
def test_ndcg_is_scikit_learns(ties: bool, k: int | None) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    score, relevance, groups = _world(5, ties)
    ends = np.cumsum(groups)
    values: dict[str, list[float]] = {"exponential": [], "linear": []}
    for first, end in zip(ends - groups, ends, strict=True):
        if relevance[first:end].any():
            s = [score[first:end]]
            values["exponential"].append(metrics.ndcg_score([2 ** relevance[first:end] - 1], s, k=k))
            values["linear"].append(metrics.ndcg_score([relevance[first:end]], s, k=k))
    assert ndcg(score, relevance, groups, k=k) == pytest.approx(np.mean(values["exponential"]), abs=1e-12)
    assert ndcg(score, relevance, groups, k=k, gain="linear") == pytest.approx(np.mean(values["linear"]), abs=1e-12)


def test_distinct_scores_give_what_xgboost_and_scikit_learn_measure() -> None:
    xgboost = pytest.importorskip("xgboost")
    metrics = pytest.importorskip("sklearn.metrics")
    score, relevance, groups = _world(6, ties=False)
    score = score / len(score)  # float32 keeps them apart
    keep = np.repeat([part.any() for part in np.split(relevance, np.cumsum(groups)[:-1])], groups)
    groups = np.array([len(p) for p in np.split(relevance, np.cumsum(groups)[:-1]) if p.any()])
    score, relevance = score[keep], relevance[keep]
    made = ranking_metrics(score, relevance, groups, k=(1, 5))
    for name, label in (("ndcg", relevance), ("map", (relevance > 0).astype(float))):
        data = xgboost.DMatrix(np.zeros((len(score), 1)), label=label, base_margin=score)
        data.set_group(groups)
        options = {"objective": "rank:ndcg", "eval_metric": [f"{name}@99", "ndcg@1", "ndcg@5"], "base_score": 0.0}
        told = xgboost.train(options, data, 0).eval(data).split()[1:]  # no trees: the margin given is the score
        theirs = {key.partition("-")[2]: float(value) for key, value in (entry.split(":") for entry in told)}
        if name == "map":
            assert made.map == pytest.approx(theirs["map@99"], abs=1e-5)
        else:
            assert made.ndcg[1] == pytest.approx(theirs["ndcg@1"], abs=1e-5)
            assert made.ndcg[5] == pytest.approx(theirs["ndcg@5"], abs=1e-5)
            assert ndcg(score, relevance, groups) == pytest.approx(theirs["ndcg@99"], abs=1e-5)
    splits = np.cumsum(groups)[:-1]
    average = [
        metrics.label_ranking_average_precision_score([r > 0], [s])
        for r, s in zip(np.split(relevance, splits), np.split(score, splits), strict=True)
    ]
    assert made.map == pytest.approx(np.mean(average), abs=1e-12)


def test_top_k_accuracy_and_reciprocal_rank_of_one_right_answer() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(8)
    score = draw.uniform(size=(200, 12))
    right = draw.integers(0, 12, 200)
    relevance = np.eye(12)[right].ravel()
    made = ranking_metrics(score.ravel(), relevance, np.full(200, 12), k=(1, 3, 5), per_task=True)
    for k in (1, 3, 5):
        accuracy = metrics.top_k_accuracy_score(right, score, k=k, labels=np.arange(12))
        assert made.hit[k] == pytest.approx(accuracy, abs=1e-12)
        assert made.recall[k] == made.hit[k] == recall_at(score.ravel(), relevance, np.full(200, 12), k=k)
    ranks = metrics.label_ranking_average_precision_score(np.eye(12)[right], score)
    assert made.mrr == pytest.approx(ranks, abs=1e-12) == made.map
    assert mrr(score.ravel(), relevance, np.full(200, 12)) == made.mrr
    assert made.per_task["mrr"].shape == (200,)
    assert made.per_task["hit@3"].mean() == pytest.approx(made.hit[3])


def test_rows_may_stand_in_any_order_unless_position_counts() -> None:
    score, relevance, groups = _world(9, ties=True)
    index = np.repeat(np.arange(len(groups)), groups)
    made = ranking_metrics(score, relevance, groups).row()
    assert ranking_metrics(score, relevance, task_index=index * 3).row() == made
    shuffled = np.lexsort((np.random.default_rng(1).permutation(len(score)), index))
    assert ranking_metrics(score[shuffled], relevance[shuffled], groups).row() == made
    here = ranking_metrics(score, relevance, groups, ties="position").row()
    there = ranking_metrics(score[shuffled], relevance[shuffled], groups, ties="position").row()
    assert here != there


def test_what_is_not_scored_is_last_or_absent() -> None:
    score, relevance = [3.0, math.nan, 1.0, math.nan], [0, 1, 0, 0]
    last = ranking_metrics(score, relevance, k=(2, 3, 4))
    assert (last.hit[2], last.hit[3], last.hit[4], last.scored) == (0, 0.5, 1, 0)
    assert last.mrr == pytest.approx((1 / 3 + 1 / 4) / 2)
    absent = ranking_metrics(score, relevance, k=4, unscored="absent")
    assert (absent.hit[4], absent.mrr, absent.map, absent.ndcg[4]) == (0, 0, 0, 0)


def test_tasks_without_a_relevant_candidate_are_counted_apart() -> None:
    made = ranking_metrics([1, 2, 3], [0, 0, 1], [2, 0, 1], per_task=True)
    assert (made.tasks, made.left_out, made.mrr) == (1, 2, 1.0)
    assert np.isnan(made.per_task["mrr"]).tolist() == [True, True, False]
    empty = ranking_metrics([], [])
    assert empty.tasks == 0 and math.isnan(empty.mrr) and empty.row()["mrr"] is None
    assert "ndcg@10" in json.loads(made.describe("json")) and "ranking metrics" in made.describe()


def test_bad_columns_are_refused_with_their_place() -> None:
    def refused(*arguments: Any, **options: Any) -> tuple[str, str]:
        with pytest.raises(op.Error) as raised:
            ranking_metrics(*arguments, **options)
        assert raised.value.hint
        return raised.value.code, raised.value.where

    assert refused([1, 2], [1]) == ("usage.length", "relevance")
    assert refused([1, 2], [1, math.nan]) == ("usage.relevance", "row 1")
    assert refused([1, 2], [-1, 0]) == ("usage.relevance", "row 0")
    assert refused([1, 2], [1, 0], k=0) == ("usage.cutoffs", "k")
    assert refused([1, 2], [1, 0], [1, 2]) == ("usage.offsets", "offset 2")
    assert refused([1, 2], [1, 0], [3, -1])[0] == "schema.shape"
    assert refused([1, 2, 3], [1, 0, 0], task_index=[0, 2, 1]) == ("usage.groups", "task_index row 2")
    assert refused([1, 2], [1, 0], task_index=[0])[0] == "usage.groups"
    assert refused([1, 2], [1, 0], [2], task_index=[0, 0])[0] == "usage.groups"
    assert refused([[1, 2]], [1, 0]) == ("usage.shape", "score")
    assert refused(["a"], [1]) == ("usage.shape", "score")
    assert refused([1], [1], ties="random") == ("usage.option", "ties")


def test_stages_are_those_of_the_decisions(bundle: op.Bundle) -> None:
    scores = stage_scores(bundle, TASKS, CANDIDATES, now=NOW)
    assert list(scores.stages) == ["theirs", "score"]
    assert [scores.actions[a] for a in scores.action] == [candidate["id"] for candidate in CANDIDATES]
    theirs = np.array([candidate.get("match", math.nan) for candidate in CANDIDATES])
    np.testing.assert_array_equal(scores.stages["theirs"], theirs)
    amounts = np.array([TASKS[int(str(c["task_index"]))].get("amount", math.nan) for c in CANDIDATES])
    linear = 2 * np.nan_to_num(theirs) + 0.5 * np.nan_to_num(np.log1p(amounts))
    np.testing.assert_allclose(scores.stages["score"], linear, rtol=1e-6)
    engine = op.Engine(bundle)
    for t, task in enumerate(TASKS):
        own = [{k: v for k, v in c.items() if k != "task_index"} for c in CANDIDATES if c["task_index"] == t]
        rows = slice(*scores.offsets[t : t + 2])
        ranked = engine.decide(task, own, now=NOW).ranked
        assert [own[i]["id"] for i in np.argsort(scores.place[rows])] == [c.action for c in ranked]
        assert {c.action for c in ranked if c.allowed} == {c["id"] for c, a in zip(own, scores.allowed[rows], strict=True) if a}


def test_stage_metrics_counted_by_hand(bundle: op.Bundle) -> None:
    made = stage_metrics(bundle, TASKS, CHOSEN, CANDIDATES, now=NOW, k=(1, 2, 3))
    # Task 3 had no right action, and that of task 5 was not offered; tasks 0, 1, 2 and 4 are judged.
    assert made.generation == {"tasks": 5, "offered": 4, "recall": 0.8, "candidates": 2.0}
    theirs, score = made.stages
    assert theirs["stage"] == "theirs" and score["tasks"] == 4
    # As offered: ranks 2, 2, 3, 2.
    assert made.as_offered["hit@1"] == 0 and made.as_offered["hit@2"] == 0.75
    assert made.as_offered["mrr"] == pytest.approx((3 / 2 + 1 / 3) / 4)
    # Theirs: tied for 1 with one other; not scored, last of two; 3; both without a score: 1 or 2.
    assert theirs["hit@1"] == pytest.approx((0.5 + 0 + 0 + 0.5) / 4)
    assert theirs["hit@2"] == pytest.approx((1 + 1 + 0 + 1) / 4)
    assert theirs["mrr"] == pytest.approx((0.75 + 0.5 + 1 / 3 + 0.75) / 4)
    assert theirs["scored"] == 0.5
    # The linear stage takes a missing match for 0.
    assert score["hit@1"] == pytest.approx((0.5 + 0 + 0 + 0.5) / 4)
    assert score["ndcg@3"] == pytest.approx(((1 + 1 / math.log2(3)) / 2 * 2 + 1 / math.log2(3) + 0.5) / 4)
    # Policies lift "explain" and forbid "ask", which is then never found: ranks 2, none, 1, 1.
    assert made.final["mrr"] == pytest.approx((1 / 2 + 0 + 1 + 1) / 4)
    assert made.final["hit@3"] == pytest.approx(3 / 4)
    assert "final order" in made.describe() and made.to_dict()["final"] == made.final


def test_batches_join_to_the_same_metrics(bundle: op.Bundle) -> None:
    whole = stage_scores(bundle, TASKS, CANDIDATES, now=NOW)
    parts = []
    for first, end in ((0, 2), (2, 5), (5, 6)):
        own = [
            {**c, "task_index": int(str(c["task_index"])) - first} for c in CANDIDATES if first <= int(str(c["task_index"])) < end
        ]
        parts.append(stage_scores(op.Engine(bundle), TASKS[first:end], own, now=NOW))
    assert StageScores.joined(parts).metrics(CHOSEN).to_dict() == whole.metrics(CHOSEN).to_dict()
    assert StageScores.joined([]).metrics([]).generation["recall"] is None
    with pytest.raises(op.UsageError) as raised:
        whole.metrics(CHOSEN[1:])
    assert raised.value.code == "usage.length"


def test_generation_is_measured_alone(bundle: op.Bundle) -> None:
    made = stage_metrics(bundle, TASKS[:4], ["refund", "refund", None, "ask"], now=NOW)
    # Billing never offers a refund, and fraud nothing at all.
    assert made.generation == {"tasks": 3, "offered": 1, "recall": pytest.approx(1 / 3), "candidates": 1.5}
    assert made.as_offered["tasks"] == 1


def test_a_bundle_without_models_has_a_final_order_only() -> None:
    documents = {name: json.dumps(content).encode() for name, content in _documents().items() if not name.startswith("rank/")}
    made = stage_metrics(op.Bundle.draft(documents), TASKS[:2], ["refund", "explain"], now=NOW)
    assert made.stages == [] and made.final["tasks"] == 2 and made.final["hit@3"] == 1


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = []
    for t, (task, chosen) in enumerate(zip(TASKS, CHOSEN, strict=True)):
        own = [{k: v for k, v in c.items() if k != "task_index"} for c in CANDIDATES if c["task_index"] == t]
        lines.append({"task": task, "candidates": own, "now": NOW + t // 3, "chosen": chosen})
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def _verb(*arguments: object, given: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "opspilot.cli", "evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, input=given)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = {name: json.dumps(content).encode() for name, content in _documents().items()}
    golden = _load("test_decide")._parts()["golden.jsonl"]
    return op.Bundle.build({**parts, "golden.jsonl": golden}).save(tmp_path_factory.mktemp("evaluate") / "b.opspilot")


def test_the_verb_prints_the_same_figures(packed: Path, log: Path) -> None:
    wanted = stage_metrics(op.Bundle.load(packed), TASKS, CHOSEN, CANDIDATES, now=NOW, k=(1, 2)).to_dict()
    done = _verb(packed, log, "--k", 1, "--k", 2, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == wanted
    shown = _verb(packed, "-", given=log.read_text())
    assert shown.returncode == 0, shown.stderr
    for text in ("as offered", "theirs", "final order", "MRR", "NDCG@10", "80.00 % of 5"):
        assert text in shown.stdout, shown.stdout


@pytest.mark.parametrize(
    ("line", "code", "where"),
    [
        ("{", "evaluate.line", "line 7"),
        ('{"task": {}, "now": 1}', "evaluate.line", "line 7"),
        ('{"task": {}, "now": 1, "chosen": 3}', "evaluate.line", "line 7"),
        ('{"task": {"intent": "refund"}, "chosen": null}', "evaluate.line", "line 7"),
        ('{"task": {}, "now": 1, "chosen": null, "choice": 1}', "evaluate.line", "line 7"),
        ('{"task": {}, "now": 1, "chosen": null, "candidates": 1}', "evaluate.line", "line 7"),
        ('{"task": {"intent": 3}, "now": 1, "chosen": null}', "schema.wrong_type", "lines 7 to 7 /tasks/0/intent"),
    ],
)
def test_bad_lines_are_named(packed: Path, log: Path, line: str, code: str, where: str) -> None:
    done = _verb(packed, "-", "--json", given=log.read_text() + line + "\n")
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["where"]) == (code, where)
    assert error["message"]
