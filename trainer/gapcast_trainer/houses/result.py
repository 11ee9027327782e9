"""Scores by house and model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from gapcast.core.documents.figures import skill_or_nan
from gapcast_trainer.scores.record import ScoreRecord


@dataclass(frozen=True, slots=True)
class HouseScores:
    """The scores of one house: of all models on the same minutes, by name, persistence first.

    ``first`` and ``until`` (exclusive) are times in UTC. ``fitted_to`` names models that were fitted to or selected on
    some of these minutes, ``overlapping`` models that may have been.
    """

    name: str
    first: str
    until: str
    why: str
    fitted_to: tuple[str, ...]
    records: dict[str, ScoreRecord]
    overlapping: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """The number of forecasts of each model."""
        return next(iter(self.records.values())).n


def mse_skill(record: ScoreRecord) -> float:
    """Return 1 - MSE of the mean / MSE of persistence; NaN if the error of persistence is next to zero."""
    return record.skill


def mae_skill(record: ScoreRecord) -> float:
    """Return 1 - MAE of the median (of the mean without one) / MAE of persistence; NaN as :func:`mse_skill`."""
    return skill_or_nan(record.best_mae_kw, record.persistence_mae_kw)


#: Skills by name.
SKILLS: dict[str, Callable[[ScoreRecord], float]] = {"mse_skill": mse_skill, "mae_skill": mae_skill}


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
        "from": house.first,
        "until": house.until,
        "chosen": house.why,
        "fitted_to_these_minutes": list(house.fitted_to),
        "trained_in_the_same_period": list(house.overlapping),
        "models": {model: {**skills[model], **record.fields()} for model, record in house.records.items()},
    }
