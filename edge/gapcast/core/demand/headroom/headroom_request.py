"""A request for the headroom of a load: its power and duration."""

from __future__ import annotations

from dataclasses import dataclass

from gapcast.core.documents.message_format import shown_value
from gapcast.core.errors import RequestError
from gapcast.core.time_grid import DAY_MIN

#: Least power of a load, kW: a watt, the resolution of the largest power in the answer.
LEAST_KW = 0.001
#: Longest load in a request, minutes. Nearly all of it lies beyond the outlook, and is approximate.
MAX_MINUTES = DAY_MIN


@dataclass(frozen=True, slots=True)
class HeadroomRequest:
    """A request whether ``kw`` may be drawn for ``minutes`` from now on."""

    kw: float
    minutes: int


def headroom_request(kw: object, minutes: object, highest_kw: float) -> HeadroomRequest:
    """Return the request; raise :class:`RequestError`, with the value and the valid range, if a value is invalid.

    ``highest_kw`` is the highest power of a reading (``limits.max_kw``).

    >>> headroom_request(2, 45, 100.0)
    HeadroomRequest(kw=2.0, minutes=45)
    """
    if isinstance(kw, bool) or not isinstance(kw, int | float):
        msg = f"kw: must be a number of kW, not {shown_value(kw)}"
        raise RequestError(msg)
    if not LEAST_KW <= kw <= highest_kw:
        fix = f": is it in watts? {kw:g} W are {kw / 1_000:g} kW" if highest_kw < kw <= highest_kw * 1_000 else ""
        shown_kw = f"{kw:g}" if isinstance(kw, float) else shown_value(kw)
        msg = f"kw: {shown_kw} kW must be at least {LEAST_KW:g} and at most {highest_kw:g} (limits.max_kw){fix}"
        raise RequestError(msg)
    if isinstance(minutes, bool) or not isinstance(minutes, int):
        msg = f"minutes: must be a whole number, not {shown_value(minutes)}"
        raise RequestError(msg)
    if not 1 <= minutes <= MAX_MINUTES:
        msg = f"minutes: must be 1 to {MAX_MINUTES}, which is a day, not {shown_value(minutes)}"
        raise RequestError(msg)
    return HeadroomRequest(float(kw), minutes)
