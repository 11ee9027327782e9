"""The values of a demand that belong to one billing window, for one device and for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.billing.options import LimitSource

#: The sources of limits, by their codes in :attr:`WindowDemands.sources`.
SOURCES = (LimitSource.NONE, LimitSource.FIXED, LimitSource.MONTH_PEAK, LimitSource.SET)
#: The fields of windows that are integers.
INTEGERS: Final = ("start_minutes", "end_minutes", "elapsed_min", "n_known", "sources")


@dataclass(frozen=True, slots=True)
class WindowDemand:
    """One billing window: the minutes from ``start_minute`` (inclusive) to ``end_minute`` (exclusive). Power in kW.

    ``elapsed_min`` minutes are over, of which ``n_known`` have a measured or an interpolated reading; ``so_far_kw`` is
    the mean of the known minutes, None without any. ``expected_kw``, ``median_kw`` and the bounds of the 90 % interval
    describe the mean of the whole window. ``limit_kw`` is its limit (None: no limit, ``p_exceed`` is 0).
    ``headroom_kw`` is the constant power that can be added from now (or from the window's start, if later) to its end
    so that the window exceeds the limit with the accepted risk; if negative, that much power must be switched off.
    """

    start_minute: int
    end_minute: int
    elapsed_min: int
    n_known: int
    so_far_kw: float | None
    expected_kw: float
    lower_kw: float
    median_kw: float
    upper_kw: float
    limit_kw: float | None
    limit_source: LimitSource
    p_exceed: float
    headroom_kw: float

    @property
    def unmeasured_min(self) -> int:
        """The elapsed minutes whose power is unknown: as uncertain as the minutes to come."""
        return self.elapsed_min - self.n_known


@dataclass(frozen=True, slots=True)
class WindowDemands:
    """The windows of N devices: the columns of :class:`WindowDemand`, each ``[N]``.

    ``so_far_kw`` and ``limit_kw`` are NaN where :class:`WindowDemand` has None; ``sources`` are indices of
    :data:`SOURCES`.
    """

    start_minutes: I64
    end_minutes: I64
    elapsed_min: I64
    n_known: I64
    so_far_kw: F64
    expected_kw: F64
    lower_kw: F64
    median_kw: F64
    upper_kw: F64
    limit_kw: F64
    sources: I64
    p_exceed: F64
    headroom_kw: F64

    @classmethod
    def from_columns(cls, columns: F64) -> WindowDemands:
        """Return the windows whose fields are the ``columns`` ``[13, N]``."""
        return cls(
            **{
                name: column.astype(np.int64) if name in INTEGERS else column
                for name, column in zip(WINDOW_COLUMNS, columns, strict=True)
            }
        )

    def read_all(self) -> list[WindowDemand]:
        """Return each window as a :class:`WindowDemand`."""
        integers = self.start_minutes, self.end_minutes, self.elapsed_min, self.n_known
        powers = self.expected_kw, self.lower_kw, self.median_kw, self.upper_kw
        return [
            WindowDemand(*one)
            for one in zip(
                *(column.tolist() for column in integers),
                none_for_nan(self.so_far_kw),
                *(column.tolist() for column in powers),
                none_for_nan(self.limit_kw),
                [SOURCES[code] for code in self.sources.tolist()],
                self.p_exceed.tolist(),
                self.headroom_kw.tolist(),
                strict=True,
            )
        ]


#: The fields of a window, in the order of their columns.
WINDOW_COLUMNS: Final = tuple(WindowDemands.__dataclass_fields__)


def none_for_nan(column: F64) -> list[float | None]:
    """Return the values of ``column`` ``[N]`` with None for NaN."""
    return [value if value == value else None for value in column.tolist()]  # noqa: PLR0124 - NaN differs from itself
