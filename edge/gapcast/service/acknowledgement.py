"""What becomes of the messages of a batch: acknowledged in time, or told why they could not be used."""

from __future__ import annotations

from collections.abc import Sequence

from gapcast.core.buffer import ReadingStatus
from gapcast.core.engine import Accepted, Engine
from gapcast.core.errors import PayloadError
from gapcast.service.containment import PASSED, Containment
from gapcast.service.internal_errors import internal_problem
from gapcast.service.ports import Arrival, Link


class BatchAcknowledgement:
    """Acknowledges the messages of each batch, and rejects those that could not be used."""

    def __init__(self, link: Link, contained: Containment) -> None:
        """Acknowledge on ``link``; ``contained`` records what one message raises, and the others are acknowledged."""
        self._link = link
        self._contained = contained
        self._attempt = contained.attempt

    def acknowledge(
        self, engine: Engine, arrivals: Sequence[Arrival], accepted: Accepted, receipts: Sequence[int], batch: int
    ) -> None:
        """Let each of ``arrivals`` be acknowledged once the forecast that it gave is confirmed and ``batch`` is kept.

        ``accepted`` is what became of their readings, in their order, and ``receipts`` those of its forecasts.
        """
        attempt, link = self._attempt, self._link
        outcomes = zip(accepted.statuses, accepted.place, strict=True)
        for arrival in arrivals:
            if arrival.reading is None:
                if arrival.problem is not None:
                    attempt("publish", link.reject, arrival, arrival.problem)
                attempt("stream", link.settle, arrival, 0, batch)
                continue
            verdict, place = next(outcomes)
            if place >= 0:
                pass
            elif verdict is ReadingStatus.FULL:
                n_devices = engine.buffers.max_devices
                detail = f"{n_devices} devices are known, all that devices.max allows"
                attempt("publish", link.reject, arrival, PayloadError("too_many_devices", detail))
            elif verdict is ReadingStatus.INCOMPLETE:
                problem = PayloadError("missing_feature", engine.explain_incomplete(arrival.reading))
                attempt("publish", link.reject, arrival, problem)
            elif verdict is ReadingStatus.FAILED:
                attempt("publish", link.reject, arrival, internal_problem())
            try:  # the one step of each message without a call around it: most of them come here
                link.settle(arrival, receipts[place] if place >= 0 else 0, batch)
            except PASSED:
                raise
            except BaseException as error:  # one message's error is not to keep the others from being acknowledged
                self._contained.record("stream", error, "settle")
        for reading in accepted.disproved:
            detail = "its time was more than a day ahead of the readings before and after it: check the meter's clock"
            attempt("publish", link.reject, reading, PayloadError("time_jump", detail))
