"""A bucket of devices in Spark's state store: the engine goes on where the micro-batch before left it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from gapcast.core.buffer import ReadingStatus
from gapcast.core.engine import Engine
from gapcast.core.errors import PayloadError
from gapcast.core.forecast_json import ForecastEncoder
from gapcast.core.reading import Limits, Reading
from gapcast.mqtt.payloads import encode_rejection
from gapcast_fleet.bucket_state import BucketState
from gapcast_fleet.messages import RejectedMessage, read_messages
from gapcast_fleet.turns import Turn, run_turn
from gapcast_fleet.worker import WorkerTask, settings_of

#: Readings taken by the engine at a time: the models see them all in one call.
_AT_ONCE = 2_048
#: Of one bucket and micro-batch so many rejections are told; the others are counted.
_MOST_TOLD = 100
COUNTS = ("accepted", "duplicate", "late", "rejected")
#: What comes out: forecasts and rejections as JSON documents, and for each bucket a row of counts.
OUTPUT = "kind string, device string, document string, " + ", ".join(f"n_{name} long" for name in COUNTS)
FORECAST, REJECTED, COUNTED = "forecast", "rejected", "counted"
#: A row of it but for the counts: kind, device and document.
Told = tuple[str, str | None, str | None]


class Bucket(StatefulProcessor):
    """Takes the readings of a bucket's devices through the engine, and keeps its state with Spark."""

    def __init__(self, task: WorkerTask) -> None:
        """Work as ``task`` says."""
        self._task = task

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Have the state of Spark's store at hand."""
        self._kept = BucketState(handle, self._task)

    def handleInputRows(self, key: Any, rows: Iterator[pd.DataFrame], timerValues: Any) -> Iterator[pd.DataFrame]:  # noqa: N802, N803 - Spark's
        """Yield what comes of the messages of the bucket ``key``."""
        bucket = int(key[0])
        engine, n_since = self._kept.resume(bucket)
        turns: list[Turn] = []
        yield from forecast(self._task, engine, pd.concat(rows, ignore_index=True), turns)
        self._kept.keep(bucket, engine, turns, n_since)

    def close(self) -> None:
        """Have nothing to close."""


def forecast(task: WorkerTask, engine: Engine, messages: pd.DataFrame, turns: list[Turn]) -> Iterator[pd.DataFrame]:
    """Yield the forecasts that ``messages`` give, what was refused, and, in the last row, the counts.

    Add to ``turns`` what the engine took, but for readings that changed nothing.
    """
    settings = settings_of(task.settings)
    limits = Limits(settings.limits.min_kw, settings.limits.max_kw)
    readings, refused = read_messages(messages, limits, engine.buffers.channels[1:], task.most_per_device)
    counts = dict.fromkeys(COUNTS, 0)
    counts["rejected"] = sum(one.n for one in refused)
    told: list[Told] = []
    encoder = ForecastEncoder()
    for first in range(0, len(readings), _AT_ONCE):
        if told:
            yield _frame(told)
        turn = Turn(readings[first : first + _AT_ONCE], time.time_ns() // 1_000_000)
        accepted, forecasts = run_turn(engine, turn)
        if kept := accepted.with_effect(turn.readings):
            turns.append(turn._replace(readings=kept))
        for name, n in accepted.counts.items():
            counts[name] += n
        refused += _refused(engine, turn.readings, accepted.statuses, accepted.disproved)
        documents = zip(forecasts.devices, encoder.encode(forecasts), strict=True)
        told = [(FORECAST, device, document.decode()) for device, document in documents]
    n_omitted = counts["rejected"] - sum(one.n for one in refused[:_MOST_TOLD])
    for device, payload, problem, _ in refused[:_MOST_TOLD]:
        rejection = encode_rejection(device, payload, problem.reason, problem.detail, n_omitted)
        told.append((REJECTED, device, rejection.decode()))
    # One frame where that is enough: what Spark does with one takes as long as a hundred rows do.
    yield _frame([*told, (COUNTED, None, None)], counts)


def _refused(
    engine: Engine, readings: Sequence[Reading], statuses: list[ReadingStatus], disproved: list[Reading]
) -> Iterator[RejectedMessage]:
    if ReadingStatus.FULL in statuses or ReadingStatus.INCOMPLETE in statuses:
        for reading, verdict in zip(readings, statuses, strict=True):
            if verdict is ReadingStatus.FULL:
                detail = f"{engine.buffers.max_devices} devices are known in this bucket, all that devices.max allows"
                yield RejectedMessage(reading.device, b"", PayloadError("too_many_devices", detail))
            elif verdict is ReadingStatus.INCOMPLETE:
                yield RejectedMessage(
                    reading.device, b"", PayloadError("missing_feature", engine.explain_incomplete(reading))
                )
    for reading in disproved:
        detail = "its time was more than a day ahead of the readings before and after it: check the meter's clock"
        yield RejectedMessage(reading.device, b"", PayloadError("time_jump", detail))


def _frame(told: list[Told], counts: dict[str, int] | None = None) -> pd.DataFrame:
    """Return ``told`` as Spark takes it, with ``counts`` in the last row."""
    kinds, devices, documents = zip(*told, strict=True)
    unknown = np.ones(len(told), dtype=bool)
    if counts:
        unknown[-1] = False
    columns = {
        f"n_{name}": pd.arrays.IntegerArray(np.full(len(told), counts[name] if counts else 0), unknown)
        for name in COUNTS
    }
    return pd.DataFrame({"kind": kinds, "device": devices, "document": documents, **columns})
