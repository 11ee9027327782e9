"""The results of an evaluation by lead time and kind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gapcast.core.outlook.scores.reference_forecasts import REFERENCES
from gapcast.recordings.minutes.report import Report
from gapcast_trainer.scores.record import ScoreRecord
from gapcast_trainer.scores.span import Span

_Records = dict[int, ScoreRecord]


@dataclass(frozen=True, slots=True)
class LeadRow:
    """The scores of one forecaster by kind and lead time; ``about`` describes a peer."""

    name: str
    kind: str
    records: dict[str, _Records]
    about: str = ""

    def record(self, kind: str, lead_min: int) -> ScoreRecord | None:
        """Return the scores of ``kind`` at ``lead_min``; None if there is no forecast with an outcome."""
        return self.records.get(kind, {}).get(lead_min)

    def fields(self) -> dict[str, Any]:
        """Return the scores for a JSON file."""
        scores = {
            kind: {str(lead): record.fields() for lead, record in records.items()}
            for kind, records in self.records.items()
        }
        return {"name": self.name, "kind": self.kind, "about": self.about, "scores": scores}


@dataclass(frozen=True, slots=True)
class LeadEvaluation:
    """All forecasters on the same minutes, by kind and lead time; the reference forecasts come first."""

    span: Span
    report: Report
    n: int
    lead_times_min: tuple[int, ...]
    rows: tuple[LeadRow, ...]

    @property
    def forecasters(self) -> tuple[LeadRow, ...]:
        """The models and peers: all rows but the reference forecasts."""
        return self.rows[len(REFERENCES) :]

    def row(self, name: str) -> LeadRow:
        """Return the scores of the forecaster ``name``; raise :class:`KeyError` if there is none."""
        return {row.name: row for row in self.rows}[name]

    def skill(self, row: LeadRow, kind: str, lead_min: int, reference: str) -> float:
        """Return 1 - MSE / MSE of ``reference``; NaN if they have not the same outcomes, or it made no error."""
        own, base = row.record(kind, lead_min), self.row(reference).record(kind, lead_min)
        if own is None or base is None or own.n != base.n or not base.mse_kw2:
            return math.nan
        return 1 - own.mse_kw2 / base.mse_kw2

    def as_json(self) -> dict[str, Any]:
        """Return the evaluation for a JSON file; times RFC 3339, power in kW."""
        return {
            "horizons_min": list(self.lead_times_min),
            **self.span.fields(),
            "source": self.report.source,
            "source_sha256": self.report.sha256,
            "models": [row.fields() for row in self.rows],
        }
