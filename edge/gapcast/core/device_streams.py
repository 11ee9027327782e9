"""Whose row is whose: the places of many devices in arrays that grow block by block, and are used again."""

from __future__ import annotations

import numpy as np

from gapcast.core.reading import Reading
from gapcast.core.window import F32

#: Rows come in blocks of about so many bytes: a fleet that grows copies nothing and holds no more than it fills.
_BLOCK_BYTES = 1 << 17


class Stream:
    """Where one device stands. Its values lie in row ``at`` of ``block``, one of those of :class:`Rows`."""

    __slots__ = ("at", "block", "end", "held", "last_minute", "late_run", "n_seen", "observed", "row")

    def __init__(self, row: int, block: F32, at: int) -> None:
        self.row = row
        self.block = block
        self.at = at
        self.end = 0  # column after the newest value
        self.last_minute = 0
        self.n_seen = 0  # readings since the history began
        self.observed = 0  # bit k: whether the value k minutes back was a reading, not a filled minute
        self.late_run: list[Reading] | None = None
        self.held: Reading | None = None


class DeviceStreams:
    """At most ``max_devices`` devices, each with a row of values ``[width]`` or ``[width, C]``."""

    def __init__(self, max_devices: int, shape: tuple[int, ...]) -> None:
        """Give each device a row of ``shape``."""
        self.max_devices = max_devices
        #: By device, in the order they came.
        self.streams: dict[str, Stream] = {}
        #: By row; "" where its device was forgotten.
        self.names: list[str] = []
        self._free: list[Stream] = []  # of devices that were forgotten: their rows serve others
        self._shape = shape
        self._n_rows = min(max_devices, max(1, _BLOCK_BYTES // (int(np.prod(shape)) * 4)))  # of a block
        self._block: F32 = np.empty(0, dtype=np.float32)  # the newest

    def add(self, device: str) -> Stream | None:
        """Give a device that has none a row, without a reading; None where ``max_devices`` have one."""
        if len(self.streams) >= self.max_devices:
            return None
        if self._free:
            left = self._free.pop()
            row, block, at = left.row, left.block, left.at
            self.names[row] = device
        else:
            row = len(self.names)
            at = row % self._n_rows
            if not at:
                self._block = np.zeros((self._n_rows, *self._shape), dtype=np.float32)
            block = self._block
            self.names.append(device)
        stream = self.streams[device] = Stream(row, block, at)
        return stream

    def forget(self, device: str) -> int | None:
        """Take the device's row back; return it, None where the device has none."""
        stream = self.streams.pop(device, None)
        if stream is None:
            return None
        self.names[stream.row] = ""
        self._free.append(stream)
        return stream.row
