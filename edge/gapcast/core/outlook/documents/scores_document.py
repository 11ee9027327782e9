"""The live scores of a device's outlooks as a document: a list for each figure, with a value for each lead time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gapcast.core.learning.scores.summary import Period
from gapcast.core.outlook.scores.scores import LeadScore, OutlookScores

#: Figures in the document, by attributes of :class:`~gapcast.core.outlook.scores.scores.LeadScore`.
FIGURES = (
    "mse_kw2", "mae_kw", "bias_kw", "skill", "window_skill", "pinball_kw", "coverage", "width_kw",
)  # fmt: skip
_DECIMALS = 6


def outlook_scores_document(scores: Mapping[Period, OutlookScores]) -> dict[str, dict[str, dict[str, list[Any]]]]:
    """Return the document of ``scores`` by period, of ``point`` and of ``mean``; a figure without data is None."""
    return {
        str(period): {"point": _columns(of_period.point), "mean": _columns(of_period.mean)}
        for period, of_period in scores.items()
    }


def _columns(scores: Sequence[LeadScore]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"lead_min": [one.lead_min for one in scores], "n": [one.n for one in scores]}
    for name in FIGURES:
        values = [getattr(one, name) for one in scores]
        columns[name] = [None if value is None else round(value, _DECIMALS) for value in values]
    return columns
