"""Forecasts of a batch that fails in one call: isolates the windows that raise, and forecasts the other windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gapcast.core.engine import Engine
from gapcast.core.errors import GapcastError
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.horizons.horizon_parts import join_batches
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import ReadingStatus

#: Number of failing windows after which bisection stops: if every call raises, the windows are not the cause.
MAX_FAILURES = 16
_NOT_TRIED = "not tried: too many forecasts of the same batch failed"


class ForecastFailed(GapcastError):  # noqa: N818 - among :attr:`AcceptedBatch.failures`, where nothing else is
    """The forecast of one window raised ``__cause__``; the state of its device is sound."""


def forecast_with_bisection(
    engine: Engine, accepted: AcceptedBatch, issued_at_ms: int
) -> tuple[AcceptedBatch, Forecasts]:
    """Forecast ``accepted``, at least one window, by bisection until the windows that raise are isolated.

    Return ``accepted`` without the failed windows, and the forecasts of the others. Readings without a forecast are
    :attr:`ReadingStatus.FAILED`, not accepted, and listed in ``failures``; they stay in the device's window. If the
    learning state of a device raises, it is reset and the device is forecast without it.
    """
    failed: dict[int, Exception] = {}
    parts = list(_forecast(engine, accepted, range(len(accepted.devices)), issued_at_ms, failed))
    forecasts = join_batches(parts) if parts else Forecasts(engine.published_model, issued_at_ms, [], [], [], [])
    return _without(accepted, failed), forecasts


def _forecast(
    engine: Engine, accepted: AcceptedBatch, which: range, issued_at_ms: int, failed: dict[int, Exception]
) -> Iterator[Forecasts]:
    """Yield the forecasts of the windows ``which``, in order; add windows that raise to ``failed``."""
    if len(failed) >= MAX_FAILURES:
        failed.update((i, ForecastFailed(_NOT_TRIED)) for i in which)
        return
    part = accepted.select(which)
    try:
        forecasts = engine.forecast(part, issued_at_ms)
    except Exception as error:
        if len(which) > 1:
            half = len(which) // 2
            yield from _forecast(engine, accepted, which[:half], issued_at_ms, failed)
            yield from _forecast(engine, accepted, which[half:], issued_at_ms, failed)
            return
        try:
            forecasts = _forecast_without_learning(engine, part, issued_at_ms)
        except Exception:
            failed[which[0]] = ForecastFailed(str(error))
            failed[which[0]].__cause__ = error
            return
    yield forecasts


def _forecast_without_learning(engine: Engine, part: AcceptedBatch, issued_at_ms: int) -> Forecasts:
    """Forecast one window again after resetting the learning state of its device, if the models can be run."""
    engine.predict(part)
    engine.horizons.forget_learning(part.rows[0])
    return engine.forecast(part, issued_at_ms)


def _without(accepted: AcceptedBatch, failed: dict[int, Exception]) -> AcceptedBatch:
    """Return ``accepted`` without the windows ``failed``, whose readings are rejected."""
    if not failed:
        return accepted
    sound = [i for i in range(len(accepted.devices)) if i not in failed]
    new_index = {old: new for new, old in enumerate(sound)}
    statuses = [
        ReadingStatus.FAILED if i in failed else status
        for i, status in zip(accepted.forecast_indices, accepted.statuses, strict=True)
    ]
    counts = dict(accepted.counts)
    counts["accepted"] = counts.get("accepted", 0) - len(failed)
    counts["rejected"] = counts.get("rejected", 0) + len(failed)
    raised = [(reading, failed[i]) for reading, i in enumerate(accepted.forecast_indices) if i in failed]
    return replace(
        accepted.select(sound),
        statuses=statuses,
        forecast_indices=[new_index.get(i, -1) for i in accepted.forecast_indices],
        first_rows=accepted.first_rows,
        disproved=accepted.disproved,
        closed=accepted.closed,
        counts=counts,
        failures=[*accepted.failures, *raised],
    )
