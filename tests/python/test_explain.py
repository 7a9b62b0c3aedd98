"""Explanations against LightGBM's pred_contrib, and explanations of decisions."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from math import factorial
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import opspilot as op
from opspilot import _core
from opspilot._explain import Explanation
from opspilot.models import Ranker

lightgbm = pytest.importorskip("lightgbm")

NOW = 1_700_000_000_000_000


def table(seed: int, n: int = 600, width: int = 10) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width))
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 3] = rng.integers(0, 40, n)
    x[rng.random(n) < 0.3, 5] = 0.0
    return x


def train(seed: int, **params: Any) -> Any:
    x = table(seed)
    signal = np.nan_to_num(x[:, 0]) + (x[:, 3] % 3) + np.nan_to_num(x[:, 1] * x[:, 5])
    classes = params.get("objective") == "multiclass"
    label = np.digitize(signal, np.quantile(signal, [0.33, 0.66])) if classes else signal
    if params.get("objective") == "binary":
        label = signal > np.median(signal)
    fixed = {"verbosity": -1, "num_leaves": 31, "seed": seed, "deterministic": True, "num_threads": 1, "min_data_in_leaf": 3}
    data = lightgbm.Dataset(x, label.astype(float), categorical_feature=[3])
    return lightgbm.train({**fixed, **params}, data, num_boost_round=15)


PARAMETERS: dict[str, dict[str, Any]] = {
    "regression": {"objective": "regression"},
    "binary": {"objective": "binary", "num_leaves": 63},
    "dart": {"objective": "regression", "boosting": "dart", "drop_rate": 0.5},
    "forest": {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
    "multiclass": {"objective": "multiclass", "num_class": 3},
    "zero_as_missing": {"objective": "regression", "zero_as_missing": True},
    "no_missing": {"objective": "regression", "use_missing": False},
    "stumps": {"objective": "regression", "num_leaves": 2},
}


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_contributions_are_lightgbms(name: str, dtype: Any) -> None:
    model = train(3, **PARAMETERS[name])
    ranker = Ranker.from_lightgbm(model)
    x = table(4, 150).astype(dtype)
    want = model.predict(x, pred_contrib=True, num_threads=1)
    if name == "forest":
        want = want / model.num_trees()  # it explains the sum, we explain the average
    got = ranker.contributions(x)
    scores = ranker.score(x)
    scale = np.maximum(1.0, np.abs(scores))
    assert np.max(np.abs(got.reshape(want.shape) - want)) <= 1e-9 * np.max(scale)
    assert np.all(np.abs(got.sum(axis=-1) - scores) <= 1e-9 * scale)


def exact_values(tree: dict[str, Any], row: np.ndarray[Any, Any]) -> list[Fraction]:
    """Shapley values of a tree without missing values and categories, leaf by leaf, in fractions."""
    out = [Fraction(0)] * len(row)
    todo: list[tuple[dict[str, Any], dict[int, tuple[Fraction, bool]]]] = [(tree, {})]
    while todo:
        node, path = todo.pop()
        if "split_feature" not in node:
            d = len(path)
            for f, (share, passed) in path.items():
                known = [Fraction(1)]  # by how many of the others are known: the weight of this leaf
                for g, (other_share, other_passed) in path.items():
                    if g != f:
                        more = [Fraction(0), *known] if other_passed else [Fraction(0)] * (len(known) + 1)
                        known = [more[k] + (known[k] * other_share if k < len(known) else 0) for k in range(len(more))]
                weight = sum(w * Fraction(factorial(k) * factorial(d - 1 - k), factorial(d)) for k, w in enumerate(known))
                out[f] += Fraction(node["leaf_value"]) * (passed - share) * weight
            continue
        f = node["split_feature"]
        share, passed = path.get(f, (Fraction(1), True))
        for left, child in ((True, node["left_child"]), (False, node["right_child"])):
            count = child.get("internal_count", child.get("leaf_count"))
            here = bool(row[f] <= node["threshold"]) == left
            todo.append((child, {**path, f: (share * Fraction(count, node["internal_count"]), passed and here)}))
    return out


def test_a_path_about_many_features_is_exact() -> None:
    # LightGBM's own values are off by 1e-3 on such paths: what it unwinds there cancels.
    rng = np.random.default_rng(5)
    x = (rng.random((6000, 38)) < 0.97).astype(float)
    leading = np.argmin(np.hstack([x, np.zeros((len(x), 1))]), axis=1)  # splits follow one another in a chain
    model = lightgbm.train(
        {"verbosity": -1, "num_leaves": 40, "min_data_in_leaf": 1, "num_threads": 1, "max_bin": 3, "learning_rate": 1.0},
        lightgbm.Dataset(x, 3.0**-leading * 1e6 + leading),
        1,
    )
    ranker = Ranker.from_lightgbm(model)
    row = x[0]
    tree = model.dump_model()["tree_info"][0]["tree_structure"]
    deepest = max(len({split.feature for split in tree.splits}) for r in x[:200] for tree in ranker.explain(r).path)
    assert deepest > 32  # more than one pass over the points
    want = np.array([float(value) for value in exact_values(tree, row)])
    assert np.max(np.abs(want)) > 1
    assert np.max(np.abs(ranker.explain(row).contributions - want)) <= 1e-9


def test_one_row() -> None:
    model = train(6, objective="regression")
    ranker = Ranker.from_lightgbm(model)
    x = table(7, 20)
    for row in x:
        made = ranker.explain(row)
        assert isinstance(made, Explanation)
        assert isinstance(made.base, float)
        assert made.contributions.shape == (10,)
        assert made.feature_names == ranker.feature_names
        line = ranker.contributions(row[np.newaxis])[0]
        assert np.array_equal(made.contributions, line[:-1])
        assert made.base == line[-1]
        assert made.score == pytest.approx(ranker.score(row[np.newaxis])[0], rel=1e-9)
        # The path is LightGBM's: its leaf numbers name the values.
        leaves = model.predict(row[np.newaxis], pred_leaf=True)[0]
        assert [tree.value for tree in made.path] == [model.get_leaf_output(t, leaf) for t, leaf in enumerate(leaves)]
        for tree in made.path:
            for split in tree.splits:
                value = row[ranker.feature_names.index(split.feature)]
                assert split.value == value or (np.isnan(value) and np.isnan(split.value))
                if split.categories is not None and not split.by_default:
                    assert split.left == (int(value) in split.categories)
                elif split.threshold is not None and not split.by_default and not np.isnan(value):
                    assert split.left == (value <= split.threshold)
    about = json.loads(made.describe("json"))
    parts = sum(entry["contribution"] for entry in about["contributions"])
    assert about["base"] + parts + about["others"] == pytest.approx(about["score"])
    sizes = [abs(entry["contribution"]) for entry in about["contributions"]]
    assert sizes == sorted(sizes, reverse=True)
    assert "contributions" in made.describe()
    assert made.describe("html")


def test_one_row_of_several_outputs() -> None:
    ranker = Ranker.from_lightgbm(train(8, objective="multiclass", num_class=3))
    row = table(9, 1)[0]
    made = ranker.explain(row)
    assert made.contributions.shape == (3, 10)
    assert np.allclose(made.score, ranker.score(row[np.newaxis])[0], rtol=1e-9)
    assert {tree.output for tree in made.path} == {0, 1, 2}
    assert made.top(3, output=1)[0][0] in ranker.feature_names
    assert json.loads(made.describe("json"))["scores"] == made.score.tolist()  # type: ignore[union-attr]


def test_engines_and_threads_agree() -> None:
    ranker = Ranker.from_lightgbm(train(10, objective="binary"))
    x = table(11, 70)
    expected = ranker.contributions(x)
    for engine in _core.explain_engines():
        explainer = ranker._core.explainer(engine)
        assert explainer.engine == engine
        assert explainer.contributions(x)[:, 0].tobytes() == expected.tobytes()
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: ranker.contributions(x), range(16)):
            assert result.tobytes() == expected.tobytes()
    assert pickle.loads(pickle.dumps(ranker)).contributions(x).tobytes() == expected.tobytes()


def test_importance() -> None:
    model = train(12, objective="regression")
    ranker = Ranker.from_lightgbm(model)
    assert ranker.importance().tolist() == model.feature_importance("split").tolist()
    x = table(13, 90)
    mean = np.abs(model.predict(x, pred_contrib=True)[:, :-1]).mean(axis=0)
    assert np.allclose(ranker.importance("contribution", x), mean, rtol=1e-9)
    trees = model.dump_model()["tree_info"]
    covers = np.zeros(10)
    todo = [tree["tree_structure"] for tree in trees]
    while todo:
        node = todo.pop()
        if "split_feature" in node:
            covers[node["split_feature"]] += node["internal_count"]
            todo += [node["left_child"], node["right_child"]]
    assert ranker.importance("cover").tolist() == covers.tolist()
    for kind, rows in (("gain", None), ("split", x), ("contribution", None)):
        with pytest.raises(op.UsageError) as caught:
            ranker.importance(kind, rows)  # type: ignore[arg-type]
        assert caught.value.code == "usage.importance"


def without_counts(model: Any) -> bytes:
    """A model file whose trees do not say how many rows reached their nodes."""
    kept = [line for line in model.model_to_string().split("\n") if not line.startswith(("leaf_count=", "internal_count="))]
    sizes = [len("Tree=" + block.split("\n\n\n")[0]) + 3 for block in "\n".join(kept).split("Tree=")[1:]]
    stated = f"tree_sizes={' '.join(map(str, sizes))}"
    return "\n".join(stated if line.startswith("tree_sizes=") else line for line in kept).encode()


def test_a_model_without_counts_scores_but_is_not_explained() -> None:
    model = train(14, objective="regression")
    ranker = Ranker.from_lightgbm(without_counts(model))
    x = table(15, 5)
    assert np.array_equal(ranker.score(x), model.predict(x, raw_score=True))
    for call in (lambda: ranker.explain(x[0]), lambda: ranker.contributions(x), lambda: ranker.importance("cover")):
        with pytest.raises(op.ModelError) as caught:
            call()
        assert caught.value.code == "model.no_covers"
    assert len(ranker._core.path(x[0])) == 15


def test_rows_of_wrong_shape_are_refused() -> None:
    ranker = Ranker.from_lightgbm(train(16, objective="regression"))
    for call in (
        lambda: ranker.explain(np.zeros(9)),
        lambda: ranker.explain(np.zeros((1, 10))),
        lambda: ranker.contributions(np.zeros((2, 11))),
        lambda: ranker.contributions(np.zeros((2, 10), np.int64)),
    ):
        with pytest.raises(op.SchemaError):
            call()
    assert ranker.contributions(np.zeros((0, 10))).shape == (0, 11)


# ---- decisions ----


def parts(stage: dict[str, Any], model: bytes) -> dict[str, bytes]:
    documents: dict[str, Any] = {
        "bundle.json": {"name": "support", "version": "1"},
        "schema.json": {
            "task": [
                {"name": "intent", "type": "string"},
                {"name": "amount", "type": "double"},
                {"name": "age", "type": "double", "pii": "personal"},
            ],
            "action": [{"name": "cost", "type": "double"}],
            "candidate": [{"name": "match", "type": "double"}],
        },
        "catalogue.json": [{"id": name, "cost": i} for i, name in enumerate(("refund", "ask", "close", "wait"))],
        "features.json": {
            "version": 1,
            "transforms": [
                {"name": "match", "op": "number", "input": "candidate.match", "missing": 0},
                {"name": "amount", "op": "log", "input": "task.amount", "missing": 0},
                {"name": "cost", "op": "number", "input": "action.cost", "missing": 0},
                {"name": "years", "op": "number", "input": "task.age", "missing": 0},
                {"name": "old", "op": "between", "input": "years", "min": 60, "max": 200},
            ],
        },
        "rank/stages.json": {"version": 1, "stages": [{"name": "score", **stage}], "rank_by": "score"},
        "policy/compliance.json": {
            "layer": "compliance",
            "version": "1",
            "rules": [
                {"id": "no-wait", "when": "action.id == 'wait'", "effect": "forbid", "because": "x"},
                {"id": "ask", "when": "action.id == 'ask'", "effect": "boost", "by": 0.5, "because": "x"},
            ],
        },
        "rollout.json": {"stage": "live"},
    }
    if stage["kind"] == "host":
        documents["features.json"]["transforms"] = documents["features.json"]["transforms"][:1]
    out = {name: json.dumps(document).encode() for name, document in documents.items()}
    out["rank/model"] = model
    return out


def case(i: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rng = np.random.default_rng(i)
    task = {"id": f"T{i}", "intent": "x", "amount": float(rng.integers(1, 99)), "age": 77.125 + i}
    return task, [{"id": name, "match": float(rng.normal())} for name in ("refund", "ask", "close", "wait")]


@pytest.fixture(scope="module")
def trees() -> op.Engine:
    rng = np.random.default_rng(1)
    x = np.column_stack(
        [
            rng.normal(size=800),
            np.log1p(rng.integers(1, 99, 800)),
            rng.integers(0, 4, 800),
            age := rng.integers(18, 90, 800),
            age > 60,
        ]
    )
    label = x[:, 0] * 2 - x[:, 2] + 0.1 * x[:, 3] + x[:, 1] * x[:, 0]
    names = ["match", "amount", "cost", "years", "old"]
    data = lightgbm.Dataset(x, label, feature_name=names)
    model = lightgbm.train({"verbosity": -1, "num_leaves": 15, "num_threads": 1}, data, 30)
    text = model.model_to_string().encode()
    return op.Engine(op.Bundle.draft(parts({"kind": "trees", "model": "rank/model"}, text)))


def test_a_decision_explains_the_score_of_its_best_candidate(trees: op.Engine) -> None:
    ranker = Ranker.from_lightgbm(trees.bundle.part("rank/model"))
    for i in range(20):
        task, candidates = case(i)
        plain = trees.decide(task, candidates, now=NOW)
        made = trees.decide(task, candidates, now=NOW, explain=True)
        assert plain.explanation is None
        assert "explanation" not in plain.to_dict()
        assert b'"explanation"' not in plain.record()
        with_it = made.to_dict()
        why = with_it.pop("explanation")
        assert with_it == plain.to_dict()
        best = made.ranked[0]
        assert why == made.explanation
        assert (why["action"], why["stage"], why["method"], why["missing"]) == (best.action, "score", "tree_shap", None)
        boost = 0.5 if best.action == "ask" else 0.0
        assert why["score"] + boost == best.score
        assert why["base"] + why["others"] + sum(p["contribution"] for p in why["contributions"]) == pytest.approx(why["score"])
        row = trees._core.features([task], [{"task_index": 0, **c} for c in candidates], NOW)[0][0][best.candidate]
        contributions = ranker.explain(row).contributions
        assert {p["feature"]: p["contribution"] for p in why["contributions"]} == {
            name: value for name, value in zip(ranker.feature_names, contributions, strict=True) if value != 0
        }
        assert {p["feature"] for p in why["contributions"] if p["personal"]} <= {"years", "old"}
        assert any(p["personal"] for p in why["contributions"])


def test_the_record_names_no_feature_made_from_a_personal_field(trees: op.Engine) -> None:
    lines: list[bytes] = []
    audited = op.Engine(trees.bundle, audit=lines.append)
    for i in range(5):
        task, candidates = case(i)
        made = audited.decide(task, candidates, now=NOW, explain=True)
        assert made.explanation is not None
        assert str(task["age"]) not in json.dumps(made.to_dict())
        assert str(task["age"]).encode() not in lines[-1]
        logged = json.loads(lines[-1])["explanation"]
        assert {part["feature"] for part in logged["contributions"]} <= {"match", "amount", "cost"}
        assert logged["contributions"]
        total = logged["base"] + logged["others"] + sum(part["contribution"] for part in logged["contributions"])
        assert total == pytest.approx(made.explanation["score"])
    assert _core.check_log(b"".join(lines))["ok"]


def test_a_batch_explains_as_single_decisions_do(trees: op.Engine) -> None:
    cases = [case(i) for i in range(30)]
    tasks = [task for task, _ in cases]
    offered = [{"task_index": t, **row} for t, (_, rows) in enumerate(cases) for row in rows]
    lines: list[bytes] = []
    audited = op.Engine(trees.bundle, audit=lines.append)
    singles = [trees.decide(task, rows, now=NOW, explain=True) for task, rows in cases]
    batch = audited.decide_batch(tasks, offered, now=NOW, explain=True)
    assert batch.column("explanation") == [d.explanation for d in singles]
    assert batch.to_dicts()[7]["explanation"] == singles[7].explanation
    assert b"".join(lines) == b"".join(d.record() for d in singles)
    assert batch.column("id") == [d.id for d in singles]

    # What others read by the Arrow C data interface, a struct with a list of structs, is the same.
    for read in (pa.table(batch), pa.record_batch(batch)):
        read.validate(full=True)
        assert read.column("explanation").to_pylist() == [d.explanation for d in singles]
    frame = pl.DataFrame(batch)
    assert frame["explanation"].to_list() == [d.explanation for d in singles]
    parts = frame.select("id", pl.col("explanation").struct.field("contributions")).explode("contributions")
    assert len(parts) == sum(len(d.explanation["contributions"]) for d in singles if d.explanation)

    lines.clear()
    plain = audited.decide_batch(tasks, offered, now=NOW)
    assert "explanation" not in plain.column_names
    assert b'"explanation"' not in b"".join(lines)
    assert plain.to_dicts() == [{k: v for k, v in row.items() if k != "explanation"} for row in batch.to_dicts()]

    lower = trees.decide_batch(tasks, offered, now=NOW, explain=True, rung="human")
    without = [trees.decide(task, rows, now=NOW, explain=True, rung="human").explanation for task, rows in cases]
    assert lower.column("explanation") == without
    assert pa.table(lower).column("explanation").to_pylist() == without
    assert pa.table(trees.decide_batch([], [], now=NOW, explain=True)).num_rows == 0


def test_linear_stages_and_those_without_contributions() -> None:
    task, candidates = case(1)
    weights = {"version": 1, "features": ["cost", "match"], "weights": [-0.5, 2.0], "intercept": 0.25}
    linear = op.Engine(op.Bundle.draft(parts({"kind": "linear", "model": "rank/model"}, json.dumps(weights).encode())))
    made = linear.decide(task, candidates, now=NOW, explain=True)
    why = made.explanation
    assert why is not None
    best = made.ranked[0].candidate
    assert why["method"] == "linear"
    assert why["base"] == 0.25
    want = {"cost": -0.5 * best, "match": 2.0 * float(np.float32(candidates[best]["match"]))}
    assert {p["feature"]: p["contribution"] for p in why["contributions"]} == {k: v for k, v in want.items() if v != 0}

    lower = linear.decide(task, candidates, now=NOW, explain=True, rung="human").explanation
    assert lower is not None
    assert (lower["missing"], lower["method"], lower["contributions"]) == ("explanation.rung", None, [])

    model = lightgbm.train({"verbosity": -1, "min_data_in_leaf": 1}, lightgbm.Dataset(np.eye(9)[:, :1], np.arange(9.0)), 2)
    text = without_counts(model).replace(b"Column_0", b"match")
    bare = op.Engine(op.Bundle.draft(parts({"kind": "trees", "model": "rank/model"}, text)))
    unexplained = bare.decide(task, candidates, now=NOW, explain=True).explanation
    assert unexplained is not None
    assert unexplained["missing"] == "model.no_covers"

    host = op.Engine(op.Bundle.draft(parts({"kind": "host", "field": "candidate.match"}, b"")))
    line = host.decide(task, candidates, now=NOW, explain=True)
    assert line.explanation is not None
    assert line.explanation["missing"] == "model.no_contributions"
    assert json.loads(line.record())["explanation"]["missing"] == "model.no_contributions"
    assert _core.check_log(line.record())["ok"]
