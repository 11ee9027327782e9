"""Replays the readings after a snapshot into an engine, by the rules of the stream."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.billing.changes import DemandChange, LimitChange
from gapcast.core.billing.device_windows import ClosedWindow, WindowState
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError, PayloadError
from gapcast.core.plans.plan import LoadPlan
from gapcast.core.plans.plans import PlannedPart
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.time_grid import DAY_MIN

#: Number of windows per call when forecasts are repeated.
_BATCH = 256


class JournalReplay:
    """Advances an engine from a snapshot through the later batches of readings."""

    def __init__(self, engine: Engine) -> None:
        """Continue from the current state of ``engine``."""
        self._engine = engine
        #: Window, minute, n_observed, time of issue (ms) and planned power of the last forecast of each device.
        self._due: dict[str, tuple[F32, int, int, int, PlannedPart | None]] = {}
        self._waiting: list[tuple[Sequence[Reading], int]] = []  # batches, and the issue times of their forecasts
        self._n_waiting = 0
        self.n_readings = 0
        self.forgotten: list[str] = []

    def replay_batch(self, readings: Sequence[Reading], issued_at_ms: int) -> None:
        """Accept a batch that was forecast at ``issued_at_ms``.

        With an ensemble or outlooks all forecasts are repeated, several batches at a time, because they learn. Without
        either, only the last forecast of each device is repeated, at the end.
        """
        self.n_readings += len(readings)
        if self._engine.ensemble is not None or self._engine.outlooks is not None:
            self._waiting.append((readings, issued_at_ms))
            self._n_waiting += len(readings)
            if self._n_waiting >= _BATCH:
                self._repeat_forecasts()
            return
        accepted = self._engine.accept(readings)
        keys = zip(accepted.windows, accepted.devices, accepted.minutes, accepted.n_observed, strict=True)
        for i, (window, device, minute, n_observed) in enumerate(keys):
            self._due[device] = (window.copy(), minute, n_observed, issued_at_ms, accepted.planned.get(i))

    def _repeat_forecasts(self) -> None:
        """Forecast the waiting batches in few calls: batches before a jump of a device's time are forecast first."""
        waiting, self._waiting, self._n_waiting = self._waiting, [], 0
        accepted: list[tuple[AcceptedBatch, int]] = []
        for readings, issued_at_ms in waiting:
            if accepted and self._has_jump(readings):
                self._forecast_together(accepted)
                accepted = []
            accepted.append((self._engine.accept(readings), issued_at_ms))
        if accepted:
            self._forecast_together(accepted)

    def _has_jump(self, readings: Sequence[Reading]) -> bool:
        """Return whether a reading is older than its device's newest one, or more than half a day newer.

        It may restart the history, and change the inputs of earlier forecasts, such as the plan of a device.
        """
        streams = self._engine.buffers.streams
        ahead_min = (one.minute - streams[one.device].last_minute for one in readings if one.device in streams)
        return any(not 0 <= ahead <= DAY_MIN // 2 for ahead in ahead_min)

    def _forecast_together(self, accepted: Sequence[tuple[AcceptedBatch, int]]) -> None:
        """Forecast batches in one call; if a model cannot be run, batch by batch, as originally."""
        engine = self._engine
        joined = _join_windows([one for one, _ in accepted])
        try:
            _forecast(engine, joined, 0)
        except ModelError:
            for one, issued_at_ms in accepted:
                with suppress(ModelError):
                    _forecast(engine, one, issued_at_ms)
                engine.learn()
            return
        engine.learn()
        # If a row occurs several times, its last entry counts.
        engine.stamp(joined.rows, [issued_at_ms for one, issued_at_ms in accepted for _ in one.rows])

    def forget(self, device: str) -> None:
        """Forget a device that was forgotten after the replayed batches."""
        self._repeat_forecasts()
        self._engine.forget(device)
        self._due.pop(device, None)
        self.forgotten.append(device)

    def replace_plan(self, device: str, plan: LoadPlan) -> None:
        """Replace the plan of a device, as happened after the replayed batches."""
        self._repeat_forecasts()
        with suppress(PayloadError):  # too many loads, as originally
            self._engine.replace_plan(device, plan)

    def change_demand(self, change: DemandChange) -> None:
        """Change the limit or the month's peak of a device, as happened after the replayed batches."""
        self._repeat_forecasts()
        with suppress(PayloadError):  # the configuration no longer has a limit
            if isinstance(change, LimitChange):
                self._engine.demands.set_limit(change.device, change.limit_kw)
            else:
                self._engine.demands.correct_month_peak(change.device, change.peak.kw, change.peak.minute)

    def finish(self) -> None:
        """Repeat the last forecast of each device, unless the model cannot be run."""
        self._repeat_forecasts()
        engine, due = self._engine, list(self._due.items())
        for first in range(0, len(due), _BATCH):
            some = due[first : first + _BATCH]
            devices = [device for device, _ in some]
            windows, minutes, n_observed, issued_at_ms, parts = map(list, zip(*(what for _, what in some), strict=True))
            planned = {i: part for i, part in enumerate(parts) if part is not None}
            rows = [engine.buffers.row(device) for device in devices]
            ready = AcceptedBatch(np.stack(windows), devices, rows, minutes, n_observed, planned=planned)
            try:
                engine.forecast(ready, 0)
            except ModelError:
                continue
            engine.stamp(rows, issued_at_ms)
        self._due.clear()


def _forecast(engine: Engine, accepted: AcceptedBatch, issued_at_ms: int) -> None:
    """Repeat the forecasts, outlooks and demands of a batch; raise :class:`ModelError` if the main model fails."""
    forecasts = engine.forecast(accepted, issued_at_ms)
    outlooks = None
    with suppress(ModelError):
        outlooks = engine.outlook(accepted, forecasts)
    engine.demand(accepted, outlooks)


def _join_windows(parts: list[AcceptedBatch]) -> AcceptedBatch:
    """Return the windows of all ``parts``, in order."""
    windows = np.concatenate([part.windows for part in parts])
    devices = [device for part in parts for device in part.devices]
    rows = [row for part in parts for row in part.rows]
    minutes = [minute for part in parts for minute in part.minutes]
    n_observed = [n for part in parts for n in part.n_observed]
    firsts = accumulate((len(part.devices) for part in parts), initial=0)
    filled: list[int] = []
    planned: dict[int, PlannedPart] = {}
    billing: dict[int, WindowState] = {}
    closed: list[ClosedWindow] = []
    restarted = [stream for part in parts for stream in part.restarted_streams]
    for first, part in zip(firsts, parts, strict=False):
        if not (part.filled or part.planned or part.billing or part.closed):
            continue
        filled += [first + i for i in part.filled]
        planned |= {first + i: of_window for i, of_window in part.planned.items()}
        billing |= {first + i: state for i, state in part.billing.items()}
        closed += part.closed
    return AcceptedBatch(
        windows, devices, rows, minutes, n_observed, filled=filled, planned=planned, billing=billing, closed=closed,
        restarted_streams=restarted,
    )  # fmt: skip
