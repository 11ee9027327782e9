"""Which readings enter a buffer: duplicates, late readings, replays and clocks that jump."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.buffer import Buffers, ReadingStatus
from gapcast.core.streams.stream_windows import SetBackStream, SlowStream
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence

NOON = 21_476_160
SPEC = WindowSpec(30)


def home(minute: int, gap_kw: float = 1.0, *, redelivered: bool = False) -> Reading:
    return Reading("home", minute, gap_kw, redelivered)


def statuses_of(*readings: Reading) -> list[str]:
    buffers = Buffers(SPEC, 10)
    return [buffers.accept(reading).value for reading in readings]


def test_buffer_is_ready_from_the_second_reading() -> None:
    assert statuses_of(home(NOON), home(NOON + 1), home(NOON + 2)) == ["first", "ready", "ready"]


def test_buffer_after_a_long_gap_starts_again() -> None:
    assert statuses_of(home(NOON), home(NOON + 1), home(NOON + 8), home(NOON + 9)) == [
        "first",
        "ready",
        "first",
        "ready",
    ]


def test_duplicate_minute_keeps_the_first_value() -> None:
    buffers = Buffers(SPEC, 10)
    statuses = [buffers.accept(reading) for reading in (home(NOON, 1.0), home(NOON + 1, 2.0), home(NOON + 1, 9.0))]
    assert statuses[-1] is ReadingStatus.DUPLICATE
    assert buffers.window("home")[-1] == 2.0


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), min_size=1, max_size=60))
def test_repeated_readings_change_nothing(steps: list[tuple[int, int]]) -> None:
    once, often = Buffers(SPEC, 1), Buffers(SPEC, 1)
    for minute, times in steps:
        reading = home(NOON + minute, minute / 7)
        status = once.accept(reading)
        statuses = [often.accept(reading) for _ in range(times)]
        assert statuses[0] is status
        assert ReadingStatus.READY not in statuses[1:]
    assert np.array_equal(once.window("home"), often.window("home"))


def test_late_reading_has_no_effect() -> None:
    buffers = Buffers(SPEC, 10)
    for minute in range(5):
        buffers.accept(home(NOON + minute, minute))
    before = buffers.window("home")
    assert buffers.accept(home(NOON + 2, 50.0)) is ReadingStatus.LATE
    assert np.array_equal(buffers.window("home"), before)


def test_three_late_readings_in_order_restart_the_stream() -> None:
    buffers = Buffers(SPEC, 10)
    for minute in range(40):
        buffers.accept(home(NOON + minute, 9.0))
    seen = [buffers.accept(home(NOON + minute, float(minute))).value for minute in range(4)]
    assert seen == ["late", "late", "ready", "ready"]
    assert buffers.window("home").tolist() == [0.0] * 27 + [1.0, 2.0, 3.0]
    assert buffers.take_restarted_streams() == [SetBackStream("home", NOON + 39, NOON)]
    assert buffers.take_restarted_streams() == []


def test_three_gaps_in_a_row_are_reported_once() -> None:
    """After a second reading within a window, they are counted again."""
    buffers = Buffers(SPEC, 10)
    minutes = [0, 10, 20, 35, 50, 51, 75, 90]
    for minute in minutes:
        buffers.accept(home(NOON + minute))
    assert buffers.take_restarted_streams() == [SlowStream("home", 15)]
    for minute in (110, 120):
        buffers.accept(home(NOON + minute))
    assert buffers.take_restarted_streams() == [SlowStream("home", 20)]


def test_late_readings_out_of_order_do_not_restart_the_stream() -> None:
    start = [home(NOON + minute) for minute in range(40)]
    late = [home(NOON + minute) for minute in (1, 3, 5, 6, 9, 10)]
    assert statuses_of(*start, *late)[40:] == ["late"] * 6


def test_reading_in_order_ends_a_run_of_late_readings() -> None:
    start = [home(NOON + minute) for minute in range(40)]
    after = [home(NOON + 3), home(NOON + 4), home(NOON + 40), home(NOON + 5), home(NOON + 6)]
    assert statuses_of(*start, *after)[40:] == ["late", "late", "ready", "late", "late"]


def test_repeated_late_reading_does_not_end_the_run() -> None:
    start = [home(NOON + minute) for minute in range(40)]
    after = [home(NOON), home(NOON + 1), home(NOON + 1), home(NOON + 2)]
    assert statuses_of(*start, *after)[40:] == ["late", "late", "duplicate", "ready"]


def test_redelivered_readings_do_not_restart_the_stream() -> None:
    start = [home(NOON + minute) for minute in range(40)]
    again = [home(NOON + minute, redelivered=True) for minute in range(30, 40)]
    assert set(statuses_of(*start, *again)[40:]) == {"duplicate"}


def test_readings_that_were_imported_do_not_restart_the_stream() -> None:
    """The broker queued these readings while their minutes were imported."""
    buffers = Buffers(SPEC, 10)
    for minute in range(40):
        buffers.accept(home(NOON + minute, 9.0))
    assert not buffers.is_imported("home")
    buffers.end_import("home")
    before = buffers.window("home")
    assert {buffers.accept(home(NOON + minute)).value for minute in range(30, 40)} == {"duplicate"}
    assert buffers.is_imported("home")
    assert np.array_equal(buffers.window("home"), before)
    after = [buffers.accept(home(NOON + minute)).value for minute in (40, 10, 11, 12)]
    assert after == ["ready", "late", "late", "ready"], "a newer reading ends the import"


def test_redelivered_new_reading_is_accepted() -> None:
    assert statuses_of(home(NOON, redelivered=True), home(NOON + 1, redelivered=True)) == ["first", "ready"]


@given(st.lists(st.floats(0, 10, width=32), min_size=4, max_size=50), st.integers(1, 7))
def test_file_replayed_twice_gives_the_same_windows(values: list[float], batch_size: int) -> None:
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


def test_reading_over_a_day_ahead_is_held_until_confirmed() -> None:
    far = NOON + DAY_MIN + 2
    assert statuses_of(home(NOON), home(NOON + 1), home(far), home(far + 1)) == [
        "first",
        "ready",
        "unconfirmed",
        "ready",
    ]


def test_reading_exactly_a_day_ahead_is_not_held() -> None:
    assert statuses_of(home(NOON), home(NOON + DAY_MIN)) == ["first", "first"]


def test_confirmed_reading_starts_the_new_history() -> None:
    buffers, far = Buffers(WindowSpec(4), 10), NOON + 10 * DAY_MIN
    for reading in (home(NOON, 5.0), home(far, 1.0), home(far + 2, 3.0)):
        buffers.accept(reading)
    assert buffers.window("home").tolist() == [1.0, 1.0, 2.0, 3.0]
    assert buffers.n_confirmed == 1


def test_reading_confirmed_after_a_gap_starts_with_the_newer() -> None:
    far = NOON + 10 * DAY_MIN
    assert statuses_of(home(NOON), home(far), home(far + 20), home(far + 21)) == [
        "first",
        "unconfirmed",
        "first",
        "ready",
    ]


def test_single_clock_error_leaves_the_stream_unchanged() -> None:
    buffers = Buffers(SPEC, 10)
    seen = [
        buffers.accept(reading)
        for reading in (home(NOON, 1.0), home(NOON + 1, 2.0), home(NOON + 10 * DAY_MIN, 9.0), home(NOON + 2, 3.0))
    ]
    assert [status.value for status in seen] == ["first", "ready", "unconfirmed", "ready"]
    assert buffers.window("home")[-3:].tolist() == [1.0, 2.0, 3.0]
    assert [reading.gap_kw for reading in buffers.disproved] == [9.0]


def test_two_unrelated_clock_errors_are_not_confirmed() -> None:
    buffers = Buffers(SPEC, 10)
    far = NOON + 10 * DAY_MIN
    for reading in (home(NOON), home(far), home(far), home(far + 9 * DAY_MIN), home(NOON + 1)):
        buffers.accept(reading)
    assert [reading.minute for reading in buffers.disproved] == [far, far + 9 * DAY_MIN]


def test_replay_drops_a_held_reading() -> None:
    buffers = Buffers(SPEC, 10)
    held = home(NOON + 10 * DAY_MIN)
    for reading in (home(NOON + 50), held, home(NOON), home(NOON + 1), home(NOON + 2)):
        buffers.accept(reading)
    assert buffers.disproved == [held]


def test_devices_over_the_limit_are_rejected() -> None:
    buffers = Buffers(SPEC, max_devices=20)
    seen = [buffers.accept(Reading(f"d{i}", NOON, 1.0)) for i in range(25)]
    assert seen == [ReadingStatus.FIRST] * 20 + [ReadingStatus.FULL] * 5
    assert buffers.accept(Reading("d19", NOON + 1, 1.0)) is ReadingStatus.READY
    assert len(buffers) == 20
    assert "d20" not in buffers


def test_windows_of_many_devices_stay_apart() -> None:
    buffers, n = Buffers(SPEC, 10_000), 2_000  # more than a block of rows
    for minute in range(2):
        for i in range(n):
            buffers.accept(Reading(f"d{i}", NOON + minute, float(i + minute)))
    assert [buffers.window(f"d{i}")[-2:].tolist() for i in range(n)] == [[i, i + 1] for i in range(n)]
    assert [buffers.row(f"d{i}") for i in range(n)] == list(range(n))


def test_reading_without_a_channel_changes_nothing() -> None:
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
    """Return messages that must change nothing between two readings: at most one of each kind."""
    kinds = {
        "duplicate": home(minute, 55.0),
        "late": home(minute - draw(st.integers(1, 3)), 66.0),
        "sent again": home(minute - draw(st.integers(0, 40)), 77.0, redelivered=True),
        "clock's mistake": home(minute + DAY_MIN + draw(st.integers(1, 10**6)), 88.0),
    }
    return [kinds[kind] for kind in draw(st.lists(st.sampled_from(sorted(kinds)), max_size=3, unique=True))]


@given(st.lists(st.integers(1, 8), min_size=1, max_size=40), st.data())
def test_noise_between_readings_changes_no_window(gaps: list[int], data: st.DataObject) -> None:
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
def test_every_message_is_counted_once(messages: list[tuple[str, int, bool]], batch_size: int) -> None:
    engine, total = Engine(Persistence(SPEC), max_devices=1), 0
    for first in range(0, len(messages), batch_size):
        batch = [
            Reading(device, NOON + ahead, 1.0, again) for device, ahead, again in messages[first : first + batch_size]
        ]
        total += sum(engine.accept(batch).counts.values())
    n_held = sum(one.held is not None for one in engine.buffers.streams.values())
    assert total + n_held == len(messages)
