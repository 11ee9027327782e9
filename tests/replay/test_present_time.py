"""A replay that continues in the present: past minutes at once, the others when they are over."""

from __future__ import annotations

from threading import Event

import pytest

from gapcast.core.time_grid import DAY_MIN
from gapcast.recordings.recording import Minute
from gapcast.replay.present_time import replay_to_present, shift_to_present

NOW = 29_892_960 + 700


class Waits(Event):
    """A clock that advances while it is waited for, by at most ``longest_s`` at a time, without actual waiting."""

    def __init__(self, longest_s: float = 1e9, n_until_set: int = 1_000) -> None:
        super().__init__()
        self.now_s, self._longest_s, self._n_left = NOW * 60.0, longest_s, n_until_set

    def clock(self) -> float:
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        self._n_left -= 1
        if not self._n_left:
            self.set()
        self.now_s += min(timeout or 0.0, self._longest_s)
        return super().wait(0)


def published(waits: Waits, *offsets: int) -> list[tuple[int, float]]:
    """Return the published minutes, and the time of each publication, both after now."""
    found: list[tuple[int, float]] = []
    minutes = [Minute(NOW + offset, 1.0) for offset in offsets]

    def publish(minute: Minute) -> None:
        found.append((minute.minute - NOW, waits.now_s - NOW * 60))

    assert replay_to_present(minutes, publish, waits, waits.clock) == len(found)
    return found


def test_past_minutes_are_published_at_once_and_others_when_they_are_over() -> None:
    assert published(Waits(), -3, -1, 0, 1, 4) == [(-3, 0), (-1, 0), (0, 60), (1, 120), (4, 300)]


def test_wait_that_ends_early_is_continued() -> None:
    assert published(Waits(longest_s=25), -1, 0) == [(-1, 0), (0, 60)]


def test_replay_stops_while_it_waits_for_the_minute() -> None:
    assert published(Waits(n_until_set=2), -1, 0, 1, 2) == [(-1, 0), (0, 60)]


@pytest.mark.parametrize("n_min", [2 * DAY_MIN, 7 * DAY_MIN, 7 * DAY_MIN + 1, 40 * DAY_MIN - 1])
@pytest.mark.parametrize("now", [NOW, NOW + 739, NOW + 740, NOW + 741])
def test_long_file_keeps_its_time_of_day_and_has_a_day_to_come(n_min: int, now: int) -> None:
    first = 21_294_720 + 77
    shift = shift_to_present(first, first + n_min - 1, now)
    assert shift % DAY_MIN == 0
    assert DAY_MIN <= first + n_min - 1 + shift - now < 2 * DAY_MIN
    assert first + shift <= now


@pytest.mark.parametrize("n_min", [1, 2, 61, 2 * DAY_MIN - 1])
def test_half_of_a_short_file_is_over(n_min: int) -> None:
    first = 21_294_720
    shift = shift_to_present(first, first + n_min - 1, NOW)
    assert NOW - (first + shift) == n_min // 2
