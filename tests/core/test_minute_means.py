"""Samples at any rate become minute means: when a minute closes, what a gap is, what is late."""

from __future__ import annotations

import pytest

from gapcast.core.meters.minute_sums import MinuteMean
from gapcast.core.meters.minutes import GRACE_MS, HeldValue, MinuteMeans, SampleResult
from tests.support.approximate import approx

SECOND, MINUTE = 1_000, 60_000
NOON = 27_875_520  # a minute
START = NOON * MINUTE
TEN_SECONDS = HeldValue(every_ms=10_000, hold_ms=60_000)
FIVE_MINUTES = HeldValue(every_ms=300_000, hold_ms=600_000)


def means_of(holding: HeldValue, *samples: tuple[float, float | None]) -> MinuteMeans:
    means = MinuteMeans(holding, n_channels=1)
    for second, kw in samples:
        means.add(START + round(second * SECOND), (kw,))
    return means


def closed(means: MinuteMeans) -> list[tuple[int, float]]:
    return [(minute - NOON, power_kw) for minute, power_kw, *_ in means.take_closed()]


def test_minute_is_closed_by_the_first_sample_after_it() -> None:
    means = means_of(TEN_SECONDS, *((second, second / 10) for second in range(0, 60, 10)))
    assert closed(means) == []
    means.add(START + 60_000, (9.0,))
    assert closed(means) == [(0, approx(2.5))]
    assert closed(means) == []


def test_sample_holds_until_the_next_across_minutes() -> None:
    means = means_of(TEN_SECONDS, (0, 1.0), (45, 5.0), (75, 2.0), (120, 0.0))
    assert closed(means) == [(0, approx(2.0)), (1, approx((15 * 5 + 45 * 2) / 60))]


def test_minute_less_than_half_covered_has_no_mean() -> None:
    means = means_of(TEN_SECONDS, (31, 1.0), (60, 2.0), (90, 3.0), (120, 4.0))
    assert closed(means) == [(1, approx(2.5))]


def test_sample_before_a_gap_holds_for_the_usual_interval() -> None:
    means = means_of(TEN_SECONDS, (0, 1.0), (30, 3.0), (300, 5.0))
    assert closed(means) == [(0, approx((30 * 1 + 10 * 3) / 40))]
    means.add(START + 330 * SECOND, (5.0,))
    means.add(START + 360 * SECOND, (5.0,))
    assert closed(means) == [(5, 5.0)]


def test_gap_of_years_is_skipped_at_once() -> None:
    means = means_of(TEN_SECONDS, (0, 1.0), (30, 1.0))
    assert means.add(START + 10 * 525_600 * MINUTE, (2.0,)) is SampleResult.TAKEN
    assert closed(means) == [(0, 1.0)]


def test_clock_closes_a_minute_after_the_grace_period() -> None:
    means = means_of(TEN_SECONDS, (0, 1.0), (50, 7.0))
    assert means.due_ms == START + MINUTE + GRACE_MS
    means.close(START + MINUTE + GRACE_MS - 1)
    assert closed(means) == []
    means.close(START + MINUTE + GRACE_MS)
    assert closed(means) == [(0, approx(2.0))]


def test_sample_after_its_minute_closed_counts_from_the_next() -> None:
    means = means_of(TEN_SECONDS, (0, 1.0), (50, 1.0))
    means.close(START + MINUTE + GRACE_MS)
    assert means.add(START + 58 * SECOND, (4.0,)) is SampleResult.TAKEN
    assert means.add(START + 90 * SECOND, (2.0,)) is SampleResult.TAKEN
    assert means.add(START + 120 * SECOND, (2.0,)) is SampleResult.TAKEN
    assert closed(means) == [(0, 1.0), (1, approx(3.0))]


def test_clock_closes_no_minute_of_a_silent_meter() -> None:
    means = means_of(TEN_SECONDS, (0, 1.0), (50, 1.0))
    for minute in range(1, 6):
        means.close(START + minute * MINUTE + GRACE_MS)
    assert closed(means) == [(0, 1.0)]
    assert means.due_ms == float("inf")


def test_slow_meter_fills_each_minute_with_its_value() -> None:
    means = means_of(FIVE_MINUTES, (0, 1.0), (300, 3.0))
    assert closed(means) == [(minute, 1.0) for minute in range(5)]
    for minute in range(6, 11):
        means.close(START + minute * MINUTE + GRACE_MS)
    assert closed(means) == [(minute, 3.0) for minute in range(5, 10)]


