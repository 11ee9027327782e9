"""The plots of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64
from gapcast.core.forecasts.forecast import LEVEL
from gapcast_trainer.report.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, new_figure
from gapcast_trainer.scores.day import Day
from gapcast_trainer.scores.lead_result import LeadRow
from gapcast_trainer.scores.minutes import HOURS
from gapcast_trainer.scores.record import ScoreRecord
from gapcast_trainer.scores.result import ForecasterScores, Losses
from gapcast_trainer.scores.sheet import Sheet

Row = TypeVar("Row", ForecasterScores, LeadRow)
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE)
#: Line styles by kind of forecaster.
STYLES = {"baseline": "--", "model": "-", "peer": ":"}
_ZOOM_MIN = 90
#: Half-width of the band around the nominal coverage.
TOLERANCE = 0.05


def draw_day(day: Day) -> Figure:
    """Draw a day, and the hour and a half around its largest step: outcomes, forecasts and intervals."""
    with new_figure(2, 1, height_in=5.6) as (figure, axes):
        step = np.abs(np.diff(day.actual_kw, prepend=day.actual_kw[:1]))
        middle = int(np.argmax(step))
        first = int(np.clip(middle - _ZOOM_MIN // 3, 0, max(day.actual_kw.size - _ZOOM_MIN, 0)))
        for axis, some in zip(axes, (slice(None), slice(first, first + _ZOOM_MIN)), strict=True):
            _draw_minutes(axis, day, some)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def _draw_minutes(axis: Any, day: Day, some: slice) -> None:
    minute = day.local_minute[some]
    hour, gaps = (minute % 1440) / 60, np.flatnonzero(np.diff(minute) > 1) + 1

    def broken(values: NDArray[Any]) -> F64:
        """Return ``values`` with NaN in each gap, across which no line is drawn."""
        return np.insert(values.astype(np.float64), gaps, np.nan)

    if day.lower_kw is not None and day.upper_kw is not None:
        lower_kw, upper_kw = broken(day.lower_kw[some]), broken(day.upper_kw[some])
        axis.fill_between(broken(hour), lower_kw, upper_kw, color=BLUE, alpha=0.2, lw=0, label="90 % interval")
    axis.plot(broken(hour), broken(day.actual_kw[some]), color="black", lw=1, label="observed")
    middle, name = (day.mean_kw, "mean") if day.median_kw is None else (day.median_kw, "median")
    label = f"{name}, forecast {day.horizon_min} min before"
    axis.plot(broken(hour), broken(middle[some]), color=RED, lw=1, label=label)
    lowest_kw = min(float(kw[some].min()) for kw in (day.actual_kw, middle))  # below 0 if the house feeds in
    low, high = float(hour[0]), float(hour[-1])
    ticks = (
        np.arange(0, 25, 3) if high - low > _ZOOM_MIN / 60 + 1 else np.arange(np.ceil(low * 4) / 4, high + 0.01, 0.25)
    )
    axis.set(xlim=(low, high), ylim=(0 if lowest_kw >= 0 else None, None), ylabel="kW", xlabel="time of day")
    axis.set_xticks(ticks, [f"{int(t):02d}:{round(60 * (t % 1)):02d}" for t in ticks])


def draw_losses(losses: Losses) -> Figure:
    """Draw the losses after each epoch of training; the best epoch is marked."""
    epoch = np.arange(1, len(losses.train) + 1)
    with new_figure() as (figure, axis):
        axis.plot(epoch, losses.train, color=BLUE, label="training part")
        axis.plot(epoch, losses.validate, color=ORANGE, label="validation part")
        if losses.best_epoch is not None:
            axis.axvline(losses.best_epoch, color=GREY, ls="--", lw=1, label=f"kept: epoch {losses.best_epoch}")
        axis.set(xlabel="epoch", ylabel="loss")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend()
    return figure


def draw_reliability(rows: Sequence[ForecasterScores]) -> Figure:
    """Draw, for each forecaster with quantiles, the share of outcomes at or below each quantile."""
    with new_figure(height_in=4.2) as (figure, axis):
        axis.plot([0, 1], [0, 1], color=GREY, ls="--", lw=1, label="perfect")
        for row, colour in coloured(rows):
            below = row.at_horizon.headline.below
            axis.plot(
                list(below), list(below.values()), STYLES[row.kind], marker="o", ms=4, color=colour, label=row.name
            )
        axis.set(
            xlim=(0, 1), ylim=(0, 1), xlabel="level of the quantile", ylabel="share of outcomes below", aspect="equal"
        )
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def draw_hours(rows: Sequence[ForecasterScores]) -> Figure:
    """Draw the squared error by the hour of the target, and the coverage of the 90 % interval if there is one."""
    interval = any(row.at_horizon.headline.coverage is not None for row in rows)
    n_rows = 2 if interval else 1
    with new_figure(n_rows, 1, height_in=2.9 * n_rows, squeeze=False, sharex=True) as (figure, axes):
        naive = rows[0].at_horizon.by_hour
        naive_kw2 = [record.persistence_mse_kw2 for record in naive.values()]
        axes[0, 0].plot(list(naive), naive_kw2, STYLES["baseline"], color=GREY, lw=1.2, label="persistence")
        _draw_by(axes[0, 0], rows, lambda sheet: sheet.by_hour, lambda record: record.mse_kw2)
        axes[0, 0].set(ylabel="MSE, kW²", ylim=(0, None))
        _legend(axes[0, 0])
        if interval:
            _draw_by(axes[1, 0], rows, lambda sheet: sheet.by_hour, lambda record: record.coverage)
            axes[1, 0].axhspan(LEVEL - TOLERANCE, LEVEL + TOLERANCE, color=GREY, alpha=0.12, lw=0)
            axes[1, 0].axhline(LEVEL, color=GREY, ls="--", lw=1)
            axes[1, 0].set(ylabel="in the 90 % interval")
        axes[-1, 0].set(xlabel="hour of the target", xticks=HOURS[::3])
    return figure


def draw_readings(rows: Sequence[ForecasterScores]) -> Figure:
    """Draw the squared error by number of observed readings, with persistence's; the axis is logarithmic."""
    with new_figure() as (figure, axis):
        _draw_by(axis, rows, lambda sheet: sheet.by_readings, lambda record: record.mse_kw2)
        longest = max(max(row.at_horizon.by_readings) for row in rows)
        ticks = [n for n in (2, 3, 5, 10, 20, 30, 60, 120, 180, 360, 720, 1440) if n <= longest]
        axis.set_xscale("log")
        axis.set_xticks(ticks, [str(n) for n in ticks])
        axis.set_xticks([], minor=True)
        naive_kw2 = next(iter(rows[0].at_horizon.by_readings.values())).persistence_mse_kw2
        axis.axhline(naive_kw2, color=GREY, ls="--", lw=1.2, label="persistence")
        axis.set(xlabel="readings seen", ylabel="MSE, kW²")
        _legend(axis)
    return figure


