"""The windows of many devices: their rows, their newest minutes, and the consumers of these minutes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.billing.running_windows import RunningWindows
from gapcast.core.forecasts.forecast_range import ForecastRange
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import Submeters, channels_of, measured_name
from gapcast.core.streams.device_streams import DeviceStreams, Stream
from gapcast.core.streams.week import WeekHistory
from gapcast.core.windows.features import GAP
from gapcast.core.windows.window import WindowSpec

#: Columns of a row beyond the context, so that values are rarely moved back; at least MAX_FILL_MIN + 1.
_SLACK = 8


class SetBackStream(NamedTuple):
    """Late readings set the stream of ``device`` back from its newest minute to the minute of the first of them."""

    device: str
    from_minute: int
    to_minute: int


class SlowStream(NamedTuple):
    """The stream of ``device`` began again after each of :data:`~gapcast.core.streams.buffer.SLOW_RUN` gaps in a row.

    ``gap_min`` is the length of the last gap.
    """

    device: str
    gap_min: int


#: A stream that began again without the readings before.
RestartedStream = SetBackStream | SlowStream


class StreamWindows:
    """Windows of ``spec.context`` minutes, one per device, for at most ``max_devices``.

    ``channels`` are the measured features in the windows, power first. With power alone a window is ``[context]``, with
    C channels ``[context, C]``. Measured readings are counted in the newest ``n_counted`` minutes (None: in the whole
    window). With ``submeters``, their channels follow ``channels``. ``week``, if given, receives all known minutes.
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
        #: Quarter-hours of a week, for the first devices; None if no model takes them.
        self.week = week
        #: Running billing windows, for the first devices; None without a limit.
        self.billing: RunningWindows | None = None
        self.set_counted_minutes(n_counted or spec.context)
        self.submeters: Submeters = submeters or {}
        of_submeters = channels_of(self.submeters)
        #: Number of channels that each reading must have; the submeters' channels follow.
        self.n_required = len(channels)
        self.channels = (*channels, *of_submeters)
        #: Shape of a window.
        self.shape = (spec.context,) if len(self.channels) == 1 else (spec.context, len(self.channels))
        self.max_devices = max_devices
        #: Held readings that the next reading showed to be clock errors; the caller that counts them empties the list.
        self.disproved: list[Reading] = []
        #: Held readings that the next reading confirmed, since the caller last reset it.
        self.n_confirmed = 0
        self._restarted_streams: list[RestartedStream] = []
        self._width = spec.context + _SLACK
        self._devices = DeviceStreams(max_devices, (self._width, *self.shape[1:]))
        #: The devices' streams, in the order of their first readings; only this class changes them.
        self.streams = self._devices.streams
        self._window_bits = (1 << spec.context) - 1
        self._extra = tuple(channels[1:])
        self._no_submeters = (math.nan,) * len(of_submeters)
        self._has_power_alone = len(self.channels) == 1
        self._submeter_keys = {
            device: tuple(map(measured_name, names)) for device, names in self.submeters.items() if names
        }

    def take_restarted_streams(self) -> list[RestartedStream]:
        """Return the streams that late readings, or gaps in a row, have restarted since the last call."""
        found, self._restarted_streams = self._restarted_streams, []
        return found

    def set_counted_minutes(self, n_counted: int) -> None:
        """Count measured readings in the newest ``n_counted`` minutes from now on."""
        #: Minutes in which measured readings are counted.
        self.n_counted = n_counted
        self._counted_bits = (1 << n_counted) - 1

    def __len__(self) -> int:
        """Return the number of devices."""
        return len(self.streams)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the devices, in the order of their first readings."""
        return iter(self.streams)

    def __contains__(self, device: str) -> bool:
        """Return whether the device is known."""
        return device in self.streams

    def row(self, device: str) -> int:
        """Return the device's row: its index in every array that has one row per device."""
        return self.streams[device].row

    def device(self, row: int) -> str:
        """Return the device of ``row``."""
        return self._devices.names[row]

    def stream(self, device: str) -> Stream:
        """Return the state of the device's stream."""
        return self.streams[device]

    def newest(self, device: str) -> tuple[int, float]:
        """Return the device's newest minute and its power (kW)."""
        stream = self.streams[device]
        return stream.last_minute, float(stream.block[stream.at, stream.end - 1].flat[0])

    def window(self, device: str) -> F32:
        """Return a copy of the device's window, ``[context]`` (kW) or ``[context, C]``."""
        out = np.empty(self.shape, dtype=np.float32)
        self.copy_window(device, out)
        return out

    def copy_window(self, device: str, out: F32) -> int:
        """Copy the device's window into ``out``, which has its shape; return the number of measured readings in it."""
        stream = self.streams[device]
        out[:] = stream.block[stream.at, stream.end - self.spec.context : stream.end]
        return self.count_observed(stream)

    def fill_window(self, stream: Stream, values: F32, observed: int, *, same_spec: bool) -> None:
        """Write a window ``values`` and its ``observed`` bits to a new ``stream``.

        ``values`` is ``[minutes, *]``, oldest first. Unless it has the ``same_spec``, it is cut, or padded.
        """
        context = self.spec.context
        n = context if same_spec else min(context, observed.bit_length())
        row = stream.block[stream.at]
        row[: context - n] = self.spec.pad_kw(values[len(values) - n])
        row[context - n : context] = values[len(values) - n :]
        stream.end = context
        stream.observed, stream.filled = observed & self._window_bits, stream.filled & self._window_bits

    def count_observed(self, stream: Stream) -> int:
        """Return the number of measured readings in the window of ``stream``."""
        return (stream.observed & ~stream.filled & self._counted_bits).bit_count()

    def replace_impossible_values(self, device: str, forecast_range: ForecastRange) -> None:
        """Replace values that no reading can have by the power of the device's newest reading."""
        stream = self.streams[device]
        values = stream.block[stream.at].reshape(self._width, -1)
        usable = forecast_range.usable_windows(values)
        required = values[:, : self.n_required]
        np.copyto(required, required[stream.end - 1].copy(), where=~usable[:, : self.n_required])
        np.copyto(values[:, self.n_required :], np.nan, where=~usable[:, self.n_required :])

    def add_windows_to_week(self) -> None:
        """Begin the quarter-hours of the devices without any with the readings of their windows."""
        if self.week is not None:
            for stream in self.streams.values():
                if stream.n_seen and not self.week.has(stream.row):
                    self.week.add_window(stream, self.spec.context)

    def begin_billing(self, billing: RunningWindows) -> None:
        """Feed ``billing`` from now on; devices without billing windows begin with their windows' known minutes."""
        self.billing = billing
        for device, stream in self.streams.items():
            if stream.n_seen and billing.for_row(stream.row) is None:
                n_known = stream.observed.bit_length()
                known = stream.block[stream.at, stream.end - n_known : stream.end].reshape(n_known, -1)
                billing.begin_after(stream.row, device, stream.last_minute, known[:, 0])

    @property
    def row_width(self) -> int:
        """Number of minutes in a device's row: the context and some columns beyond it."""
        return self._width

    @property
    def n_rows(self) -> int:
        """Number of rows allocated so far, including the rows of forgotten devices."""
        return len(self._devices.names)

    def names(self) -> list[str]:
        """Return the devices by row; "" for the row of a forgotten device."""
        return list(self._devices.names)

    def forget(self, device: str) -> int | None:
        """Remove ``device``; return the row it had, None if it is unknown."""
        row = self._devices.forget(device)
        if row is not None and self.week is not None:
            self.week.forget(row)
        if row is not None and self.billing is not None:
            self.billing.forget(row)
        return row

    def add_device(self, device: str) -> Stream | None:
        """Allocate a row for a new device, without a reading; return None if there are already ``max_devices``."""
        return self._devices.add(device)
