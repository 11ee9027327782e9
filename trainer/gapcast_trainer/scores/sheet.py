"""One model's score sheet: every group of minutes, for every lead time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from gapcast.core.arrays.array_types import I64, Flags
from gapcast.core.documents.figures import skill_or_nan
from gapcast_trainer.scores.measures import Measures, measure
from gapcast_trainer.scores.minutes import AFTER_GAPS, HOURS, Minutes
from gapcast_trainer.scores.model_outputs import ModelOutputs
from gapcast_trainer.scores.record import ScoreRecord, record, records

Key = TypeVar("Key")
_GROUPED = ("by_hour", "by_month", "after_gaps", "by_readings")


@dataclass(frozen=True, slots=True)
class Sheet:
    """Scores at one lead time.

    ``headline``, ``by_hour`` (of the target, 0 to 23) and ``by_month`` are over the windows of 30 real readings,
    ``stream`` over every forecast of a stream, ``after_gaps`` over the forecasts near a gap, ``sample`` over the sample
    for slow peers. ``by_readings`` is by the maximum number of observed readings. Groups without forecasts are omitted.
    """

    headline: ScoreRecord
    stream: ScoreRecord
    by_hour: dict[int, ScoreRecord]
    by_month: dict[str, ScoreRecord]
    after_gaps: dict[str, ScoreRecord]
    sample: ScoreRecord | None
    by_readings: dict[int, ScoreRecord] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Return the sheet for a JSON file."""
        found: dict[str, Any] = {"headline": self.headline.fields(), "stream": self.stream.fields()}
        for name in _GROUPED:
            found[name] = {str(key): value.fields() for key, value in getattr(self, name).items()}
        if self.sample is not None:
            found["sample"] = self.sample.fields()
        return found


def make_sheet(outputs: ModelOutputs, minutes: Minutes, lead_min: int) -> Sheet:
    """Score ``outputs``, one for each of ``minutes``, at ``lead_min``.

    The headline must have at least one forecast with an observed outcome.
    """
    scored, measures = _measured(outputs, minutes, lead_min)
    month, months = scored.months(lead_min)
    return Sheet(
        headline=record(measures, scored.whole),
        stream=record(measures),
        by_hour=_without_empty(
            HOURS, records(measures, np.where(scored.whole, scored.hours(lead_min), -1), len(HOURS))
        ),
        by_month=_without_empty(months, records(measures, np.where(scored.whole, month, -1), len(months))),
        after_gaps=_without_empty(AFTER_GAPS, [_record_or_none(measures, mask) for mask in scored.after_gaps()]),
        sample=_record_or_none(measures, scored.sampled),
    )


def record_of(outputs: ModelOutputs, minutes: Minutes, lead_min: int) -> ScoreRecord:
    """Score ``outputs``, one for each of ``minutes``, where the outcome at ``lead_min`` was observed."""
    return record(_measured(outputs, minutes, lead_min)[1])


def record_or_none(outputs: ModelOutputs, minutes: Minutes, lead_min: int) -> ScoreRecord | None:
    """Score like :func:`record_of`; None if no forecast has an outcome."""
    _, measures = _measured(outputs, minutes, lead_min)
    return record(measures) if len(measures) else None


def common_skill(outputs: ModelOutputs, reference: ModelOutputs, minutes: Minutes, lead_min: int) -> float:
    """Return 1 - MSE / MSE of ``reference`` where both are known and the outcome was observed.

    NaN if that is nowhere, or if the error of the reference is next to zero.
    """
    actual_kw = minutes.actual_kw(lead_min).astype(np.float64)
    squared = [(one.at(lead_min)[0] - actual_kw) ** 2 for one in (outputs, reference)]
    is_known = ~np.isnan(squared).any(axis=0)
    if not is_known.any():
        return math.nan
    error, base = (float(one[is_known].mean()) for one in squared)
    return skill_or_nan(error, base)


def _measured(outputs: ModelOutputs, minutes: Minutes, lead_min: int) -> tuple[Minutes, Measures]:
    """Measure the forecasts that have an outcome; NaN means no forecast."""
    is_known = ~np.isnan(minutes.actual_kw(lead_min)) & ~np.isnan(outputs.at(lead_min)[0])
    real: I64 = np.flatnonzero(is_known).astype(np.int64)
    scored = minutes.select(real)
    mean, quantiles = outputs.select(real).at(lead_min)
    return scored, measure(mean, quantiles, outputs.levels, scored.actual_kw(lead_min), scored.last_kw)


def _record_or_none(measures: Measures, mask: Flags) -> ScoreRecord | None:
    return record(measures, mask) if mask.any() else None


def _without_empty(keys: Iterable[Key], found: Iterable[ScoreRecord | None]) -> dict[Key, ScoreRecord]:
    return {key: value for key, value in zip(keys, found, strict=True) if value is not None}
