"""The results of an evaluation, by forecaster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from gapcast.core.windows.examples import WHOLE_MIN
from gapcast.recordings.minutes.report import Report
from gapcast_trainer.scores.cost import BATCH, Cost
from gapcast_trainer.scores.day import Day
from gapcast_trainer.scores.sheet import Sheet
from gapcast_trainer.scores.span import Span


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses after each epoch of training, in the units of its experiment, and the best epoch (from 1)."""

    train: tuple[float, ...]
    validate: tuple[float, ...]
    best_epoch: int | None


@dataclass(frozen=True, slots=True)
class ForecasterScores:
    """One forecaster's scores by lead time; ``about`` describes a peer."""

    name: str
    version: str
    kind: Literal["baseline", "model", "peer"]
    context: int
    sheets: dict[int, Sheet]
    crossed_ratio: float = 0.0
    cost: Cost | None = None
    day: Day | None = None
    losses: Losses | None = None
    about: str = ""

    @property
    def at_horizon(self) -> Sheet:
        """The scores at the longest lead time."""
        return self.sheets[max(self.sheets)]

    def fields(self) -> dict[str, Any]:
        """Return the JSON document: the scores at the horizon at the top level, all lead times under ``by_lead``."""
        return {
            "name": self.name,
            "version": self.version,
            "kind": self.kind,
            "about": self.about,
            "context": self.context,
            "crossed_ratio": self.crossed_ratio,
            **({} if self.cost is None else {"cost": self.cost.fields()}),
            **self.at_horizon.fields(),
            "by_lead": {str(lead): sheet.fields() for lead, sheet in self.sheets.items()},
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All forecasters on the same minutes, persistence first.

    ``sampled`` holds the forecasters scored only on a sample, which their ``headline`` covers.
    """

    span: Span
    report: Report
    rows: tuple[ForecasterScores, ...]
    sampled: tuple[ForecasterScores, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the evaluation for a JSON file; times RFC 3339, power in kW."""
        return {
            "horizon_min": self.span.horizon_min,
            "whole_min": WHOLE_MIN,
            **self.span.fields(),
            "source": self.report.source,
            "source_sha256": self.report.sha256,
            "batch": BATCH,
            "models": [row.fields() for row in self.rows],
            "on_the_sample": [row.fields() for row in self.sampled],
        }
