"""Rolling buffers of many devices, and the rules for accepting a reading.

Only the readings' own timestamps count, not the wall clock, so that a replay of 2010 works like live data.

* In order: accepted. Up to :data:`~gapcast.core.window.MAX_FILL_MIN` missing minutes before it are filled
  by linear interpolation; a longer gap restarts the device's history.
* Same minute again: a duplicate, no effect.
* Older than the newest: late, no effect. Three late readings in a row, one minute apart, restart the history
  there (a replay, a clock set back).
* Filled (``Reading.is_filled``): accepted, but not counted as a real reading.
* More than a day ahead: held until the device's next reading confirms it or shows that it was a clock error.

If the model takes more than power, a reading without a value for every channel is rejected. Submeters are channels too,
after those of the model, but a reading need not have them: they are NaN then, and filled minutes next to it as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum

import numpy as np

from gapcast.core.demand.running_windows import RunningWindows
from gapcast.core.device_streams import DeviceStreams, Stream
from gapcast.core.features import GAP
from gapcast.core.forecast_range import ForecastRange
from gapcast.core.grid import DAY_MIN
from gapcast.core.outlook.week import WeekHistory
from gapcast.core.reading import Reading
from gapcast.core.submeters import Submeters, channels_of, measured_name
from gapcast.core.window import F32, MAX_FILL_MIN, MIN_OBSERVED, WindowSpec, bridge

#: Late readings in a row, one minute apart, that restart a history.
RESTART_RUN = 3
#: Columns of a row beyond the context, so that values are rarely moved back; at least MAX_FILL_MIN + 1.
_SLACK = 8


class ReadingStatus(Enum):
    """The result of accepting a reading."""

    READY = "ready"  # accepted, a forecast can be made
    FIRST = "first"  # accepted; one more is needed before a forecast
    DUPLICATE = "duplicate"
    LATE = "late"
    HELD = "unconfirmed"  # more than a day ahead: held until the next reading; the value is public
    FULL = "full"  # a new device beyond the limit
    INCOMPLETE = "lacking"  # without a value for every channel
    FAILED = "failed"  # raised an error; see AcceptedBatch.failures


#: Looked up once: in Python 3.11 a member of an enumeration takes as long as a small call.
_READY, _FIRST = ReadingStatus.READY, ReadingStatus.FIRST


class Buffers:
    """Rolling buffers of ``spec.context`` minutes, one per device, for at most ``max_devices``.

    ``channels`` are the measured features that they hold, power first. With power alone a window is
    ``[context]``, with C channels ``[context, C]``. Real readings are counted in the newest ``n_counted``
    minutes (None: in the whole window).

    >>> buffers = Buffers(WindowSpec(context=4), max_devices=10)
    >>> [buffers.accept(Reading("home", minute, kw)).value for minute, kw in ((7, 1.0), (9, 2.0))]
    ['first', 'ready']
    >>> buffers.window("home").tolist()
    [1.0, 1.0, 1.5, 2.0]

    With ``submeters``, their channels follow those of ``channels``. With ``week``, it is fed all known minutes.
    """

    def __init__(
        self,
        spec: WindowSpec,
        max_devices: int,
        channels: Sequence[str] = (GAP,),
        n_counted: int | None = None,
        submeters: Submeters | None = None,
        week: WeekHistory | None = None,
    ) -> None:
        self.spec = spec
        #: Quarter-hours of a week, of the first devices; None if no model takes them.
        self.week = week
        #: Running billing windows, of the first devices; None without a limit.
        self.billing: RunningWindows | None = None
        self.set_counted_minutes(n_counted or spec.context)
        self.submeters: Submeters = submeters or {}
        of_submeters = channels_of(self.submeters)
        #: Number of channels that each reading has; those of submeters follow.
        self.n_required = len(channels)
        self.channels = (*channels, *of_submeters)
        #: Shape of a window.
        self.shape = (spec.context,) if len(self.channels) == 1 else (spec.context, len(self.channels))
        self.max_devices = max_devices
        #: Held readings that the next reading showed to be clock errors; the caller that counts them empties the list.
        self.disproved: list[Reading] = []
        #: Held readings that the next reading confirmed, since the caller last reset it.
        self.n_confirmed = 0
        self._width = spec.context + _SLACK
        self._devices = DeviceStreams(max_devices, (self._width, *self.shape[1:]))
        self._streams = self._devices.streams
        self._window_bits = (1 << spec.context) - 1
        self._extra = tuple(channels[1:])
        self._no_submeters = (math.nan,) * len(of_submeters)
        self._has_power_alone = len(self.channels) == 1
        self._submeter_keys = {
            device: tuple(map(measured_name, names)) for device, names in self.submeters.items() if names
        }

    def set_counted_minutes(self, n_counted: int) -> None:
        """Count real readings in the newest ``n_counted`` minutes from now on."""
        #: Minutes in which real readings are counted.
        self.n_counted = n_counted
        self._counted_bits = (1 << n_counted) - 1

    def __len__(self) -> int:
        """Return the number of devices."""
        return len(self._streams)

    @property
    def n_held(self) -> int:
        """Number of readings held until the next reading of their device confirms them."""
        return sum(stream.held is not None for stream in self._streams.values())

    def __iter__(self) -> Iterator[str]:
        """Iterate over the devices, in the order of their first readings."""
        return iter(self._streams)

    def __contains__(self, device: str) -> bool:
        """Return whether the device is known."""
        return device in self._streams

    def row(self, device: str) -> int:
        """Return the device's row: its index in every array that has one row per device."""
        return self._streams[device].row

    def device(self, row: int) -> str:
        """Return the device of ``row``."""
        return self._devices.names[row]

    def stream(self, device: str) -> Stream:
        """Return the state of the device's stream."""
        return self._streams[device]

    def newest(self, device: str) -> tuple[int, float]:
        """Return the device's newest minute and its power (kW)."""
        stream = self._streams[device]
        return stream.last_minute, float(stream.block[stream.at, stream.end - 1].flat[0])

    def window(self, device: str) -> F32:
        """Return a copy of the device's window, ``[context]`` (kW) or ``[context, C]``."""
        out = np.empty(self.shape, dtype=np.float32)
        self.copy_window(device, out)
        return out

    def copy_window(self, device: str, out: F32) -> int:
        """Copy the device's window into ``out``, which has its shape; return the number of real readings in it."""
        return self.copy_stream(self._streams[device], out)

    def copy_stream(self, stream: Stream, out: F32) -> int:
        """Copy the window of ``stream``, as :meth:`copy_window` does."""
        out[:] = stream.block[stream.at, stream.end - self.spec.context : stream.end]
        if stream.filled:
            return self.count_observed(stream)
        return (stream.observed & self._counted_bits).bit_count()

    def count_observed(self, stream: Stream) -> int:
        """Return the number of real readings in the window of ``stream``."""
        return (stream.observed & ~stream.filled & self._counted_bits).bit_count()

    def repair_window(self, device: str, forecast_range: ForecastRange) -> None:
        """Replace values that no reading can have by the device's newest reading."""
        stream = self._streams[device]
        values = stream.block[stream.at].reshape(self._width, -1)
        usable = forecast_range.usable_windows(values)
        required = values[:, : self.n_required]
        np.copyto(required, required[stream.end - 1].copy(), where=~usable[:, : self.n_required])
        np.copyto(values[:, self.n_required :], np.nan, where=~usable[:, self.n_required :])

    def add_windows_to_week(self) -> None:
        """Begin the quarter-hours of the devices that have none with the readings of their windows."""
        if self.week is not None:
            for stream in self._streams.values():
                if stream.n_seen and not self.week.has(stream.row):
                    self.week.add_window(stream, self.spec.context)

    def begin_billing(self, billing: RunningWindows) -> None:
        """Feed ``billing`` from now on; begin the windows of the devices that have none with their known minutes."""
        self.billing = billing
        for device, stream in self._streams.items():
            if stream.n_seen and billing.of(stream.row) is None:
                n_known = stream.observed.bit_length()
                known = stream.block[stream.at, stream.end - n_known : stream.end].reshape(n_known, -1)
                billing.begin_after(stream.row, device, stream.last_minute, known[:, 0])

    @property
    def row_width(self) -> int:
        """Minutes in a device's row: the context and some columns beyond it."""
        return self._width

    @property
    def n_rows(self) -> int:
        """Number of rows allocated so far, rows of forgotten devices included."""
        return len(self._devices.names)

    def names(self) -> list[str]:
        """Return the devices by row; "" for the row of a forgotten device."""
        return list(self._devices.names)

    def forget(self, device: str) -> int | None:
        """Remove ``device``; return the row it had, or None if it is unknown."""
        row = self._devices.forget(device)
        if row is not None and self.week is not None:
            self.week.forget(row)
        if row is not None and self.billing is not None:
            self.billing.forget(row)
        return row

    def add_device(self, device: str) -> Stream | None:
        """Allocate a row for a new device, without a reading; return None if there are ``max_devices`` already."""
        return self._devices.add(device)

    def accept(self, reading: Reading) -> ReadingStatus:
        """Apply the rules above to a reading; return the result."""
        if self._extra and reading.missing_features(self._extra):
            return ReadingStatus.INCOMPLETE
        stream = self._streams.get(reading.device)
        if stream is None:
            return self._start_device(reading)
        ahead_min = reading.minute - stream.last_minute
        if 0 < ahead_min <= DAY_MIN:
            return self._append(stream, reading, ahead_min)
        if ahead_min == 0:
            return ReadingStatus.DUPLICATE
        return self._handle_late(stream, reading) if ahead_min < 0 else self._handle_ahead(stream, reading)

    def _start_device(self, reading: Reading) -> ReadingStatus:
        stream = self._devices.add(reading.device)
        return ReadingStatus.FULL if stream is None else self._restart(stream, reading)

    def _restart(self, stream: Stream, reading: Reading) -> ReadingStatus:
        context = self.spec.context
        values = self._values_of(reading)
        stream.block[stream.at, : context - 1] = self.spec.pad_kw(values)
        stream.block[stream.at, context - 1] = values
        stream.end = context
        for minutes in (self.week, self.billing):
            if minutes is not None and reading.minute <= stream.last_minute:
                minutes.discard_from(stream.row, reading.minute)
        self._record_minute(stream, reading.device, reading.minute, reading.gap_kw)
        stream.last_minute = reading.minute
        stream.n_seen = stream.observed = 1
        stream.filled = int(reading.is_filled)
        return ReadingStatus.FIRST

    def _append(self, stream: Stream, reading: Reading, ahead_min: int) -> ReadingStatus:
        stream.late_run = None
        if stream.held is not None:
            self._discard_held(stream)
        n_missing = ahead_min - 1
        if n_missing > MAX_FILL_MIN:
            return self._restart(stream, reading)
        if stream.end + ahead_min > self._width:
            self._move_back(stream)
        end = stream.end
        values = reading.gap_kw if self._has_power_alone else self._values_of(reading)
        if n_missing:
            before = stream.block[stream.at, end - 1]
            stream.block[stream.at, end : end + n_missing] = bridge(before, values, n_missing)
            if self.week is not None or self.billing is not None:
                filled_kw = stream.block[stream.at, end : end + n_missing].reshape(n_missing, -1)[:, 0].tolist()
                for minute, gap_kw in enumerate(filled_kw, start=stream.last_minute + 1):
                    self._record_minute(stream, reading.device, minute, gap_kw)
        if self.week is not None or self.billing is not None:
            self._record_minute(stream, reading.device, reading.minute, reading.gap_kw)
        end += ahead_min
        stream.block[stream.at, end - 1] = values
        stream.end = end
        stream.last_minute = reading.minute
        stream.n_seen += 1
        stream.observed = (stream.observed << ahead_min | 1) & self._window_bits
        if reading.is_filled or stream.filled:
            stream.filled = (stream.filled << ahead_min | reading.is_filled) & self._window_bits
        return _READY if stream.n_seen >= MIN_OBSERVED else _FIRST

    def _record_minute(self, stream: Stream, device: str, minute: int, gap_kw: float) -> None:
        """Add a known minute, kW, to the quarter-hours of the week and to the running window."""
        if self.week is not None:
            self.week.add(stream.row, minute, gap_kw)
        if self.billing is not None:
            self.billing.add(stream.row, device, minute, gap_kw)

    def _values_of(self, reading: Reading) -> float | tuple[float, ...]:
        if self._has_power_alone:
            return reading.gap_kw
        measured = reading.measured or {}
        values = reading.gap_kw, *(measured[name] for name in self._extra), *self._no_submeters
        keys = self._submeter_keys.get(reading.device)
        if keys is None:
            return values
        known = [measured.get(key, math.nan) for key in keys]
        return *values[: self.n_required], *known, *self._no_submeters[len(known) :]

    def _move_back(self, stream: Stream) -> None:
        context = self.spec.context
        row = stream.block[stream.at]
        row[:context] = row[stream.end - context : stream.end].copy()
        stream.end = context

    def _handle_late(self, stream: Stream, reading: Reading) -> ReadingStatus:
        if reading.redelivered:
            return ReadingStatus.DUPLICATE
        run = stream.late_run
        if run and reading.minute == run[-1].minute:
            return ReadingStatus.DUPLICATE
        if not run or reading.minute != run[-1].minute + 1:
            stream.late_run = [reading]
            return ReadingStatus.LATE
        run.append(reading)
        if len(run) < RESTART_RUN:
            return ReadingStatus.LATE
        self._discard_held(stream)
        return self._restart_with(stream, run)

    def _handle_ahead(self, stream: Stream, reading: Reading) -> ReadingStatus:
        held = stream.held
        if held is not None and held.minute == reading.minute:
            return ReadingStatus.DUPLICATE
        if held is not None and 0 < reading.minute - held.minute <= DAY_MIN:
            stream.held = None
            self.n_confirmed += 1
            return self._restart_with(stream, [held, reading])
        self._discard_held(stream)
        stream.held = reading
        return ReadingStatus.HELD

    def _restart_with(self, stream: Stream, readings: list[Reading]) -> ReadingStatus:
        status = self._restart(stream, readings[0])
        stream.late_run = None
        for reading in readings[1:]:
            status = self._append(stream, reading, reading.minute - stream.last_minute)
        return status

    def _discard_held(self, stream: Stream) -> None:
        if stream.held is not None:
            self.disproved.append(stream.held)
            stream.held = None
