"""The results of an evaluation by lead time and kind."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from gapcast.core.outlook.scores.reference_forecasts import REFERENCES
from gapcast.recordings.minutes.report import Report
from gapcast_trainer.scores.record import ScoreRecord
from gapcast_trainer.scores.span import Span

_DECIMALS = 6
_Records = dict[int, ScoreRecord]
_Skills = dict[int, dict[str, float]]


@dataclass(frozen=True, slots=True)
class LeadRow:
    """The scores of one forecaster by kind and lead time; ``about`` describes a peer.

    ``skills`` are 1 - MSE / MSE of each reference forecast by its name, over the outcomes for which it is known; NaN
    if there are none, or if its error is next to zero.
    """

    name: str
    kind: str
    records: dict[str, _Records] = field(default_factory=dict)
    skills: dict[str, _Skills] = field(default_factory=dict)
    about: str = ""

    def record(self, kind: str, lead_min: int) -> ScoreRecord | None:
        """Return the scores of ``kind`` at ``lead_min``; None if no forecast has an outcome."""
        return self.records.get(kind, {}).get(lead_min)

    def fields(self) -> dict[str, Any]:
        """Return the scores for a JSON file."""
        scores = {
            kind: {str(lead): record.fields() | self._skills(kind, lead) for lead, record in records.items()}
            for kind, records in self.records.items()
        }
        return {"name": self.name, "kind": self.kind, "about": self.about, "scores": scores}

    def _skills(self, kind: str, lead_min: int) -> dict[str, float]:
        return {
            f"skill_{name}": round(skill, _DECIMALS)
            for name, skill in self.skills[kind][lead_min].items()
            if math.isfinite(skill)
        }


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
        """The models and peers: all rows except the reference forecasts."""
        return self.rows[len(REFERENCES) :]

    def row(self, name: str) -> LeadRow:
        """Return the scores of the forecaster ``name``; raise :class:`KeyError` if it does not exist."""
        return {row.name: row for row in self.rows}[name]

    def skill(self, row: LeadRow, kind: str, lead_min: int, reference: str) -> float:
        """Return 1 - MSE / MSE of ``reference`` over the outcomes for which it is known; NaN without any."""
        return row.skills.get(kind, {}).get(lead_min, {}).get(reference, math.nan)

    def n_outcomes(self, kind: str, lead_min: int) -> int:
        """Return the number of outcomes of the models; a reference that is sometimes unknown has fewer."""
        persistence = self.rows[0].record(kind, lead_min)
        return 0 if persistence is None else persistence.n

    def as_json(self) -> dict[str, Any]:
        """Return the evaluation for a JSON file; times RFC 3339, power in kW."""
        return {
            "horizons_min": list(self.lead_times_min),
            **self.span.fields(),
            "source": self.report.source,
            "source_sha256": self.report.sha256,
            "models": [row.fields() for row in self.rows],
        }