def test_close_reports_minutes_without_a_mean() -> None:
    means = means_of(TEN_SECONDS, (0, 1.0), (50, 7.0))
    found = [means.close(START + second * SECOND + GRACE_MS) for second in (59, 60, 61, 120)]
    assert found == [False, False, False, True], "none is due, one with a mean, none, one in a gap"


@pytest.mark.parametrize(("second", "due_min"), [(30, 1), (31, 2)])
def test_next_mean_is_of_the_open_minute_if_half_can_be_covered(second: int, due_min: int) -> None:
    means = means_of(TEN_SECONDS, (second, 1.0))
    assert means.next_mean_due_ms == START + due_min * MINUTE + GRACE_MS


def test_clock_before_the_first_sample_closes_nothing() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    assert means.due_ms == float("inf")
    means.close(0)
    assert closed(means) == []


# --- order ------------------------------------------------------------------------------------------


def test_duplicate_sample_has_no_effect() -> None:
    once = means_of(TEN_SECONDS, (0, 1.0), (30, 3.0), (60, 5.0))
    twice = means_of(TEN_SECONDS, (0, 1.0), (0, 1.0), (30, 3.0), (30, 9.0), (60, 5.0), (60, 5.0))
    assert closed(twice) == closed(once)
    late = MinuteMeans(HeldValue(10_000, 60_000, lateness_ms=20_000), n_channels=1)
    assert [late.add(START + at, (1.0,)) for at in (0, 10_000, 10_000)] == [
        SampleResult.TAKEN,
        SampleResult.TAKEN,
        SampleResult.DUPLICATE,
    ]


@pytest.mark.parametrize("lateness_ms", [0, 60_000], ids=["current", "pending"])
def test_newest_sample_is_replaced_by_one_that_differs(lateness_ms: int) -> None:
    means = MinuteMeans(HeldValue(30_000, 60_000, lateness_ms), n_channels=2)
    assert means.replace_newest(START, (1.0, None)) is SampleResult.DUPLICATE, "there is none"
    means.add(START, (9.0, 230.0))
    means.add(START + 30_000, (9.0, 230.0))
    found = [
        means.replace_newest(START + at_ms, values)
        for at_ms, values in ((0, (5.0, None)), (30_000, (9.0, None)), (30_000, (3.0, None)), (30_000, (3.0, 230.0)))
    ]
    assert found == [SampleResult.DUPLICATE, SampleResult.DUPLICATE, SampleResult.TAKEN, SampleResult.DUPLICATE]
    means.close(START + 2 * MINUTE)
    assert means.take_closed() == [MinuteMean(NOON, approx(6.0), (230.0,))]


def test_newest_sample_replaced_by_none_is_unknown() -> None:
    means = means_of(TEN_SECONDS, (0, 1.0), (40, 9.0))
    assert means.replace_newest(START + 40_000, (None,)) is SampleResult.TAKEN
    means.add(START + 60_000, (1.0,))
    assert closed(means) == [(0, 1.0)]


def test_sample_older_than_the_lateness_is_late() -> None:
    means = means_of(HeldValue(10_000, 60_000, lateness_ms=5_000), (0, 1.0), (30, 1.0), (40, 1.0))
    assert means.add(START + 36_000, (1.0,)) is SampleResult.TAKEN
    assert means.add(START + 35_000, (9.0,)) is SampleResult.LATE
    assert means.add(START + 65_000, (1.0,)) is SampleResult.TAKEN
    assert closed(means) == [(0, 1.0)]


def test_lateness_delays_the_close_of_a_minute() -> None:
    means = means_of(HeldValue(10_000, 60_000, lateness_ms=5_000), (0, 1.0), (50, 1.0), (64.9, 2.0))
    assert closed(means) == []
    assert means.due_ms == START + MINUTE + 5_000
    means.add(START + 65_000, (2.0,))
    assert closed(means) == [(0, 1.0)]


def test_three_late_samples_in_order_restart_the_stream() -> None:
    means = means_of(TEN_SECONDS, (600, 1.0))
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


def test_restarted_stream_has_no_sample_of_before() -> None:
    """This includes a sample that waited for a late one, when its time comes again."""
    means = means_of(HeldValue(30_000, 60_000, lateness_ms=60_000), (300, 9.0), (330, 9.0))
    for second in range(0, 421, 30):
        means.add(START + second * SECOND, (1.0,))
    assert closed(means) == [(minute, 1.0) for minute in range(6)]


