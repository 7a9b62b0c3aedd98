"""Calibrators and measures of calibration in Python, beside scikit-learn and frozen answers of other libraries."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opspilot as op
from opspilot import calibrate

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "calibration"
ALL = (
    calibrate.Platt,
    calibrate.Beta,
    calibrate.Temperature,
    calibrate.Isotonic,
    calibrate.VennAbers,
    calibrate.HierarchicalPlatt,
)


def frozen(name: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return made


def stated(n: int, seed: int = 0, power: float = 1.5) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.001, 0.999, size=n)
    return p, (rng.random(n) < p**power).astype(int)


@pytest.mark.parametrize("kind", ALL)
def test_every_calibrator_is_fitted_read_written_and_copied(kind: Any) -> None:
    p, label = stated(800)
    made = kind().fit(p, label)
    at = np.array([0.05, 0.4, 0.41, 0.93])
    probability = made.probability(at)
    assert probability.shape == (4,)
    assert probability.dtype == np.float64
    assert np.all(np.diff(probability) >= 0)
    for other in (
        kind.from_json(made.to_json()),
        calibrate.from_json(made.to_json()),
        pickle.loads(pickle.dumps(made)),
        copy.deepcopy(made),
    ):
        assert type(other) is kind
        np.testing.assert_array_equal(other.probability(at), probability)
        assert other.to_json() == made.to_json()
    assert made.describe("json")
    assert made._kind in repr(made)
    assert "<table>" in made._repr_html_()
    assert pickle.loads(pickle.dumps(kind())).input == kind().input


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("score", "label", "code"),
    [
        ([0.1, 0.2], [1], "calibration.length_mismatch"),
        ([0.1, np.nan], [0, 1], "calibration.not_finite"),
        ([0.1, -np.inf], [0, 1], "calibration.not_finite"),
        ([0.1, 0.2], [0, 2], "calibration.bad_label"),
        ([0.1, 0.2], [0, 0.5], "calibration.bad_label"),
        ([0.1, 0.2], [1, 1], "calibration.one_class"),
        ([], [], "calibration.empty"),
    ],
)
def test_what_no_calibrator_takes(kind: Any, score: Any, label: Any, code: str) -> None:
    with pytest.raises(op.CalibrationError) as caught:
        kind().fit(score, label)
    assert caught.value.code == code


@pytest.mark.parametrize("kind", [calibrate.Platt, calibrate.Beta, calibrate.HierarchicalPlatt])
def test_constant_scores_are_refused_where_they_say_nothing(kind: Any) -> None:
    with pytest.raises(op.CalibrationError) as caught:
        kind().fit([0.5, 0.5, 0.5], [0, 1, 1])
    assert caught.value.code == "calibration.all_ties"
    assert caught.value.hint


def test_constant_scores_have_a_step_and_a_pair() -> None:
    np.testing.assert_array_equal(calibrate.Isotonic().fit([0.5] * 4, [0, 1, 1, 1]).probability([0.1, 0.9]), [0.75, 0.75])
    np.testing.assert_array_equal(calibrate.VennAbers().fit([0.5] * 4, [0, 1, 1, 1]).interval([0.5]), [[0.6, 0.8]])


@pytest.mark.parametrize("kind", ALL)
def test_a_calibrator_that_was_not_fitted_says_so(kind: Any) -> None:
    for act in (lambda: kind().probability([0.5]), lambda: kind().to_json()):
        with pytest.raises(op.CalibrationError) as caught:
            act()
        assert caught.value.code == "calibration.not_fitted"


def test_a_document_of_another_kind_is_refused() -> None:
    p, label = stated(100)
    with pytest.raises(op.CalibrationError) as caught:
        calibrate.Platt.from_json(calibrate.Beta().fit(p, label).to_json())
    assert caught.value.code == "calibration.wrong_kind"
    with pytest.raises(op.CalibrationError) as caught:
        calibrate.from_json('{"kind": "isotonic", "input": "margin", "score": [1, 1], "value": [0, 1]}')
    assert (caught.value.code, caught.value.where) == ("calibration.not_ascending", "/score/1")


def test_isotonic_is_scikit_learns_with_ties_and_weights() -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    rng = np.random.default_rng(3)
    for digits, weighted in ((8, False), (1, False), (1, True), (2, True)):
        score = np.round(rng.normal(size=2000), digits)
        label = (rng.random(2000) < 1 / (1 + np.exp(-score))).astype(int)
        weight = rng.exponential(size=2000) if weighted else None
        theirs = isotonic.IsotonicRegression(out_of_bounds="clip").fit(score, label, sample_weight=weight)
        mine = calibrate.Isotonic().fit(score, label, weight)
        assert mine.input == "margin"
        at = np.concatenate([score, theirs.X_thresholds_, rng.normal(size=500)])
        np.testing.assert_allclose(mine.probability(at), theirs.predict(at), atol=1e-12, rtol=0)


def test_venn_abers_pairs_are_frozen_ones() -> None:
    for case in frozen("venn_abers")["cases"]:
        fitted = calibrate.VennAbers().fit(case["score"], case["label"])
        pairs = fitted.interval(case["at"])
        assert pairs.shape == (len(case["at"]), 2)
        np.testing.assert_allclose(pairs, case["package"], atol=1e-12, rtol=0)
        np.testing.assert_allclose(fitted.probability(case["at"]), pairs[:, 1] / (1 - pairs[:, 0] + pairs[:, 1]), atol=1e-15)


def test_venn_abers_pairs_are_isotonic_fits_with_the_new_point() -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    rng = np.random.default_rng(8)
    p, label = np.round(rng.random(300), 2), (rng.random(300) < 0.4).astype(int)
    pairs = calibrate.VennAbers().fit(p, label).interval(np.linspace(0, 1, 31))
    for s, pair in zip(np.linspace(0, 1, 31), pairs, strict=True):
        for y in (0, 1):
            refitted = isotonic.IsotonicRegression().fit(np.append(p, s), np.append(label, y))
            assert pair[y] == pytest.approx(refitted.predict([s])[0], abs=1e-12)


def test_only_venn_abers_has_pairs() -> None:
    assert not hasattr(calibrate.Platt(), "interval")
    p, label = stated(100)
    core = calibrate.Platt().fit(p, label)._fitted()
    with pytest.raises(op.CalibrationError) as caught:
        core.interval([0.5])
    assert caught.value.code == "calibration.no_interval"


def test_temperature_for_many_classes() -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    if not hasattr(calibration, "_TemperatureScaling"):
        pytest.skip("scikit-learn before 1.8")
    rng = np.random.default_rng(5)
    z = rng.normal(size=(500, 3))
    classes = (np.cumsum(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), axis=1) < rng.random((500, 1))).sum(axis=1)
    mine = calibrate.Temperature().fit(3 * z, classes)
    assert mine.t_ == pytest.approx(3, rel=0.3)
    np.testing.assert_allclose(
        mine.probability(3 * z), calibration._TemperatureScaling().fit(3 * z, classes).predict(3 * z), atol=1e-6
    )
    scaled = calibrate.VectorScaling(ridge=0.5).fit(3 * z, classes)
    assert scaled.probability(3 * z).sum(axis=1) == pytest.approx(np.ones(500))
    with pytest.raises(op.CalibrationError) as caught:
        calibrate.Temperature().fit(z, np.where(np.arange(500) == 7, 1.5, classes))
    assert (caught.value.code, caught.value.where) == ("calibration.bad_class", "row 7")
    with pytest.raises(op.CalibrationError) as caught:
        calibrate.Temperature().fit(z, np.where(np.arange(500) == 7, 3, classes))
    assert (caught.value.code, caught.value.where) == ("calibration.bad_class", "row 7")
    with pytest.raises(op.CalibrationError) as caught:
        scaled.probability(z[:, :2])
    assert caught.value.code == "calibration.shape"


def test_the_task_of_the_most_probable_class() -> None:
    score, right = calibrate.top_class([[0.2, 0.8], [0.6, 0.4], [0.5, 0.5]], [1, 1, 0])
    np.testing.assert_array_equal(score, [0.8, 0.6, 0.5])
    np.testing.assert_array_equal(right, [1, 0, 1])


def test_clients_by_name() -> None:
    case = frozen("hierarchical")
    names = [f"client {k:02}" for k in case["client"]]
    want = case["cases"][1]
    made = calibrate.HierarchicalPlatt(offset_variance=want["variance"]).fit(case["score"], case["label"], names)
    offsets = [made.clients_[f"client {k:02}"]["offset"] for k in range(case["clients"])]
    np.testing.assert_allclose(offsets, want["offsets"], atol=1e-6)
    one = made.probability([0.3, 0.3], "client 08")
    np.testing.assert_array_equal(one, made.probability([0.3, 0.3], ["client 08", "client 08"]))
    assert one[0] > made.probability([0.3])[0]  # the highest offset
    np.testing.assert_array_equal(made.probability([0.3], "nobody"), made.probability([0.3]))
    np.testing.assert_array_equal(made.probability([0.3, 0.3], ["nobody", "client 08"]), [made.probability([0.3])[0], one[0]])
    with pytest.raises(op.CalibrationError) as caught:
        made.probability([0.3, 0.4, 0.5], ["client 08", "client 01"])
    assert caught.value.code == "calibration.length_mismatch"
    with pytest.raises(op.CalibrationError) as caught:
        calibrate.HierarchicalPlatt().fit(case["score"], case["label"], names[:-1])
    assert caught.value.code == "calibration.length_mismatch"


def test_shrinkage_beats_one_curve_for_all_and_one_each() -> None:
    """Clients of at most 50 labels, simulated; held-out log-loss."""
    rng = np.random.default_rng(15)
    clients, kept, fresh = 80, 40, 150
    offset = rng.normal(0, 1.0, clients)
    client = np.repeat(np.arange(clients), kept + fresh)
    score = rng.normal(0.0, 1.5, client.size)
    label = (rng.random(client.size) < 1 / (1 + np.exp(-(0.4 + offset[client] + 0.9 * score)))).astype(int)
    train = np.tile(np.arange(kept + fresh) < kept, clients)

    def loss(p: Any) -> float:
        right = label[~train] == 1
        return float(-np.mean(np.log(np.where(right, p, 1 - p))))

    shared = calibrate.HierarchicalPlatt().fit(score[train], label[train], client[train])
    of_all = calibrate.Platt().fit(score[train], label[train])
    each = np.empty(client.size)
    for k in range(clients):
        mine = train & (client == k)
        curve = of_all if label[mine].min() == label[mine].max() else calibrate.Platt().fit(score[mine], label[mine])
        each[client == k] = curve.probability(score[client == k])
    hierarchical = loss(shared.probability(score[~train], client[~train]))
    assert hierarchical < loss(of_all.probability(score[~train]))
    assert hierarchical < loss(each[~train])


def test_choose_gives_a_fitted_calibrator_and_the_reason() -> None:
    few = calibrate.choose(*stated(80))
    assert isinstance(few.calibrator, calibrate.Platt)
    assert "beta calibration wants 100" in few.reason
    assert few.positives + few.negatives == 80
    p, label = stated(6000)
    many = op.calibrate.choose(p, label)
    assert {entry["kind"] for entry in many.compared} == {"platt", "beta", "isotonic"}
    assert many.calibrator.input == "probability"
    assert many.venn_abers_width < few.venn_abers_width
    np.testing.assert_allclose(many.probability([0.5]), [0.5**1.5], atol=0.04)
    assert many.reason in repr(many)
    assert many.reason in many.describe()
    margins = calibrate.choose(np.log(p / (1 - p)), label)
    assert margins.calibrator.input == "margin"


def test_measures_are_those_of_other_libraries() -> None:
    for case in frozen("calibration_error")["cases"]:
        p, label = case["p"], case["label"]
        assert calibrate.calibration_error(p, label) == pytest.approx(case["debiased"], abs=1e-12)
        assert calibrate.calibration_error(p, label, bins=10) == pytest.approx(case["debiased_10_bins"], abs=1e-12)
        assert calibrate.calibration_error(p, label, method="binned", bins=15) == pytest.approx(case["binned_15"], abs=1e-12)
        assert calibrate.calibration_error(p, label, method="smooth") == pytest.approx(case["smooth"], abs=1e-3)
        assert calibrate.calibration_error(p, label, method="corp") == pytest.approx(case["corp"]["miscalibration"], abs=1e-12)
        parts = calibrate.decompose(p, label)
        assert abs(parts.score - (parts.miscalibration - parts.discrimination + parts.uncertainty)) <= 1e-12
        assert parts.discrimination == pytest.approx(case["corp"]["discrimination"], abs=1e-12)


@pytest.mark.parametrize("method", ["debiased", "smooth", "corp", "binned"])
def test_a_measure_is_a_number_with_an_interval(method: Any) -> None:
    p, label = stated(500, power=2.5)
    measure = op.calibrate.calibration_error(p, label, method=method)
    assert isinstance(measure, float)
    assert measure.low <= measure.high
    assert measure > measure.calibrated_high
    again = op.calibrate.calibration_error(p, label, method=method)
    assert (again, again.low, again.high) == (measure, measure.low, measure.high)
    assert op.calibrate.calibration_error(p, label, method=method, confidence=0.5).low >= measure.low
    assert json.loads(measure.describe("json"))["high"] == measure.high
    assert method in repr(measure)
    assert pickle.loads(pickle.dumps(measure)).high == measure.high


def test_wrong_questions_about_calibration_are_named() -> None:
    with pytest.raises(op.UsageError) as wrong:
        calibrate.calibration_error([0.5, 0.6], [0, 1], method="ece")  # type: ignore[arg-type]
    assert "debiased" in wrong.value.hint
    for change, code in [
        ({"p": [0.5, 1.1]}, "calibration.bad_probability"),
        ({"p": [0.5, np.nan]}, "calibration.not_finite"),
        ({"p": [[0.5, 0.5]]}, "calibration.shape"),
        ({"label": [0]}, "calibration.length_mismatch"),
        ({"label": [0, 3]}, "calibration.bad_label"),
        ({"bins": 9}, "calibration.bad_bins"),
        ({"resamples": 2}, "calibration.bad_resamples"),
    ]:
        given: dict[str, Any] = {"p": [0.5, 0.6], "label": [0, 1], **change}
        with pytest.raises(op.CalibrationError) as caught:
            calibrate.calibration_error(given.pop("p"), given.pop("label"), **given)
        assert caught.value.code == code


def test_a_reliability_diagram_is_data_and_a_page(tmp_path: Path) -> None:
    p, label = stated(1000)
    diagram = calibrate.reliability(p, label, bins=10)
    assert len(diagram.bins) == 10
    assert sum(entry["n"] for entry in diagram.bins) == sum(entry["n"] for entry in diagram.curve) == 1000
    shares = [entry["accuracy"] for entry in diagram.curve]
    assert shares == sorted(shares)
    assert diagram.svg().startswith("<svg")
    assert diagram.svg().count("<circle") == 10
    page = diagram.save(tmp_path / "reliability.html").read_text(encoding="utf-8")
    assert "Reliability" in page
    assert "<script" not in page
    assert f"{float(diagram.error):.4f}" in page
    few = calibrate.reliability([0.2, 0.2, 0.7, 0.7], [0, 1, 1, 1])
    assert few.svg()


@pytest.mark.parametrize("kind", ALL)
def test_the_schema_of_calibration_json_knows_each_kind_as_its_reader_does(kind: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from opspilot import _core

    p, label = stated(200)
    made = kind()
    made = made.fit(p, label, ["b", "a"] * 100) if kind is calibrate.HierarchicalPlatt else made.fit(p, label)
    schema = jsonschema.Draft202012Validator(op.schemas.get("calibration"))

    def agreed(calibrator: dict[str, Any]) -> bool:
        document = {"version": 1, "calibrator": calibrator, "thresholds": []}
        try:
            _core.check_calibration(json.dumps(document).encode())
        except op.CalibrationError:
            read = False
        else:
            read = True
        assert schema.is_valid(document) is read, calibrator
        return read

    good = json.loads(made.to_json())
    assert agreed(good)
    for key in good:
        assert not agreed({other: value for other, value in good.items() if other != key})
        for wrong in ("x", None, [], ["x"], [2.5], {"x": 1}, True):
            if not (wrong == [2.5] and "score" in key):
                assert not agreed({**good, key: wrong})
    assert not agreed({**good, "c" if kind is not calibrate.Beta else "t": 1.0})
    for key in ("t", "spread"):
        if key in good:
            assert not agreed({**good, key: 0})
