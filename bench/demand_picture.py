"""Draws the reliability of demands: observed shares against probabilities, one line per back-test."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.demand_scores import BAND, LEAST_N
from gapcast_trainer.report.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, new_figure

_WIDTH_IN, _HEIGHT_IN = 9.0, 3.6
_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, GREY)


def draw(scores: dict[str, dict[str, Any]], out: Path) -> None:
    """Write the picture of the reliability: observed share against mean probability, at the three times."""
    thirds = [one["elapsed_min"] for one in next(iter(scores.values()))["elapsed"]]
    with new_figure(1, len(thirds), width_in=_WIDTH_IN, height_in=_HEIGHT_IN, sharey=True) as (figure, axes):
        for place, (axis, elapsed_min) in enumerate(zip(axes.flat, thirds, strict=True)):
            axis.plot((0, 1), (0, 1), color=GREY, linewidth=1, linestyle=":")
            for colour, (name, found) in zip(_COLOURS, scores.items(), strict=False):
                bins = [one for one in found["elapsed"][place]["reliability"] if one["n"] >= LEAST_N]
                p, share = [one["mean_p"] for one in bins], [one["share"] for one in bins]
                errors = [BAND * math.sqrt(one * (1 - one) / each["n"]) for one, each in zip(p, bins, strict=True)]
                axis.errorbar(p, share, yerr=errors, color=colour, label=name, marker=".", linewidth=1, capsize=2)
            axis.set_title(f"{elapsed_min} minutes elapsed")
            axis.set_xlabel("probability")
        axes.flat[0].set_ylabel("share above the limit")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        with mpl.rc_context({"svg.hashsalt": "gapcast", "svg.fonttype": "path"}):
            metadata = {"Date": None, "Creator": None} if out.suffix == ".svg" else None
            figure.savefig(out, metadata=metadata, dpi=110, facecolor="white")
