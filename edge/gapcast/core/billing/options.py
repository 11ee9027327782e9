"""Options of billing windows: their length, the limit, and the times when the limit applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum

#: Lengths of billing windows, minutes: the divisors of 60 from 5 on.
WINDOW_MINUTES = (5, 6, 10, 12, 15, 20, 30, 60)

#: Names of the weekdays, from Monday on, as in the configuration.
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class LimitSource(StrEnum):
    """Where the limit of a window comes from."""

    #: ``demand.limit_kw`` is a number.
    FIXED = "fixed"
    #: The highest window of the month so far, or the mean of the highest windows of some days; at least the floor.
    MONTH_PEAK = "month_peak"
    #: Set at run time, over MQTT or REST: it replaces the configured limit.
    SET = "set"
    #: No limit: the window is outside the active hours, weekdays or months, or no limit is configured.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ActiveTimes:
    """When a limit applies, in local time: a window counts if it starts within these times.

    ``hours`` are pairs of minutes of the day, from (inclusive) and to (exclusive; at most 1,440). A pair whose end is
    not after its start passes midnight. ``weekdays`` are 0 (Monday) to 6, ``months`` 1 to 12.
    """

    hours: tuple[tuple[int, int], ...] = ((0, 1_440),)
    weekdays: frozenset[int] = frozenset(range(7))
    months: frozenset[int] = frozenset(range(1, 13))

    @property
    def text(self) -> str:
        """The times that are not the default, by the names of their keys.

        >>> ActiveTimes(((960, 1_440),), frozenset({0, 4}), frozenset({1, 12})).text
        'hours 16:00-24:00, weekdays mon,fri, months 1,12'
        """
        every, texts = ActiveTimes(), []
        if self.hours != every.hours:
            clocks = (f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}" for start, end in self.hours)
            texts.append(f"hours {','.join(clocks)}")
        if self.weekdays != every.weekdays:
            texts.append(f"weekdays {','.join(WEEKDAYS[i] for i in sorted(self.weekdays))}")
        if self.months != every.months:
            texts.append(f"months {','.join(map(str, sorted(self.months)))}")
        return ", ".join(texts)


@dataclass(frozen=True, slots=True)
class DemandOptions:
    """The demand options of one device. Power in kW.

    ``window_min`` is one of :data:`WINDOW_MINUTES`. ``limit_kw`` is a fixed limit. If it is None, ``by_month_peak``
    sets the limit to the mean of the month's ``n_peak_days`` highest daily peaks, at least ``floor_kw``; without
    ``by_month_peak`` there is no limit. ``fuse_kw`` is a limit of each single minute (None: no fuse). ``risk`` is the
    probability of an exceedance that the headroom accepts. With ``imports_only`` exported power counts as 0.
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
        """Whether there is any limit, so that demands are published."""
        return self.limit_kw is not None or self.by_month_peak or self.fuse_kw is not None

    @property
    def limit_text(self) -> str:
        """The configured limit of a window, for messages.

        >>> [DemandOptions(limit_kw=4.0).limit_text, DemandOptions(by_month_peak=True).limit_text]
        ['4.00 kW', 'month_peak']
        >>> DemandOptions(fuse_kw=9.2).limit_text
        'none'
        """
        if self.limit_kw is not None:
            return f"{self.limit_kw:.2f} kW"
        return str(LimitSource.MONTH_PEAK if self.by_month_peak else LimitSource.NONE)

    def counted_kw(self, kw: float) -> float:
        """Return the power that counts in a window for a minute with the power ``kw``.

        >>> DemandOptions().counted_kw(-2.0), DemandOptions(imports_only=True).counted_kw(-2.0)
        (-2.0, 0.0)
        """
        return 0.0 if kw < 0 and self.imports_only else kw


@dataclass(frozen=True, slots=True)
class SiteDemandOptions:
    """The options of all devices: ``default``, or an entry of ``devices`` by name; windows use ``zone``."""

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
