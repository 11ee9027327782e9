"""The scored minutes of both kinds of an outlook, and the reference forecasts for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES, MinutePower
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.scores.lead_result import LeadRow
from gapcast_trainer.scores.minutes import Minutes
from gapcast_trainer.scores.model_outputs import ModelOutputs
from gapcast_trainer.scores.sheet import common_skill, record_or_none


class LeadMinutes:
    """Scored minutes with the outcomes of both kinds at some lead times."""

    def __init__(self, series: Series, minutes: Minutes, lead_times_min: tuple[int, ...]) -> None:
        """Use ``minutes`` of ``series`` unchanged, and their outcomes at ``lead_times_min``."""
        self.lead_times_min = lead_times_min
        self.power = MinutePower(series.first_minute, series.gap_kw, series.outcome_kw)
        observed = minutes.observed_minute
        outcomes = np.stack([self.power.outcomes_kw(observed, lead) for lead in lead_times_min], axis=1)
        #: The minutes by kind; their outcomes are NaN if a minute that counts was not measured.
        self.by_kind = {
            kind: replace(minutes, lead_times_min=lead_times_min, target_kw=outcomes[:, :, k].astype(np.float32))
            for k, kind in enumerate(KINDS)
        }
        #: The reference forecasts by kind and name; NaN where unknown.
        self.references = self._make_references()

    def add_scores(self, row: LeadRow, kind: str, outputs: ModelOutputs, lead_min: int) -> None:
        """Score ``outputs`` of ``kind`` at ``lead_min`` for ``row``, if there is a forecast with an outcome."""
        minutes = self.by_kind[kind]
        records, skills = row.records.setdefault(kind, {}), row.skills.setdefault(kind, {})
        record = record_or_none(outputs, minutes, lead_min)
        if record is not None:
            records[lead_min] = record
            skills[lead_min] = {
                name: common_skill(outputs, reference, minutes, lead_min)
                for name, reference in self.references[kind].items()
            }

    def _make_references(self) -> dict[str, dict[str, ModelOutputs]]:
        observed = self.by_kind[KINDS[0]].observed_minute
        found = np.stack([self.power.references_kw(observed, lead) for lead in self.lead_times_min], axis=1)
        kw = found.astype(np.float32)
        return {
            kind: {name: ModelOutputs(self.lead_times_min, (), kw[:, :, k, i]) for i, name in enumerate(REFERENCES)}
            for k, kind in enumerate(KINDS)
        }
