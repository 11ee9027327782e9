"""Metric families with several samples: counters by a label, and histograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from gapcast.core.monitoring.statistics import Histogram


def counter_by(label: str, name: str, text: str, values: Mapping[Any, int]) -> CounterMetricFamily:
    """Return a counter with a time series for each value of ``label``."""
    family = CounterMetricFamily(name, text, labels=[label])
    for value, n in values.items():
        family.add_metric([value], n)
    return family


def histogram_of(name: str, documentation: str, histogram: Histogram) -> HistogramMetricFamily:
    """Return a histogram with cumulative buckets, as Prometheus requires."""
    buckets: list[tuple[str, float]] = []
    n = 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        n += count
        buckets.append((bound, n))
    return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=histogram.total)
