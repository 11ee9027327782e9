"""Samples at any rate become minute means: who closes a minute, what a silence is, what is late."""

from __future__ import annotations

import pytest

from gapcast.core.meters.minutes import GRACE_MS, HeldValue, MinuteMean, MinuteMeans, SampleResult
from tests.support.approximate import approx

SECOND, MINUTE = 1_000, 60_000
NOON = 27_875_520  # a minute
START = NOON * MINUTE
TEN_SECONDS = HeldValue(every_ms=10_000, hold_ms=60_000)
FIVE_MINUTES = HeldValue(every_ms=300_000, hold_ms=600_000)


def fed(holding: HeldValue, *samples: tuple[float, float | None]) -> MinuteMeans:
    means = MinuteMeans(holding, n_channels=1)
    for second, kw in samples:
        means.add(START + round(second * SECOND), (kw,))
    return means


def closed(means: MinuteMeans) -> list[tuple[int, float]]:
    return [(minute - NOON, power_kw) for minute, power_kw, _ in means.take_closed()]


def test_a_minute_is_closed_by_the_first_sample_after_it() -> None:
    means = fed(TEN_SECONDS, *((second, second / 10) for second in range(0, 60, 10)))
    assert closed(means) == []
    means.add(START + 60_000, (9.0,))
    assert closed(means) == [(0, approx(2.5))]
    assert closed(means) == []


def test_a_sample_holds_until_the_next_also_over_the_minutes_end() -> None:
    means = fed(TEN_SECONDS, (0, 1.0), (45, 5.0), (75, 2.0), (120, 0.0))
    assert closed(means) == [(0, approx(2.0)), (1, approx((15 * 5 + 45 * 2) / 60))]


def test_a_minute_that_is_not_covered_by_half_has_no_mean() -> None:
    means = fed(TEN_SECONDS, (31, 1.0), (60, 2.0), (90, 3.0), (120, 4.0))
    assert closed(means) == [(1, approx(2.5))]


def test_after_a_silence_a_sample_counts_for_its_usual_time_alone() -> None:
    means = fed(TEN_SECONDS, (0, 1.0), (30, 3.0), (300, 5.0))
    assert closed(means) == [(0, approx((30 * 1 + 10 * 3) / 40))]
    means.add(START + 330 * SECOND, (5.0,))
    means.add(START + 360 * SECOND, (5.0,))
    assert closed(means) == [(5, 5.0)]


def test_years_of_silence_are_passed_at_once() -> None:
    means = fed(TEN_SECONDS, (0, 1.0), (30, 1.0))
    assert means.add(START + 10 * 525_600 * MINUTE, (2.0,)) is SampleResult.TAKEN
    assert closed(means) == [(0, 1.0)]


def test_the_clock_closes_a_minute_shortly_after_its_end() -> None:
    means = fed(TEN_SECONDS, (0, 1.0), (50, 7.0))
    assert means.due_ms == START + MINUTE + GRACE_MS
    means.close(START + MINUTE + GRACE_MS - 1)
    assert closed(means) == []
    means.close(START + MINUTE + GRACE_MS)
    assert closed(means) == [(0, approx(2.0))]


def test_a_sample_under_way_when_the_clock_closed_its_minute_speaks_from_the_next_on() -> None:
    means = fed(TEN_SECONDS, (0, 1.0), (50, 1.0))
    means.close(START + MINUTE + GRACE_MS)
    assert means.add(START + 58 * SECOND, (4.0,)) is SampleResult.TAKEN
    assert means.add(START + 90 * SECOND, (2.0,)) is SampleResult.TAKEN
    assert means.add(START + 120 * SECOND, (2.0,)) is SampleResult.TAKEN
    assert closed(means) == [(0, 1.0), (1, approx(3.0))]


def test_the_clock_closes_no_minute_of_a_meter_that_has_fallen_silent() -> None:
    means = fed(TEN_SECONDS, (0, 1.0), (50, 1.0))
    for minute in range(1, 6):
        means.close(START + minute * MINUTE + GRACE_MS)
    assert closed(means) == [(0, 1.0)]
    assert means.due_ms == float("inf")


