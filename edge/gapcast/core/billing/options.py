"""Options of billing windows: their length, the limit, and the times in which it applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum

#: Lengths of billing windows, minutes: those from 5 that divide the hour.
WINDOW_MINUTES = (5, 6, 10, 12, 15, 20, 30, 60)


class LimitSource(StrEnum):
    """Where the limit of a window comes from."""

    #: ``demand.limit_kw`` is a number.
    FIXED = "fixed"
    #: The month's highest window so far, or the mean of the highest of some days; at least the floor.
    MONTH_PEAK = "month_peak"
    #: Set while running, over MQTT or REST: it replaces the configured one.
    SET = "set"
    #: No limit applies: the window is outside the active hours, weekdays or months, or none is configured.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ActiveTimes:
    """When a limit applies, by local time: a window counts if it starts in it.

    ``hours`` are pairs of minutes of the day, from (inclusive) and to (exclusive; at most 1,440), where a pair whose
    end is not after its start passes midnight; ``weekdays`` are 0 (Monday) to 6, ``months`` 1 to 12.
    """

    hours: tuple[tuple[int, int], ...] = ((0, 1_440),)
    weekdays: frozenset[int] = frozenset(range(7))
    months: frozenset[int] = frozenset(range(1, 13))


@dataclass(frozen=True, slots=True)
class DemandOptions:
    """The demand of one device. Power in kW.

    ``window_min`` is one of :data:`WINDOW_MINUTES`. ``limit_kw`` is a fixed limit; None: the month's peak, the mean of
    the highest windows of the ``n_peak_days`` days with the highest ones, at least ``floor_kw``, or no limit unless
    ``by_month_peak``. ``fuse_kw`` is a limit of each single minute (None: there is none). ``risk`` is the probability
    of an exceedance that the headroom accepts. With ``imports_only`` exported power counts as 0.
    """

    window_min: int = 15
    limit_kw: float | None = None
    by_month_peak: bool = False
    n_peak_days: int = 1
    floor_kw: float = 2.5
    fuse_kw: float | None = None
    risk: float = 0.05
    active: ActiveTimes = field(default_factory=ActiveTimes)
    imports_only: bool = False

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit, and so any demand to publish."""
        return self.limit_kw is not None or self.by_month_peak or self.fuse_kw is not None

    def counted_kw(self, kw: float) -> float:
        """Return what the power ``kw`` of a minute counts in a window.

        >>> DemandOptions().counted_kw(-2.0), DemandOptions(imports_only=True).counted_kw(-2.0)
        (-2.0, 0.0)
        """
        return 0.0 if kw < 0 and self.imports_only else kw


@dataclass(frozen=True, slots=True)
class SiteDemandOptions:
    """The options of all devices: ``default``, and those of single ``devices`` by name; windows use ``zone``."""

    default: DemandOptions = field(default_factory=DemandOptions)
    devices: Mapping[str, DemandOptions] = field(default_factory=dict)
    zone: tzinfo = UTC

    def for_device(self, device: str) -> DemandOptions:
        """Return the options of ``device``."""
        return self.devices.get(device, self.default)

    @property
    def is_limited(self) -> bool:
        """Whether any device has a limit."""
        return self.default.is_limited or any(one.is_limited for one in self.devices.values())

    @property
    def any_imports_only(self) -> bool:
        """Whether exported power counts as 0 for any device."""
        return self.default.imports_only or any(one.imports_only for one in self.devices.values())
