"""Acknowledges the messages of a batch once they are persisted, and rejects unusable messages."""

from __future__ import annotations

from collections.abc import Sequence

from gapcast.core.engine import Engine
from gapcast.core.errors import PayloadError
from gapcast.core.readings.rejections import time_jump, too_many_devices
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.service.containment import PROPAGATED_ERRORS, Containment, internal_problem
from gapcast.service.ports.broker_link import IncomingMessage, Link


class BatchAcknowledgement:
    """Acknowledges the messages of each batch, and rejects unusable ones."""

    def __init__(self, link: Link, containment: Containment) -> None:
        """Acknowledge on ``link``; ``containment`` records an error of one message and lets the others proceed."""
        self._link = link
        self._containment = containment
        self._attempt = containment.attempt

    def acknowledge(
        self,
        engine: Engine,
        messages: Sequence[IncomingMessage],
        accepted: AcceptedBatch,
        forecast_ids: Sequence[int],
        batch: int,
    ) -> None:
        """Acknowledge each of ``messages`` once its forecast is confirmed and ``batch`` is persisted.

        ``accepted`` holds the status of each of their readings, in order; ``forecast_ids`` are the ids of its
        forecasts.
        """
        attempt, link = self._attempt, self._link
        results = zip(accepted.statuses, accepted.forecast_indices, strict=True)
        for message in messages:
            if message.reading is None:
                if message.problem is not None:
                    attempt("publish", link.reject, message, message.problem)
                attempt("stream", link.acknowledge_after, message, 0, batch)
                continue
            status, index = next(results)
            if index >= 0:
                pass
            elif status is ReadingStatus.FULL:
                attempt("publish", link.reject, message, too_many_devices(engine.buffers.max_devices))
            elif status is ReadingStatus.INCOMPLETE:
                problem = PayloadError("missing_feature", engine.explain_incomplete(message.reading))
                attempt("publish", link.reject, message, problem)
            elif status is ReadingStatus.FAILED:
                attempt("publish", link.reject, message, internal_problem())
            try:  # not attempt(), whose extra call would slow down most messages
                link.acknowledge_after(message, forecast_ids[index] if index >= 0 else 0, batch)
            except PROPAGATED_ERRORS:
                raise
            except BaseException as error:  # one message's error must not prevent acknowledging the others
                self._containment.record("stream", error, "acknowledge_after")
        for reading in accepted.disproved:
            attempt("publish", link.reject, reading, time_jump())
