"""Rolling buffers of many devices: the rules for accepting a reading.

Only the readings' own timestamps count, not the wall clock, so that a replay of 2010 works like live data.

* In order: accepted. Up to :data:`~gapcast.core.windows.window.MAX_FILL_MIN` missing minutes before it are filled
  by linear interpolation; a longer gap restarts the device's history.
* Same minute again: a duplicate, no effect.
* Older than the newest: late, no effect. Three late readings in a row, one minute apart, restart the history
  there (a replay, a clock set back).
* Older than the newest minute, while that is the last of imported minutes: a duplicate, because the broker may have
  queued minutes that were also imported. The next newer reading ends this.
* Filled (``Reading.is_filled``): accepted, but not counted as a measured reading.
* More than a day ahead: held until the device's next reading confirms it or shows that it was a clock error.

If the model takes more than power, a reading without a value for every channel is rejected. Submeters are also
channels, after the channels of the model, but optional in a reading: a missing value is NaN, as are filled minutes next
to it.
"""

from __future__ import annotations

import math
from enum import Enum

from gapcast.core.readings.reading import Reading
from gapcast.core.streams.device_streams import Stream
from gapcast.core.streams.stream_windows import SetBackStream, SlowStream, StreamWindows
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import MAX_FILL_MIN, MIN_OBSERVED, bridge

#: Number of late readings in a row, one minute apart, that restart a history.
RESTART_RUN = 3
#: Number of gaps in a row that restart a history of one reading, after which the meter is too slow for forecasts.
SLOW_RUN = 3


class ReadingStatus(Enum):
    """The result of accepting a reading."""

    READY = "ready"  # accepted, a forecast can be made
    FIRST = "first"  # accepted; one more reading is needed before a forecast
    DUPLICATE = "duplicate"
    LATE = "late"
    HELD = "unconfirmed"  # more than a day ahead: held until the next reading; the value is public
    FULL = "full"  # a new device beyond the limit
    INCOMPLETE = "lacking"  # without a value for every channel
    FAILED = "failed"  # raised an error; see AcceptedBatch.failures


#: Looked up once: in Python 3.11 access to an enumeration's member takes as long as a small call.
_READY, _FIRST = ReadingStatus.READY, ReadingStatus.FIRST


class Buffers(StreamWindows):
    """The windows of many devices, into which readings are accepted; see :class:`StreamWindows` for the arguments.

    >>> from gapcast.core.windows.window import WindowSpec
    >>> buffers = Buffers(WindowSpec(context=4), max_devices=10)
    >>> [buffers.accept(Reading("home", minute, kw)).value for minute, kw in ((7, 1.0), (9, 2.0))]
    ['first', 'ready']
    >>> buffers.window("home").tolist()
    [1.0, 1.0, 1.5, 2.0]
    """

    def accept(self, reading: Reading) -> ReadingStatus:
        """Apply the rules above to a reading; return the result."""
        if self._extra and reading.missing_features(self._extra):
            return ReadingStatus.INCOMPLETE
        stream = self.streams.get(reading[0])  # by index, which takes half the time of access by name
        if stream is None:
            return self._start_device(reading)
        ahead_min = reading[1] - stream.last_minute
        if 0 < ahead_min <= DAY_MIN:
            return self._append(stream, reading, ahead_min)
        if ahead_min == 0:
            return ReadingStatus.DUPLICATE
        return self._handle_late(stream, reading) if ahead_min < 0 else self._handle_ahead(stream, reading)

    def end_import(self, device: str) -> None:
        """Treat older readings of ``device`` as duplicates, until the next newer one: its minutes are imported."""
        self.streams[device].late_run = []

    def is_imported(self, device: str) -> bool:
        """Return whether the newest minute of ``device`` is the last of imported minutes."""
        return self.streams[device].late_run == []

    def _start_device(self, reading: Reading) -> ReadingStatus:
        stream = self._devices.add(reading.device)
        return ReadingStatus.FULL if stream is None else self._restart(stream, reading)

    def _restart(self, stream: Stream, reading: Reading) -> ReadingStatus:
        context = self.spec.context
        values = self._values_of(reading)
        stream.block[stream.at, : context - 1] = self.spec.pad_kw(values)
        stream.block[stream.at, context - 1] = values
        stream.end = context
        if reading.minute <= stream.last_minute:
            for minutes in (self.week, self.billing):
                if minutes is not None:
                    minutes.discard_from(stream.row, reading.minute)
        elif self.billing is not None:
            self.billing.prepare_jump(stream.row, stream.last_minute, reading.minute)
        self._record_minute(stream, reading.device, reading.minute, reading.gap_kw)
        stream.last_minute = reading.minute
        stream.n_seen = stream.observed = 1
        stream.filled = int(reading.is_filled)
        return ReadingStatus.FIRST

    def _restart_after_gap(self, stream: Stream, reading: Reading) -> ReadingStatus:
        stream.n_gaps = 1 + (stream.n_gaps if stream.n_seen == 1 else 0)
        if stream.n_gaps == SLOW_RUN:
            self._restarted_streams.append(SlowStream(reading.device, reading.minute - stream.last_minute))
        return self._restart(stream, reading)

    def _append(self, stream: Stream, reading: Reading, ahead_min: int) -> ReadingStatus:
        stream.late_run = None
        if stream.held is not None:
            self._discard_held(stream)
        if ahead_min > MAX_FILL_MIN + 1:
            return self._restart_after_gap(stream, reading)
        if stream.end + ahead_min > self._width:
            self._move_back(stream)
        device, minute, gap_kw, _, _, is_filled = reading
        values = gap_kw if self._has_power_alone else self._values_of(reading)
        if ahead_min > 1:
            self._fill(stream, device, values, ahead_min - 1)
        week, row, end = self.week, stream.row, stream.end + ahead_min
        if week is not None and row < week.max_rows:
            week.add(row, minute, gap_kw)
        if self.billing is not None:
            self.billing.add(row, device, minute, gap_kw)
        stream.block[stream.at, end - 1] = values
        stream.end = end
        stream.last_minute = minute
        stream.n_seen += 1
        stream.observed = (stream.observed << ahead_min | 1) & self._window_bits
        if is_filled or stream.filled:
            stream.filled = (stream.filled << ahead_min | is_filled) & self._window_bits
        return _READY if stream.n_seen >= MIN_OBSERVED else _FIRST

    def _fill(self, stream: Stream, device: str, values: float | tuple[float, ...], n_missing: int) -> None:
        """Fill the ``n_missing`` minutes between the newest minute and a reading with these ``values``."""
        end = stream.end
        filled = stream.block[stream.at, end : end + n_missing]
        if self.billing is not None:
            self.billing.prepare_jump(stream.row, stream.last_minute, stream.last_minute + n_missing + 1)
        filled[...] = bridge(stream.block[stream.at, end - 1], values, n_missing)
        if self.week is not None or self.billing is not None:
            filled_kw = filled.reshape(n_missing, -1)[:, 0].tolist()
            for minute, gap_kw in enumerate(filled_kw, start=stream.last_minute + 1):
                self._record_minute(stream, device, minute, gap_kw)

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
        if run is not None and not run:
            return ReadingStatus.DUPLICATE
        if run and reading.minute == run[-1].minute:
            return ReadingStatus.DUPLICATE
        if not run or reading.minute != run[-1].minute + 1:
            stream.late_run = [reading]
            return ReadingStatus.LATE
        run.append(reading)
        if len(run) < RESTART_RUN:
            return ReadingStatus.LATE
        self._discard_held(stream)
        self._restarted_streams.append(SetBackStream(reading.device, stream.last_minute, run[0].minute))
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
