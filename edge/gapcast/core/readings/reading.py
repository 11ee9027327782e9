"""Readings, device names, and the limits of values and times."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from gapcast.core.documents.message_format import shown_value
from gapcast.core.errors import PayloadError
from gapcast.core.time_grid import EARLIEST_MS, LATEST_MS, epoch_ms_of
from gapcast.core.windows.features import GAP, UNITS

#: Numbers from this value on are epoch milliseconds, smaller numbers epoch seconds.
_MILLISECONDS_FROM = 100_000_000_000
#: RFC 3339, also with an offset without a colon.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,18})?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
_W_PER_KW = 1_000
#: A power outside the limits is assumed to be in watts only above this value, kW: a house may draw less than that.
_MAX_HOUSE_KW = 50.0
#: Maximum of any measured feature of a house; float32 holds it and its square.
_MAX_MEASURED = 1e6
#: Excludes ``.`` and ``..``, which would refer to another resource in the path of a URL.
_DEVICE = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.-]{1,64}")
#: The rule of :func:`is_device_id`, for the end of an error message.
DEVICE_ID_RULE = "use 1 to 64 of A-Z a-z 0-9 _ - ."
#: Number of characters of a wrong device name that an error message shows.
_SHOWN_NAME_CHARS = 80


def is_device_id(name: str) -> bool:
    """Return whether ``name`` is a valid device name: 1 to 64 of ``A-Z a-z 0-9 _ - .``, but not ``.`` or ``..``.

    >>> is_device_id("meter-1.l2"), is_device_id("my meter"), is_device_id(""), is_device_id("..")
    (True, False, False, False)
    """
    return _DEVICE.fullmatch(name) is not None


def device_id_problem(name: str) -> str:
    """Return why ``name`` is not a valid device name, as a sentence with the rule.

    >>> device_id_problem("my meter")
    "'my meter' cannot name a device: use 1 to 64 of A-Z a-z 0-9 _ - ."
    """
    shown = repr(name)  # writes a character such as NUL as several characters
    if len(shown) > _SHOWN_NAME_CHARS + 2:
        shown = f"{shown[: _SHOWN_NAME_CHARS + 1]}…{shown[0]}"
    return f"{shown} cannot name a device: {DEVICE_ID_RULE}"


class Reading(NamedTuple):
    """One minute-averaged Global Active Power value of one device.

    ``minute`` is the number of the minute since the epoch (:mod:`gapcast.core.time_grid`), ``gap_kw`` the power in kW.
    ``redelivered`` means that the broker sent this message before without a confirmation: then an old minute is a
    duplicate and never restarts the history. ``measured`` holds the other measured features of that minute, by their
    names in :data:`gapcast.core.windows.features.MEASURED`; None if there are none. ``is_filled`` means that a held
    value covers most of the minute, in which nothing was measured: the minute is part of windows, but never the outcome
    of a forecast.
    """

    device: str
    minute: int
    gap_kw: float
    redelivered: bool = False
    measured: Mapping[str, float] | None = None
    is_filled: bool = False

    def missing_features(self, features: Sequence[str]) -> list[str]:
        """Return the measured features among ``features`` that the reading does not have.

        >>> Reading("home", 0, 1.2, measured={"voltage_v": 239}).missing_features(["gap_kw", "voltage_v", "current_a"])
        ['current_a']
        """
        held = self.measured or {}
        return [name for name in features if name != GAP and name not in held]


@dataclass(frozen=True, slots=True)
class Limits:
    """The range of a reading's power, kW."""

    min_kw: float = -100.0
    max_kw: float = 100.0


def power_of(value: object, limits: Limits) -> float:
    """Return ``value`` of a message as power, kW; raise :class:`PayloadError` if it is no number or out of ``limits``.

    >>> power_of(1230, Limits())
    Traceback (most recent call last):
    gapcast.core.errors.PayloadError: out_of_range: 1230 kW is outside -100 to 100 kW: if these are watts, ...
    """
    if type(value) is not float and type(value) is not int:
        raise PayloadError("not_a_number", f"power must be a number in kW, not {shown_value(value)}")
    if limits.min_kw <= value <= limits.max_kw:
        return float(value)
    if type(value) is float and not math.isfinite(value):
        raise PayloadError("not_finite", f"power must be finite, not {value}")
    if is_likely_watts(value, limits):
        fix = f"if these are watts, send kW ({value / _W_PER_KW:g})"
    else:
        fix = "the range is set by limits.min_kw and limits.max_kw"
    detail = f"{shown_value(value)} kW is outside {limits.min_kw:g} to {limits.max_kw:g} kW: {fix}"
    raise PayloadError("out_of_range", detail)


