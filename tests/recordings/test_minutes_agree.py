"""The edge averages samples one by one with the same result as the trainer for whole arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.meters.minute_sums import MinuteMean
from gapcast.core.meters.minutes import HeldValue, MinuteMeans, SampleResult
from gapcast.recordings.minutes.minute_means import SamplingInterval, filled_minutes, to_minutes

SECOND, MINUTE = 1_000, 60_000
START_MS = 1_672_531_200_000

power = st.floats(-20, 20, allow_nan=False)
known = st.one_of(power, st.none())
distances = st.lists(st.one_of(st.integers(1, 30_000), st.integers(1, 1_000_000)), min_size=0, max_size=40)
holdings = st.tuples(st.integers(1, 20), st.integers(1, 30)).map(
    lambda drawn: SamplingInterval(usual_s=min(drawn[0] * 7.5, drawn[1] * 60.0), hold_min=float(drawn[1]))
)


def by_minute(minutes: Sequence[MinuteMean], n_channels: int) -> list[dict[int, float]]:
    closed = [(minute, (power_kw, *others)) for minute, power_kw, others, _ in minutes]
    return [
        {minute: value for minute, values in closed if (value := values[channel]) is not None}
        for channel in range(n_channels)
    ]


@given(distances, st.data(), holdings, st.integers(0, MINUTE - 1))
def test_edge_minutes_equal_the_trainers(
    steps: list[int], data: st.DataObject, sampling: SamplingInterval, second_ms: int
) -> None:
    instant_ms = START_MS + second_ms + np.cumsum([0, *steps]).astype(np.int64)
    n = instant_ms.size
    watts = data.draw(st.lists(power, min_size=n, max_size=n))
    volts = data.draw(st.lists(known, min_size=n, max_size=n))
    columns = {"gap_kw": np.array(watts), "voltage_v": np.array([math.nan if v is None else v for v in volts])}
    first, whole = to_minutes(instant_ms, columns, sampling)

    hold_min = sampling.hold_min or 0
    means = MinuteMeans(HeldValue(round(sampling.usual_s * SECOND), round(hold_min * MINUTE)), n_channels=2)
    for at_ms, kw, v in zip(instant_ms.tolist(), watts, volts, strict=True):
        assert means.add(at_ms, (kw, v)) is SampleResult.TAKEN
    means.close(int(instant_ms[-1]) + round(hold_min * MINUTE) + 10 * MINUTE)

    closed = means.take_closed()
    filled = filled_minutes(instant_ms, columns["gap_kw"], sampling)
    assert filled is not None
    assert [one.minute for one in closed if one.is_filled] == (first + np.flatnonzero(filled)).tolist()

    streamed_kw, streamed_v = by_minute(closed, 2)
    expected_kw = {first + i: kw for i, kw in enumerate(whole["gap_kw"].tolist()) if not math.isnan(kw)}
    assert streamed_kw == pytest.approx(expected_kw, abs=1e-9)
    # A minute without a mean power is missing as a whole, whatever else is known about it.
    expected_v = {
        first + i: v
        for i, v in enumerate(whole["voltage_v"].tolist())
        if not math.isnan(v) and first + i in expected_kw
    }
    assert streamed_v == pytest.approx(expected_v, abs=1e-9)


@given(distances, st.data(), holdings, st.integers(1, 120))
def test_edge_minutes_with_late_samples_equal_the_trainers(
    steps: list[int], data: st.DataObject, sampling: SamplingInterval, lateness_s: int
) -> None:
    instants = (START_MS + np.cumsum([0, *steps])).tolist()
    delays = data.draw(st.lists(st.integers(0, lateness_s * SECOND), min_size=len(instants), max_size=len(instants)))
    delays[0] = 0
    order = sorted(range(len(instants)), key=lambda i: (instants[i] + delays[i], i))
    first = order.index(0)
    order = [0, *order[:first], *order[first + 1 :]]  # what comes before the first of all is before it began
    hold_ms = round((sampling.hold_min or 0) * MINUTE)

    found, filled = [], []
    for arrivals in (range(len(instants)), order):
        means = MinuteMeans(HeldValue(round(sampling.usual_s * SECOND), hold_ms, lateness_s * SECOND), n_channels=1)
        for i in arrivals:
            assert means.add(instants[i], (float(i),)) is SampleResult.TAKEN
        means.close(instants[-1] + hold_ms + 10 * MINUTE)
        closed = means.take_closed()
        found.append(by_minute(closed, 1)[0])
        filled.append([one.minute for one in closed if one.is_filled])
    assert found[1] == pytest.approx(found[0], abs=1e-9)
    assert filled[1] == filled[0]
