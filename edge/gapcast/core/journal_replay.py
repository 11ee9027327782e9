"""From a snapshot on: the readings that came after it, let in again by the rules of the stream."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from gapcast.core.engine import Accepted, Engine
from gapcast.core.errors import ModelError
from gapcast.core.reading import Reading
from gapcast.core.window import F32

#: Windows forecast at a time when forecasts are made again.
_BATCH = 256


class JournalReplay:
    """Takes an engine on from a snapshot, through the batches of readings that came after it."""

    def __init__(self, engine: Engine) -> None:
        """Go on with ``engine`` from where it stands."""
        self._engine = engine
        self._due: dict[str, tuple[F32, int, int, int]] = {}  # window, minute, n_observed, issued at (ms)
        self._waiting: list[tuple[Sequence[Reading], int]] = []  # batches, and when their forecasts were issued
        self._n_waiting = 0
        self.n_readings = 0
        self.n_forgotten = 0

    def replay_batch(self, readings: Sequence[Reading], issued_at_ms: int) -> None:
        """Let a batch enter that was forecast at ``issued_at_ms``.

        Where forecasts are learnt from, all are made again, several batches at a time; else the last one of each
        device, at the end.
        """
        self.n_readings += len(readings)
        if self._engine.ensemble is not None:
            self._waiting.append((readings, issued_at_ms))
            self._n_waiting += len(readings)
            if self._n_waiting >= _BATCH:
                self._learn_again()
            return
        accepted = self._engine.accept(readings)
        keys = zip(accepted.windows, accepted.devices, accepted.minutes, accepted.n_observed, strict=True)
        for window, device, minute, n_observed in keys:
            self._due[device] = (window.copy(), minute, n_observed, issued_at_ms)

    def _learn_again(self) -> None:
        """Forecast what waits in one go; where a model cannot be run, batch by batch, as it was done then."""
        engine, waiting = self._engine, self._waiting
        self._waiting, self._n_waiting = [], 0
        accepted = [engine.accept(readings) for readings, _ in waiting]
        ready = [(one, issued_at_ms) for one, (_, issued_at_ms) in zip(accepted, waiting, strict=True) if one.devices]
        if not ready:
            return
        try:
            engine.forecast(_joined([one for one, _ in ready]), 0)
        except ModelError:
            for one, issued_at_ms in ready:
                with suppress(ModelError):
                    engine.forecast(one, issued_at_ms)
                engine.learn()
            return
        engine.learn()
        for one, issued_at_ms in ready:
            engine.newest.stamp(one.rows, [issued_at_ms] * len(one.rows))

    def forget(self, device: str) -> None:
        """Let a device be forgotten, as it was then."""
        self._learn_again()
        self._engine.forget(device)
        self._due.pop(device, None)
        self.n_forgotten += 1

    def finish(self) -> None:
        """Make the last forecast of each device again, but where the model cannot be run, as it could not before."""
        self._learn_again()
        engine, due = self._engine, list(self._due.items())
        for first in range(0, len(due), _BATCH):
            some = due[first : first + _BATCH]
            devices = [device for device, _ in some]
            windows, minutes, n_observed, issued_at_ms = map(list, zip(*(what for _, what in some), strict=True))
            rows = [engine.buffers.row(device) for device in devices]
            ready = Accepted([], [], np.stack(windows), devices, rows, [], minutes, n_observed, [], {})
            try:
                engine.forecast(ready, 0)
            except ModelError:
                continue
            engine.newest.stamp(rows, issued_at_ms)
        self._due.clear()


def _joined(parts: list[Accepted]) -> Accepted:
    """Return what is due a forecast of all ``parts``, in their order."""
    windows = np.concatenate([part.windows for part in parts])
    names = ("devices", "rows", "minutes", "n_observed")
    devices, rows, minutes, n_observed = ([one for part in parts for one in getattr(part, name)] for name in names)
    return Accepted([], [], windows, devices, rows, [], minutes, n_observed, [], {})
