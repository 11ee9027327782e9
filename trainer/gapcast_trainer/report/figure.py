"""The common style of plots in reports: sizes, fonts and colours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

#: Okabe and Ito's colour-blind-safe colours (jfly.uni-koeln.de/color, 2008).
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#666666"
#: Colour map for amounts: perceptually uniform and colour-blind-safe (Nuñez, Anderton and Renslow 2018).
AMOUNT_MAP = "cividis"
#: Inches; text stays readable on a phone at this width.
WIDTH_IN, HEIGHT_IN = 6.0, 3.3

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "axes.labelsize": 11.0,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 10.0,
    "lines.linewidth": 1.8,
}


@contextmanager
def new_figure(
    n_rows: int = 1, n_columns: int = 1, *, width_in: float = WIDTH_IN, height_in: float = HEIGHT_IN, **options: Any
) -> Iterator[tuple[Figure, Any]]:
    """Yield a figure and its axes from ``Figure.subplots`` (with ``options``).

    Inside the block the reports' style is active. The figure is not registered in pyplot, so that its memory
    is released with the last reference.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        yield figure, figure.subplots(n_rows, n_columns, **options)
