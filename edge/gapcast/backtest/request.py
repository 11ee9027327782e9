"""The request of a back-test: what it computes and writes besides the scores of the forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gapcast.backtest.demands.demand_tally import DemandRequest
from gapcast.backtest.outlooks.outlook_tally import OutlookRequest


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """The ``outlook`` and the ``demand`` to score (None: not scored); ``out`` is a CSV file of all outcomes."""

    out: Path | None = None
    outlook: OutlookRequest | None = None
    demand: DemandRequest | None = None

    @property
    def needs_outlooks(self) -> bool:
        """Whether the engine makes outlooks: demands are made from them."""
        return self.outlook is not None or self.demand is not None

    @property
    def writes_files(self) -> bool:
        """Whether a file of all outcomes, outlooks or demands is written."""
        parts = (self.outlook, self.demand)
        return self.out is not None or any(part is not None and part.out is not None for part in parts)
