"""Judging: how well scores rank (``ranking``), how decisions come out by group (``groups``), how far people agree (``raters``),
and what a log proves of launch criteria (``launch``)."""

from __future__ import annotations

from opspilot.evaluate import groups, launch, raters
from opspilot.evaluate.ranking import (
    CUTOFFS,
    RankingMetrics,
    StageMetrics,
    StageScores,
    Ties,
    mrr,
    ndcg,
    ranking_metrics,
    recall_at,
    stage_metrics,
    stage_scores,
)

__all__ = [
    "CUTOFFS",
    "RankingMetrics",
    "StageMetrics",
    "StageScores",
    "Ties",
    "groups",
    "launch",
    "mrr",
    "ndcg",
    "ranking_metrics",
    "raters",
    "recall_at",
    "stage_metrics",
    "stage_scores",
]
