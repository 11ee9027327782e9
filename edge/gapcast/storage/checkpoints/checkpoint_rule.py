"""Decides when a checkpoint is due: before the next start takes long, or the journal takes much space.

Writing a checkpoint takes about 40 us per device, however few readings are new. A minimum number of readings per device
between two checkpoints therefore bounds their cost per reading (to a thirtieth of 40 us), however fast readings arrive.
A maximum bounds the length of the journal, because the next start repeats all of its forecasts.
"""

from __future__ import annotations

#: A checkpoint is due when the journal has grown to this size, or to twice the size of the last checkpoint.
LEAST_JOURNAL_BYTES = 2 << 20
#: A checkpoint is also due at this many readings, and this many per device: repeating their forecasts takes a second.
MOST_READINGS, MOST_READINGS_EACH = 30_000, 30
#: Minimum time between two checkpoints that remove forgotten devices, however many are forgotten.
REMOVAL_INTERVAL_S = 60.0


class CheckpointRule:
    """Compares a journal with its limits, which depend on the last checkpoint and the number of devices.

    >>> rule = CheckpointRule()
    >>> rule.set_devices(2_000)
    >>> rule.is_due(n_bytes=1_000_000, n_readings=59_999), rule.is_due(n_bytes=1_000_000, n_readings=60_000)
    (False, True)
    >>> rule.is_due(n_bytes=2 << 20, n_readings=1)
    True
    >>> rule.set_checkpoint(n_bytes=3 << 20)
    >>> rule.is_due(n_bytes=2 << 20, n_readings=1), rule.is_due(n_bytes=6 << 20, n_readings=1)
    (False, True)
    """

    def __init__(self) -> None:
        self._most_bytes = LEAST_JOURNAL_BYTES
        self._most_readings = MOST_READINGS

    def set_devices(self, n_devices: int) -> None:
        """Set the number of devices in the next checkpoint."""
        self._most_readings = max(MOST_READINGS, MOST_READINGS_EACH * n_devices)

    def set_checkpoint(self, n_bytes: int) -> None:
        """Set the size of the last checkpoint."""
        self._most_bytes = max(LEAST_JOURNAL_BYTES, 2 * n_bytes)

    def is_due(self, n_bytes: int, n_readings: int) -> bool:
        """Return whether a journal of this size, with this many readings, should be replaced by a checkpoint."""
        return n_readings >= self._most_readings or n_bytes >= self._most_bytes


class RemovalRule:
    """A forgotten device is removed from the files by the next checkpoint: at once, but at most once a minute.

    Until then only the journal says that it was forgotten, and a restart does not restore it.

    >>> rule = RemovalRule()
    >>> rule.is_pending = True
    >>> rule.is_due(1_000.0), rule.begin_checkpoint(1_000.0), rule.is_due(1_000.0)
    (True, True, False)
    >>> rule.is_pending = True
    >>> rule.is_due(1_059.9), rule.is_due(1_060.0)
    (False, True)
    """

    def __init__(self) -> None:
        self.is_pending = False
        self._due_s = float("-inf")

    def is_due(self, now_s: float) -> bool:
        """Return whether a checkpoint should be written because of a forgotten device."""
        return self.is_pending and now_s >= self._due_s

    def begin_checkpoint(self, now_s: float) -> bool:
        """Return whether the checkpoint that begins removes devices."""
        removes, self.is_pending = self.is_pending, False
        if removes:
            self._due_s = now_s + REMOVAL_INTERVAL_S
        return removes