def draw_leads(persistence: ForecasterScores, rows: Sequence[ForecasterScores]) -> Figure:
    """Draw squared and absolute error by minutes ahead, with persistence's."""
    figures: tuple[tuple[str, Callable[[ScoreRecord], float]], ...] = (
        ("MSE, kW²", lambda record: record.mse_kw2),
        ("MAE, kW", lambda record: record.best_mae_kw),
    )
    with new_figure(1, 2) as (figure, axes):
        for axis, (label, value) in zip(axes, figures, strict=True):
            for row, colour in ((persistence, GREY), *coloured(rows)):
                points = {lead: value(sheet.headline) for lead, sheet in row.sheets.items()}
                style = STYLES[row.kind]
                axis.plot(list(points), list(points.values()), style, marker="o", ms=4, color=colour, label=row.name)
            axis.set(xlabel="minutes ahead", ylabel=label, ylim=(0, None), xticks=sorted(persistence.sheets))
        axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _draw_by(
    axis: Any,
    rows: Sequence[ForecasterScores],
    group: Callable[[Sheet], dict[int, ScoreRecord]],
    value: Callable[[ScoreRecord], float | None],
) -> None:
    for row, colour in coloured(rows):
        found = {key: value(record) for key, record in group(row.at_horizon).items()}
        points = {key: number for key, number in found.items() if number is not None}
        if points:
            axis.plot(list(points), list(points.values()), STYLES[row.kind], color=colour, label=row.name)


def coloured(rows: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """Yield each row with a colour; models and peers use the same colours with different line styles."""
    count = dict.fromkeys(STYLES, 0)
    for row in rows:
        yield row, COLOURS[count[row.kind] % len(COLOURS)]
        count[row.kind] += 1


def _legend(axis: Any) -> None:
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
