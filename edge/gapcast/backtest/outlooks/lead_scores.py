"""Scores by lead time and kind of the published outlooks, and of the reference forecasts on the same minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.documents.figures import ratio_or_none, round_or_none, skill_or_none
from gapcast.core.outlook.outlook import LOWER, MEAN, MEDIAN, UPPER
from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES

#: Columns of the sums over the outlooks; the columns of each reference follow.
_N, _SQUARED, _ABSOLUTE, _BOUNDS_N, _HITS, _WIDTH = range(6)
_N_OWN = 6
#: Columns of the sums of one reference: its number and errors, and the errors of the outlooks on the same minutes.
_N_EACH = 5
#: An outcome this far outside is inside, kW: bounds are rounded to six decimals, and outcomes not.
_ROUNDING_KW = 1e-6


@dataclass(frozen=True, slots=True)
class ReferenceScore:
    """The errors of a reference over ``n`` outcomes, and the skill of the outlooks against it; None without any."""

    n: int
    mse_kw2: float | None
    mae_kw: float | None
    skill: float | None
    mae_skill: float | None


@dataclass(frozen=True, slots=True)
class LeadComparison:
    """The scores of one kind at one lead time; None for a figure without data.

    ``mse_kw2`` is of the mean, ``mae_kw`` of the median, ``coverage`` (0 to 1) and ``width_kw`` of the 90 % interval.
    ``references`` are by name, in the order of :data:`~gapcast.core.outlook.scores.reference_forecasts.REFERENCES`.
    """

    kind: str
    lead_min: int
    n: int
    mse_kw2: float | None
    mae_kw: float | None
    coverage: float | None
    width_kw: float | None
    references: dict[str, ReferenceScore]

    def document(self) -> dict[str, Any]:
        """Return the scores as a JSON document."""
        figures = ("mse_kw2", "mae_kw", "coverage", "width_kw")
        of_reference = ("mse_kw2", "mae_kw", "skill", "mae_skill")
        return {
            "kind": self.kind,
            "lead_min": self.lead_min,
            "n": self.n,
            **{name: round_or_none(getattr(self, name)) for name in figures},
            "references": {
                name: {"n": one.n, **{figure: round_or_none(getattr(one, figure)) for figure in of_reference}}
                for name, one in self.references.items()
            },
        }


class LeadSums:
    """Sums of errors by lead time and kind: a few hundred numbers, independent of the number of outlooks."""

    def __init__(self, lead_times_min: tuple[int, ...], sums: F64 | None = None) -> None:
        """Score outlooks at ``lead_times_min``; continue with ``sums``, the :attr:`sums` of another (None: zero)."""
        self.lead_times_min = lead_times_min
        shape = (len(lead_times_min), len(KINDS), _N_OWN + _N_EACH * len(REFERENCES))
        #: By lead time and kind; for storage.
        self.sums: F64 = np.zeros(shape) if sums is None else sums.reshape(shape).copy()

    def add(self, lead: int, outlooks_kw: F64, actual_kw: F64, references_kw: F64) -> None:
        """Add N outlooks at the lead time with index ``lead``.

        ``outlooks_kw`` is ``[N, 2, 4]``, by kind: mean, lower bound, median, upper bound, NaN if there is none;
        ``actual_kw`` ``[N, 2]``, NaN without an outcome; ``references_kw`` ``[N, 2, 4]``, by kind and reference, NaN
        if unknown.
        """
        mean_kw, median_kw = outlooks_kw[:, :, MEAN], outlooks_kw[:, :, MEDIAN]
        lower_kw, upper_kw = outlooks_kw[:, :, LOWER], outlooks_kw[:, :, UPPER]
        squared = (mean_kw - actual_kw) ** 2
        absolute = np.abs(np.where(np.isnan(median_kw), mean_kw, median_kw) - actual_kw)
        width_kw = np.where(np.isnan(actual_kw), np.nan, upper_kw - lower_kw)
        hits = np.where(
            np.isnan(width_kw), np.nan, (lower_kw - _ROUNDING_KW <= actual_kw) & (actual_kw <= upper_kw + _ROUNDING_KW)
        )
        columns = [~np.isnan(squared), squared, absolute, ~np.isnan(width_kw), hits, width_kw]
        for i in range(len(REFERENCES)):
            errors = references_kw[:, :, i] - actual_kw
            is_known = ~np.isnan(errors)
            own = [np.where(is_known, column, 0.0) for column in (squared, absolute)]
            columns += [is_known, errors**2, np.abs(errors), *own]
        self.sums[lead] += np.stack([np.nansum(column, axis=0) for column in columns], axis=1)

    def __iadd__(self, other: LeadSums) -> LeadSums:
        """Add the sums of ``other``, which has the same lead times."""
        self.sums += other.sums
        return self

    def scores(self) -> list[LeadComparison]:
        """Return the scores, by kind and then by lead time."""
        return [
            _score(kind, lead_min, self.sums[i, k].tolist())
            for k, kind in enumerate(KINDS)
            for i, lead_min in enumerate(self.lead_times_min)
        ]


@dataclass(frozen=True, slots=True)
class LeadScores:
    """The sums of each house at ``lead_times_min``, by name; houses without an outlook may be left out."""

    lead_times_min: tuple[int, ...]
    houses: Mapping[str, LeadSums]

    def for_house(self, house: str) -> list[LeadComparison]:
        """Return the scores of ``house``, by kind and then by lead time."""
        return self.houses.get(house, LeadSums(self.lead_times_min)).scores()

    def overall(self) -> list[LeadComparison]:
        """Return the scores over all houses, by kind and then by lead time."""
        sums = LeadSums(self.lead_times_min)
        for of_house in self.houses.values():
            sums += of_house
        return sums.scores()


def _score(kind: str, lead_min: int, sums: list[float]) -> LeadComparison:
    references = {}
    for i, name in enumerate(REFERENCES):
        n, squared, absolute, own_squared, own_absolute = sums[_N_OWN + _N_EACH * i : _N_OWN + _N_EACH * (i + 1)]
        mse_kw2, mae_kw = ratio_or_none(squared, n), ratio_or_none(absolute, n)
        references[name] = ReferenceScore(
            round(n),
            mse_kw2,
            mae_kw,
            skill_or_none(ratio_or_none(own_squared, n), mse_kw2),
            skill_or_none(ratio_or_none(own_absolute, n), mae_kw),
        )
    return LeadComparison(
        kind,
        lead_min,
        round(sums[_N]),
        ratio_or_none(sums[_SQUARED], sums[_N]),
        ratio_or_none(sums[_ABSOLUTE], sums[_N]),
        ratio_or_none(sums[_HITS], sums[_BOUNDS_N]),
        ratio_or_none(sums[_WIDTH], sums[_BOUNDS_N]),
        references,
    )
