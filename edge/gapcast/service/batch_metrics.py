"""Adds each batch to the statistics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from gapcast.core.engine import Accepted
from gapcast.core.forecast import Forecasts
from gapcast.core.statistics import Statistics
from gapcast.service.ports import Arrival


class BatchMetrics:
    """Counts the results of each batch. Not thread-safe."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._n_dropped = 0  # the link's dropped messages counted so far

    def count(
        self, arrivals: Sequence[Arrival], accepted: Accepted, forecasts: Forecasts, inference_s: float, n_dropped: int
    ) -> None:
        """Count a batch whose forecasts took ``inference_s``; ``n_dropped`` messages were dropped since start-up."""
        statistics = self._statistics
        for result, n in accepted.counts.items():
            statistics.readings[result] += n
        statistics.readings["rejected"] += sum(arrival.problem is not None for arrival in arrivals)
        statistics.readings["rejected"] += n_dropped - self._n_dropped
        self._n_dropped = n_dropped
        statistics.batch_size.observe(len(arrivals))
        if not len(forecasts):
            return
        model = forecasts.model.name
        statistics.forecasts[model] = statistics.forecasts.get(model, 0) + len(forecasts)
        statistics.inference_s.observe(inference_s)
        ready = [arrival for arrival in arrivals if arrival.reading is not None]
        received_s = (arrival.received_s for arrival, place in zip(ready, accepted.place, strict=True) if place >= 0)
        now_s = time.perf_counter()
        for received, n in Counter(received_s).items():
            statistics.latency_s.observe(now_s - received, n)
