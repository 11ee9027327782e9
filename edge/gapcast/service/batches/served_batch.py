"""A batch of messages that passes through the steps of the service, and its statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from gapcast.core.demand.demand import Demands
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.service.ports.broker_link import IncomingMessage

_RECEIVED_S = attrgetter("received_s")


@dataclass(slots=True)
class ServedBatch:
    """The ``messages`` of a batch and their ``readings``, in order; each step adds its results.

    ``inference_s`` is the duration of forecasting, ``published_s`` when the forecasts were published
    (``time.perf_counter``), ``forecast_ids`` the ids of the published forecasts (0: not waited for), ``number`` the
    batch's number among the persisted batches (0: it could not be tracked).
    """

    messages: list[IncomingMessage]
    readings: list[Reading]
    accepted: AcceptedBatch = field(init=False)
    forecasts: Forecasts = field(init=False)
    inference_s: float = 0.0
    published_s: float = 0.0
    forecast_ids: list[int] = field(init=False)
    outlooks: Outlooks | None = None
    demands: Demands | None = None
    number: int = 0


class BatchMetrics:
    """Counts the results of each batch. Not thread-safe."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._n_dropped = 0  # the link's dropped messages counted so far

    def count(self, batch: ServedBatch, n_dropped: int) -> None:
        """Count ``batch``; the link has dropped ``n_dropped`` messages since start-up.

        The readings are counted last: once they are counted, everything else of the batch is.
        """
        messages, accepted = batch.messages, batch.accepted
        if len(batch.forecasts):
            self._count_forecasts(batch)
        statistics = self._statistics
        statistics.batch_size.observe(len(messages))
        readings = statistics.readings
        n_problems = 0 if len(accepted.statuses) == len(messages) else _n_problems(messages)
        if n_problems or n_dropped != self._n_dropped:
            readings["rejected"] += n_problems + n_dropped - self._n_dropped
            self._n_dropped = n_dropped
        for result, n in accepted.counts.items():
            readings[result] += n

    def _count_forecasts(self, batch: ServedBatch) -> None:
        statistics, messages, forecasts = self._statistics, batch.messages, batch.forecasts
        for of_horizon in (forecasts,) if forecasts.parts is None else [part for _, part in forecasts.parts.parts]:
            model = of_horizon.model.name
            statistics.forecasts[model] = statistics.forecasts.get(model, 0) + len(of_horizon.devices)
        statistics.inference_s.observe(batch.inference_s)
        published_s = batch.published_s
        if len(messages) == 1:
            statistics.latency_s.observe(published_s - messages[0].received_s)
            return
        if len(forecasts) == len(messages):
            forecast_messages = messages
        else:
            ready = (message for message in messages if message.reading is not None)
            indices = batch.accepted.forecast_indices
            forecast_messages = [message for message, index in zip(ready, indices, strict=True) if index >= 0]
        first_s = forecast_messages[0].received_s
        if first_s == forecast_messages[-1].received_s:  # sorted by arrival: all were read at once
            statistics.latency_s.observe(published_s - first_s, len(forecast_messages))
            return
        for received, n in Counter(map(_RECEIVED_S, forecast_messages)).items():
            statistics.latency_s.observe(published_s - received, n)


def _n_problems(messages: Sequence[IncomingMessage]) -> int:
    return sum(message.problem is not None for message in messages)
