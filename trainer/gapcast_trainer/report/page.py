"""From values and figures to one HTML page that needs nothing else: no script, no address, no second file."""

from __future__ import annotations

import io
from base64 import b64encode
from functools import cache
from typing import NamedTuple

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure


class EmbeddedFigure(NamedTuple):
    """A picture within a page: its content as a ``data:`` address, and what is to be seen on it, in words."""

    address: str
    alt: str


_SALT = "gapcast"  # names within a picture follow from its content: the same figure, the same bytes


def render(template_name: str, **values: object) -> str:
    """Return the page that a template of this package makes of ``values``.

    ``template_name`` is a path within the package, such as ``datareport/page.html``; it begins with
    ``{% extends "report/base.html" %}``, and ``report/parts.html`` has its pieces. Values are escaped,
    and a name that is not among them is an error (:class:`jinja2.UndefinedError`).
    """
    return _templates().get_template(template_name).render(**values)


def figure_as_svg(figure: Figure, alt: str) -> EmbeddedFigure:
    """Return ``figure`` as SVG, for ``parts.picture``; ``alt`` says in words what is to be seen.

    Letters are drawn as outlines, so that they look the same wherever the page is read.
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
