"""The plots of the data report, each with an alternative text."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import MAX_FILL_MIN
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data_report.findings import percent
from gapcast_trainer.data_report.measures import DAY_STEP_MIN, SHARES, Changes, DataMeasures
from gapcast_trainer.report.figure import AMOUNT_MAP, BLUE, GREY, ORANGE, RED, new_figure
from gapcast_trainer.report.page import EmbeddedFigure, figure_as_svg

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: Upper limit (min) and label of each bar.
_GAP_CLASSES = ((1, "1 min"), (MAX_FILL_MIN, f"2–{MAX_FILL_MIN} min"), (60, "6–60 min"), (360, "1–6 h"),
                (1_440, "6–24 h"), (10_080, "1–7 d"), (np.inf, "over 7 d"))  # fmt: skip
_N_BINS = 80
#: A histogram with a smaller range is drawn as constant power: bins would be finer than floating-point numbers.
_MIN_RANGE_KW = 1e-6
_MEDIAN = SHARES.index(0.5)


def over_time(measured: DataMeasures) -> EmbeddedFigure:
    """Draw each day's mean power, and below it the share of observed minutes."""
    coverage = measured.coverage
    with new_figure(2, 1, sharex=True, height_in=4.4, height_ratios=(2, 1)) as (figure, (above, below)):
        above.plot(measured.daily_date, measured.daily_mean_kw, color=BLUE, linewidth=1.0, marker=".", markersize=2)
        above.set_ylabel("mean of the day (kW)")
        above.set_ylim(bottom=min(0.0, float(np.nanmin(measured.daily_mean_kw))))
        below.bar(
            coverage.starts, coverage.share, width=(coverage.ends - coverage.starts), align="edge", color=GREY,
            edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        below.set(ylabel=f"read, by {coverage.period}", ylim=(0, 1.02))
        below.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        dates = AutoDateLocator(minticks=3, maxticks=7)
        below.xaxis.set_major_locator(dates)
        below.xaxis.set_major_formatter(ConciseDateFormatter(dates))
    worst = int(np.argmin(coverage.share))
    when = str(coverage.starts[worst].astype("datetime64[D]" if coverage.period == "day" else "datetime64[M]"))
    alt = (
        f"Mean power of each day, from {np.nanmin(measured.daily_mean_kw):.2f} to "
        f"{np.nanmax(measured.daily_mean_kw):.2f} kW, and the share of minutes that were read by {coverage.period}: "
        f"the least is {percent(coverage.share[worst])}, in {when}."
    )
    return figure_as_svg(figure, alt)


def gap_lengths(gap_min: I64) -> EmbeddedFigure:
    """Draw the number of gaps by length."""
    bounds = [bound for bound, _ in _GAP_CLASSES]
    count = np.bincount(np.searchsorted(bounds, gap_min), minlength=len(bounds))
    colours = [ORANGE if bound <= MAX_FILL_MIN else BLUE for bound in bounds]
    with new_figure(height_in=2.9) as (figure, axes):
        bars = axes.bar([name for _, name in _GAP_CLASSES], count, color=colours)
        axes.bar_label(bars, [f"{n:,}" if n else "" for n in count], padding=2)
        axes.set(xlabel="length of the gap", ylabel="gaps")
        axes.margins(y=0.15)
        axes.grid(visible=False, axis="x")
        axes.tick_params(axis="x", labelsize=9.5)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        kinds = ["bridged by a straight line", "the stream starts again"]
        figure.legend([bars[0], bars[2]], kinds, loc="outside upper left", ncols=2)
    counts = ", ".join(f"{n:,} of {name}" for n, (_, name) in zip(count, _GAP_CLASSES, strict=True) if n)
    return figure_as_svg(figure, f"Number of gaps by length: {counts}.")


def distribution(series: Series, measured: DataMeasures) -> EmbeddedFigure:
    """Draw the histogram of power, counts on a logarithmic scale."""
    kw = series.gap_kw[~np.isnan(series.gap_kw)]
    median_kw, high_kw = float(measured.quantiles_kw[_MEDIAN]), float(measured.quantiles_kw[SHARES.index(0.95)])
    with new_figure() as (figure, axes):
        _histogram(axes, kw, BLUE)
        axes.axvline(median_kw, color=RED, label=f"median {median_kw:.2f} kW")
        axes.axvline(high_kw, color=ORANGE, linestyle="--", label=f"95 % below {high_kw:.2f} kW")
        axes.set(xlabel="power of a minute (kW)", ylabel="minutes (log scale)")
        axes.legend(loc="upper right")
    alt = (
        f"Histogram of power: {kw.min():g} to {kw.max():g} kW, median {median_kw:.2f} kW, 95 % below {high_kw:.2f} kW."
    )
    return figure_as_svg(figure, alt)


def day(measured: DataMeasures, clock: str) -> EmbeddedFigure:
    """Draw the median and the 5 to 95 % band of power by time of day."""
    low, median, high = (_closed(row) for row in measured.day_kw)
    hour = np.arange(median.size) * DAY_STEP_MIN / 60
    with new_figure() as (figure, axes):
        axes.fill_between(hour, low, high, step="post", color=BLUE, alpha=0.25, linewidth=0, label="5 to 95 %")
        axes.step(hour, median, where="post", color=BLUE, label="median")
        axes.set(xlabel=f"time of day ({clock})", ylabel="power (kW)", xlim=(0, 24), xticks=range(0, 25, 3))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:02.0f}:00"))
        axes.tick_params(axis="x", labelsize=9.5)
        axes.set_ylim(bottom=min(0.0, float(np.nanmin(low))))
        axes.legend(loc="upper left")
    least, most = (int(pick(measured.day_kw[1])) * DAY_STEP_MIN for pick in (np.nanargmin, np.nanargmax))
    alt = (
        f"Power by time of day: the median is least, {np.nanmin(median):.2f} kW, at {_time(least)} and most, "
        f"{np.nanmax(median):.2f} kW, at {_time(most)}; the 95 % quantile reaches {np.nanmax(high):.2f} kW."
    )
    return figure_as_svg(figure, alt)


