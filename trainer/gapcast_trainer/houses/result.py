"""Scores by house and model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median
from typing import Any

from gapcast_trainer.scores.record import ScoreRecord
from gapcast_trainer.scores.span import Span, time_label


@dataclass(frozen=True, slots=True)
class HouseScores:
    """The scores of one house: of all models on the same minutes, by name, persistence first."""

    name: str
    span: Span
    records: dict[str, ScoreRecord]

    @property
    def n(self) -> int:
        """The number of forecasts of each model."""
        return next(iter(self.records.values())).n


#: Skills by name.
SKILLS: dict[str, Callable[[ScoreRecord], float]] = {
    "mse_skill": attrgetter("skill"),
    "mae_skill": attrgetter("mae_skill"),
}


@dataclass(frozen=True, slots=True)
class HousesEvaluation:
    """Scores of several houses; ``about`` describes peers by name."""

    horizon_min: int
    houses: tuple[HouseScores, ...]
    about: dict[str, str]

    @property
    def model_names(self) -> tuple[str, ...]:
        """The forecasters, persistence first."""
        return tuple(self.houses[0].records)

    def skills(self, model: str, skill: Callable[[ScoreRecord], float]) -> list[float]:
        """Return a model's skill in each house where it is defined."""
        found = [skill(house.records[model]) for house in self.houses]
        return [value for value in found if math.isfinite(value)]

    def as_json(self) -> dict[str, Any]:
        """Return the scores for a JSON file; power in kW, skills as shares."""
        return {
            "horizon_min": self.horizon_min,
            "about": self.about,
            "houses": {house.name: _house_fields(house) for house in self.houses},
            "over_houses": {
                model: {name: summary(self.skills(model, skill)) for name, skill in SKILLS.items()}
                for model in self.model_names
            },
        }


def summary(skills: Sequence[float]) -> dict[str, float | int | None]:
    """Return worst, median and best of ``skills``, and the number of skills below 0."""
    if not skills:
        return {"worst": None, "median": None, "best": None, "n_below_0": 0}
    return {
        "worst": round(min(skills), 5),
        "median": round(median(skills), 5),
        "best": round(max(skills), 5),
        "n_below_0": sum(value < 0 for value in skills),
    }


def _house_fields(house: HouseScores) -> dict[str, Any]:
    skills = {
        model: {name: round(value, 5) for name, skill in SKILLS.items() if math.isfinite(value := skill(record))}
        for model, record in house.records.items()
    }
    return {
        **house.span.fields(),
        "from": time_label(house.span.first),
        "until": time_label(house.span.until),
        "models": {model: {**skills[model], **record.fields()} for model, record in house.records.items()},
    }