def test_each_minute_of_a_meter_slower_than_a_minute_takes_its_value() -> None:
    means = fed(FIVE_MINUTES, (0, 1.0), (300, 3.0))
    assert closed(means) == [(minute, 1.0) for minute in range(5)]
    for minute in range(6, 11):
        means.close(START + minute * MINUTE + GRACE_MS)
    assert closed(means) == [(minute, 3.0) for minute in range(5, 10)]


def test_before_the_first_sample_there_is_nothing_to_close() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    assert means.due_ms == float("inf")
    means.close(0)
    assert closed(means) == []


# --- order ------------------------------------------------------------------------------------------


def test_the_same_sample_twice_has_no_effect() -> None:
    once = fed(TEN_SECONDS, (0, 1.0), (30, 3.0), (60, 5.0))
    twice = fed(TEN_SECONDS, (0, 1.0), (0, 1.0), (30, 3.0), (30, 9.0), (60, 5.0), (60, 5.0))
    assert closed(twice) == closed(once)
    late = MinuteMeans(HeldValue(10_000, 60_000, lateness_ms=20_000), n_channels=1)
    assert [late.add(START + at, (1.0,)) for at in (0, 10_000, 10_000)] == [
        SampleResult.TAKEN,
        SampleResult.TAKEN,
        SampleResult.DUPLICATE,
    ]


def test_a_sample_older_than_the_lateness_is_late_and_has_no_effect() -> None:
    means = fed(HeldValue(10_000, 60_000, lateness_ms=5_000), (0, 1.0), (30, 1.0), (40, 1.0))
    assert means.add(START + 36_000, (1.0,)) is SampleResult.TAKEN
    assert means.add(START + 35_000, (9.0,)) is SampleResult.LATE
    assert means.add(START + 65_000, (1.0,)) is SampleResult.TAKEN
    assert closed(means) == [(0, 1.0)]


def test_with_a_lateness_the_first_sample_that_much_after_the_end_closes_the_minute() -> None:
    means = fed(HeldValue(10_000, 60_000, lateness_ms=5_000), (0, 1.0), (50, 1.0), (64.9, 2.0))
    assert closed(means) == []
    assert means.due_ms == START + MINUTE + 5_000
    means.add(START + 65_000, (2.0,))
    assert closed(means) == [(0, 1.0)]


def test_three_late_ones_that_follow_each_other_are_a_stream_that_starts_again() -> None:
    means = fed(TEN_SECONDS, (600, 1.0))
    found = [means.add(START + second * SECOND, (2.0,)) for second in (0, 30, 30, 60, 90, 120)]
    assert found == [
        SampleResult.LATE,
        SampleResult.LATE,
        SampleResult.DUPLICATE,
        SampleResult.TAKEN,
        SampleResult.TAKEN,
        SampleResult.TAKEN,
    ]
    assert closed(means) == [(0, 2.0), (1, 2.0)]


def test_what_the_broker_sends_again_is_never_a_stream_that_starts_again() -> None:
    means = fed(TEN_SECONDS, *((second, 1.0) for second in range(0, 60, 10)))
    again = [means.add(START + second * SECOND, (9.0,), redelivered=True) for second in range(0, 60, 10)]
    assert set(again) == {SampleResult.DUPLICATE}
    assert means.add(START + 60 * SECOND, (1.0,), redelivered=True) is SampleResult.TAKEN  # news, and taken as such
    assert closed(means) == [(0, 1.0)]


def test_late_ones_that_do_not_follow_each_other_are_late_for_ever() -> None:
    means = fed(TEN_SECONDS, (3_600, 1.0))
    assert {means.add(START + second * SECOND, (2.0,)) for second in (100, 10, 200, 20, 300)} == {SampleResult.LATE}
    assert means.newest_ms == START + 3_600 * SECOND


