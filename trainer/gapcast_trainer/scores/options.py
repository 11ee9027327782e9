"""The options of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """The peers to fit and score beside the models.

    Boosted trees are fitted to at most ``n_rows`` windows (None: all), evenly spread. Classical methods forecast
    ``n_sampled`` windows, on which the other forecasters are scored as well.
    """

    n_rows: int | None = None
    n_sampled: int = 300


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """The minutes to score, and what to score on them.

    ``first`` and ``until`` (exclusive) select other minutes than those to which no model was fitted. ``peers`` are
    other methods (None: no peers). ``brief`` omits shortened windows and timings.
    """

    first: datetime | None = None
    until: datetime | None = None
    peers: PeerOptions | None = None
    brief: bool = False


#: Only the models, on the minutes to which none was fitted.
DEFAULTS = EvaluationOptions()
