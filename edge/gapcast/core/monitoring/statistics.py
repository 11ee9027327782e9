"""Counts and histograms of a running service, as plain numbers that any thread may read.

Written by the stream's thread, except internal errors (by any thread, with a lock) and model reloads (by the thread
that watches the models).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from gapcast.core.forecasts.forecast_range import Cause
from gapcast.core.streams.accepted_batch import Result

#: Upper bounds of latency and inference histograms, seconds.
SECONDS = (0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
#: Upper bounds of the batch size histogram, readings.
READINGS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """Counts of observations by upper bound, as in a Prometheus histogram.

    >>> histogram = Histogram((1, 2))
    >>> histogram.observe(1); histogram.observe(5, times=3)
    >>> histogram.counts, histogram.total
    ([1, 0, 3], 16.0)
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count ``value`` ``times`` times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times


@dataclass(slots=True)
class Statistics:
    """The counters of a running service since its start."""

    readings: dict[Result, int] = field(
        default_factory=lambda: {"accepted": 0, "duplicate": 0, "late": 0, "rejected": 0}
    )
    forecasts: dict[str, int] = field(default_factory=dict)
    #: Outlooks made.
    n_outlooks: int = 0
    #: Demands made.
    n_demands: int = 0
    latency_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    inference_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    batch_size: Histogram = field(default_factory=lambda: Histogram(READINGS))
    #: Samples of sources, which are averaged to minutes, by result.
    samples: dict[str, int] = field(default_factory=lambda: {"taken": 0, "duplicate": 0, "late": 0})
    #: Messages of sources without a power, such as partial updates.
    n_not_readings: int = 0
    n_counter_resets: int = 0
    #: Minutes of meters that are mostly filled by a held sample: nothing was measured.
    n_filled_minutes: int = 0
    n_slow_meters: int = 0
    #: The devices whose clock differs from the gateway's, and how many minutes each is ahead.
    clock_offsets_min: dict[str, int] = field(default_factory=dict)
    #: Batches in which a model could not be run, or returned a faulty value.
    n_model_failures: int = 0
    #: Forecasts that were replaced by persistence, by cause.
    forecasts_replaced: dict[Cause, int] = field(default_factory=lambda: {"model": 0, "state": 0})
    #: Contained internal errors, by the part of the service.
    internal_errors: dict[str, int] = field(default_factory=dict)
    #: Rejections that were counted but not published because of the rate limit.
    n_rejections_omitted: int = 0
    #: Rejected commands and requests; ``readings`` counts them as rejected, too.
    n_commands_rejected: int = 0
    #: The reason of the newest rejected reading; empty without rejections.
    last_rejection: str = ""
    #: Model changes at run time, by whether they were applied or refused.
    model_reloads: dict[str, int] = field(default_factory=lambda: {"swapped": 0, "refused": 0})

    @property
    def n_clock_offsets(self) -> int:
        """Number of devices whose clock differs from the gateway's."""
        return len(self.clock_offsets_min)
