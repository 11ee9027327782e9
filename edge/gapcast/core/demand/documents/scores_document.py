"""The JSON document of demand scores."""

from __future__ import annotations

from typing import Any

from gapcast.core.demand.scores.scores import ANNOUNCED_MIN, AlarmScore, DemandScores, ElapsedScore, ReliabilityBin
from gapcast.core.documents.figures import round_or_none


def demand_scores_document(scores: DemandScores) -> dict[str, Any]:
    """Return the document of ``scores``; a figure without data is None."""
    return {
        "n_windows": scores.n_windows,
        "n_events": scores.n_events,
        "n_days": scores.n_days,
        "elapsed": [_elapsed_document(one) for one in scores.by_elapsed],
        "alarms": {source: _alarms(one) for source, one in scores.alarms.items()},
    }


def _elapsed_document(one: ElapsedScore) -> dict[str, Any]:
    figures = ("brier", "log_score", "persistence_brier", "so_far_brier")
    return {
        "elapsed_min": one.elapsed_min,
        "n": one.n,
        "n_events": one.n_events,
        **{name: round_or_none(getattr(one, name)) for name in figures},
        "reliability": [_bin(of_bin) for of_bin in one.bins],
    }


def _bin(one: ReliabilityBin) -> dict[str, Any]:
    return {"n": one.n, "mean_p": round_or_none(one.mean_p), "share": round_or_none(one.share)}


def _alarms(one: AlarmScore) -> dict[str, Any]:
    return {
        "n": one.n,
        "n_false": one.n_false,
        "per_month": round_or_none(one.per_month),
        **{
            f"announced_{least}_min": round_or_none(share)
            for least, share in zip(ANNOUNCED_MIN, one.announced, strict=True)
        },
    }
