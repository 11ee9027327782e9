"""What each message of a batch waits for, and which are rejected."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np

from gapcast.core.engine import Engine
from gapcast.core.errors import PayloadError
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.service.batches.acknowledgement import BatchAcknowledgement
from gapcast.service.containment import Containment
from gapcast.service.ports.broker_link import IncomingMessage
from tests.support.links import MemoryLink

ENGINE = cast("Engine", SimpleNamespace(buffers=SimpleNamespace(max_devices=3), explain_incomplete=lambda _: "volts"))
BATCH = 7


class Recorder(MemoryLink):
    """Records each rejected message, and each acknowledged one with the forecast and batch it waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.rejected: list[tuple[object, str]] = []
        self.acknowledged: list[tuple[object, int, int]] = []

    def reject(self, rejected: IncomingMessage | Reading, problem: PayloadError) -> None:
        self.rejected.append((rejected if isinstance(rejected, Reading) else rejected.token, problem.reason))

    def acknowledge_after(self, message: IncomingMessage, forecast_id: int, batch: int) -> None:
        self.acknowledged.append((message.token, forecast_id, batch))


def accepted_of(results: list[tuple[ReadingStatus, int]], disproved: list[Reading]) -> AcceptedBatch:
    statuses, indices = [status for status, _ in results], [index for _, index in results]
    windows = np.zeros((1 + max(indices), 1), np.float32)
    return AcceptedBatch(windows, [], [], [], [], statuses, indices, disproved=disproved)


def test_message_waits_for_its_own_forecast_or_is_rejected() -> None:
    held, reading, problem = Reading("home", 1, 1.0), Reading("home", 2, 1.0), PayloadError("not_json", "")
    messages = {
        "second": (ReadingStatus.READY, 1),
        "problem": None,
        "first": (ReadingStatus.READY, 0),
        "no reading": None,
        "late": (ReadingStatus.LATE, -1),
        "full": (ReadingStatus.FULL, -1),
        "incomplete": (ReadingStatus.INCOMPLETE, -1),
        "failed": (ReadingStatus.FAILED, -1),
    }
    link = Recorder()
    BatchAcknowledgement(link, Containment(Statistics())).acknowledge(
        ENGINE,
        [
            IncomingMessage(None if result is None else reading, problem if name == "problem" else None, 0.0, name)
            for name, result in messages.items()
        ],
        accepted_of([result for result in messages.values() if result is not None], [held]),
        [11, 12],
        BATCH,
    )
    forecast_ids = {"first": 11, "second": 12}
    assert link.acknowledged == [(name, forecast_ids.get(name, 0), BATCH) for name in messages]
    assert link.rejected == [
        ("problem", "not_json"),
        ("full", "too_many_devices"),
        ("incomplete", "missing_feature"),
        ("failed", "internal_error"),
        (held, "time_jump"),
    ]
