"""Confidence: calibrators, and thresholds with a statistical guarantee. Arrays are 1-d; scores are finite."""

from __future__ import annotations

from typing import Any

from opspilot._calibration_error import CalibrationMeasure as CalibrationMeasure
from opspilot._calibration_error import Reliability as Reliability
from opspilot._calibration_error import ScoreDecomposition as ScoreDecomposition
from opspilot._calibration_error import calibration_error as calibration_error
from opspilot._calibration_error import decompose as decompose
from opspilot._calibration_error import reliability as reliability
from opspilot._calibrators import Beta as Beta
from opspilot._calibrators import Calibrator as Calibrator
from opspilot._calibrators import Choice as Choice
from opspilot._calibrators import HierarchicalPlatt as HierarchicalPlatt
from opspilot._calibrators import Isotonic as Isotonic
from opspilot._calibrators import Platt as Platt
from opspilot._calibrators import Temperature as Temperature
from opspilot._calibrators import VectorScaling as VectorScaling
from opspilot._calibrators import VennAbers as VennAbers
from opspilot._calibrators import choose as choose
from opspilot._calibrators import from_json as from_json
from opspilot._calibrators import top_class as top_class
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
from opspilot._conformal import ConformalSets as ConformalSets
from opspilot._costs import CostThreshold as CostThreshold
from opspilot._costs import GradedThreshold as GradedThreshold
from opspilot._costs import ReviewPlan as ReviewPlan
from opspilot._costs import betting_p_value as betting_p_value
from opspilot._costs import betting_upper as betting_upper
from opspilot._costs import cost_threshold as cost_threshold
from opspilot._costs import graded_threshold as graded_threshold
from opspilot._costs import plan_reviews as plan_reviews
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
from opspilot.errors import UsageError


def __getattr__(name: str) -> Any:
    """``CalibratedClassifier`` is an estimator of scikit-learn, which is loaded when it is asked for."""
    if name != "CalibratedClassifier":
        raise AttributeError(f"module 'opspilot.calibrate' has no attribute '{name}'")
    try:
        from opspilot._calibrated_classifier import CalibratedClassifier
    except ImportError as absent:
        raise UsageError(
            f"CalibratedClassifier needs scikit-learn 1.6 ({absent})",
            code="usage.extra",
            where="calibrate.CalibratedClassifier",
            hint="pip install 'opspilot[sklearn]'",
        ) from absent
    return CalibratedClassifier
