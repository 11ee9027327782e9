"""Outlooks that are corrected by what their devices have learned."""

from __future__ import annotations

from typing import NamedTuple

from gapcast.core.arrays.array_types import F32, F64, I64


class CorrectedOutlooks(NamedTuple):
    """Corrected outlooks of N windows: ``kw`` ``[N, K, 2, 4]``, the lower limit of bounds ``[N]``, and what they use.

    ``columns`` ``[N, D]`` are the inputs of the correction, ``change`` ``[N, K, 2, 2]`` the whole correction in units
    of the scale, and ``log_width`` ``[N, K, 2]`` that of the bounds. ``local`` ``[N]`` is the local minute of the day.
    """

    kw: F64
    floor_kw: F64
    columns: F32
    change: F64
    log_width: F64
    local: I64
