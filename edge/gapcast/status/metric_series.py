"""Series of metrics, from the text that the service exposes for Prometheus."""

from __future__ import annotations

import math
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

#: Metric name -> labels and value of each series.
Series = Mapping[str, list[tuple[Mapping[str, str], float]]]


def read_series(text: str) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    """Parse Prometheus' text format; return the series by metric name."""
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def quantile_of(buckets: list[tuple[float, float]], share: float) -> float | None:
    """Return a quantile of a histogram's cumulative ``buckets`` (upper bound, count), interpolated linearly.

    >>> quantile_of([(1.0, 0.0), (2.0, 10.0), (math.inf, 10.0)], 0.5)
    1.5
    >>> quantile_of([(1.0, 0.0), (math.inf, 4.0)], 0.5), quantile_of([], 0.5)
    (1.0, None)
    """
    n = buckets[-1][1] if buckets else 0.0
    if not n:
        return None
    below, n_below = 0.0, 0.0
    for bound, count in buckets:
        if count >= share * n:
            if math.isinf(bound):
                return below
            return below + (bound - below) * (share * n - n_below) / ((count - n_below) or 1)
        below, n_below = bound, count
    return below


def buckets_of(series: Series, name: str) -> list[tuple[float, float]]:
    """Return the cumulative buckets of the histogram ``name``: upper bound and count."""
    return sorted((float(labels["le"]), n) for labels, n in series.get(name, []))


def total_of(series: Series, name: str) -> float:
    """Return the sum of the series of a metric, 0 if there are none."""
    return sum(value for _, value in series.get(name, []))


def value_of(series: Series, name: str, **labels: str) -> float | None:
    """Return the value of the series with exactly these ``labels``, None if it does not exist."""
    return next((value for found, value in series.get(name, []) if found == labels), None)
