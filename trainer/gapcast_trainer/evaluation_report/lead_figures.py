"""The plots of an evaluation by lead time: skill and coverage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from gapcast.core.forecasts.forecast import LEVEL
from gapcast.core.outlook.scores.reference_forecasts import KINDS
from gapcast_trainer.evaluation_report.figures import COLOURS, STYLES, TOLERANCE, coloured
from gapcast_trainer.houses.lead_result import HousesLeadEvaluation
from gapcast_trainer.report.figure import BLUE, GREY, new_figure
from gapcast_trainer.scores.lead_result import LeadEvaluation, LeadRow
from gapcast_trainer.scores.lead_table import SKILL_REFERENCES, display_name

_MODEL, _REFERENCE = "-", "--"
#: Names of the kinds in a plot.
_KINDS = dict(zip(KINDS, ("single minute", "mean until then"), strict=True))
_PERCENT = 100.0
_HEIGHT_IN = 5.6
_COVERAGE_HEIGHT_IN = 3.3
#: Minimum distance between two tick marks, as a share of the longest lead time.
_TICK_SHARE = 1 / 8
#: Maximum number of houses with a colour each; with more, only the median has a colour.
_MOST_HOUSES = 10
_Points = Mapping[int, float]


def draw_lead_skill(found: LeadEvaluation) -> Figure:
    """Draw the skill of models and peers by lead time, of both kinds, against each of the two main references.

    The other reference is drawn too, within the range of the other lines.
    """
    with new_figure(2, 2, height_in=_HEIGHT_IN, sharex=True, sharey=True) as (figure, axes):
        for axis_row, kind in zip(axes, KINDS, strict=True):
            for axis, reference in zip(axis_row, SKILL_REFERENCES, strict=True):
                for row, style in _styled(found.forecasters):
                    points = {lead: found.skill(row, kind, lead, reference) for lead in found.lead_times_min}
                    _draw_points(axis, points, label=row.name, **style)
        _prepare_skill(axes, found.lead_times_min)
        for axis_row, kind in zip(axes, KINDS, strict=True):
            for axis, reference in zip(axis_row, SKILL_REFERENCES, strict=True):
                (other,) = (name for name in SKILL_REFERENCES if name != reference)
                other_row = found.row(other)
                points = {lead: found.skill(other_row, kind, lead, reference) for lead in found.lead_times_min}
                _draw_points(axis, points, color=GREY, linestyle=_REFERENCE, linewidth=1.2, label=display_name(other))
        _share_legend(figure, axes)
    return figure


def draw_lead_coverage(found: LeadEvaluation) -> Figure | None:
    """Draw the coverage of the 90 % interval by lead time, of both kinds; None if no model has an interval."""
    with new_figure(1, 2, height_in=_COVERAGE_HEIGHT_IN, sharey=True, squeeze=False) as (figure, axes):
        n_lines = 0
        for axis, kind in zip(axes[0], KINDS, strict=True):
            for row, style in _styled(found.forecasters):
                n_lines += _draw_points(axis, _coverage(row, kind, found.lead_times_min), label=row.name, **style)
        _prepare_coverage(axes[0], found.lead_times_min)
        _share_legend(figure, axes)
    return figure if n_lines else None


def draw_house_leads(found: HousesLeadEvaluation, name: str) -> Figure:
    """Draw a forecaster's skill against persistence, and its coverage, by lead time: a line for each house."""
    leads_min = found.lead_times_min
    with new_figure(2, 2, height_in=_HEIGHT_IN, sharex=True, sharey="col") as (figure, axes):
        for axis_row, kind in zip(axes, KINDS, strict=True):
            skills = {lead: found.skills(name, kind, lead, SKILL_REFERENCES[0]) for lead in leads_min}
            covered = {
                lead: {
                    house: record.coverage
                    for house, record in found.records(name, kind, lead).items()
                    if record.coverage is not None
                }
                for lead in leads_min
            }
            _draw_houses(axis_row[0], skills, [*found.houses])
            _draw_houses(axis_row[1], covered, [*found.houses])
        _prepare_skill(axes[:, :1], leads_min)
        _prepare_coverage(axes[:, 1], leads_min)
        axes[0, 0].set_title("skill against persistence")
        for axis, kind in zip(axes[:, 0], KINDS, strict=True):
            axis.set_ylabel(f"{_KINDS[kind]}, %")
        axes[0, 1].set(title="in the 90 % interval", xlabel="", ylabel="")
        axes[1, 1].set_title("")
        _share_legend(figure, axes)
    return figure


