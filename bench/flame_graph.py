"""A flame graph as SVG: a frame's width is its share of the samples, and the frames that it called are above it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

#: A stack, from the outermost to the innermost frame.
Stack = tuple[str, ...]

WIDTH, _ROW, _HEAD, _MARGIN = 1_000, 17, 46, 8
#: Minimum width of a frame, and width per character of a label.
_LEAST_SHARE, _CHARACTER = 0.002, 6.1
#: Colours by the beginning of a frame's name; the first match counts.
_COLOURS = (
    ("core.learning", "#e8b04a"),
    ("core.outlook", "#9cc069"),
    ("predictors", "#e0795c"),
    ("mqtt", "#6aa7cf"),
    ("core", "#f0d27a"),
    ("service", "#b9a3d0"),
)
_OTHER = "#c9c9c9"
_STYLE = (
    "text{font:11px sans-serif;fill:#1b1b1b;pointer-events:none}rect{stroke:#fff;stroke-width:.6}"
    "@media(prefers-color-scheme:dark){.head{fill:#e6e6e6}}"
)


@dataclass(slots=True)
class StackFrame:
    """A frame, with its samples, including the samples of the frames that it called."""

    n: int = 0
    called: dict[str, StackFrame] = field(default_factory=dict)


def tree_of(samples: Mapping[Stack, int]) -> StackFrame:
    """Merge stacks with the same beginning.

    >>> tree = tree_of({("a", "b"): 3, ("a",): 1})
    >>> tree.n, tree.called["a"].n, tree.called["a"].called["b"].n
    (4, 4, 3)
    """
    root = StackFrame()
    for stack, n in samples.items():
        frame = root
        frame.n += n
        for name in stack:
            frame = frame.called.setdefault(name, StackFrame())
            frame.n += n
    return root


def svg_of(samples: Mapping[Stack, int], title: str, us_per_sample: float) -> str:
    """Return the flame graph of ``samples``; a frame's tooltip holds its µs, ``us_per_sample`` each, and its share.

    >>> svg = svg_of({("mqtt.link.publish", "encode"): 3, ("core.engine.learn",): 1}, "one batch", 10.0)
    >>> "<title>mqtt.link.publish: 30 µs, 75 %</title>" in svg, svg.count("<g>")
    (True, 3)
    """
    root = tree_of(samples)
    boxes = list(_boxes(root, 0, 0.0, root.n))
    height = _HEAD + (1 + max((depth for depth, *_ in boxes), default=0)) * _ROW + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"><style>{_STYLE}</style>',
        f'<text class="head" x="{_MARGIN}" y="18" style="font-size:14px">{escape(title)}</text>',
        *_legend(),
    ]
    scale = (WIDTH - 2 * _MARGIN) / max(root.n, 1)
    for depth, left, n, name in boxes:
        x, y, width = _MARGIN + left * scale, height - _MARGIN - (depth + 1) * _ROW, n * scale
        text = f"{name}: {n * us_per_sample:.0f} µs, {100 * n / root.n:.0f} %"
        box = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW}" fill="{_colour(name)}"/>'
        parts.append(f"<g><title>{escape(text)}</title>{box}{_label(name, x, y, width)}</g>")
    return "\n".join([*parts, "</svg>\n"])


def _boxes(frame: StackFrame, depth: int, left: float, n_all: int) -> Iterator[tuple[int, float, int, str]]:
    """Yield depth, first sample, number of samples and name of each frame that is wide enough."""
    for name, called in sorted(frame.called.items()):
        if called.n >= _LEAST_SHARE * n_all:
            yield depth, left, called.n, name
            yield from _boxes(called, depth + 1, left, n_all)
        left += called.n


def _label(name: str, x: float, y: float, width: float) -> str:
    n_fitting = int((width - 6) / _CHARACTER)
    if n_fitting < 3:
        return ""
    short = name if len(name) <= n_fitting else name.rpartition(".")[2]
    shown = short if len(short) <= n_fitting else short[: n_fitting - 1] + "…"
    return f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(shown)}</text>'


def _legend() -> Iterator[str]:
    x = float(_MARGIN)
    for name, colour in (*_COLOURS, ("other libraries", _OTHER)):
        yield f'<rect x="{x:.0f}" y="27" width="11" height="11" fill="{colour}"/>'
        yield f'<text class="head" x="{x + 15:.0f}" y="37">{name}</text>'
        x += 32 + len(name) * _CHARACTER


def _colour(name: str) -> str:
    return next((colour for beginning, colour in _COLOURS if name.startswith(beginning)), _OTHER)
