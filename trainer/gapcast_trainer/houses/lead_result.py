"""Scores by house, kind and lead time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gapcast.core.outlook.scores.reference_forecasts import KINDS
from gapcast_trainer.houses.result import summary
from gapcast_trainer.scores.lead_result import LeadEvaluation
from gapcast_trainer.scores.lead_table import SKILL_REFERENCES
from gapcast_trainer.scores.record import ScoreRecord


@dataclass(frozen=True, slots=True)
class HousesLeadEvaluation:
    """The scores of each house by its name: all houses have the same forecasters and lead times."""

    houses: dict[str, LeadEvaluation]

    @property
    def lead_times_min(self) -> tuple[int, ...]:
        """The lead times, rising."""
        return next(iter(self.houses.values())).lead_times_min

    @property
    def model_names(self) -> tuple[str, ...]:
        """The models and peers."""
        return tuple(row.name for row in next(iter(self.houses.values())).forecasters)

    @property
    def about(self) -> dict[str, str]:
        """Descriptions of peers by name."""
        return {row.name: row.about for row in next(iter(self.houses.values())).rows if row.about}

    def records(self, name: str, kind: str, lead_min: int) -> dict[str, ScoreRecord]:
        """Return a forecaster's scores of ``kind`` at ``lead_min``, by house; houses without scores are left out."""
        found = {house: of.row(name).record(kind, lead_min) for house, of in self.houses.items()}
        return {house: record for house, record in found.items() if record is not None}

    def skills(self, name: str, kind: str, lead_min: int, reference: str) -> dict[str, float]:
        """Return a forecaster's skill against ``reference`` in each house where it is defined."""
        found = {house: of.skill(of.row(name), kind, lead_min, reference) for house, of in self.houses.items()}
        return {house: skill for house, skill in found.items() if math.isfinite(skill)}

    def as_json(self) -> dict[str, Any]:
        """Return the scores for a JSON file; power in kW, skills as shares."""
        return {
            "horizons_min": list(self.lead_times_min),
            "houses": {house: of.as_json() for house, of in self.houses.items()},
            "over_houses": {
                name: {
                    kind: {
                        str(lead): {
                            f"skill_{reference}": summary([*self.skills(name, kind, lead, reference).values()])
                            for reference in SKILL_REFERENCES
                        }
                        for lead in self.lead_times_min
                    }
                    for kind in KINDS
                }
                for name in self.model_names
            },
        }