def _draw_houses(axis: Any, by_lead: Mapping[int, Mapping[str, float]], houses: Sequence[str]) -> None:
    """Draw the values of ``houses`` by lead time; with many houses, only the median has a colour."""
    are_many = len(houses) > _MOST_HOUSES
    for place, house in enumerate(houses):
        style: dict[str, Any] = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": _MODEL if place < len(COLOURS) else _REFERENCE,
            "label": house,
        }
        if are_many:
            style = {"color": GREY, "linewidth": 0.8, "alpha": 0.5, "marker": ""}
        _draw_points(axis, {lead: values.get(house, math.nan) for lead, values in by_lead.items()}, **style)
    if are_many:
        middle = {lead: median(values.values()) if values else math.nan for lead, values in by_lead.items()}
        _draw_points(axis, middle, color=BLUE, label=f"median of {len(houses)} houses")


def _coverage(row: LeadRow, kind: str, leads_min: Sequence[int]) -> _Points:
    records = {lead: row.record(kind, lead) for lead in leads_min}
    return {
        lead: math.nan if record is None or record.coverage is None else record.coverage
        for lead, record in records.items()
    }


def _draw_points(axis: Any, points: _Points, **style: Any) -> bool:
    """Draw shares in percent by lead time; return whether there is any."""
    known = {lead: _PERCENT * value for lead, value in points.items() if math.isfinite(value)}
    if known:
        axis.plot([*known], [*known.values()], **{"marker": "o", "markersize": 3.5, **style})
    return bool(known)


def _prepare_skill(axes: Any, leads_min: Sequence[int]) -> None:
    """Label the panels of skill ``[2, n]``, and fix their range, including 0: a later line does not widen it."""
    for axis in axes.flat:
        axis.axhline(0, color=GREY, linewidth=0.8)
        axis.set_ylim(*axis.get_ylim())
        _tick(axis, leads_min)
    for axis, reference in zip(axes[0], SKILL_REFERENCES, strict=False):
        axis.set_title(f"against {display_name(reference)}")
    for axis, kind in zip(axes[:, 0], KINDS, strict=True):
        axis.set_ylabel(f"skill, {_KINDS[kind]}, %")
    for axis in axes[-1]:
        axis.set_xlabel("minutes ahead")


def _prepare_coverage(axes: Any, leads_min: Sequence[int]) -> None:
    for axis, kind in zip(axes, KINDS, strict=True):
        low, high = _PERCENT * (LEVEL - TOLERANCE), _PERCENT * (LEVEL + TOLERANCE)
        axis.axhspan(low, high, color=GREY, alpha=0.12, linewidth=0)
        axis.axhline(_PERCENT * LEVEL, color=GREY, linewidth=1, linestyle=_REFERENCE)
        axis.set(title=_KINDS[kind], xlabel="minutes ahead")
        _tick(axis, leads_min)
    axes[0].set_ylabel("in the 90 % interval, %")


def _tick(axis: Any, leads_min: Sequence[int]) -> None:
    """Mark the longest lead time, and as many others as have room for their numbers."""
    ticks = [leads_min[-1]]
    for lead in reversed(leads_min):
        if ticks[-1] - lead >= _TICK_SHARE * leads_min[-1]:
            ticks.append(lead)
    axis.set_xticks(ticks)


def _styled(rows: Sequence[LeadRow]) -> Iterator[tuple[LeadRow, dict[str, Any]]]:
    """Yield each row with a colour and a line style."""
    for row, colour in coloured(rows):
        yield row, {"color": colour, "linestyle": STYLES[row.kind]}


def _share_legend(figure: Figure, axes: Any) -> None:
    """Give all panels a common legend below, with each label once."""
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        found, labels = axis.get_legend_handles_labels()
        handles |= dict(zip(labels, found, strict=True))
    figure.legend([*handles.values()], [*handles], loc="outside lower center", ncols=3)
