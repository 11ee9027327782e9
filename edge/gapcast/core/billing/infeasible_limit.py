"""A limit that every window of the last day exceeded, and that the device probably always exceeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gapcast.core.billing.options import DemandOptions
from gapcast.core.readings.state_limits import MOST
from gapcast.core.time_grid import DAY_MIN

#: REST fields: the warning of a device (null without one), and the warnings of a page by device.
LIMIT_WARNING, LIMIT_WARNINGS = "limit_warning", "limit_warnings"


class InfeasibleLimit(NamedTuple):
    """A fixed limit of ``device`` below the lowest window of the last day, both in kW."""

    device: str
    limit_kw: float
    lowest_kw: float

    @property
    def fix(self) -> str:
        """How to fix the limit."""
        return f"set a limit above {self.lowest_kw:.2f} kW"

    @property
    def text(self) -> str:
        """The warning as a sentence.

        >>> InfeasibleLimit("home", 0.1, 0.312).text
        'home: the limit of 0.10 kW is below the lowest window of the last day (0.31 kW): set a limit above 0.31 kW'
        """
        lowest = f"the lowest window of the last day ({self.lowest_kw:.2f} kW)"
        return f"{self.device}: the limit of {self.limit_kw:.2f} kW is below {lowest}: {self.fix}"


def text_of(found: InfeasibleLimit | None) -> str | None:
    """Return the warning ``found`` as a sentence; None without a warning."""
    return None if found is None else found.text


@dataclass(slots=True)
class LowestWindow:
    """The lowest of the newest complete windows to which a limit applies, over one to two days of such windows.

    A day is 24 hours of windows with readings and a limit; other windows do not count. The stored state does not depend
    on the limit, so that a new limit can be compared at once.

    >>> lowest = LowestWindow()
    >>> for kw in (0.4, 0.3, *[0.5] * 22):
    ...     lowest.record(kw, window_min=60)
    >>> lowest.is_above(0.2), lowest.is_above(0.3)
    (True, False)
    """

    #: Number of windows since the last full day.
    n: int = 0
    #: The lowest of these windows, kW.
    newest_kw: float = MOST
    #: The lowest window of the day before these windows, kW: minus :data:`MOST` until one day is full.
    before_kw: float = -MOST
    #: The limit that was last reported as too low, kW: not persisted.
    reported_kw: float = 0.0

    @property
    def kw(self) -> float:
        """The lowest window, kW; far below any limit until a day of windows is recorded."""
        return min(self.before_kw, self.newest_kw)

    def is_above(self, limit_kw: float) -> bool:
        """Return whether every window was above ``limit_kw``."""
        return self.kw > limit_kw

    def record(self, mean_kw: float, window_min: int) -> None:
        """Record the mean of a complete window of ``window_min`` minutes."""
        self.n += 1
        self.newest_kw = min(self.newest_kw, mean_kw)
        if self.n * window_min >= DAY_MIN:
            self.n, self.before_kw, self.newest_kw = 0, self.newest_kw, MOST

    def report(self, found: InfeasibleLimit | None) -> bool:
        """Return whether ``found``, the limit that is too low now, differs from the limit at the last call."""
        limit_kw = 0.0 if found is None else found.limit_kw
        is_new = limit_kw not in (0.0, self.reported_kw)
        self.reported_kw = limit_kw
        return is_new


def infeasible_limit_of(
    device: str, options: DemandOptions, set_limit_kw: float | None, lowest: LowestWindow
) -> InfeasibleLimit | None:
    """Return the limit of ``device`` if it is too low; ``set_limit_kw`` was set at run time (None: not set).

    A limit by the month's peak follows the measured power, and is never too low.
    """
    limit_kw = options.limit_kw if set_limit_kw is None else set_limit_kw
    if limit_kw is None or not lowest.is_above(limit_kw):
        return None
    return InfeasibleLimit(device, limit_kw, lowest.kw)
