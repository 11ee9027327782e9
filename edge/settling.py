"""What becomes of the messages of a batch: acknowledged in time, or told why they could not be used."""

from __future__ import annotations

from collections.abc import Sequence

from edge.core.buffer import Verdict
from edge.core.engine import Accepted, Engine
from edge.core.errors import PayloadError
from edge.ports import Arrival, Link


def settle(
    link: Link, engine: Engine, arrivals: Sequence[Arrival], accepted: Accepted, receipts: Sequence[int], batch: int
) -> None:
    """Let each of ``arrivals`` be acknowledged once the forecast that it gave is confirmed and ``batch`` is kept.

    ``accepted`` is what became of their readings, in their order, and ``receipts`` those of its forecasts.
    """
    outcomes = zip(accepted.verdicts, accepted.place, strict=True)
    for arrival in arrivals:
        if arrival.reading is None:
            if arrival.problem is not None:
                link.reject(arrival, arrival.problem)
            link.settle(arrival, 0, batch)
            continue
        verdict, place = next(outcomes)
        if verdict is Verdict.FULL:
            n_devices = engine.buffers.max_devices
            detail = f"{n_devices} devices are known, all that devices.max allows"
            link.reject(arrival, PayloadError("too_many_devices", detail))
        elif verdict is Verdict.LACKING:
            link.reject(arrival, PayloadError("missing_feature", engine.lacking(arrival.reading)))
        link.settle(arrival, receipts[place] if place >= 0 else 0, batch)
    for reading in accepted.disproved:
        detail = "its time was more than a day ahead of the readings before and after it: check the meter's clock"
        link.reject(reading, PayloadError("time_jump", detail))
