"""The results of an evaluation by lead time and kind, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gapcast.core.examples import WHOLE_MIN
from gapcast.core.outlook.reference_forecasts import KINDS, REFERENCES
from gapcast.recordings.series import Report
from gapcast_trainer.scores.record import ScoreRecord
from gapcast_trainer.scores.span import Span
from gapcast_trainer.scores.table import NONE, shown, table

_TITLES = dict(zip(KINDS, ("The minute at the lead time", "The mean of all minutes until then"), strict=True))
_Records = dict[int, ScoreRecord]


@dataclass(frozen=True, slots=True)
class LeadRow:
    """The scores of one forecaster by kind and lead time; ``about`` describes a peer."""

    name: str
    kind: str
    records: dict[str, _Records]
    about: str = ""

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

    def as_json(self) -> dict[str, Any]:
        """Return the evaluation for a JSON file; times RFC 3339, power in kW."""
        return {
            "horizons_min": list(self.lead_times_min),
            "from": f"{self.span.first:%Y-%m-%dT%H:%M:%SZ}",
            "until": f"{self.span.until:%Y-%m-%dT%H:%M:%SZ}",
            "chosen": self.span.why,
            "fitted_to_these_minutes": list(self.span.fitted_to),
            "source": self.report.source,
            "source_sha256": self.report.sha256,
            "models": [row.fields() for row in self.rows],
        }


def lead_lines(found: LeadEvaluation) -> Iterator[str]:
    """Yield the tables for a terminal, for each kind: errors, skill against two references, and coverage."""
    span = found.span
    yield (
        f"{found.n:,} windows that end with {WHOLE_MIN} real readings in a row, from {span.first:%Y-%m-%d %H:%M} until "
        f"{span.until:%Y-%m-%d %H:%M} UTC ({span.why})"
    )
    if span.fitted_to:
        names = ", ".join(span.fitted_to)
        yield f"Not a fair test of {names}: some of these minutes are ones that the model was chosen on"
    for kind in KINDS:
        yield ""
        yield f"{_TITLES[kind]}: MSE kW² / MAE kW (of the median where there is one) by minutes ahead"
        yield from _table(found, kind, lambda record, _: f"{shown(record.mse_kw2)} / {shown(record.best_mae_kw)}")
        for reference in REFERENCES[:2]:
            yield f"Skill against {reference.replace('_', ' ')}"
            yield from _table(found, kind, _skill_against(found, kind, reference))
        yield "Share within the 90 % interval"
        yield from _table(found, kind, lambda record, _: shown(record.coverage))


def _skill_against(found: LeadEvaluation, kind: str, reference: str) -> Callable[[ScoreRecord, int], str]:
    base = next(row for row in found.rows if row.name == reference).records[kind]

    def skill(record: ScoreRecord, lead_min: int) -> str:
        is_comparable = record.n == base[lead_min].n and base[lead_min].mse_kw2 > 0
        return shown(1 - record.mse_kw2 / base[lead_min].mse_kw2, 3) if is_comparable else NONE

    return skill


def _table(found: LeadEvaluation, kind: str, cell: Callable[[ScoreRecord, int], str]) -> list[str]:
    """Return a table with a row for each forecaster that has a figure, and a column for each lead time."""
    rows = []
    for row in found.rows:
        records = row.records.get(kind, {})
        cells = [cell(records[lead], lead) if lead in records else NONE for lead in found.lead_times_min]
        if any(one != NONE for one in cells):
            rows.append((row.name, cells))
    return table("min", [str(lead) for lead in found.lead_times_min], rows, 18)
