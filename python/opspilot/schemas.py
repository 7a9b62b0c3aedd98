"""JSON Schemas of a bundle's documents and of the lines of a log, made of the tables that their readers use.

>>> op.schemas.NAMES
>>> op.schemas.get("policy")["properties"]["rules"]
"""

from __future__ import annotations

import json
from typing import Any

from opspilot import _core

__all__ = ["NAMES", "get"]

#: bundle, schema, catalogue, candidates, features, stages, linear, policy, table, calibration, rollout, baseline;
#: text_classifier and choice_model, the JSON headers that stand in those files after 12 bytes; golden, a line of golden.jsonl;
#: decision and outcome, lines of a log; criteria of a launch.
NAMES: tuple[str, ...] = tuple(_core.document_names())


def get(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document. Raises ``UsageError`` for a name that is none of ``NAMES``."""
    made: dict[str, Any] = json.loads(_core.document_schema(name))
    return made
