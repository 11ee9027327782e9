"""Presence of devices by arrival, reported once for each change."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.monitoring.presence import Presence

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
    """The same, written for one device at a time."""

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
def test_presence_matches_the_simple_reference(steps: list[tuple[str, object]]) -> None:
    presence, simple, now_s = Presence(STALE_S), Simple(), 0.0
    reported: dict[int, bool] = {}
    for step, value in [*steps, ("tell", 1_000)]:
        match step, value:
            case "seen", list(rows):
                presence.record_seen(rows, now_s)
                simple.record_readings(rows, now_s)
            case "wait", float(seconds):
                now_s += seconds
            case "look", int(n_rows):
                presence.mark_offline(n_rows, now_s)
                simple.mark_offline(n_rows, now_s)
            case "forgotten", _:
                presence.republish_all()
                reported.clear()
            case "forget", int(row):
                presence.forget(row)
                simple.forget(row)
                reported.pop(row, None)
            case "tell", int(n_at_most):
                changes = presence.take_changes(n_at_most)
                assert len(changes) <= n_at_most
                assert all(reported.get(row) is not online for row, online in changes)
                reported.update(changes)
    assert reported == simple.there


def test_presence_reports_many_departures_in_parts() -> None:
    presence = Presence(STALE_S)
    presence.record_seen(range(1_000), 0.0)
    assert len(presence.take_changes(1_000)) == 1_000
    presence.mark_offline(1_000, STALE_S + 1)
    parts = [presence.take_changes(256) for _ in range(5)]
    assert [len(part) for part in parts] == [256, 256, 256, 232, 0]
    assert {row for part in parts for row, online in part if not online} == set(range(1_000))


def test_presence_reports_devices_that_were_never_seen() -> None:
    presence = Presence(STALE_S)
    for now_s in (0.0, STALE_S + 1):  # the first time counts as seen
        presence.mark_offline(40, now_s)
    assert presence.take_changes(99) == [(row, False) for row in range(40)]


def test_presence_does_not_report_a_device_that_returned() -> None:
    presence = Presence(STALE_S)
    presence.record_seen([0], 0.0)
    presence.take_changes(1)
    presence.mark_offline(1, STALE_S + 1)
    presence.record_seen([0], STALE_S + 2)
    assert presence.take_changes(10) == []


def test_presence_lists_the_present_devices() -> None:
    presence = Presence(stale_after_s=600)
    presence.record_seen([0], now_s=0)
    presence.record_seen([1], now_s=500)
    presence.mark_offline(n_rows=2, now_s=601)
    assert [presence.is_online(row) for row in (0, 1, 2, 99)] == [False, True, None, None]


def test_presence_seen_alone_is_as_seen_among_others() -> None:
    alone, among = Presence(STALE_S), Presence(STALE_S)
    for now_s in (0.0, 1.0, 700.0):
        alone.mark_offline(2, now_s)
        among.mark_offline(2, now_s)
        alone.record_seen([1], now_s)
        among.record_seen([1, 1], now_s)
        assert alone.has_changes == (now_s != 1.0)
        assert alone.take_changes(10) == among.take_changes(10)
        assert not alone.has_changes
    assert alone.is_online(1)
