"""Rows at any times become minutes: unchanged, or as means over time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F64, I64
from gapcast.recordings.minutes import minute_means
from gapcast.recordings.minutes.minute_means import SamplingInterval, sampling_of, to_minutes

NAN = float("nan")
SECOND, MINUTE = 1_000, 60_000


def at(*seconds: float) -> I64:
    return np.array([round(second * SECOND) for second in seconds], dtype=np.int64)


def means(instant_ms: I64, values: list[float], sampling: SamplingInterval | None = None) -> list[float]:
    _, columns = to_minutes(instant_ms, {"gap_kw": np.array(values)}, sampling or sampling_of(instant_ms))
    found: list[float] = columns["gap_kw"].tolist()
    return found


@pytest.mark.parametrize("second", [0, 17.5])
def test_minutes_of_one_row_a_minute_are_unchanged(second: float) -> None:
    instant_ms = at(*(second + 60 * k for k in (0, 1, 2, 5, 6)))
    values = [0.1, 1 / 3, 0.7, NAN, 1e-9]
    np.testing.assert_array_equal(means(instant_ms, values), [0.1, 1 / 3, 0.7, NAN, NAN, NAN, 1e-9])


def test_minutes_average_samples_every_10_s() -> None:
    instant_ms = at(*range(0, 180, 10))
    values = [float(k) for k in range(18)]
    assert means(instant_ms, values) == pytest.approx([2.5, 8.5, 14.5])


def test_minutes_weigh_a_sample_by_its_duration() -> None:
    assert means(at(0, 15, 60, 75, 120), [4.0, 8.0, 0.0, 2.0, 5.0], SamplingInterval(15, 1))[:2] == pytest.approx(
        [7.0, 1.5]
    )


def test_minutes_sample_every_5_min_holds_for_five() -> None:
    found = means(at(0, 300, 600), [1.0, 3.0, 2.0])
    assert found == pytest.approx([1.0] * 5 + [3.0] * 5 + [2.0] * 5)


def test_minutes_jitter_makes_no_gap() -> None:
    random = np.random.default_rng(3)
    instant_ms = np.arange(200) * 5 * MINUTE + random.integers(-20 * SECOND, 20 * SECOND, 200) + MINUTE
    found = means(instant_ms, np.arange(200.0).tolist())
    assert not np.isnan(found[1:-1]).any()


def test_minutes_long_silence_is_a_gap() -> None:
    sampling = sampling_of(at(0, 10, 20, 30, 40, 50, 600, 610, 620, 630, 640, 650))
    assert sampling.hold_min == 1
    found = means(at(0, 10, 20, 30, 40, 50, 600, 610, 620, 630, 640, 650), [1.0] * 6 + [2.0] * 6, sampling)
    np.testing.assert_array_equal(found, [1.0, *[NAN] * 9, 2.0])


def test_minutes_longer_hold_fills_a_gap() -> None:
    found = means(at(0, 10, 600, 610), [1.0, 3.0, 2.0, 2.0], SamplingInterval(10, 10))
    assert found[1:10] == [3.0] * 9


def test_minutes_missing_value_ends_the_hold() -> None:
    found = means(at(0, 30, 60, 120, 150), [1.0, 1.0, NAN, 2.0, 2.0], SamplingInterval(30, 5))
    np.testing.assert_array_equal(found, [1.0, NAN, 2.0])


def test_minutes_less_than_half_covered_have_no_mean() -> None:
    found = means(at(31, 45, 60, 75, 90, 105), [9.0] * 2 + [1.0] * 4, SamplingInterval(15, 1))
    np.testing.assert_array_equal(found, [NAN, 1.0])
    found = means(at(30, 45, 60, 75, 90, 105), [9.0] * 2 + [1.0] * 4, SamplingInterval(15, 1))
    np.testing.assert_array_equal(found, [9.0, 1.0])


def test_minutes_every_other_minute_is_sampled() -> None:
    assert sampling_of(at(0, 120, 240)) == SamplingInterval(120.0, 4.0)
    assert sampling_of(at(0, 120, 240), hold_min=2.0) == SamplingInterval(120.0, 2.0)
    assert "every 120 s" in str(sampling_of(at(0, 120, 240)))


def test_sampling_with_a_stated_holding_time_is_of_samples() -> None:
    instant_ms = at(0, 60, 540, 600)
    assert sampling_of(instant_ms).hold_min is None
    assert means(instant_ms, [1.0, 2.0, 3.0, 4.0], sampling_of(instant_ms, 10.0)) == [1.0, *[2.0] * 8, 3.0, 4.0]


def by_seconds(second: list[int], values: list[float], sampling: SamplingInterval) -> F64:
    """Return the same result, computed second by second."""
    assert sampling.hold_min is not None
    hold_s = round(60 * sampling.hold_min)
    known = np.full(second[-1] + hold_s + 61, NAN)
    for k, (begin, value) in enumerate(zip(second, values, strict=True)):
        silence_s = second[k + 1] - begin if k + 1 < len(second) else hold_s + 1
        known[begin : begin + (silence_s if silence_s <= hold_s else min(int(sampling.usual_s), hold_s))] = value
    whole = known[: known.size // 60 * 60].reshape(-1, 60)
    counts = (~np.isnan(whole)).sum(axis=1)
    sums = np.nansum(whole, axis=1)
    return np.where(counts >= 30, sums / np.maximum(counts, 1), NAN)


@given(
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=40),
    values=st.lists(st.sampled_from([0.0, 0.25, 1.0, 7.5, NAN]), min_size=41, max_size=41),
    usual_s=st.integers(1, 300),
    hold_min=st.integers(1, 6),
    block=st.sampled_from([1, 3, 1_000]),
)
def test_minutes_equal_means_over_seconds(
    steps: list[int], values: list[float], usual_s: int, hold_min: int, block: int
) -> None:
    second = [0, *np.cumsum(steps).tolist()]
    sampling = SamplingInterval(float(usual_s), float(hold_min))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minute_means, "_SAMPLES_AT_ONCE", block)
        found = means(at(*second), values[: len(second)], sampling)
    expected = by_seconds(second, values[: len(second)], sampling)
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-12)
    assert np.isnan(expected[len(found) :]).all()
