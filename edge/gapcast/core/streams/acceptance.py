"""Accepts a batch of readings: their results, and the windows to forecast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.billing.device_windows import WindowState
from gapcast.core.plans.plans import PlannedPart, Plans
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch, count_results, raise_if_device_failed
from gapcast.core.streams.buffer import Buffers, ReadingStatus
from gapcast.core.streams.history import History


def accept_readings(readings: Sequence[Reading], buffers: Buffers, history: History, plans: Plans) -> AcceptedBatch:
    """Accept ``readings`` in order into ``buffers`` and ``history``; subtract the loads of ``plans`` from windows.

    See :meth:`gapcast.core.engine.Engine.accept`.
    """
    windows = np.empty((len(readings), *buffers.shape), dtype=np.float32)
    statuses: list[ReadingStatus] = []
    forecast_indices: list[int] = []
    devices: list[str] = []
    minutes: list[int] = []
    n_observed: list[int] = []
    rows: list[int] = []
    first_rows: list[int] = []
    failures: list[tuple[int, Exception]] = []
    filled: list[int] = []
    planned: dict[int, PlannedPart] = {}
    billing: dict[int, WindowState] = {}
    trackers, billed, n_kept = plans.trackers, buffers.billing, history.max_devices
    # Looked up once: in Python 3.11 access to an enumeration's member takes as long as a small call.
    ready, first, failed = ReadingStatus.READY, ReadingStatus.FIRST, ReadingStatus.FAILED
    accept, count_observed, streams = buffers.accept, buffers.count_observed, buffers.streams
    for reading in readings:
        try:
            if failures:
                raise_if_device_failed(reading.device, readings, failures)
            status = accept(reading)
            if status is ready or status is first:
                device = reading.device
                row = (stream := streams[device]).row
                if row < n_kept:
                    history.record_reading(stream)
                if status is ready:
                    index = len(devices)
                    windows[index] = stream.block[stream.at, stream.end - buffers.spec.context : stream.end]
                    part = (
                        plans.observe(device, reading.minute, power_of_window(windows[index]))
                        if device in trackers
                        else None
                    )
                    state = None if billed is None else billed.state(row)
                    n_observed.append(count_observed(stream))
                    # Nothing raises from here on: after an error the next window has this index.
                    if reading.is_filled:
                        filled.append(index)
                    if part is not None:
                        planned[index] = part
                    if state is not None:
                        billing[index] = state
                    statuses.append(status)
                    forecast_indices.append(index)
                    devices.append(device)
                    rows.append(row)
                    minutes.append(reading.minute)
                    continue
                first_rows.append(row)
            statuses.append(status)
            forecast_indices.append(-1)
        except Exception as error:
            failures.append((len(forecast_indices), error))
            statuses.append(failed)
            forecast_indices.append(-1)
    return AcceptedBatch(
        windows[: len(devices)], devices, rows, minutes, n_observed, statuses, forecast_indices, first_rows,
        *count_results(statuses, buffers), failures, filled, planned, billing,
        [] if billed is None else billed.take_closed(), buffers.take_restarted_streams(),
    )  # fmt: skip


def power_of_window(window: F32) -> F32:
    """Return a view of the power in ``window``, ``[context]`` or ``[context, C]``."""
    return window if window.ndim == 1 else window[:, 0]
