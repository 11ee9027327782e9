"""Plots back-tests by week: a row of panels per house, or small multiples of many houses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from math import isnan, nan
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from gapcast.core.documents.figures import skill_or_nan
from gapcast_trainer.errors import RunError
from gapcast_trainer.report.figure import BLUE, GREY, ORANGE, new_figure

#: Weeks with fewer forecasts are omitted: their scores are mostly noise.
MIN_WEEK = 5_000
#: Maximum number of houses with a row of panels each; more are drawn as small multiples.
MOST_ROWS = 6
_WIDTH_IN, _HEIGHT_A_HOUSE_IN = 9.0, 2.6
_COLUMNS, _HEIGHT_A_MULTIPLE_IN = 4, 1.6
#: Range of small multiples, percent below persistence; values beyond it are cut off at the edge.
_SKILL_RANGE = (-25, 75)
_PERCENT = 100.0
Weeks = list[dict[str, Any]]


def read(files: Sequence[Path]) -> dict[str, Weeks]:
    """Return the weeks of each house in ``files``, written by ``gapcast backtest --json``.

    Raises :class:`RunError` if a file has another format, or if a house has no week with enough forecasts, or is in two
    files.
    """
    houses: dict[str, Weeks] = {}
    files_of: dict[str, Path] = {}
    for path in files:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["houses"]
            of_file = {
                name: [week for week in house["weeks"] if week["n"] >= MIN_WEEK] for name, house in found.items()
            }
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            msg = f"{path}: is not what gapcast backtest --json writes ({error!r})"
            raise RunError(msg) from error
        for name, weeks in of_file.items():
            if not weeks:
                msg = f"{path}: {name} has no week of {MIN_WEEK} forecasts"
                raise RunError(msg)
            if name in files_of:
                msg = f"{path}: {name} is a house of {files_of[name]} too: leave one out, or draw it in another picture"
                raise RunError(msg)
            files_of[name] = path
        houses |= of_file
    return houses


def figure_of(houses: dict[str, Weeks]) -> Figure:
    """Return the picture of ``houses``."""
    return _small_multiples(houses) if len(houses) > MOST_ROWS else _rows(houses)


def _rows(houses: dict[str, Weeks]) -> Figure:
    height_in = _HEIGHT_A_HOUSE_IN * len(houses)
    with new_figure(len(houses), 2, width_in=_WIDTH_IN, height_in=height_in, squeeze=False) as (figure, panels):
        for (name, weeks), (skill, coverage) in zip(houses.items(), panels, strict=True):
            at = _begins(weeks)
            _draw_skill(skill, at, weeks)
            skill.set(title=name, ylabel="% below persistence")
            coverage.axhspan(85, 95, color=GREY, alpha=0.12)
            coverage.axhline(90, color=GREY, linewidth=0.8)
            coverage.plot(at, _coverage(weeks), color=BLUE, marker=".")
            coverage.set(title="within the interval", ylabel="% of outcomes", ylim=(80, 100))
            for panel in (skill, coverage):
                panel.tick_params(axis="x", labelsize=8, rotation=30)
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _small_multiples(houses: dict[str, Weeks]) -> Figure:
    """Draw the skill of each house by weeks since its first week, all on one scale; coverage is a number."""
    n_rows = -(-len(houses) // _COLUMNS)
    size = {"width_in": _WIDTH_IN, "height_in": 0.6 + _HEIGHT_A_MULTIPLE_IN * n_rows}
    with new_figure(n_rows, _COLUMNS, squeeze=False, sharey=True, **size) as (figure, panels):
        for panel in panels.flat[len(houses) :]:
            panel.set_visible(False)
        for (name, weeks), panel in zip(houses.items(), panels.flat, strict=False):
            begins = _begins(weeks)
            _draw_skill(panel, [(begin - begins[0]).days / 7 for begin in begins], weeks)
            covered = [share for share in _coverage(weeks) if not isnan(share)]
            panel.set_title(name, fontsize=8)
            label = f"in the interval: {min(covered):.0f}–{max(covered):.0f} %" if covered else "no interval"
            panel.text(0.98, 0.03, label, transform=panel.transAxes, ha="right", fontsize=6, color="#555555")
            panel.tick_params(labelsize=7)
            panel.set_ylim(*_SKILL_RANGE)
        figure.supxlabel("weeks", fontsize=8)
        figure.supylabel("% below persistence", fontsize=8)
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _coverage(weeks: Weeks) -> list[float]:
    """Return the coverage of each week in percent, NaN without an interval."""
    return [nan if week["coverage"] is None else _PERCENT * week["coverage"] for week in weeks]


def _begins(weeks: Weeks) -> list[datetime]:
    return [datetime.fromisoformat(week["begins_at"]) for week in weeks]


def _draw_skill(panel: Any, at: Sequence[datetime] | Sequence[float], weeks: Weeks) -> None:
    for error, label, colour in (("mse_kw2", "MSE", BLUE), ("mae_kw", "MAE", ORANGE)):
        below = [_percent_below(week[error], week[f"persistence_{error}"]) for week in weeks]
        panel.plot(at, below, color=colour, marker=".", label=label)
    panel.axhline(0, color=GREY, linewidth=0.8)


def _percent_below(error: float, persistence: float) -> float:
    """Return the skill in percent; NaN, a gap in the line, for a week of constant power."""
    return _PERCENT * skill_or_nan(error, persistence)
