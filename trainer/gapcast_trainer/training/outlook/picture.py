"""Draws the skill and the coverage of an outlook by lead time, one line per house."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from gapcast.core.arrays.array_types import F64
from gapcast_trainer.report.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, new_figure
from gapcast_trainer.training.outlook.scores import OutlookModelScores

_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, GREY)
_WIDTH_IN, _HEIGHT_IN = 9.0, 6.0
_PERCENT, _NOMINAL = 100.0, 90.0
_TICKS_MIN = (1, 5, 15, 30, 45, 60)
_TITLES = ("MSE below persistence, %", "MAE below persistence, %", "90 % interval: coverage, %")


def figure_of(houses: Mapping[str, OutlookModelScores]) -> Figure:
    """Return the figure: skill of the mean by squared error, skill of the median by absolute error, and coverage."""
    with new_figure(2, 3, width_in=_WIDTH_IN, height_in=_HEIGHT_IN, sharex=True, sharey="col") as (figure, axes):
        for row, kind in zip(axes, ("point", "mean"), strict=True):
            row[0].set_ylabel("single minute" if kind == "point" else "mean until then")
            for axis in row:
                axis.set_xticks(_TICKS_MIN)
            for place, (name, found) in enumerate(houses.items()):
                scores = getattr(found, kind)
                drawn: dict[str, Any] = {"color": _COLOURS[place % len(_COLOURS)], "label": name, "marker": "."}
                row[0].plot(found.lead_times_min, _skill(scores.mse_kw2, scores.persistence_mse_kw2), **drawn)
                row[1].plot(found.lead_times_min, _skill(scores.mae_kw, scores.persistence_mae_kw), **drawn)
                row[2].plot(found.lead_times_min, _PERCENT * scores.coverage, **drawn)
            row[2].axhline(_NOMINAL, color=GREY, linewidth=1, linestyle=":")
        for column, title in enumerate(_TITLES):
            axes[0, column].set_title(title)
            axes[1, column].set_xlabel("lead time, minutes")
        for axis in axes[0, :2]:
            axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        return figure


def _skill(error: F64, naive: F64) -> F64:
    skill: F64 = _PERCENT * (1 - error / naive)
    return skill
