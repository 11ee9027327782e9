"""Rows of many devices, in blocks that are allocated as needed; rows of forgotten devices are reused."""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.readings.reading import Reading

#: Approximate bytes of a block: a growing fleet copies nothing and allocates no more than it fills.
_BLOCK_BYTES = 1 << 17


class Stream:
    """The state of one device's stream. Its values are row ``at`` of ``block``, a block of :class:`DeviceStreams`."""

    __slots__ = (
        "at", "block", "end", "filled", "held", "last_minute", "late_run", "n_gaps", "n_seen", "observed", "row",
    )  # fmt: skip

    def __init__(self, row: int, block: F32, at: int) -> None:
        self.row = row
        self.block = block
        self.at = at
        self.end = 0  # column after the newest value
        self.last_minute = 0
        self.n_seen = 0  # readings since the history began
        self.n_gaps = 0  # gaps in a row that restarted the history, with a single reading between each two
        self.observed = 0  # bit k: whether the value k minutes back was a reading, not a filled minute
        self.filled = 0  # bit k: whether that reading was a filled minute, in which nothing was measured
        #: Late readings in a row. An empty list: the minutes until the newest one are imported, and no run may begin.
        self.late_run: list[Reading] | None = None
        self.held: Reading | None = None


class DeviceStreams:
    """At most ``max_devices`` devices, each with a row of values ``[width]`` or ``[width, C]``."""

    def __init__(self, max_devices: int, shape: tuple[int, ...]) -> None:
        """Allocate rows of ``shape``."""
        self.max_devices = max_devices
        #: Streams by device, in the order of their first readings.
        self.streams: dict[str, Stream] = {}
        #: Device names by row; "" for the row of a forgotten device.
        self.names: list[str] = []
        #: Rows of forgotten devices, a heap. The lowest is reused first, because only the first rows have learning
        #: state.
        self._free: list[int] = []
        self._shape = shape
        self._n_rows = min(max_devices, max(1, _BLOCK_BYTES // (int(np.prod(shape)) * 4)))  # per block
        self._blocks: list[F32] = []

    def add(self, device: str) -> Stream | None:
        """Allocate a row for a new device, without a reading; return None if there are already ``max_devices``."""
        if len(self.streams) >= self.max_devices:
            return None
        if self._free:
            row = heappop(self._free)
            self.names[row] = device
        else:
            row = len(self.names)
            if row == len(self._blocks) * self._n_rows:
                self._blocks.append(np.zeros((self._n_rows, *self._shape), dtype=np.float32))
            self.names.append(device)
        block, at = divmod(row, self._n_rows)
        stream = self.streams[device] = Stream(row, self._blocks[block], at)
        return stream

    def forget(self, device: str) -> int | None:
        """Free the device's row; return the row, or None if the device is unknown."""
        stream = self.streams.pop(device, None)
        if stream is None:
            return None
        self.names[stream.row] = ""
        heappush(self._free, stream.row)
        return stream.row
