"""Confidence: calibrators, and thresholds with a statistical guarantee. Arrays are 1-d; scores are finite."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._certificates import ExpectedSelection as ExpectedSelection
from opspilot._certificates import Ladder as Ladder
from opspilot._certificates import LadderStep as LadderStep
from opspilot._certificates import NaiveThreshold as NaiveThreshold
from opspilot._certificates import Threshold as Threshold
from opspilot._certificates import automation_ladder as automation_ladder
from opspilot._certificates import automation_threshold as automation_threshold
from opspilot._certificates import expected_selection as expected_selection
from opspilot._certificates import grid_threshold as grid_threshold
from opspilot._certificates import naive_threshold as naive_threshold
from opspilot._certificates import zero_error_minimum as zero_error_minimum
from opspilot._costs import CostThreshold as CostThreshold
from opspilot._costs import GradedThreshold as GradedThreshold
from opspilot._costs import ReviewPlan as ReviewPlan
from opspilot._costs import betting_p_value as betting_p_value
from opspilot._costs import betting_upper as betting_upper
from opspilot._costs import cost_threshold as cost_threshold
from opspilot._costs import graded_threshold as graded_threshold
from opspilot._costs import plan_reviews as plan_reviews
from opspilot._describe import Described
from opspilot._label_noise import AuditBound as AuditBound
from opspilot._label_noise import LabelNoise as LabelNoise
from opspilot._label_noise import apparent_recall as apparent_recall
from opspilot._label_noise import check_noise_floor as check_noise_floor
from opspilot._label_noise import label_noise as label_noise
from opspilot._label_noise import majority_noise as majority_noise
from opspilot._label_noise import noise_corrected_upper as noise_corrected_upper
from opspilot._label_noise import symmetric_noise as symmetric_noise
from opspilot._label_noise import two_phase_audit as two_phase_audit
from opspilot._label_plan import LabelPlan as LabelPlan
from opspilot._label_plan import Recertification as Recertification
from opspilot._label_plan import log_rate_evidence as log_rate_evidence
from opspilot._label_plan import plan_labels as plan_labels
from opspilot._label_plan import spent_delta as spent_delta
from opspilot._recall import RecallCurve as RecallCurve
from opspilot._recall import RecallFloor as RecallFloor
from opspilot._recall import RecallPrice as RecallPrice
from opspilot._recall import recall_and_risk as recall_and_risk
from opspilot._recall import recall_floor as recall_floor
from opspilot.errors import CalibrationError

Floats = npt.NDArray[np.float64]


class Platt(Described):
    """Platt scaling: ``p = 1 / (1 + exp(a * score + b))``, fitted on margins with smoothed targets (Platt 1999; Lin, Lin,
    Weng 2007). Feed margins or logits, not probabilities."""

    def __init__(self) -> None:
        self.a_ = float("nan")
        self.b_ = float("nan")

    def fit(self, score: npt.ArrayLike, label: npt.ArrayLike) -> Self:
        """``label`` 1 = right. Raises ``CalibrationError`` for unequal lengths, NaN, other labels, or one class only."""
        self.a_, self.b_ = _core.fit_platt(score, label)
        return self

    def probability(self, score: npt.ArrayLike) -> Floats:
        """Probability of label 1 for each score."""
        if np.isnan(self.a_):
            raise CalibrationError("not fitted", code="calibration.not_fitted", hint="call fit first")
        return _core.platt_probability(self.a_, self.b_, score)

    def _description(self) -> dict[str, Any]:
        return {"kind": "platt", "a": self.a_, "b": self.b_}
