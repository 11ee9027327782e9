"""Summaries of scores: the metrics of one period, as an object and as a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from gapcast.core.documents.figures import ratio_or_none, round_or_none, skill_or_none

#: Minimum sample size, outcomes: half a day. Fewer may all be from one quiet night or one dinner.
MIN_OUTCOMES = 720
Sums = tuple[float, float, float]  # n, squared errors of the mean, absolute errors of the median


class Period(StrEnum):
    """The period of scores: 24 to 27 hours, seven to eight days, or all time."""

    LAST_DAY = "last_day"
    LAST_WEEK = "last_week"
    ALL_TIME = "all_time"


LAST_DAY, LAST_WEEK, ALL_TIME = Period
#: The name of :data:`ALL_TIME` in 0.1.0, which documents and metrics also have for one more version.
FORMER_ALL_TIME = "ever"
_Value = TypeVar("_Value")


def named_periods(values: Mapping[Period, _Value]) -> Iterator[tuple[str, _Value]]:
    """Yield the name of each period and its value; that of all time also under its former name.

    >>> dict(named_periods({LAST_DAY: 1, ALL_TIME: 2}))
    {'last_day': 1, 'all_time': 2, 'ever': 2}
    """
    for period, value in values.items():
        yield str(period), value
    yield FORMER_ALL_TIME, values[ALL_TIME]


@dataclass(frozen=True, slots=True)
class MemberSummary:
    """The errors of one ensemble member, and its skill against persistence; None without predictions.

    ``persistence_mse_kw2`` and ``persistence_mae_kw`` are the errors of persistence over the minutes that the member
    predicted, ``n``: fewer than all if it joined later, or if some devices have other horizons, or no submeters.
    """

    n: int
    mse_kw2: float | None
    mae_kw: float | None
    skill: float | None
    persistence_mse_kw2: float | None = None
    persistence_mae_kw: float | None = None

    def document(self) -> dict[str, float | None]:
        """Return the document that MQTT and REST publish."""
        return {
            "n": self.n,
            "mse_kw2": round_or_none(self.mse_kw2),
            "mae_kw": round_or_none(self.mae_kw),
            "skill": round_or_none(self.skill),
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """The scores of one period; None for a metric without data.

    ``mse_kw2`` and ``bias_kw`` (forecast minus actual) are metrics of the mean, ``mae_kw`` of the median. ``skill`` is
    1 - MSE / MSE of persistence, None if the error of persistence is near zero; ``mae_skill`` the same for absolute
    errors. ``pinball_kw`` is the mean of the losses of lower bound, median and upper bound. ``pinball_kw``,
    ``coverage`` (share of outcomes within the interval, 0 to 1) and ``width_kw`` are over the forecasts with an
    interval.
    """

    n: int
    mse_kw2: float | None
    mae_kw: float | None
    bias_kw: float | None
    skill: float | None
    mae_skill: float | None
    pinball_kw: float | None
    coverage: float | None
    width_kw: float | None
    persistence_mse_kw2: float | None
    persistence_mae_kw: float | None
    members: dict[str, MemberSummary]

    @property
    def is_sufficient(self) -> bool:
        """Whether the sample size is sufficient."""
        return self.n >= MIN_OUTCOMES

    def select(self, names: Iterable[str]) -> Summary:
        """Return the summary with only the members ``names``, in this order."""
        return replace(self, members={name: self.members[name] for name in names})

    def document(self) -> dict[str, object]:
        """Return the document that MQTT and REST publish."""
        figures = ("mse_kw2", "mae_kw", "bias_kw", "skill", "mae_skill", "coverage", "width_kw", "pinball_kw")
        return {
            "n": self.n,
            "sufficient": self.is_sufficient,
            "enough": self.is_sufficient,  # its name in 0.1.0, for one more version
            **{name: round_or_none(getattr(self, name)) for name in figures},
            "persistence": {
                "mse_kw2": round_or_none(self.persistence_mse_kw2),
                "mae_kw": round_or_none(self.persistence_mae_kw),
            },
            "experts": {name: member.document() for name, member in self.members.items()},
        }


def summarize(
    interval: Mapping[str, float], published: Sums, persistence: Sums, members: Mapping[str, tuple[Sums, Sums]]
) -> Summary:
    """Return the summary of sums; the sums of ``interval`` are bias, bounds_n, pinball, hits and width.

    ``members`` are the sums of each member, and the sums of persistence over the minutes that it predicted.
    """
    n, squared, absolute = published
    n_bounds = interval["bounds_n"]
    mse_kw2, mae_kw = ratio_or_none(squared, n), ratio_or_none(absolute, n)
    persistence_mse_kw2, persistence_mae_kw = (ratio_or_none(errors, persistence[0]) for errors in persistence[1:])
    return Summary(
        n=round(n),
        mse_kw2=mse_kw2,
        mae_kw=mae_kw,
        bias_kw=ratio_or_none(interval["bias"], n),
        skill=skill_or_none(mse_kw2, persistence_mse_kw2),
        mae_skill=skill_or_none(mae_kw, persistence_mae_kw),
        pinball_kw=ratio_or_none(interval["pinball"], n_bounds),
        coverage=ratio_or_none(interval["hits"], n_bounds),
        width_kw=ratio_or_none(interval["width"], n_bounds),
        persistence_mse_kw2=persistence_mse_kw2,
        persistence_mae_kw=persistence_mae_kw,
        members={name: _member_summary(*sums) for name, sums in members.items()},
    )


def _member_summary(sums: Sums, persistence: Sums) -> MemberSummary:
    mse_kw2, mae_kw = ratio_or_none(sums[1], sums[0]), ratio_or_none(sums[2], sums[0])
    base_mse_kw2, base_mae_kw = (ratio_or_none(errors, persistence[0]) for errors in persistence[1:])
    skill = skill_or_none(mse_kw2, base_mse_kw2)
    return MemberSummary(round(sums[0]), mse_kw2, mae_kw, skill, base_mse_kw2, base_mae_kw)
