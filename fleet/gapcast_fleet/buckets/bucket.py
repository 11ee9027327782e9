"""A bucket of devices in Spark's state store: the engine continues from the previous micro-batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from gapcast.core.engine import Engine
from gapcast.core.errors import PayloadError
from gapcast.core.forecasts.forecast_json import ForecastEncoder
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.rejections import time_jump, too_many_devices
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.mqtt.payloads import encode_rejection
from gapcast_fleet.buckets.bucket_state import BucketState
from gapcast_fleet.buckets.engine_batches import EngineBatch, process_batch
from gapcast_fleet.buckets.messages import RejectedMessage, read_messages
from gapcast_fleet.engine.worker import WorkerTask, settings_of

#: Readings that the engine processes at a time: each model predicts all of them in one call.
_AT_ONCE = 2_048
#: Maximum number of rejections reported per bucket and micro-batch; the others are only counted.
_MAX_REJECTIONS = 100
COUNTS = ("accepted", "duplicate", "late", "rejected")
#: Output columns: forecasts and rejections as JSON documents, and for each bucket a row of counts.
OUTPUT = "kind string, device string, document string, " + ", ".join(f"n_{name} long" for name in COUNTS)
FORECAST, REJECTED, COUNTED = "forecast", "rejected", "counted"
#: An output row without the counts: kind, device and document.
OutputRow = tuple[str, str | None, str | None]


class Bucket(StatefulProcessor):
    """Runs the engine on the readings of a bucket's devices, and stores its state in Spark."""

    def __init__(self, task: WorkerTask) -> None:
        """Process buckets according to ``task``."""
        self._task = task

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Open the state variables in Spark's store."""
        self._state = BucketState(handle, self._task)

    def handleInputRows(self, key: Any, rows: Iterator[pd.DataFrame], timerValues: Any) -> Iterator[pd.DataFrame]:  # noqa: N802, N803 - Spark's
        """Yield the output rows for the messages of the bucket ``key``."""
        bucket = int(key[0])
        engine, n_since = self._state.restore(bucket)
        batches: list[EngineBatch] = []
        yield from forecast(self._task, engine, pd.concat(rows, ignore_index=True), batches)
        self._state.save(bucket, engine, batches, n_since)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


def forecast(
    task: WorkerTask, engine: Engine, messages: pd.DataFrame, batches: list[EngineBatch]
) -> Iterator[pd.DataFrame]:
    """Yield the forecasts for ``messages``, the rejections, and, in the last row, the counts.

    Append to ``batches`` what the engine processed, without readings that had no effect.
    """
    settings = settings_of(task.settings)
    limits = settings.reading_limits
    readings, rejected = read_messages(messages, limits, engine.buffers.channels[1:], task.most_per_device)
    counts = dict.fromkeys(COUNTS, 0)
    counts["rejected"] = sum(one.n for one in rejected)
    rows: list[OutputRow] = []
    encoder = ForecastEncoder()
    for first in range(0, len(readings), _AT_ONCE):
        if rows:
            yield _frame(rows)
        batch = EngineBatch(readings[first : first + _AT_ONCE], time.time_ns() // 1_000_000)
        accepted, forecasts = process_batch(engine, batch)
        if kept := accepted.state_changing_readings(batch.readings):
            batches.append(batch._replace(readings=kept))
        for name, n in accepted.counts.items():
            counts[name] += n
        rejected += _rejections(engine, batch.readings, accepted.statuses, accepted.disproved)
        documents = zip(forecasts.devices, encoder.encode(forecasts), strict=True)
        rows = [(FORECAST, device, document.decode()) for device, document in documents]
    n_omitted = counts["rejected"] - sum(one.n for one in rejected[:_MAX_REJECTIONS])
    for device, payload, problem, _ in rejected[:_MAX_REJECTIONS]:
        rejection = encode_rejection(device, payload, problem.reason, problem.detail, n_omitted)
        rows.append((REJECTED, device, rejection.decode()))
    # As few frames as possible: the overhead of a frame in Spark equals that of a hundred rows.
    yield _frame([*rows, (COUNTED, None, None)], counts)


def _rejections(
    engine: Engine, readings: Sequence[Reading], statuses: list[ReadingStatus], disproved: list[Reading]
) -> Iterator[RejectedMessage]:
    if ReadingStatus.FULL in statuses or ReadingStatus.INCOMPLETE in statuses:
        for reading, status in zip(readings, statuses, strict=True):
            if status is ReadingStatus.FULL:
                problem = too_many_devices(engine.buffers.max_devices, " in this bucket")
                yield RejectedMessage(reading.device, b"", problem)
            elif status is ReadingStatus.INCOMPLETE:
                yield RejectedMessage(
                    reading.device, b"", PayloadError("missing_feature", engine.explain_incomplete(reading))
                )
    for reading in disproved:
        yield RejectedMessage(reading.device, b"", time_jump())


def _frame(rows: list[OutputRow], counts: dict[str, int] | None = None) -> pd.DataFrame:
    """Return ``rows`` as a frame of :data:`OUTPUT`, with ``counts`` in the last row."""
    kinds, devices, documents = zip(*rows, strict=True)
    unknown = np.ones(len(rows), dtype=bool)
    if counts:
        unknown[-1] = False
    columns = {
        f"n_{name}": pd.arrays.IntegerArray(np.full(len(rows), counts[name] if counts else 0), unknown)
        for name in COUNTS
    }
    return pd.DataFrame({"kind": kinds, "device": devices, "document": documents, **columns})
