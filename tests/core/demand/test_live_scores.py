"""Live scores: windows of devices, in batches of any size."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.demand.demand import Demands, WindowDemands
from gapcast.core.demand.live_scores import LiveScores
from gapcast.core.demand.running_windows import ClosedWindow
from tests.support.outlook_model import OutlookModel

WINDOW_MIN = 5


def demands(minutes: list[int], p_exceed: float = 0.7) -> Demands:
    """Demands at ``minutes``, of windows of five minutes, with a limit of 2 kW."""
    observed = np.array(minutes)
    start = (observed + 1) // WINDOW_MIN * WINDOW_MIN
    elapsed, n = observed + 1 - start, len(minutes)
    kw, none = np.full(n, 1.0), np.zeros(n, dtype=np.int64)
    so_far_kw = np.where(elapsed > 0, 1.0, np.nan)
    powers = so_far_kw, kw, kw, kw, kw, np.full(n, 2.0)
    windows = WindowDemands(
        start, start + WINDOW_MIN, elapsed, elapsed, *powers, none, np.full(n, p_exceed), kw
    )  # fmt: skip
    return Demands(OutlookModel(), 7, ["home"] * n, observed, windows, windows, kw, kw, kw, kw)


def closed(start: int, mean_kw: float = 3.0, n_known: int = WINDOW_MIN) -> ClosedWindow:
    return ClosedWindow(0, start, start + WINDOW_MIN, n_known, mean_kw, 2.0)


def record(live: LiveScores, minutes: list[int]) -> None:
    live.record(np.full(len(minutes), 1), demands(minutes), np.full(len(minutes), 1.0))


@pytest.mark.parametrize("at_once", [1, 4, 12])
def test_windows_are_scored_when_the_next_demand_comes(at_once: int) -> None:
    live, minutes = LiveScores(), list(range(99, 111))
    for at in range(0, len(minutes), at_once):
        batch = minutes[at : at + at_once]
        live.close(closed(minute - 4) for minute in batch if minute % WINDOW_MIN == 4 and minute > 99)
        record(live, batch)
    found = live.of(1, WINDOW_MIN)
    assert (found.n_windows, found.n_events) == (2, 2)
    assert found.thirds[0].brier == pytest.approx(0.3**2)


def test_incomplete_window_does_not_count() -> None:
    live = LiveScores()
    record(live, [99, 100])
    live.close([closed(100, n_known=2)])
    record(live, [109])
    assert live.of(1, WINDOW_MIN).n_windows == 0
    assert np.isnan(live.state.arrays["waiting"][1, 1:]).all()


def test_window_that_demands_have_not_seen_does_not_count() -> None:
    live = LiveScores()
    live.close([closed(90)])
    record(live, [99])
    record(live, [104])
    assert live.of(1, WINDOW_MIN).n_windows == 0


def test_window_closed_before_the_next_demand_counts() -> None:
    live = LiveScores()
    record(live, [99, 100])
    live.close([closed(100)])
    live.record(np.array([2]), demands([120]), np.array([1.0]))  # another device
    record(live, [130])
    assert live.of(1, WINDOW_MIN).n_windows == 1


def test_forgotten_device_has_no_scores() -> None:
    live = LiveScores()
    record(live, [99])
    live.close([closed(100)])
    live.forget(1)
    record(live, [104])
    assert live.of(1, WINDOW_MIN).n_windows == 0
    assert live.of(99, WINDOW_MIN).n_windows == 0