def week(measured: DataMeasures, clock: str) -> EmbeddedFigure:
    """Draw the mean power of each hour of the week as a map."""
    with new_figure(height_in=2.7) as (figure, axes):
        shown = axes.imshow(measured.week_kw, aspect="auto", cmap=AMOUNT_MAP, extent=(0, 24, 7, 0))
        axes.set(xlabel=f"hour ({clock})", xticks=range(0, 25, 3))
        axes.set_yticks(np.arange(7) + 0.5, _DAYS)
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
        figure.colorbar(shown, ax=axes, label="mean (kW)")
    at = np.unravel_index(np.nanargmax(measured.week_kw), measured.week_kw.shape)
    alt = (
        f"Mean power by weekday and hour, {np.nanmin(measured.week_kw):.2f} to {np.nanmax(measured.week_kw):.2f} kW; "
        f"the highest is on {_DAYS[at[0]]} from {at[1]:02d}:00."
    )
    return figure_as_svg(figure, alt)


def change(changes: Changes) -> EmbeddedFigure:
    """Draw the histogram of the change over the horizon, counts on a logarithmic scale."""
    from_kw = changes.largest_from_kw
    with new_figure() as (figure, axes):
        axes.axvspan(-from_kw, from_kw, color=ORANGE, alpha=0.25, linewidth=0, label=f"95 %: within ±{from_kw:.2f} kW")
        _histogram(axes, changes.change_kw, BLUE)
        axes.set(xlabel=f"power {changes.horizon_min} minutes later minus power now (kW)", ylabel="minutes (log scale)")
        axes.legend(loc="upper right")
    alt = (
        f"Histogram of the change in {changes.horizon_min} minutes, {changes.change_kw.min():.2f} to "
        f"{changes.change_kw.max():.2f} kW, with a sharp peak at zero; 95 % lie within {from_kw:.2f} kW of it."
    )
    return figure_as_svg(figure, alt)


def _histogram(axes: Any, values: F64, colour: str) -> None:
    low, high = float(values.min()), float(values.max())
    if high - low < _MIN_RANGE_KW:
        low, high = low - 0.5, high + 0.5
    count, edges = np.histogram(values, _N_BINS, (low, high))
    axes.stairs(count, edges, fill=True, color=colour, baseline=0.5)
    axes.set_yscale("log")
    axes.set_ylim(0.5, 3 * count.max())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _closed(row: F64) -> F64:
    return np.append(row, row[-1])


def _time(minute: int) -> str:
    return f"{minute % DAY_MIN // 60:02d}:{minute % 60:02d}"
