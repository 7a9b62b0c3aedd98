"""Rankers and classifiers: trees read from their trainer's files, linear rankers, text classifiers, choice models."""

from __future__ import annotations

from opspilot._choice import ChoiceModel
from opspilot._linear import LinearRanker
from opspilot._text_classifier import TextClassifier
from opspilot._trees import PreparedActions, Ranker, TopScores

__all__ = ["ChoiceModel", "LinearRanker", "PreparedActions", "Ranker", "TextClassifier", "TopScores"]
