"""Writes a figure to a picture file."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from gapcast_trainer.files import write_atomically

_DPI = 110


def write_figure(figure: Figure, out: Path) -> None:
    """Write ``figure`` to ``out``, an SVG or a PNG by its name: the same figure gives the same bytes."""
    kind = out.suffix.removeprefix(".")
    drawn = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "gapcast", "svg.fonttype": "path"}):
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        figure.savefig(drawn, format=kind, dpi=_DPI, metadata=metadata, facecolor="white")
    write_atomically(out, drawn.getvalue())
