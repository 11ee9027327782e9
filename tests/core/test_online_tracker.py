"""Tracks by arrival which devices are online, with one report for each change."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.monitoring.online_tracker import OnlineTracker

STALE_S = 600.0
ROWS = st.integers(0, 40)
SEEN = st.tuples(st.just("seen"), st.lists(ROWS, min_size=1, max_size=5))
STEPS = st.lists(
    st.one_of(
        SEEN,
        st.tuples(st.just("wait"), st.sampled_from([1.0, 300.0, 601.0])),
        st.tuples(st.just("look"), st.integers(0, 41)),
        st.tuples(st.just("tell"), st.integers(1, 50)),
        st.tuples(st.just("forgotten"), st.none()),
        st.tuples(st.just("forget"), ROWS),
    ),
    max_size=40,
)


@dataclass
class Simple:
    """The same rules, written for one device at a time."""

    seen_s: dict[int, float] = field(default_factory=dict)
    there: dict[int, bool] = field(default_factory=dict)

    def mark_offline(self, n_rows: int, now_s: float) -> None:
        for row in range(n_rows):
            self.seen_s.setdefault(row, now_s)
            if self.seen_s[row] < now_s - STALE_S:
                self.there[row] = False

    def record_readings(self, rows: list[int], now_s: float) -> None:
        for row in rows:
            self.seen_s[row], self.there[row] = now_s, True

    def forget(self, row: int) -> None:
        self.seen_s.pop(row, None)
        self.there.pop(row, None)


@given(STEPS)
def test_online_tracker_matches_the_simple_reference(steps: list[tuple[str, object]]) -> None:
    tracker, simple, now_s = OnlineTracker(STALE_S), Simple(), 0.0
    reported: dict[int, bool] = {}
    for step, value in [*steps, ("tell", 1_000)]:
        match step, value:
            case "seen", list(rows):
                tracker.record_seen(rows, now_s)
                simple.record_readings(rows, now_s)
            case "wait", float(seconds):
                now_s += seconds
            case "look", int(n_rows):
                tracker.mark_offline(n_rows, now_s)
                simple.mark_offline(n_rows, now_s)
            case "forgotten", _:
                tracker.republish_all()
                reported.clear()
            case "forget", int(row):
                tracker.forget(row)
                simple.forget(row)
                reported.pop(row, None)
            case "tell", int(n_at_most):
                changes = tracker.take_changes(n_at_most)
                assert len(changes) <= n_at_most
                assert all(reported.get(row) is not online for row, online in changes)
                reported.update(changes)
    assert reported == simple.there


def test_online_tracker_reports_many_departures_in_parts() -> None:
    tracker = OnlineTracker(STALE_S)
    tracker.record_seen(range(1_000), 0.0)
    assert len(tracker.take_changes(1_000)) == 1_000
    tracker.mark_offline(1_000, STALE_S + 1)
    parts = [tracker.take_changes(256) for _ in range(5)]
    assert [len(part) for part in parts] == [256, 256, 256, 232, 0]
    assert {row for part in parts for row, online in part if not online} == set(range(1_000))


def test_online_tracker_reports_devices_that_were_never_seen() -> None:
    tracker = OnlineTracker(STALE_S)
    for now_s in (0.0, STALE_S + 1):  # the first time counts as seen
        tracker.mark_offline(40, now_s)
    assert tracker.take_changes(99) == [(row, False) for row in range(40)]


def test_online_tracker_row_without_a_device_is_not_offline() -> None:
    tracker = OnlineTracker(STALE_S)
    tracker.record_seen([0, 1], 0.0)
    tracker.forget(0)
    assert tracker.mark_offline(2, 1.0, [0]) == []
    assert tracker.mark_offline(2, STALE_S + 2, [0]) == [1]
    assert (tracker.n_offline, tracker.is_online(0)) == (1, None)
    assert tracker.mark_offline(2, STALE_S + 3) == [], "a restored device in that row counts as seen now"


def test_online_tracker_does_not_report_a_device_that_returned() -> None:
    tracker = OnlineTracker(STALE_S)
    tracker.record_seen([0], 0.0)
    tracker.take_changes(1)
    tracker.mark_offline(1, STALE_S + 1)
    tracker.record_seen([0], STALE_S + 2)
    assert tracker.take_changes(10) == []


def test_online_tracker_lists_the_present_devices() -> None:
    tracker = OnlineTracker(stale_after_s=600)
    tracker.record_seen([0], now_s=0)
    tracker.record_seen([1], now_s=500)
    tracker.mark_offline(n_rows=2, now_s=601)
    assert [tracker.is_online(row) for row in (0, 1, 2, 99)] == [False, True, None, None]


def test_online_tracker_seen_alone_is_as_seen_among_others() -> None:
    alone, among = OnlineTracker(STALE_S), OnlineTracker(STALE_S)
    for now_s in (0.0, 1.0, 700.0):
        alone.mark_offline(2, now_s)
        among.mark_offline(2, now_s)
        alone.record_seen([1], now_s)
        among.record_seen([1, 1], now_s)
        assert alone.has_changes == (now_s != 1.0)
        assert alone.take_changes(10) == among.take_changes(10)
        assert not alone.has_changes
    assert alone.is_online(1)


def test_online_tracker_returned_are_those_that_were_offline() -> None:
    tracker = OnlineTracker(STALE_S)
    tracker.record_seen([0, 1, 2, 3], 0.0)
    assert tracker.mark_offline(5, STALE_S + 1) == [0, 1, 2, 3]
    assert tracker.mark_offline(5, STALE_S + 2) == []
    tracker.record_seen([2, 1, 4], STALE_S + 3)
    tracker.record_seen([0], STALE_S + 3)
    tracker.record_seen([1], STALE_S + 4)
    tracker.forget(2)
    assert (tracker.take_returned(), tracker.take_returned()) == ([1, 0], [])


def test_online_tracker_stale_age_exceeds_the_limit() -> None:
    tracker = OnlineTracker(STALE_S)
    assert not tracker.is_stale(STALE_S)
    assert tracker.is_stale(STALE_S + 1)


def test_online_tracker_postponed_time_does_not_count() -> None:
    tracker = OnlineTracker(STALE_S)
    tracker.record_seen([0], 0.0)
    tracker.postpone(3_600.0)
    assert tracker.mark_offline(1, 3_600.0 + STALE_S) == []
    assert tracker.mark_offline(1, 3_600.0 + STALE_S + 1) == [0]
