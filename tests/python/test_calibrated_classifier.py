"""The classifier of scikit-learn, by scikit-learn's own checks of estimators."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import opspilot as op

datasets = pytest.importorskip("sklearn.datasets")
checks = pytest.importorskip("sklearn.utils.estimator_checks")
validation = pytest.importorskip("sklearn.utils.validation")
if not hasattr(validation, "validate_data"):
    pytest.skip("scikit-learn before 1.6", allow_module_level=True)

CLASSIFIERS = [op.calibrate.CalibratedClassifier(calibrator=kind) for kind in ("auto", "isotonic", "venn_abers")]


@checks.parametrize_with_checks(CLASSIFIERS)
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def data(n: int = 3000, seed: int = 0) -> tuple[Any, Any]:
    return datasets.make_classification(n, n_features=8, n_informative=4, flip_y=0.15, random_state=seed)


def test_a_forest_is_calibrated_on_rows_it_was_not_trained_on() -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import log_loss

    X, y = data()
    forest = RandomForestClassifier(30, random_state=0)
    plain = forest.fit(X[:2000], y[:2000]).predict_proba(X[2000:])
    made = op.calibrate.CalibratedClassifier(forest).fit(X[:2000], y[:2000])
    assert log_loss(y[2000:], made.predict_proba(X[2000:])) < log_loss(y[2000:], plain)
    assert made.reason_.startswith(made.calibrator_._kind)
    assert made.calibrator_.input == "probability"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(made)).predict_proba(X), made.predict_proba(X))


def test_pairs_of_venn_abers() -> None:
    X, y = data(600)
    made = op.calibrate.CalibratedClassifier(calibrator="venn_abers").fit(X, np.where(y == 1, "yes", "no"))
    pairs = made.interval(X)
    p = made.predict_proba(X)[:, 1]
    assert np.all((pairs[:, 0] <= p) & (p <= pairs[:, 1]))
    assert set(made.predict(X)) == {"yes", "no"}
    with pytest.raises(op.UsageError):
        op.calibrate.CalibratedClassifier(calibrator="platt").fit(X, y).interval(X)


def test_names_that_do_not_exist() -> None:
    X, y = data(200)
    with pytest.raises(op.UsageError) as caught:
        op.calibrate.CalibratedClassifier(calibrator="plat").fit(X, y)
    assert "venn_abers" in caught.value.hint
    with pytest.raises(AttributeError):
        _ = op.calibrate.Plat
