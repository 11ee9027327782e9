"""Synthetic houses as CSV files, whose header names them synthetic."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from gapcast.core.arrays.array_types import F64

TIME_COLUMN, VALUE_COLUMN = "time", "synthetic_power_kw"
HEADER = f"{TIME_COLUMN},{VALUE_COLUMN}\n"
#: The first minute: a Monday, like the first day of the simulated people. The date does not depend on the season.
BEGIN = datetime(2024, 7, 1, tzinfo=UTC)


def as_csv(power_kw: F64) -> str:
    """Return ``power_kw`` ``[T]``, one value a minute from :data:`BEGIN` on, as CSV with times in UTC."""
    times = np.datetime64(BEGIN.replace(tzinfo=None), "m") + np.arange(power_kw.size)
    rows = zip(np.datetime_as_string(times), power_kw.tolist(), strict=True)
    return HEADER + "".join(f"{time}Z,{kw:.3f}\n" for time, kw in rows)
