"""One model's score sheet: every group of minutes, for every minute ahead that it speaks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from gapcast.core.window import I64
from gapcast_trainer.scores.measures import Measures, measure
from gapcast_trainer.scores.minutes import AFTER_GAPS, HOURS, Flags, Minutes
from gapcast_trainer.scores.model_outputs import ModelOutputs
from gapcast_trainer.scores.record import ScoreRecord, record, records

Key = TypeVar("Key")
_GROUPED = ("by_hour", "by_month", "after_gaps", "by_readings")


@dataclass(frozen=True, slots=True)
class Sheet:
    """Scores at one lead time.

    ``headline``, ``by_hour`` (of the target, 0 to 23) and ``by_month`` are over the windows of 30 real
    readings, ``stream`` over every forecast that a stream gives, ``after_gaps`` over those near a gap,
    ``sample`` over the few that slow peers are asked about. ``by_readings`` goes by the number of
    readings seen at most. A group without a forecast is left out.
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


def make_sheet(answers: ModelOutputs, minutes: Minutes, lead_min: int) -> Sheet:
    """Score ``answers`` on ``minutes``, one for each, at ``lead_min``.

    The headline must hold one forecast at least whose outcome was read.
    """
    scored, measures = _measured(answers, minutes, lead_min)
    place, months = scored.months(lead_min)
    return Sheet(
        headline=record(measures, scored.whole),
        stream=record(measures),
        by_hour=_there(HOURS, records(measures, np.where(scored.whole, scored.hours(lead_min), -1), len(HOURS))),
        by_month=_there(months, records(measures, np.where(scored.whole, place, -1), len(months))),
        after_gaps=_there(AFTER_GAPS, [_any(measures, who) for who in scored.after_gaps()]),
        sample=_any(measures, scored.sampled),
    )


def record_of(answers: ModelOutputs, minutes: Minutes, lead_min: int) -> ScoreRecord:
    """Score ``answers`` on all of ``minutes``, one for each, whose outcome was read at ``lead_min``."""
    return record(_measured(answers, minutes, lead_min)[1])


def _measured(answers: ModelOutputs, minutes: Minutes, lead_min: int) -> tuple[Minutes, Measures]:
    real: I64 = np.flatnonzero(~np.isnan(minutes.came(lead_min))).astype(np.int64)
    scored = minutes.take(real)
    mean, quantiles = answers.take(real).at(lead_min)
    return scored, measure(mean, quantiles, answers.levels, scored.came(lead_min), scored.last_kw)


def _any(measures: Measures, who: Flags) -> ScoreRecord | None:
    return record(measures, who) if who.any() else None


def _there(keys: Iterable[Key], found: Iterable[ScoreRecord | None]) -> dict[Key, ScoreRecord]:
    return {key: value for key, value in zip(keys, found, strict=True) if value is not None}