def test_redelivered_samples_do_not_restart_the_stream() -> None:
    means = means_of(TEN_SECONDS, *((second, 1.0) for second in range(0, 60, 10)))
    again = [means.add(START + second * SECOND, (9.0,), redelivered=True) for second in range(0, 60, 10)]
    assert set(again) == {SampleResult.DUPLICATE}
    assert means.add(START + 60 * SECOND, (1.0,), redelivered=True) is SampleResult.TAKEN  # news, and taken as such
    assert closed(means) == [(0, 1.0)]


def test_late_samples_out_of_order_stay_late() -> None:
    means = means_of(TEN_SECONDS, (3_600, 1.0))
    assert {means.add(START + second * SECOND, (2.0,)) for second in (100, 10, 200, 20, 300)} == {SampleResult.LATE}
    assert means.newest_ms == START + 3_600 * SECOND


def test_late_samples_further_apart_than_one_holds_stay_late() -> None:
    means = means_of(TEN_SECONDS, (3_600, 1.0))
    assert {means.add(START + second * SECOND, (2.0,)) for second in (0, 61, 122, 183)} == {SampleResult.LATE}


def test_late_samples_with_one_in_order_between_stay_late() -> None:
    means = means_of(TEN_SECONDS, (600, 1.0))
    for second, kw in ((0, 2.0), (30, 2.0), (610, 1.0), (60, 2.0)):
        means.add(START + second * SECOND, (kw,))
    assert means.newest_ms == START + 610 * SECOND


def test_gap_within_the_lateness_can_still_be_filled() -> None:
    holding = HeldValue(every_ms=10_000, hold_ms=59_000, lateness_ms=10_000)
    means = means_of(holding, (0, 1.0), (60, 3.0))  # further than it may hold, but for the one that comes between
    means.add(START + 55_000, (2.0,))
    means.add(START + 90_000, (3.0,))
    assert closed(means) == [(0, approx((55 * 1 + 5 * 2) / 60))]


# --- channels and counters --------------------------------------------------------------------------


def test_channel_mean_uses_its_known_values() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=3)
    for second, values in ((0, (1.0, None, 230.0)), (20, (1.0, 5.0, None)), (40, (4.0, 7.0, None)), (60, (0.0,) * 3)):
        means.add(START + second * SECOND, values)
    assert means.take_closed() == [MinuteMean(NOON, approx(2.0), (approx(6.0), None))]


def test_interval_value_covers_the_time_before_it() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    for second, kw in ((30, None), (60, 1.0), (90, 2.0), (120, 4.0), (150, 6.0)):
        means.add_interval(START + second * SECOND, (kw,))
    assert closed(means) == [(0, 1.0), (1, approx(3.0))]


def test_unknown_interval_gives_no_mean() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    for second, kw in ((0, None), (40, 1.0), (3_600, None), (3_650, 5.0), (3_660, 5.0)):
        means.add_interval(START + second * SECOND, (kw,))
    assert closed(means) == [(0, 1.0), (60, 5.0)]


def test_intervals_that_go_back_restart_the_stream() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    for second, kw in ((3_600, None), (0, None), (60, 1.0)):
        means.add_interval(START + second * SECOND, (kw,))
    assert closed(means) == [(0, 1.0)]


def test_clock_waits_for_the_longest_interval() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    means.add_interval(START, (None,))
    means.add_interval(START + 50 * SECOND, (1.0,))
    assert means.due_ms == START + MINUTE + GRACE_MS + TEN_SECONDS.hold_ms
    means.close(START + MINUTE + GRACE_MS)
    assert closed(means) == []
    means.close(START + 2 * MINUTE + GRACE_MS)
    assert closed(means) == [(0, 1.0)]


def test_clock_closes_a_minute_that_waited_long_without_a_mean() -> None:
    means = MinuteMeans(HeldValue(every_ms=10_000, hold_ms=20 * MINUTE), n_channels=1)
    means.add_interval(START, (None,))
    means.add_interval(START + 50 * SECOND, (1.0,))
    assert not means.close(START + 21 * MINUTE)
    assert means.close(START + 21 * MINUTE + GRACE_MS)
    assert closed(means) == [], "a reading of 21 minutes ago"


@pytest.mark.parametrize(("second", "due_min"), [(30, 1), (31, 2)])
def test_next_mean_of_a_counter_is_due_with_its_next_count(second: int, due_min: int) -> None:
    means = MinuteMeans(HeldValue(every_ms=10_000, hold_ms=20 * MINUTE), n_channels=1)
    assert means.next_mean_due_ms == float("inf")
    means.add_interval(START + second * SECOND, (None,))
    assert means.next_mean_due_ms == START + due_min * MINUTE + 10 * SECOND + GRACE_MS


# --- filled minutes -------------------------------------------------------------------------------------


