"""The split by time: no overlap, the embargo, no look-ahead, and the edge's windows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gapcast.core.readings.reading import Reading
from gapcast.core.streams.buffer import Buffers, ReadingStatus
from gapcast.core.windows.examples import WHOLE_MIN
from gapcast.core.windows.window import Padding, WindowSpec, pad
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import MinuteSplit, SplitPart, minute_at
from gapcast_trainer.data.windows import Examples, WindowTask, cut_examples, shorten
from tests.support.uci_files import START

FIRST = minute_at(START)
VALUE = st.floats(0, 10, width=32) | st.just(float("nan"))
SERIES = arrays(np.float64, st.integers(0, 160), elements=VALUE)


def split_at(train_min: int, validate_min: int, test_min: int, embargo_min: int) -> MinuteSplit:
    train, validate, test = (START + timedelta(minutes=int(n)) for n in np.cumsum([train_min, validate_min, test_min]))
    return MinuteSplit(train, validate, test, embargo_min)


SPLITS = st.builds(split_at, st.integers(1, 80), st.integers(1, 60), st.integers(1, 60), embargo_min=st.integers(5, 12))
LEADS = st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True).map(sorted).map(tuple)


def parts(series: Series, task: WindowTask, split: MinuteSplit) -> list[Examples]:
    return [cut_examples(series, task, split, part) for part in SplitPart]


def test_examples_of_a_filled_target_are_left_out() -> None:
    kw = np.arange(60.0)
    series = Series(FIRST, kw, filled=kw == 30)
    found = cut_examples(series, WindowTask(WindowSpec(4), (1, 5)), split_at(50, 5, 5, 5), SplitPart.TRAIN)
    assert {25, 29}.isdisjoint(found.observed_minute - FIRST)
    assert {24, 26, 28, 30} <= {*(found.observed_minute - FIRST).tolist()}, "in a window it is used"


@given(SERIES, SPLITS, LEADS)
def test_split_targets_stay_in_their_part(kw: np.ndarray, split: MinuteSplit, leads: tuple[int, ...]) -> None:
    ends = [minute_at(t) for t in (split.train_until, split.validate_until)]
    begins = [-1, *ends]
    for found, begin, end in zip(
        parts(Series(FIRST, kw), WindowTask(WindowSpec(8), leads), split), begins, [*ends, None], strict=True
    ):
        assert (found.observed_minute >= begin).all()
        if end is not None:
            assert (found.observed_minute + split.embargo_min < end).all()
            assert (found.observed_minute + leads[-1] < end).all()


@given(SERIES, SPLITS)
def test_split_minute_is_in_at_most_one_part(kw: np.ndarray, split: MinuteSplit) -> None:
    minutes = np.concatenate(
        [found.observed_minute for found in parts(Series(FIRST, kw), WindowTask(WindowSpec(8)), split)]
    )
    assert (np.diff(minutes) > 0).all()  # in order of time, and none twice


@given(SERIES, SPLITS, st.integers(0, 200))
def test_examples_have_no_future_values(kw: np.ndarray, split: MinuteSplit, at: int) -> None:
    """Changes after *observed at* do not change the window, and the target is not from the window."""
    task = WindowTask(WindowSpec(8))
    changed = kw.copy()
    changed[at:] = np.where(np.isnan(changed[at:]), np.nan, 99.0)
    for before, after in zip(
        parts(Series(FIRST, kw), task, split), parts(Series(FIRST, changed), task, split), strict=True
    ):
        np.testing.assert_array_equal(before.observed_minute, after.observed_minute)
        earlier = before.observed_minute < FIRST + at
        np.testing.assert_array_equal(before.inputs()[earlier], after.inputs()[earlier])
        later = before.observed_minute + task.horizon_min >= FIRST + at
        assert (after.target_kw[later] == 99.0).all()


@settings(max_examples=40)
@given(SERIES, SPLITS)
def test_examples_windows_equal_the_stream(kw: np.ndarray, split: MinuteSplit) -> None:
    """The trainer cuts the windows that the edge would forecast from, if the target was read."""
    task = WindowTask(WindowSpec(8))
    found = {
        int(minute): window[:, 0]
        for one in parts(Series(FIRST, kw), task, split)
        for minute, window in zip(one.observed_minute, one.inputs(), strict=True)
    }
    buffers = Buffers(task.window, max_devices=1)
    expected = {}
    for k in np.flatnonzero(~np.isnan(kw)):
        ready = buffers.accept(Reading("home", FIRST + int(k), float(kw[k]))) is ReadingStatus.READY
        read = k + 5 < kw.size and not np.isnan(kw[k + 5])
        minute = np.array([FIRST + int(k)])
        if ready and read and any(split.holds(part, minute)[0] for part in SplitPart):
            expected[FIRST + int(k)] = buffers.window("home")
    assert found.keys() == expected.keys()
    for observed, window in expected.items():
        np.testing.assert_array_equal(found[observed], window)


@given(
    arrays(np.float32, (4, 12), elements=st.floats(-5, 10, width=32)),
    st.lists(st.integers(2, 12), min_size=4, max_size=4),
    st.sampled_from(["oldest", "zero"]),
)
def test_shorten_pads_by_the_window_contract(windows: np.ndarray, kept: list[int], padding: Padding) -> None:
    spec = WindowSpec(12, padding)
    found = shorten(windows, np.array(kept), spec)
    for window, n, short in zip(windows, kept, found, strict=True):
        np.testing.assert_array_equal(short, pad(window[-n:], spec))
    np.testing.assert_array_equal(shorten(windows[:, :, None], np.array(kept), spec)[:, :, 0], found)


def test_examples_targets_are_the_readings_ahead() -> None:
    kw = np.arange(40.0)
    kw[30] = np.nan
    found = cut_examples(Series(FIRST, kw), WindowTask(WindowSpec(4), (1, 5)), split_at(20, 5, 20, 5), SplitPart.TEST)
    assert found.observed_minute.tolist() == [FIRST + m for m in (26, 27, 28, 31, 32, 33, 34)]
    assert found.target_kw[0].tolist() == [27.0, 31.0]
    assert found.inputs(0, 1)[0, :, 0].tolist() == [23.0, 24.0, 25.0, 26.0]
    assert found.n_observed.tolist() == [4, 4, 4, 3, 3, 3, 4]
    assert found.n_recent.tolist() == [27, 28, 29, 29, 29, 29, 29]
    assert len(found.whole()) == 0


def test_examples_time_of_day_is_the_clock_of_the_file() -> None:
    """As on a gateway with this site.timezone: 12:00 in Berlin is 10:00 UTC in summer, 11:00 in winter."""
    task = WindowTask(WindowSpec(2), features=("gap_kw", "tod_cos"))
    for noon in (datetime(2020, 7, 1, 10, tzinfo=UTC), datetime(2020, 12, 1, 11, tzinfo=UTC)):
        series = Series(minute_at(noon) - 5, np.ones(20), zone=ZoneInfo("Europe/Berlin"))
        split = MinuteSplit(noon - timedelta(days=2), noon - timedelta(days=1), noon + timedelta(days=1))
        found = cut_examples(series, task, split, SplitPart.TEST)
        (at,) = np.flatnonzero(found.observed_minute == minute_at(noon))
        assert found.inputs()[at, -1, 1] == -1.0


@pytest.mark.parametrize("context", [4, 30, 50])
def test_examples_whole_windows_end_with_30_readings(context: int) -> None:
    kw = np.arange(75.0)
    kw[34] = np.nan
    found = cut_examples(
        Series(FIRST, kw), WindowTask(WindowSpec(context)), split_at(10, 5, 60, 5), SplitPart.TEST
    ).whole()
    newest = [30, 31, 32, 33, *range(64, 70)]
    assert found.observed_minute.tolist() == [FIRST + m for m in newest]
    assert found.n_recent.tolist() == [WHOLE_MIN] * len(newest)
    assert found.n_observed.tolist() == [
        np.count_nonzero(~np.isnan(kw[max(0, m + 1 - context) : m + 1])) for m in newest
    ]
    assert found.target_kw[:, 0].tolist() == [m + 5.0 for m in newest]
    assert found.inputs()[:, -1, 0].tolist() == newest


@given(st.integers(0, 160), st.sets(st.integers(0, 159), max_size=4), SPLITS, st.sampled_from([2, 8, 40]))
def test_examples_whole_needs_half_an_hour_without_a_gap(
    n: int, missing: set[int], split: MinuteSplit, context: int
) -> None:
    kw = np.where(np.isin(np.arange(n), list(missing)), np.nan, 1.0)
    for found in parts(Series(FIRST, kw), WindowTask(WindowSpec(context)), split):
        newest = (found.observed_minute - FIRST).tolist()
        read = {m: np.count_nonzero(~np.isnan(kw[max(0, m + 1 - WHOLE_MIN) : m + 1])) for m in newest}
        assert found.n_recent.tolist() == list(read.values())
        assert (found.whole().observed_minute - FIRST).tolist() == [m for m in newest if read[m] == WHOLE_MIN]


@pytest.mark.parametrize("features", [("gap_kw",), ("gap_kw", "voltage_v", "tod_sin")])
@pytest.mark.parametrize("n", [0, 1, 29])
def test_examples_of_an_empty_part(n: int, features: tuple[str, ...]) -> None:
    nothing = np.full(n, np.nan)
    series = Series(FIRST, nothing, {"voltage_v": nothing})
    for found in parts(series, WindowTask(WindowSpec(8), features=features), split_at(5, 5, 5, 5)):
        assert len(found) == len(found.whole()) == 0
        assert found.inputs().shape == found.inputs(n_kept=2).shape == (0, 8, len(features))
        assert list(found.batches(4)) == []


def test_examples_batches_are_complete_and_in_order() -> None:
    found = cut_examples(
        Series(FIRST, np.arange(60.0)), WindowTask(WindowSpec(4)), split_at(50, 5, 5, 5), SplitPart.TRAIN
    )
    inputs, targets = zip(*found.batches(7), strict=True)
    np.testing.assert_array_equal(np.concatenate(inputs), found.inputs())
    np.testing.assert_array_equal(np.concatenate(targets), found.target_kw)


def test_split_embargo_below_the_horizon_is_rejected() -> None:
    split = split_at(20, 5, 20, 4)
    with pytest.raises(ValueError, match="too short for a horizon of 5 min"):
        cut_examples(Series(FIRST, np.ones(60)), WindowTask(), split, SplitPart.TRAIN)


@pytest.mark.parametrize("change", [{"validate_until": START}, {"test_until": START}, {"embargo_min": -1}])
def test_split_parts_out_of_order_are_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must follow each other"):
        replace(split_at(20, 5, 20, 5), **change)
