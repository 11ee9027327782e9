"""Renders self-contained HTML pages: no scripts, no links, no further files."""

from __future__ import annotations

import io
from base64 import b64encode
from functools import cache
from typing import NamedTuple

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure


class EmbeddedFigure(NamedTuple):
    """An embedded plot: its content as a ``data:`` URL, and an alternative text."""

    address: str
    alt: str


_SALT = "gapcast"  # makes element ids deterministic: the same figure, the same bytes


def render(template_name: str, **values: object) -> str:
    """Render a template of this package with ``values``.

    ``template_name`` is a path within the package, such as ``data_report/page.html``; it begins with
    ``{% extends "report/base.html" %}``, and ``report/parts.html`` has its pieces. Values are escaped,
    and an undefined name is an error (:class:`jinja2.UndefinedError`).
    """
    return _templates().get_template(template_name).render(**values)


def figure_as_svg(figure: Figure, alt: str) -> EmbeddedFigure:
    """Return ``figure`` as SVG, for ``parts.picture``; ``alt`` is the alternative text.

    Text is drawn as outlines, so that it looks the same everywhere.
    """
    drawn = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": _SALT, "svg.fonttype": "path"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return EmbeddedFigure(f"data:image/svg+xml;base64,{b64encode(drawn.getvalue()).decode('ascii')}", alt)


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("gapcast_trainer", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
