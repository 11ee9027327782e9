"""Draws the reliability of demands: observed shares against probabilities, one line per back-test."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.demand_scores import BAND, LEAST_N
from gapcast_trainer.report.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, new_figure

_WIDTH_IN, _HEIGHT_IN = 9.0, 3.6
_COLOURS, _MARKERS = (BLUE, ORANGE, GREEN, RED, PURPLE, GREY), "oDs^vP"


def points_of(tenths: list[dict[str, Any]]) -> tuple[list[float], list[float], list[float]]:
    """Return mean probability, observed share and half the binomial band of each tenth; NaN for a tenth of few cases.

    A line through the points ends at NaN.

    >>> points_of([{"n": 50, "mean_p": 0.5, "share": 0.4}, {"n": 0, "mean_p": None, "share": None}])[1]
    [0.4, nan]
    """
    few = {"n": LEAST_N, "mean_p": math.nan, "share": math.nan}
    shown = [one if one["n"] >= LEAST_N else few for one in tenths]
    p = [one["mean_p"] for one in shown]
    errors = [BAND * math.sqrt(each * (1 - each) / one["n"]) for each, one in zip(p, shown, strict=True)]
    return p, [one["share"] for one in shown], errors


def draw(scores: dict[str, dict[str, Any]], out: Path) -> None:
    """Write the picture of the reliability: observed share against mean probability, at the three times."""
    thirds = [one["elapsed_min"] for one in next(iter(scores.values()))["elapsed"]]
    with new_figure(1, len(thirds), width_in=_WIDTH_IN, height_in=_HEIGHT_IN, sharey=True) as (figure, axes):
        for place, (axis, elapsed_min) in enumerate(zip(axes.flat, thirds, strict=True)):
            axis.plot((0, 1), (0, 1), color=GREY, linewidth=1, linestyle=":")
            for colour, marker, (name, found) in zip(_COLOURS, _MARKERS, scores.items(), strict=False):
                p, share, errors = points_of(found["elapsed"][place]["reliability"])
                above = 3 + sum(map(math.isnan, p))  # the file with the fewest points is above the others
                style = {"color": colour, "marker": marker, "markersize": 5, "markeredgecolor": "white"}
                axis.errorbar(p, share, errors, label=name, zorder=above, linewidth=1, capsize=2, **style)
            axis.set_title(f"{elapsed_min} minutes elapsed")
            axis.set_xlabel("probability")
        axes.flat[0].set_ylabel("share above the limit")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        with mpl.rc_context({"svg.hashsalt": "gapcast", "svg.fonttype": "path"}):
            metadata = {"Date": None, "Creator": None} if out.suffix == ".svg" else None
            figure.savefig(out, metadata=metadata, dpi=110, facecolor="white")
