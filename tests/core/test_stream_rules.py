"""What enters a buffer and what does not: duplicates, late readings, replays and clocks that jump."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.buffer import Buffers, ReadingStatus
from gapcast.core.engine import Engine
from gapcast.core.grid import DAY_MIN
from gapcast.core.reading import Reading
from gapcast.core.window import WindowSpec
from gapcast.predictors.baselines import Persistence

NOON = 21_476_160
SPEC = WindowSpec(30)


def home(minute: int, gap_kw: float = 1.0, *, redelivered: bool = False) -> Reading:
    return Reading("home", minute, gap_kw, redelivered)


def statuses(*readings: Reading) -> list[str]:
    buffers = Buffers(SPEC, 10)
    return [buffers.accept(reading).value for reading in readings]


def test_forecasts_begin_with_the_second_reading() -> None:
    assert statuses(home(NOON), home(NOON + 1), home(NOON + 2)) == ["first", "ready", "ready"]


def test_after_a_long_gap_they_begin_with_the_second_reading_again() -> None:
    assert statuses(home(NOON), home(NOON + 1), home(NOON + 8), home(NOON + 9)) == ["first", "ready", "first", "ready"]


def test_the_same_minute_again_is_a_duplicate_and_the_first_value_stands() -> None:
    buffers = Buffers(SPEC, 10)
    statuses = [buffers.accept(reading) for reading in (home(NOON, 1.0), home(NOON + 1, 2.0), home(NOON + 1, 9.0))]
    assert statuses[-1] is ReadingStatus.DUPLICATE
    assert buffers.window("home")[-1] == 2.0


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), min_size=1, max_size=60))
def test_saying_everything_several_times_changes_nothing(said: list[tuple[int, int]]) -> None:
    once, often = Buffers(SPEC, 1), Buffers(SPEC, 1)
    for minute, times in said:
        reading = home(NOON + minute, minute / 7)
        verdict = once.accept(reading)
        heard = [often.accept(reading) for _ in range(times)]
        assert heard[0] is verdict
        assert ReadingStatus.READY not in heard[1:]
    assert np.array_equal(once.window("home"), often.window("home"))


def test_a_late_reading_has_no_effect() -> None:
    buffers = Buffers(SPEC, 10)
    for minute in range(5):
        buffers.accept(home(NOON + minute, minute))
    before = buffers.window("home")
    assert buffers.accept(home(NOON + 2, 50.0)) is ReadingStatus.LATE
    assert np.array_equal(buffers.window("home"), before)


def test_three_late_ones_minute_by_minute_start_the_stream_again_there() -> None:
    buffers = Buffers(SPEC, 10)
    for minute in range(40):
        buffers.accept(home(NOON + minute, 9.0))
    seen = [buffers.accept(home(NOON + minute, float(minute))).value for minute in range(4)]
    assert seen == ["late", "late", "ready", "ready"]
    assert buffers.window("home").tolist() == [0.0] * 27 + [1.0, 2.0, 3.0]


def test_late_ones_that_do_not_follow_each_other_start_nothing() -> None:
    start = [home(NOON + minute) for minute in range(40)]
    late = [home(NOON + minute) for minute in (1, 3, 5, 6, 9, 10)]
    assert statuses(*start, *late)[40:] == ["late"] * 6


def test_a_reading_in_order_ends_a_run_of_late_ones() -> None:
    start = [home(NOON + minute) for minute in range(40)]
    after = [home(NOON + 3), home(NOON + 4), home(NOON + 40), home(NOON + 5), home(NOON + 6)]
    assert statuses(*start, *after)[40:] == ["late", "late", "ready", "late", "late"]


def test_a_late_one_said_twice_does_not_end_the_run() -> None:
    start = [home(NOON + minute) for minute in range(40)]
    after = [home(NOON), home(NOON + 1), home(NOON + 1), home(NOON + 2)]
    assert statuses(*start, *after)[40:] == ["late", "late", "duplicate", "ready"]


def test_what_the_broker_sends_again_never_starts_a_stream_again() -> None:
    start = [home(NOON + minute) for minute in range(40)]
    again = [home(NOON + minute, redelivered=True) for minute in range(30, 40)]
    assert set(statuses(*start, *again)[40:]) == {"duplicate"}


def test_what_the_broker_sends_again_is_taken_where_it_is_news() -> None:
    assert statuses(home(NOON, redelivered=True), home(NOON + 1, redelivered=True)) == ["first", "ready"]


@given(st.lists(st.floats(0, 10, width=32), min_size=4, max_size=50), st.integers(1, 7))
def test_a_file_replayed_twice_forecasts_twice_the_same(values: list[float], batch_size: int) -> None:
    engine, replay = Engine(Persistence(SPEC)), [home(NOON + minute, kw) for minute, kw in enumerate(values)]

    def forecasts() -> dict[int, float]:
        found: dict[int, float] = {}
        for first in range(0, len(replay), batch_size):
            made = engine.forecast(engine.accept(replay[first : first + batch_size]), issued_at_ms=0)
            found |= {forecast.observed_minute: forecast.gap_kw for forecast in made}
        return found

    once, twice = forecasts(), forecasts()
    assert len(once) == len(replay) - 1
    assert twice == {minute: kw for minute, kw in once.items() if minute >= NOON + 2}


def test_more_than_a_day_ahead_waits_until_the_next_reading_confirms_it() -> None:
    far = NOON + DAY_MIN + 2
    assert statuses(home(NOON), home(NOON + 1), home(far), home(far + 1)) == ["first", "ready", "unconfirmed", "ready"]


def test_a_day_ahead_exactly_does_not_wait() -> None:
    assert statuses(home(NOON), home(NOON + DAY_MIN)) == ["first", "first"]


def test_a_confirmed_one_is_the_oldest_of_the_new_history() -> None:
    buffers, far = Buffers(WindowSpec(4), 10), NOON + 10 * DAY_MIN
    for reading in (home(NOON, 5.0), home(far, 1.0), home(far + 2, 3.0)):
        buffers.accept(reading)
    assert buffers.window("home").tolist() == [1.0, 1.0, 2.0, 3.0]
    assert buffers.n_confirmed == 1


def test_confirmed_after_a_gap_the_history_starts_with_the_newer() -> None:
    far = NOON + 10 * DAY_MIN
    assert statuses(home(NOON), home(far), home(far + 20), home(far + 21)) == ["first", "unconfirmed", "first", "ready"]


def test_a_clocks_single_mistake_leaves_the_stream_as_it_was() -> None:
    buffers = Buffers(SPEC, 10)
    seen = [
        buffers.accept(reading)
        for reading in (home(NOON, 1.0), home(NOON + 1, 2.0), home(NOON + 10 * DAY_MIN, 9.0), home(NOON + 2, 3.0))
    ]
    assert [verdict.value for verdict in seen] == ["first", "ready", "unconfirmed", "ready"]
    assert buffers.window("home")[-3:].tolist() == [1.0, 2.0, 3.0]
    assert [reading.gap_kw for reading in buffers.disproved] == [9.0]


def test_two_mistakes_that_do_not_follow_each_other_are_two() -> None:
    buffers = Buffers(SPEC, 10)
    far = NOON + 10 * DAY_MIN
    for reading in (home(NOON), home(far), home(far), home(far + 9 * DAY_MIN), home(NOON + 1)):
        buffers.accept(reading)
    assert [reading.minute for reading in buffers.disproved] == [far, far + 9 * DAY_MIN]


def test_a_replay_ends_the_wait_of_what_was_held() -> None:
    buffers = Buffers(SPEC, 10)
    held = home(NOON + 10 * DAY_MIN)
    for reading in (home(NOON + 50), held, home(NOON), home(NOON + 1), home(NOON + 2)):
        buffers.accept(reading)
    assert buffers.disproved == [held]


def test_devices_beyond_the_limit_are_refused_and_the_known_ones_go_on() -> None:
    buffers = Buffers(SPEC, max_devices=20)
    seen = [buffers.accept(Reading(f"d{i}", NOON, 1.0)) for i in range(25)]
    assert seen == [ReadingStatus.FIRST] * 20 + [ReadingStatus.FULL] * 5
    assert buffers.accept(Reading("d19", NOON + 1, 1.0)) is ReadingStatus.READY
    assert len(buffers) == 20
    assert "d20" not in buffers


def test_a_fleet_of_any_size_keeps_its_windows_apart() -> None:
    buffers, n = Buffers(SPEC, 10_000), 2_000  # more than a block of rows
    for minute in range(2):
        for i in range(n):
            buffers.accept(Reading(f"d{i}", NOON + minute, float(i + minute)))
    assert [buffers.window(f"d{i}")[-2:].tolist() for i in range(n)] == [[i, i + 1] for i in range(n)]
    assert [buffers.row(f"d{i}") for i in range(n)] == list(range(n))


def test_a_reading_that_lacks_a_channel_changes_nothing() -> None:
    buffers = Buffers(SPEC, 10, ("gap_kw", "voltage_v"))
    voltage = {"voltage_v": 230.0, "current_a": 5.0}
    buffers.accept(Reading("home", NOON, 1.0, measured=voltage))
    buffers.accept(Reading("home", NOON + 1, 1.0, measured=voltage))
    before = buffers.window("home")
    for measured in (None, {}, {"current_a": 5.0}):
        assert buffers.accept(Reading("home", NOON + 2, 9.0, measured=measured)) is ReadingStatus.INCOMPLETE
        assert buffers.accept(Reading("new", NOON, 9.0, measured=measured)) is ReadingStatus.INCOMPLETE
    assert np.array_equal(buffers.window("home"), before)
    assert "new" not in buffers
    assert buffers.accept(Reading("home", NOON + 3, 2.0, measured={"voltage_v": 234.0})) is ReadingStatus.READY
    assert buffers.window("home")[-3:].tolist() == [[1.0, 230.0], [1.5, 232.0], [2.0, 234.0]]


@st.composite
def noise_after(draw: st.DrawFn, minute: int) -> list[Reading]:
    """What may come between two readings and must change nothing: at most one of each kind."""
    kinds = {
        "duplicate": home(minute, 55.0),
        "late": home(minute - draw(st.integers(1, 3)), 66.0),
        "sent again": home(minute - draw(st.integers(0, 40)), 77.0, redelivered=True),
        "clock's mistake": home(minute + DAY_MIN + draw(st.integers(1, 10**6)), 88.0),
    }
    return [kinds[kind] for kind in draw(st.lists(st.sampled_from(sorted(kinds)), max_size=3, unique=True))]


@given(st.lists(st.integers(1, 8), min_size=1, max_size=40), st.data())
def test_noise_between_the_readings_changes_no_window_and_is_all_counted(gaps: list[int], data: st.DataObject) -> None:
    clean, noisy, minute = [], [], NOON
    for n, gap in enumerate(gaps):
        minute += gap
        clean.append(home(minute, n / 7))
        noisy += [clean[-1], *data.draw(noise_after(minute))]
    clean.append(home(minute + 1))
    noisy.append(clean[-1])
    expected, found = Engine(Persistence(SPEC)).accept(clean), Engine(Persistence(SPEC)).accept(noisy)
    assert found.minutes == expected.minutes
    assert found.n_observed == expected.n_observed
    assert np.array_equal(found.windows, expected.windows)
    assert found.counts["accepted"] == len(clean)
    assert found.disproved == [reading for reading in noisy if reading.gap_kw == 88.0]
    assert found.counts.get("rejected", 0) == len(found.disproved)
    assert sum(found.counts.values()) == len(noisy)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(-5, 12) | st.sampled_from([1_500, 1_501, 9_000]), st.booleans()),
        max_size=60,
    ),
    st.integers(1, 9),
)
def test_every_message_is_counted_once_when_all_is_known(
    messages: list[tuple[str, int, bool]], batch_size: int
) -> None:
    engine, total = Engine(Persistence(SPEC), max_devices=1), 0
    for first in range(0, len(messages), batch_size):
        batch = [
            Reading(device, NOON + ahead, 1.0, again) for device, ahead, again in messages[first : first + batch_size]
        ]
        total += sum(engine.accept(batch).counts.values())
    assert total + engine.buffers.n_held == len(messages)