def test_what_may_yet_be_filled_in_is_not_taken_for_a_silence() -> None:
    holding = HeldValue(every_ms=10_000, hold_ms=59_000, lateness_ms=10_000)
    means = fed(holding, (0, 1.0), (60, 3.0))  # further than it may hold, but for the one that comes between
    means.add(START + 55_000, (2.0,))
    means.add(START + 90_000, (3.0,))
    assert closed(means) == [(0, approx((55 * 1 + 5 * 2) / 60))]


# --- channels and counters --------------------------------------------------------------------------


def test_each_channel_is_averaged_over_what_is_known_of_it() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=3)
    for second, values in ((0, (1.0, None, 230.0)), (20, (1.0, 5.0, None)), (40, (4.0, 7.0, None)), (60, (0.0,) * 3)):
        means.add(START + second * SECOND, values)
    assert means.take_closed() == [MinuteMean(NOON, approx(2.0), (approx(6.0), None))]


def test_intervals_speak_for_all_the_time_before_them() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    for second, kw in ((30, None), (60, 1.0), (90, 2.0), (120, 4.0), (150, 6.0)):
        means.add_interval(START + second * SECOND, (kw,))
    assert closed(means) == [(0, 1.0), (1, approx(3.0))]


def test_of_an_interval_that_is_not_known_nothing_is_said() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    for second, kw in ((0, None), (40, 1.0), (3_600, None), (3_650, 5.0), (3_660, 5.0)):
        means.add_interval(START + second * SECOND, (kw,))
    assert closed(means) == [(0, 1.0), (60, 5.0)]


def test_intervals_that_go_back_in_time_begin_again() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    for second, kw in ((3_600, None), (0, None), (60, 1.0)):
        means.add_interval(START + second * SECOND, (kw,))
    assert closed(means) == [(0, 1.0)]


def test_the_clock_waits_for_an_interval_as_long_as_it_may_be() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    means.add_interval(START, (None,))
    means.add_interval(START + 50 * SECOND, (1.0,))
    assert means.due_ms == START + MINUTE + GRACE_MS + TEN_SECONDS.hold_ms
    means.close(START + MINUTE + GRACE_MS)
    assert closed(means) == []
    means.close(START + 2 * MINUTE + GRACE_MS)
    assert closed(means) == [(0, 1.0)]


# --- over a restart -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(8))
def test_another_goes_on_from_where_one_stood(cut: int) -> None:
    holding = HeldValue(every_ms=10_000, hold_ms=60_000, lateness_ms=15_000)
    samples = [(0, 1.0), (20, 2.0), (12, 7.0), (40, None), (70, 4.0), (61, 3.0), (90, 1.5), (200, 2.0)]
    undisturbed = fed(holding, *samples)
    before = fed(holding, *samples[:cut])
    after = MinuteMeans(holding, n_channels=1)
    minutes = before.take_closed()
    after.restore_state(before.capture_state())
    for second, kw in samples[cut:]:
        after.add(START + second * SECOND, (kw,))
    assert minutes + after.take_closed() == undisturbed.take_closed()
    assert after.capture_state() == undisturbed.capture_state()


def test_where_another_had_other_channels_it_begins_anew() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=2)
    means.restore_state(fed(TEN_SECONDS, (0, 1.0)).capture_state())
    assert means.newest_ms is None
    means.add(START, (1.0, 230.0))


def test_a_minute_that_was_closed_before_is_closed_again() -> None:
    means = fed(TEN_SECONDS, (0, 1.0), (50, 7.0))
    means.replay_minute(NOON)
    assert closed(means) == [(0, approx(2.0))]
    means.replay_minute(NOON)
    means.replay_minute(NOON + 3)  # of another meter of that device: nothing that this one held on to
    assert closed(means) == []
    assert means.due_ms == START + 2 * MINUTE + GRACE_MS
    MinuteMeans(TEN_SECONDS, n_channels=1).replay_minute(NOON)
