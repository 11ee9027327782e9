"""The week of quarter-hours: the stream's ring gives the same result as the whole series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.errors import StateError
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.buffer import Buffers, ReadingStatus
from gapcast.core.streams.model_history import history_of
from gapcast.core.streams.quarters import STEP_MIN, STEPS, fill_unknown, history_windows, quarter_means
from gapcast.core.streams.week import WIDTH, WeekHistory
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import WindowSpec, fill_short_gaps
from gapcast.predictors.baselines import Persistence
from tests.support.examples import examples
from tests.support.week_histories import histories_in

NOON = 21_476_160
FILL = np.array([9.0])
ENTERED = {ReadingStatus.READY, ReadingStatus.FIRST}


def power_kw(minute: int) -> float:
    return round(0.2 + minute * 0.377 % 3, 3)


def buffers_with(week: WeekHistory, channels: Sequence[str] = ("gap_kw",)) -> Buffers:
    return Buffers(WindowSpec(30), 10, channels, week=week)


def series_of(known: dict[int, float]) -> tuple[int, F64]:
    """Return the first minute of the ``known`` ones, and the power of each minute from there on, NaN if unknown."""
    first = min(known)
    series = np.full(max(known) - first + 1, np.nan)
    series[np.array(list(known)) - first] = list(known.values())
    return first, series


def with_filled(known: dict[int, float]) -> dict[int, float]:
    """Return the ``known`` minutes and those of short gaps between them."""
    first, series = series_of(known)
    filled = enumerate(fill_short_gaps(series.astype(np.float32)).tolist(), first)
    return {minute: kw for minute, kw in filled if not np.isnan(kw)} | known


def windows_of(known: dict[int, float], minute: int) -> F32:
    """Return the history at ``minute``, computed from the whole series of ``known`` readings."""
    first, series = series_of(known)
    return history_windows(quarter_means(series, first), np.array([minute]), FILL)


# --- a whole series ----------------------------------------------------------------------------------


def test_quarter_means_count_only_known_minutes() -> None:
    series = np.full(45, np.nan)
    series[3:6] = [1.0, 2.0, 6.0]
    series[30:45] = 4.0
    means = quarter_means(series, NOON)
    assert means.first == NOON // STEP_MIN
    np.testing.assert_array_equal(means.kw, np.array([3.0, np.nan, 4.0], dtype=np.float32))


def test_history_windows_have_only_complete_quarters() -> None:
    minutes = np.arange(NOON, NOON + 60)
    found = history_windows(quarter_means(np.repeat([1.0, 2.0, 3.0, 4.0], 15), NOON), minutes, np.full(60, 9.0), 2)
    assert found[[0, 13]].tolist() == [[9.0, 9.0]] * 2
    assert found[[14, 28]].tolist() == [[1.0, 1.0]] * 2
    assert found[[29, 43]].tolist() == [[1.0, 2.0]] * 2
    assert found[[44, 59]].tolist() == [[2.0, 3.0], [3.0, 4.0]]


@pytest.mark.parametrize("minute", [NOON - 2, NOON + 74])
def test_history_windows_rejects_minutes_outside_the_series(minute: int) -> None:
    with pytest.raises(ValueError, match="must be in the series"):
        history_windows(quarter_means(np.ones(60), NOON), np.array([NOON - 16 if minute < NOON else minute]), FILL)


def test_history_windows_of_no_minute_is_empty() -> None:
    found = history_windows(quarter_means(np.ones(60), NOON), np.array([], dtype=np.int64), np.array([]))
    assert found.shape == (0, STEPS)


def test_fill_unknown_leaves_a_whole_history_unchanged() -> None:
    history = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert fill_unknown(history, np.zeros(2)).tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert fill_unknown(np.full((1, 2), np.nan, dtype=np.float32), FILL).tolist() == [[9.0, 9.0]]


# --- the stream --------------------------------------------------------------------------------------


@examples(60)
@given(st.lists(st.one_of(st.integers(1, 8), st.just(1), st.just(1), st.integers(1, 700)), min_size=1, max_size=150))
def test_week_equals_the_whole_series(steps: list[int]) -> None:
    week = WeekHistory(1)
    buffers, known, minute = buffers_with(week), {}, NOON + 7
    for step in steps:
        minute += step
        known[minute] = power_kw(minute)
        assert buffers.accept(Reading("home", minute, known[minute])) in ENTERED
        np.testing.assert_array_equal(histories_in(week, [0], [minute], FILL), windows_of(known, minute))


@examples(40)
@example([(-12, 3), (-12, 3), (-12, 3), (-12, 3), (2, 13), (-12, 3)])  # a gap is filled up to a discarded reading
@given(
    st.lists(
        st.tuples(st.one_of(st.integers(-400, -12), st.integers(1, 40)), st.integers(3, 40)), min_size=1, max_size=12
    )
)
def test_week_discards_quarters_after_a_clock_set_back(runs: list[tuple[int, int]]) -> None:
    week = WeekHistory(1)
    buffers, known, minute = buffers_with(week), dict[int, float](), NOON
    for jump, n in runs:
        first = minute + jump
        if jump < 0:
            # The minutes before it are not a short gap, which the whole series would fill.
            first += max(0, 6 - first % STEP_MIN)
            known = {m: kw for m, kw in known.items() if m < first // STEP_MIN * STEP_MIN}
        for minute in range(first, first + n):
            buffers.accept(Reading("home", minute, power_kw(minute)))
            known[minute] = power_kw(minute)
        assert buffers.newest("home")[0] == minute
        np.testing.assert_array_equal(histories_in(week, [0], [minute], FILL), windows_of(known, minute))
        known = with_filled(known)  # which stays if the reading after the gap is discarded


@examples(20)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=480))
def test_week_in_a_batch_shows_no_later_quarter(steps: list[int]) -> None:
    """Many minutes of one device in a batch are forecast like single ones."""
    minutes = (NOON - 11 + np.cumsum([3 * 5 * DAY_MIN, *steps])).tolist()
    one_by_one, batch = WeekHistory(2), WeekHistory(2)
    expected = []
    for minute in minutes:
        for week in (one_by_one, batch):
            week.add(1, minute, power_kw(minute))
        expected.append(histories_in(one_by_one, [1], [minute], FILL)[0])
    found = histories_in(batch, [1] * len(minutes), minutes, np.full(len(minutes), 9.0))
    np.testing.assert_array_equal(found, np.stack(expected))


def test_week_beyond_the_ring_is_unknown() -> None:
    week = WeekHistory(1)
    for minute in range(0, WIDTH * STEP_MIN + 30, STEP_MIN):
        week.add(0, minute, 1.0)
    early = histories_in(week, [0], [STEPS * STEP_MIN - 1], FILL, STEPS)
    assert early.tolist() == [[1.0] * STEPS]  # the two oldest are overwritten, and filled with the mean of the others
    assert histories_in(week, [0], [STEP_MIN + 14], FILL).tolist() == [[9.0] * STEPS]


def test_week_of_a_jump_beyond_the_ring_is_unknown() -> None:
    week = WeekHistory(1)
    week.add(0, NOON, 1.0)
    week.add(0, NOON + 30 * DAY_MIN + 14, 2.0)
    assert histories_in(week, [0], [NOON + 30 * DAY_MIN + 14], FILL)[0, -2:].tolist() == [2.0, 2.0]
    week.discard_from(0, NOON - 30 * DAY_MIN)
    week.add(0, NOON - 30 * DAY_MIN + 14, 5.0)
    assert histories_in(week, [0], [NOON - 30 * DAY_MIN + 14], FILL).tolist() == [[5.0] * STEPS]


def test_week_discarded_continues_with_a_later_quarter() -> None:
    week = WeekHistory(1)
    for minute in (NOON + 14, NOON + 29):
        week.add(0, minute, 1.0)
    week.discard_from(0, NOON + 15)
    week.add(0, NOON + 44, 3.0)
    found = histories_in(week, [0], [NOON + 44], FILL)[0, -3:]
    assert found.tolist() == [1.0, 2.0, 3.0]  # the discarded one is unknown


def test_week_beyond_its_rows_stores_nothing() -> None:
    week = WeekHistory(1)
    week.add(1, NOON + 14, 1.0)
    week.discard_from(1, NOON)
    week.forget(1)
    assert not week.has(1)
    assert histories_in(week, [1], [NOON + 14], FILL).tolist() == [[9.0] * STEPS]


def test_week_stores_a_held_reading_once_confirmed() -> None:
    week = WeekHistory(1)
    buffers, ahead = buffers_with(week), NOON + 3 * DAY_MIN
    for minute in (NOON, NOON + 1):
        buffers.accept(Reading("home", minute, 1.0))
    assert buffers.accept(Reading("home", ahead, 3.0)) is ReadingStatus.HELD
    assert histories_in(week, [0], [NOON + 14], FILL)[0, -1] == 9.0
    assert buffers.accept(Reading("home", ahead + 2, 5.0)) is ReadingStatus.READY
    week.add(0, ahead + 15, 0.0)
    assert histories_in(week, [0], [ahead + 15], FILL)[0, -1] == 4.0


def test_week_forgets_a_device_with_its_row() -> None:
    week = WeekHistory(2)
    buffers = buffers_with(week)
    for device in ("home", "barn"):
        buffers.accept(Reading(device, NOON, 1.0))
    buffers.forget("home")
    buffers.forget("nobody")
    assert (week.has(0), week.has(1)) == (False, True)
    buffers.accept(Reading("shed", NOON - 9 * DAY_MIN, 4.0))
    assert histories_in(week, [0], [NOON - 9 * DAY_MIN + 15], FILL)[0, -1] in {4.0, 9.0}


def test_week_stores_only_power_of_several_channels() -> None:
    week = WeekHistory(1)
    buffers = buffers_with(week, ("gap_kw", "voltage_v"))
    for minute in (0, 2, 15):
        buffers.accept(Reading("home", NOON + minute, 1.0 + minute, measured={"voltage_v": 230.0}))
    assert histories_in(week, [0], [NOON + 15], FILL)[0, -1] == 2.0


# --- state -------------------------------------------------------------------------------------------


def filled_week(n: int = 1_300, start: int = NOON) -> WeekHistory:
    week = WeekHistory(3)
    for row in (0, 2):
        for minute in range(start, start + n):
            week.add(row, minute, power_kw(minute) + row)
    return week


LAST = np.array([NOON + 1_299] * 3)


def test_week_restored_continues_as_before() -> None:
    week, again = filled_week(), WeekHistory(3)
    again.restore_columns(week.columns(range(3)), LAST)
    assert [again.has(row) for row in range(3)] == [True, False, True]
    for minute in range(NOON + 1_300, NOON + 1_350):
        for one in (week, again):
            one.add(2, minute, power_kw(minute))
        np.testing.assert_array_equal(histories_in(again, [2], [minute], FILL), histories_in(week, [2], [minute], FILL))


def test_week_restored_at_a_complete_quarter_shows_it() -> None:
    week, again = filled_week(1_305), WeekHistory(3)
    again.restore_columns(week.columns(range(3)), LAST + 5)
    np.testing.assert_array_equal(
        histories_in(again, [0], [NOON + 1_304], FILL), histories_in(week, [0], [NOON + 1_304], FILL)
    )


def test_week_restores_narrower_columns_and_fewer_rows() -> None:
    columns = filled_week().columns(range(3))
    again = WeekHistory(1)
    again.restore_columns(columns | {"kw": columns["kw"][:, -4:]}, LAST)
    assert [again.has(row) for row in range(3)] == [True, False, False]
    assert len(set(histories_in(again, [0], [NOON + 1_299], FILL)[0].tolist())) == 5  # four, and their mean


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("kw", np.inf), ("kw", 1e7), ("step", 0), ("sum_kw", np.nan), ("sum_kw", 1e9), ("n_known", 0),
        ("n_known", 16), ("device", -1), ("device", 3),
    ],
)  # fmt: skip
def test_week_leaves_out_an_implausible_row(column: str, value: float) -> None:
    columns = filled_week().columns(range(3))
    columns[column][0] = value
    again = WeekHistory(3)
    again.restore_columns(columns, LAST)
    assert [again.has(row) for row in range(3)] == [False, False, True]


@pytest.mark.parametrize("column", ["device", "kw", "step", "sum_kw", "n_known"])
@pytest.mark.parametrize("how", ["missing", "shorter", "another kind", "another shape"])
def test_week_rejects_columns_that_do_not_fit(column: str, how: str) -> None:
    columns = filled_week().columns(range(3))
    wrong = {
        "missing": {},
        "shorter": {column: columns[column][:1]},
        "another kind": {column: columns[column].astype("U32")},
        "another shape": {column: columns[column][..., np.newaxis]},
    }[how]
    with pytest.raises(StateError, match="the week's column"):
        WeekHistory(3).restore_columns({name: c for name, c in columns.items() if name != column} | wrong, LAST)


def test_week_takes_over_the_rows_that_it_stores() -> None:
    week = WeekHistory(1)
    week.adopt(filled_week())
    assert [week.has(row) for row in range(3)] == [True, False, False]


def test_week_begins_with_the_readings_of_a_window() -> None:
    buffers = Buffers(WindowSpec(20), 2)
    for minute in (0, 1, 3, 4, 15):
        buffers.accept(Reading("home", NOON + minute, 1.0 + minute))
    buffers.add_windows_to_week()  # without effect: there is none
    buffers.week = week = WeekHistory(2)
    buffers.add_device("barn")
    buffers.add_windows_to_week()
    assert (week.has(0), week.has(1)) == (True, False)
    assert histories_in(week, [0], [NOON + 15], FILL)[0, -1] == 9.0  # the gap of ten minutes restarted its history
    buffers.accept(Reading("home", NOON + 17, 18.0))
    buffers.add_windows_to_week()  # without effect: it has begun
    buffers.accept(Reading("home", NOON + 30, 1.0))
    assert histories_in(week, [0], [NOON + 30], FILL)[0, -1] == 17.0


def test_history_of_a_model_without_one_is_none() -> None:
    assert history_of(Persistence(), None, [0], np.array([NOON]), np.ones((1, 30), dtype=np.float32)) is None


def test_week_whose_quarters_are_all_known_stays_as_it_is() -> None:
    week = WeekHistory(max_rows=1)
    for minute in range(3 * STEP_MIN):
        week.add(0, minute, float(minute // STEP_MIN))
    assert histories_in(week, [0], [3 * STEP_MIN - 1], FILL, 3).tolist() == [[0.0, 1.0, 2.0]]
    assert histories_in(week, [0], [3 * STEP_MIN - 1], FILL, 4).tolist() == [[1.0, 0.0, 1.0, 2.0]]
