"""Draws the power of a house with a water heater switched by Home Assistant: see scripts/home-assistant-picture."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.controlled_house import HEATER_KW, LIMIT_KW, N_CONTROLLED, N_WARM, WINDOW_MIN, HeatedHouse

_WIDTH, _HEIGHT = 860, 330
#: Margins of the axes, and the highest power, kW.
_LEFT, _RIGHT, _BOTTOM, _TOP, _MAX_KW = 44, 28, 64, 16, 5.0
_HOUSE, _HEATER, _LIMIT, _MEAN, _WITHOUT, _TEXT = "#9db4c8", "#f0a35e", "#c62828", "#1f4e79", "#8a5a2b", "#333"


def heater_picture(house: HeatedHouse) -> str:
    """Return an SVG: each minute's power with the heater's share, each window's mean, with and without control."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="{_TEXT}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        *_axes(),
        *_bars(house),
        *_windows(house),
        _line(0, N_CONTROLLED, LIMIT_KW, f'stroke="{_LIMIT}" stroke-width="2"'),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _x(minute: float) -> float:
    return round(_LEFT + minute * (_WIDTH - _LEFT - _RIGHT) / N_CONTROLLED, 1)


def _y(power_kw: float) -> float:
    return round(_HEIGHT - _BOTTOM - power_kw * (_HEIGHT - _BOTTOM - _TOP) / _MAX_KW, 1)


def _line(from_min: float, to_min: float, power_kw: float, style: str) -> str:
    return f'<line x1="{_x(from_min)}" x2="{_x(to_min)}" y1="{_y(power_kw)}" y2="{_y(power_kw)}" {style}/>'


def _axes() -> Iterator[str]:
    for power_kw in range(int(_MAX_KW) + 1):
        yield _line(0, N_CONTROLLED, power_kw, 'stroke="#ddd"')
        yield f'<text x="{_LEFT - 6}" y="{_y(power_kw) + 4}" text-anchor="end">{power_kw} kW</text>'
    for minute in range(0, N_CONTROLLED + 1, WINDOW_MIN):
        yield f'<line x1="{_x(minute)}" x2="{_x(minute)}" y1="{_y(0)}" y2="{_y(_MAX_KW)}" stroke="#ddd"/>'
        yield f'<text x="{_x(minute)}" y="{_y(0) + 16}" text-anchor="middle">{minute} min</text>'


def _bars(house: HeatedHouse) -> Iterator[str]:
    """Yield the bars of the house's power without the heater, and of the heater's power above them."""
    width = round((_WIDTH - _LEFT - _RIGHT) / N_CONTROLLED, 2)
    for minute in range(N_CONTROLLED):
        base_kw = house.base_kw(N_WARM + minute)
        parts = [(0.0, base_kw, _HOUSE)]
        if house.heater[N_WARM + minute]:
            parts.append((base_kw, base_kw + HEATER_KW, _HEATER))
        for from_kw, to_kw, colour in parts:
            height = round(_y(from_kw) - _y(to_kw), 1)
            yield f'<rect x="{_x(minute)}" y="{_y(to_kw)}" width="{width}" height="{height}" fill="{colour}"/>'


def _windows(house: HeatedHouse) -> Iterator[str]:
    always_on = [True] * len(house.heater)
    for minute in range(0, N_CONTROLLED, WINDOW_MIN):
        to_min = minute + WINDOW_MIN
        mean_kw = house.window_kw(N_WARM + minute)
        without_kw = house.window_kw(N_WARM + minute, always_on)
        if without_kw > mean_kw:
            yield _line(minute, to_min, without_kw, f'stroke="{_WITHOUT}" stroke-width="2" stroke-dasharray="5 4"')
        yield _line(minute, to_min, mean_kw, f'stroke="{_MEAN}" stroke-width="3"')


def _legend() -> Iterator[str]:
    entries = (
        (_HOUSE, "house"), (_HEATER, "water heater"), (_MEAN, "mean of the quarter-hour"),
        (_WITHOUT, "mean if the heater were always on"), (_LIMIT, f"limit, {LIMIT_KW:g} kW"),
    )  # fmt: skip
    x, y = _LEFT, _HEIGHT - 18
    for colour, text in entries:
        yield f'<rect x="{x}" y="{y - 9}" width="14" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 20}" y="{y}">{text}</text>'
        x += 44 + 7 * len(text)