def is_likely_watts(value: float, limits: Limits) -> bool:
    """Return whether ``value``, as power in kW outside ``limits``, is likely in watts.

    >>> is_likely_watts(1230, Limits()), is_likely_watts(6, Limits(max_kw=5))
    (True, False)
    """
    is_within = limits.min_kw * _W_PER_KW <= value <= limits.max_kw * _W_PER_KW  # an integer may be too large to divide
    return is_within and abs(value) > _MAX_HOUSE_KW


def measured_of(name: str, value: object) -> float:
    """Return ``value`` of a message as the measured feature ``name``, in its unit.

    Raises :class:`PayloadError` if it is not a number, not finite, or beyond a million.

    >>> measured_of("voltage_v", "239")
    Traceback (most recent call last):
    gapcast.core.errors.PayloadError: not_a_number: voltage_v must be a number in V, not '239'
    """
    if type(value) is not float and type(value) is not int:
        raise PayloadError("not_a_number", f"{name} must be a number in {UNITS[name]}, not {shown_value(value)}")
    if -_MAX_MEASURED <= value <= _MAX_MEASURED:
        return float(value)
    if type(value) is float and not math.isfinite(value):
        raise PayloadError("not_finite", f"{name} must be finite, not {value}")
    allowed = f"-{_MAX_MEASURED:g} to {_MAX_MEASURED:g}"
    detail = f"{name} of {shown_value(value)} {UNITS[name]} is outside {allowed}: check the meter's unit"
    raise PayloadError("out_of_range", detail)


def instant_of(ts: object) -> int:
    """Return the time ``ts`` of a message, epoch ms, from RFC 3339 or an epoch number in seconds or milliseconds.

    Raises :class:`PayloadError` for anything else, and for a time before 2000 or after 2099.

    >>> instant_of("2010-11-01T00:29:00Z") == instant_of(1288571340) == instant_of(1288571340000)
    True
    """
    if type(ts) is str:
        return _parsed(ts)
    if type(ts) is not int and type(ts) is not float:
        raise PayloadError("bad_time", f"ts must be RFC 3339 or an epoch number, not {shown_value(ts)}")
    if type(ts) is float and not math.isfinite(ts):
        raise PayloadError("bad_time", f"ts must be finite, not {ts}")
    return in_range(ts if abs(ts) >= _MILLISECONDS_FROM else ts * 1_000, ts)


def named_instant_of(name: str, value: object) -> int:
    """Return the result of :func:`instant_of` for a field ``name`` that is not the time of a meter's reading.

    Raises :class:`PayloadError` (``bad_time``) that names the field.

    >>> named_instant_of("at", "1999-12-31T00:00:00Z")
    Traceback (most recent call last):
    gapcast.core.errors.PayloadError: bad_time: at: '1999-12-31T00:00:00Z' is before 2000
    """
    try:
        return instant_of(value)
    except PayloadError as error:
        detail = error.detail.removeprefix("ts ").partition(": the meter")[0]
        raise PayloadError("bad_time", f"{name}: {detail}") from error


@lru_cache(maxsize=1_024)
def _parsed(ts: str) -> int:
    if _RFC3339.fullmatch(ts) is None:
        fix = "give the offset or Z, as in 2010-11-01T00:29:00Z"
        raise PayloadError("bad_time", f"ts {shown_value(ts)} is not RFC 3339: {fix}")
    try:
        instant_ms = epoch_ms_of(datetime.fromisoformat(ts.upper()))
    except (ValueError, OverflowError) as error:
        raise PayloadError("bad_time", f"ts {shown_value(ts)} is not a time: {error}") from error
    return in_range(instant_ms, ts)


def in_range(instant_ms: float, ts: object) -> int:
    """Return the instant as an integer, epoch ms; ``ts`` is the value in the message.

    Raises :class:`PayloadError` for a time before 2000 or after 2099.
    """
    if instant_ms < EARLIEST_MS:
        raise PayloadError("clock_not_set", f"ts {shown_value(ts)} is before 2000: the meter's clock was never set")
    if instant_ms >= LATEST_MS:
        raise PayloadError("bad_time", f"ts {shown_value(ts)} is after 2099")
    return int(instant_ms)
