"""Limits of stored state: finite values within a range, even if the digest of the file is valid.

A file with a valid digest can still be crafted, or written by a faulty version. The limits are far beyond the values of
a running gateway, so that they reject no real state, and narrow enough that no arithmetic or loop runs away:

- times between 2000 and 2100 for readings; between 1970 and 2100 for clocks of the gateway and of meters
- power and other measured values up to a million, the maximum of a reading
- the terms of a meter's value, in its own unit, up to 1e15
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from gapcast.core.readings.reading import Reading, is_device_id
from gapcast.core.readings.samples import MeterState, OpenMinute, Sample, SampleValues
from gapcast.core.time_grid import DAY_MIN, EARLIEST_MS, LATEST_MS, MINUTE_MS

#: Maximum magnitude of power and other measured values.
MOST = 1e6
#: First and last minute of a reading.
FIRST_MINUTE, LAST_MINUTE = EARLIEST_MS // MINUTE_MS, LATEST_MS // MINUTE_MS
_MAX_TERM = 1e15
_MAX_LATE = 3
_MAX_APART_MS = DAY_MIN * MINUTE_MS


def is_plausible_instant(instant_ms: object) -> bool:
    """Return whether ``instant_ms`` is an instant between 1970 and 2100, epoch ms."""
    return type(instant_ms) is int and 0 <= instant_ms <= LATEST_MS


def is_plausible_minute(minute: object) -> bool:
    """Return whether ``minute`` is a possible minute of a reading."""
    return type(minute) is int and FIRST_MINUTE <= minute <= LAST_MINUTE


def is_plausible_power(kw: object) -> bool:
    """Return whether ``kw`` is a possible power of a reading, kW."""
    return _is_within(kw, MOST)


def is_plausible_reading(reading: Reading) -> bool:
    """Return whether a stored reading could have been accepted."""
    return (
        type(reading.device) is str
        and is_device_id(reading.device)
        and is_plausible_minute(reading.minute)
        and is_plausible_power(reading.gap_kw)
        and (reading.measured is None or _are_within(reading.measured, MOST))
    )


def is_plausible_run(run: list[Reading]) -> bool:
    """Return whether ``run`` can be the late readings of one device."""
    return 0 < len(run) <= _MAX_LATE and len({r.device for r in run}) == 1 and all(map(is_plausible_reading, run))


def is_plausible_sample(sample: Sample) -> bool:
    """Return whether a stored sample could have been accepted."""
    return (
        type(sample.topic) is str
        and (sample.at_ms is None or is_plausible_instant(sample.at_ms))
        and _are_plausible_terms(sample.terms)
        and _are_within(sample.measured, MOST)
    )


def _are_plausible_terms(terms: Mapping[str, float | None]) -> bool:
    return _are_within({path: value for path, value in terms.items() if value is not None}, _MAX_TERM)


def is_plausible_meter(meter: MeterState) -> bool:
    """Return whether the stored state of a meter is plausible."""
    counted, minute = meter.counted, meter.open_minute
    return (
        _are_plausible_terms(meter.known)
        and meter.best >= 0
        and (meter.last_ms is None or is_plausible_instant(meter.last_ms))
        and abs(meter.behind_ms) <= LATEST_MS
        and _is_plausible_minute(minute)
        and (
            counted is None
            or (_is_near(counted[0], minute) and all(_is_within(count, _MAX_TERM) for count in counted[1]))
        )
    )


def _is_plausible_minute(minute: OpenMinute) -> bool:
    """Return whether an open minute is consistent: closing it must not loop over years of minutes."""
    current = minute.current
    n_channels = len(minute.sums)
    samples = (*((current,) if current is not None else ()), *minute.pending, *minute.late_run)
    return (
        is_plausible_instant(minute.through_ms)
        and minute.minute == minute.through_ms // MINUTE_MS
        and all(_is_within(total, MOST * MINUTE_MS) for total in minute.sums)
        and all(0 <= covered_ms <= MINUTE_MS for covered_ms in (*minute.covered_ms, minute.filled_ms))
        and all(_is_plausible_value(sample, n_channels) for sample in samples)
        and (current is None or current.at_ms <= minute.through_ms)
        and (minute.newest_ms is None or _is_near(minute.newest_ms, minute))
    )


def _is_plausible_value(sample: SampleValues, n_channels: int) -> bool:
    known = (value for value in sample.values if value is not None)
    return is_plausible_instant(sample.at_ms) and len(sample.values) <= n_channels and _all_within(known, MOST)


def _is_near(instant_ms: int, minute: OpenMinute) -> bool:
    return is_plausible_instant(instant_ms) and instant_ms - minute.through_ms <= _MAX_APART_MS


def _are_within(values: object, limit: float) -> bool:
    return isinstance(values, Mapping) and _all_within(values.values(), limit)


def _all_within(values: Iterable[object], limit: float) -> bool:
    return all(_is_within(value, limit) for value in values)


def _is_within(value: object, limit: float) -> bool:
    return type(value) in {float, int} and math.isfinite(value) and abs(value) <= limit  # type: ignore[arg-type]  # a number
