"""opspilot decides: features, rankers, policies and certified confidence, with reasons and a record.

>>> import opspilot as op
>>> engine = op.Engine(op.Bundle.load("support.opspilot"))
>>> d = engine.decide({"id": "T-1", "text": "refund please"}, now=1_700_000_000_000_000)
>>> d.verdict, d.action, d.probability, d.reasons
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from opspilot import errors
from opspilot._core import Table, __version__
from opspilot.deciding import Bundle, Decision, Engine, RankedCandidate
from opspilot.errors import (
    AuditError,
    BundleError,
    CalibrationError,
    Error,
    FeatureError,
    InternalError,
    LimitError,
    ModelError,
    PolicyError,
    SchemaError,
    UsageError,
)

if TYPE_CHECKING:
    from opspilot import calibrate, cel, evaluate, policy, report, schemas, signing
    from opspilot.features import Features
    from opspilot.models import ChoiceModel, LinearRanker, Ranker, TextClassifier
    from opspilot.policy import Policy

__all__ = [
    "AuditError",
    "Bundle",
    "BundleError",
    "CalibrationError",
    "ChoiceModel",
    "Decision",
    "Engine",
    "Error",
    "FeatureError",
    "Features",
    "InternalError",
    "LimitError",
    "LinearRanker",
    "ModelError",
    "Policy",
    "PolicyError",
    "RankedCandidate",
    "Ranker",
    "SchemaError",
    "Table",
    "TextClassifier",
    "UsageError",
    "__version__",
    "calibrate",
    "cel",
    "errors",
    "evaluate",
    "policy",
    "report",
    "schemas",
    "signing",
]

#: Names that are loaded when they are first used, so that `import opspilot` stays quick.
_LATER = {
    "calibrate": "opspilot.calibrate",
    "cel": "opspilot.cel",
    "evaluate": "opspilot.evaluate",
    "policy": "opspilot.policy",
    "report": "opspilot.report",
    "schemas": "opspilot.schemas",
    "signing": "opspilot.signing",
    "Policy": "opspilot.policy",
    "Features": "opspilot.features",
    "ChoiceModel": "opspilot.models",
    "LinearRanker": "opspilot.models",
    "Ranker": "opspilot.models",
    "TextClassifier": "opspilot.models",
}


def __getattr__(name: str) -> Any:
    home = _LATER.get(name)
    if home is None:
        raise AttributeError(f"module 'opspilot' has no attribute '{name}'")
    module = importlib.import_module(home)
    value = module if home.rpartition(".")[2] == name and name.islower() else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