def filled(means: MinuteMeans) -> list[tuple[int, bool]]:
    return [(minute - NOON, is_filled) for minute, _, _, is_filled in means.take_closed()]


def test_minute_mostly_held_beyond_the_interval_is_filled() -> None:
    means = means_of(HeldValue(every_ms=10_000, hold_ms=180_000), (0, 1.0), (50, 2.0), (170, 5.0), (180, 5.0))
    assert filled(means) == [(0, True), (1, True), (2, True)]
    means.add(START + 240 * SECOND, (5.0,))
    assert filled(means) == [(3, True)]


def test_interval_within_a_closed_minute_leaves_the_next_as_it_is() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=1)
    means.add_interval(START, (None,))
    means.close(START + 122 * SECOND)
    for second, kw in ((30, 9.0), (90, 4.0), (120, 1.0)):  # the first count was on its way for more than a minute
        means.add_interval(START + second * SECOND, (kw,))
    assert closed(means) == [(1, approx(2.5))]


@pytest.mark.parametrize(("silent_from_s", "is_filled"), [(20, False), (19.999, True)])
def test_minute_half_measured_is_not_filled(silent_from_s: float, is_filled: bool) -> None:
    means = means_of(TEN_SECONDS, *((second, 1.0) for second in (0, 10, silent_from_s)), (60, 1.0))
    assert filled(means) == [(0, is_filled)]


def test_minute_partly_covered_is_filled_by_its_covered_time() -> None:
    means = means_of(TEN_SECONDS, (25, 1.0), (60, 1.0))
    assert filled(means) == [(0, True)], "25 of 35 covered seconds"
    means = means_of(TEN_SECONDS, (0, None), (29, 1.0), (39, 1.0), (49, 1.0), (60, 1.0))
    assert filled(means) == [(0, False)], "an unknown value covers nothing"


def test_minute_closed_by_the_clock_is_filled() -> None:
    means = means_of(HeldValue(every_ms=10_000, hold_ms=300_000), *((second, 1.0) for second in range(0, 60, 10)))
    means.close(START + 4 * MINUTE + GRACE_MS)
    assert filled(means) == [(0, False), (1, True), (2, True), (3, True)]


def test_minute_of_a_meter_that_sends_on_change_is_measured() -> None:
    holding = HeldValue(every_ms=10_000, hold_ms=300_000, on_change=True)
    means = means_of(holding, (0, 1.0), (200, 2.0))
    means.close(START + 7 * MINUTE + GRACE_MS)
    assert filled(means) == [(minute, False) for minute in range(7)]


def test_minute_of_a_counter_is_measured() -> None:
    means = MinuteMeans(HeldValue(every_ms=10_000, hold_ms=300_000), n_channels=1)
    means.add_interval(START, (None,))
    means.add_interval(START + 4 * MINUTE, (1.0,))
    assert filled(means) == [(minute, False) for minute in range(4)]


# --- over a restart -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(8))
def test_minute_means_restored_continue_the_open_minute(cut: int) -> None:
    holding = HeldValue(every_ms=10_000, hold_ms=60_000, lateness_ms=15_000)
    samples = [(0, 1.0), (20, 2.0), (12, 7.0), (40, None), (70, 4.0), (61, 3.0), (90, 1.5), (200, 2.0)]
    undisturbed = means_of(holding, *samples)
    before = means_of(holding, *samples[:cut])
    after = MinuteMeans(holding, n_channels=1)
    minutes = before.take_closed()
    after.restore_state(before.capture_state())
    for second, kw in samples[cut:]:
        after.add(START + second * SECOND, (kw,))
    assert minutes + after.take_closed() == undisturbed.take_closed()
    assert after.capture_state() == undisturbed.capture_state()


def test_minute_means_with_other_channels_start_empty() -> None:
    means = MinuteMeans(TEN_SECONDS, n_channels=2)
    means.restore_state(means_of(TEN_SECONDS, (0, 1.0)).capture_state())
    assert means.newest_ms is None
    means.add(START, (1.0, 230.0))


def test_replayed_minute_is_closed_again() -> None:
    means = means_of(TEN_SECONDS, (0, 1.0), (50, 7.0))
    means.close_minute(NOON)
    assert closed(means) == [(0, approx(2.0))]
    means.close_minute(NOON)
    means.close_minute(NOON + 3)  # of another meter of that device: nothing that this one held on to
    assert closed(means) == []
    assert means.due_ms == START + 2 * MINUTE + GRACE_MS
    MinuteMeans(TEN_SECONDS, n_channels=1).close_minute(NOON)
