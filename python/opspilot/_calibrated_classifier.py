"""A classifier of scikit-learn with calibrated probabilities. Needs scikit-learn 1.6 (extra ``sklearn``)."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from opspilot._calibrators import Beta, Calibrator, Isotonic, Platt, Temperature, VennAbers, choose
from opspilot.errors import UsageError

_KINDS: dict[str, type[Calibrator]] = {
    "platt": Platt,
    "beta": Beta,
    "temperature": Temperature,
    "isotonic": Isotonic,
    "venn_abers": VennAbers,
}


class CalibratedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Two classes. The calibrator is fitted to scores of rows that the estimator was not trained on (``cv`` folds); then the
    estimator is trained on all rows.

    ``estimator``: with ``decision_function`` or ``predict_proba``; None: logistic regression. ``calibrator``: "auto" (as many
    labels as there are decide, see ``choose``), "platt", "beta", "temperature", "isotonic" or "venn_abers".
    After ``fit``: ``estimator_``, ``calibrator_``, ``reason_`` (of "auto", else "").
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        calibrator: Literal["auto", "platt", "beta", "temperature", "isotonic", "venn_abers"] = "auto",
        cv: Any = 5,
    ) -> None:
        self.estimator = estimator
        self.calibrator = calibrator
        self.cv = cv

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Raises ``ValueError`` for what scikit-learn refuses, ``CalibrationError`` for scores that cannot be calibrated."""
        if self.calibrator != "auto" and self.calibrator not in _KINDS:
            raise UsageError(
                f"no calibrator is called {self.calibrator!r}",
                code="usage.calibrator",
                where="calibrator",
                hint=f"one of: auto, {', '.join(_KINDS)}",
            )
        X, y = validate_data(self, X, y, ensure_min_samples=2)
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"This classifier needs two classes; the data contain only one class: {self.classes_[0]!r}")
        positive = (y == self.classes_[1]).astype(np.uint8)
        plain = LogisticRegression() if self.estimator is None else self.estimator
        # Whatever the classes are called, the estimator gets the labels it can order.
        if hasattr(plain, "decision_function"):
            score = cross_val_predict(clone(plain), X, positive, cv=self.cv, method="decision_function")
        else:
            score = cross_val_predict(clone(plain), X, positive, cv=self.cv, method="predict_proba")[:, 1]
        self.estimator_ = clone(plain).fit(X, positive)
        reads: Any = "margin" if hasattr(plain, "decision_function") else "probability"
        self.reason_ = ""
        if self.calibrator == "auto":
            choice = choose(score, positive, input=reads)
            self.calibrator_, self.reason_ = choice.calibrator, choice.reason
        else:
            self.calibrator_ = _KINDS[self.calibrator](input=reads).fit(score, positive)
        return self

    def _scores(self, X: Any) -> npt.NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        if hasattr(self.estimator_, "decision_function"):
            return np.asarray(self.estimator_.decision_function(X), np.float64)
        return np.asarray(self.estimator_.predict_proba(X)[:, 1], np.float64)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """``(n, 2)``, in the order of ``classes_``."""
        p = self.calibrator_.probability(self._scores(X)) if hasattr(self, "calibrator_") else self._scores(X)
        return np.stack([1.0 - p, p], axis=1)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The more probable class; of equal ones the first."""
        p = self.predict_proba(X)
        return self.classes_[np.argmax(p, axis=1)]

    def interval(self, X: Any) -> npt.NDArray[np.float64]:
        """Venn-Abers pairs ``(n, 2)``, of ``calibrator="venn_abers"``; see ``VennAbers`` for what they are not."""
        score = self._scores(X)
        if not isinstance(self.calibrator_, VennAbers):
            raise UsageError(
                "no pairs with this calibrator", code="usage.calibrator", where="calibrator", hint='use calibrator="venn_abers"'
            )
        return self.calibrator_.interval(score)
