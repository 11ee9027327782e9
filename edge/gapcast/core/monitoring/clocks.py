"""Detects meters whose clocks differ from the gateway's. It only warns: a replay of old readings is legitimate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from typing import NamedTuple

#: A reading has the time of the last full or of the current minute; an offset beyond that is delivery delay up to this.
MAX_BEHIND_MIN, MAX_AHEAD_MIN = 6, 1
#: Readings with the same offset, this far apart, mean a wrong clock; messages queued by a broker arrive all at once.
_STEADY_S = 45.0
_SAME_MIN = 1
_HOUR_MIN, _HALF_HOUR_MIN, _NEAR_MIN = 60, 30, 3
#: The largest offset between a local time and UTC, 14 hours.
_LARGEST_OFFSET_MIN = 14 * 60


class ClockChange(Enum):
    """A change of the state of a device's clock: wrong, or right again."""

    OFF = "off"
    RIGHT = "right"


class _Offset(NamedTuple):
    ahead_min: int
    since_s: float


class ClockMonitor:
    """Tracks devices whose timestamps differ from the gateway's time, at most ``max_devices`` devices.

    >>> clocks = ClockMonitor(max_devices=10)
    >>> clocks.check("home", 60, 0.0), clocks.check("home", 60, 60.0), clocks.reported_min
    (None, <ClockChange.OFF: 'off'>, {'home': 60})
    >>> clocks.check("home", 0, 120.0), clocks.reported_min
    (<ClockChange.RIGHT: 'right'>, {})
    """

    def __init__(self, max_devices: int, reported_min: dict[str, int] | None = None) -> None:
        """Track no device yet; ``reported_min``, if given, receives the offsets that are reported."""
        self._max_devices = max_devices
        self._offsets: dict[str, _Offset] = {}
        #: The devices reported as off, and how many minutes each is ahead.
        self.reported_min = {} if reported_min is None else reported_min

    def __len__(self) -> int:
        """Return the number of tracked devices."""
        return len(self._offsets)

    def check(self, device: str, ahead_min: int, now_s: float) -> ClockChange | None:
        """Check a reading that is ``ahead_min`` minutes ahead of the gateway; return the change, if any."""
        before = self._offsets.get(device)
        if -MAX_BEHIND_MIN <= ahead_min <= MAX_AHEAD_MIN:
            if before is None:
                return None
            del self._offsets[device]
            return None if self.reported_min.pop(device, None) is None else ClockChange.RIGHT
        if before is None:
            if len(self._offsets) < self._max_devices:
                self._offsets[device] = _Offset(ahead_min, now_s)
            return None
        if abs(ahead_min - before.ahead_min) > _SAME_MIN:
            self._offsets[device] = _Offset(ahead_min, now_s)
            self.reported_min.pop(device, None)
            return None
        if device in self.reported_min or now_s - before.since_s < _STEADY_S:
            return None
        self.reported_min[device] = before.ahead_min
        return ClockChange.OFF

    def forget(self, device: str) -> None:
        """Discard the clock state of ``device``."""
        self._offsets.pop(device, None)
        self.reported_min.pop(device, None)


def clock_fix(ahead_min: int, local_zone: tzinfo | None = None, now_ms: int | None = None) -> str:
    """Return the likely cause and fix for a clock that is ``ahead_min`` minutes ahead.

    ``local_zone`` is the zone in which the meter's local times are read; None: its times have an offset. ``now_ms``,
    the gateway's time since the epoch, determines whether daylight saving time applies in the zone.

    >>> clock_fix(120)[:35], clock_fix(-17)[:25]
    ('the offset is whole hours: if the m', "correct the meter's clock")
    >>> from datetime import UTC
    >>> clock_fix(120, UTC)[:61]
    "the meter's local times are read as UTC: set site.timezone to"
    >>> from zoneinfo import ZoneInfo
    >>> clock_fix(-60, ZoneInfo("Europe/Berlin"), 1_782_900_000_000)[:51]
    "the meter's clock ignores daylight saving time: set"
    """
    if local_zone is not None and now_ms is not None:
        saved_min, standard_min = _daylight_saving(local_zone, now_ms)
        if saved_min and abs(ahead_min + saved_min) <= _NEAR_MIN:
            hours, rest_min = divmod(standard_min, _HOUR_MIN)
            fixed = "a zone without it" if rest_min else f'"Etc/GMT{-hours:+d}"'
            return (
                "the meter's clock ignores daylight saving time: set its rules (Tasmota: Timezone 99, with TimeDst and "
                f"TimeStd), or set timezone of its source, not site.timezone, to {fixed}"
            )
    step_min = _HOUR_MIN if local_zone is None else _HALF_HOUR_MIN
    steps, rest_min = divmod(ahead_min + _NEAR_MIN, step_min)
    if steps and rest_min <= 2 * _NEAR_MIN and abs(steps * step_min) <= _LARGEST_OFFSET_MIN:
        if local_zone is not None:
            return (
                f"the meter's local times are read as {local_zone}: set site.timezone to its zone, which "
                "may be UTC, or timezone of its source if that differs from the site's"
            )
        return 'the offset is whole hours: if the meter sends local time, set time_form = "local" and its timezone'
    return "correct the meter's clock or the gateway's, or set time_form = \"arrival\" to ignore the meter's"


def _daylight_saving(zone: tzinfo, now_ms: int) -> tuple[int, int]:
    """Return the current daylight saving shift of ``zone`` and its standard offset from UTC, both in minutes.

    The standard offset is the smaller one of January and July. ``tzinfo.dst()`` does not help in Dublin, whose winter
    time is by law the shifted one.
    """
    now = datetime.fromtimestamp(now_ms / 1_000, UTC)
    offset_min, *others_min = (
        (at.astimezone(zone).utcoffset() or timedelta()) // timedelta(minutes=1)
        for at in (now, now.replace(month=1, day=1), now.replace(month=7, day=1))
    )
    return offset_min - min(others_min), min(others_min)
