"""Checks whether powers are plausible for a house, or indicate a wrong unit."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

#: A house with three phases of 63 A can draw 43 kW; a median of half that power is very unlikely.
_LARGE_KW = 20.0
#: A meter and a router alone draw more than this power.
_SMALL_KW = 0.005
_CHECK = "check that this is the right channel or field"


def plausibility_warning(powers_kw: Sequence[float], *, is_house: bool = True) -> str:
    """Return why the unit of a device's powers (kW) may be wrong, and the fix; empty if the powers are plausible.

    A single load (``is_house`` unset) may draw almost nothing.

    >>> plausibility_warning([0.3, 2.1]), plausibility_warning([0.0, 0.0])
    ('', '')
    >>> plausibility_warning([75.0, 81.0])
    '78 kW is high for a house: check that this is the right channel or field; if the meter sends W, set unit = "W"'
    >>> plausibility_warning([0.00031])
    '0.00031 kW is very low: check that this is the right channel or field; if the meter sends kW, set unit = "kW"'
    """
    median_kw = median(map(abs, powers_kw)) if powers_kw else 0.0
    if median_kw > _LARGE_KW:
        return f'{median_kw:g} kW is high for a house: {_CHECK}; if the meter sends W, set unit = "W"'
    if is_house and 0 < median_kw < _SMALL_KW:
        return f'{median_kw:.3g} kW is very low: {_CHECK}; if the meter sends kW, set unit = "kW"'
    return ""
