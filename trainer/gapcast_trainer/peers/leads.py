"""Boosted trees by kind and lead time: a pair of models for each, fitted to earlier minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

import numpy as np

from gapcast.core.arrays.array_types import I64
from gapcast.core.outlook.scores.reference_forecasts import KINDS
from gapcast_trainer.peers.boosted import boost
from gapcast_trainer.peers.columns import COLUMN_SETS, PeerColumns
from gapcast_trainer.peers.compare import Peers
from gapcast_trainer.scores.evaluation_data import EvaluationData
from gapcast_trainer.scores.lead_minutes import LeadMinutes
from gapcast_trainer.scores.lead_result import LeadRow

#: The input with the longest history.
_COLUMNS = COLUMN_SETS[-1]


def boosted_leads(
    data: EvaluationData, leads: LeadMinutes, n_rows: int | None = None, show: Callable[[str], object] = lambda _: None
) -> LeadRow:
    """Fit LightGBM for each kind and lead time of ``leads`` to at most ``n_rows`` windows, and score it.

    ``show`` is called with progress messages. Raises :class:`~gapcast_trainer.errors.RunError` if there are too few
    windows before the scored ones.
    """
    peers = Peers(data, n_rows)
    about = f"LightGBM on {_COLUMNS.about}: mean and median, a model for each kind and lead time"
    row = LeadRow(_COLUMNS.name, "peer", about=about)
    for lead_min in leads.lead_times_min:
        columns = PeerColumns(data.clean.series, _COLUMNS, lead_min)
        for k, kind in enumerate(KINDS):
            minutes = leads.by_kind[kind]

            def outcomes_kw(observed: I64, lead_min: int = lead_min, k: int = k) -> np.ndarray:
                return leads.power.outcomes_kw(observed, lead_min)[:, k]

            started = monotonic()
            train, validate = (some[~np.isnan(outcomes_kw(some))] for some in (peers.train, peers.validate))
            fitted = boost(columns, train, validate, minutes.observed_minute, outcomes_kw=outcomes_kw)
            show(f"{_COLUMNS.name}, {kind} {lead_min} min: {fitted.n_rounds}, {monotonic() - started:.0f} s")
            leads.add_scores(row, kind, replace(fitted.outputs, lead_times_min=(lead_min,)), lead_min)
    return row
