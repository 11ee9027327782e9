"""A filled minute is part of windows, and never the outcome of a forecast."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.engine import Engine
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.isolation import forecast_with_bisection
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.journal_replay import JournalReplay
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.snapshots.state_transfer import transfer_state
from gapcast.core.streams.history import History
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence
from tests.support.houses import FIRST, ensemble_engine, ensemble_of, house_kw, stream

N = 60
FILLED = st.sets(st.integers(0, N - 1), max_size=30)
#: State learned from outcomes, or from readings, without the pending forecasts.
LEARNED = ("seen", "memory", "coefficients", "covariance", "usual")


def house(filled: Iterable[int] = (), device: str = "home") -> list[Reading]:
    readings = stream(house_kw(N), device=device)
    return [reading._replace(is_filled=i in set(filled)) for i, reading in enumerate(readings)]


def run(engine: Engine, readings: list[Reading], *, at_a_time: int = 1) -> list[Outcomes]:
    found = []
    for at in range(0, len(readings), at_a_time):
        engine.forecast(engine.accept(readings[at : at + at_a_time]), 0)
        outcomes, _ = engine.learn()
        found += [outcomes] if outcomes is not None else []
    return found


def learned(engine: Engine) -> dict[str, bytes]:
    columns = ensemble_of(engine).columns([0])
    return {name: columns[name].tobytes() for name in LEARNED}


@pytest.mark.long
@given(FILLED, st.integers(1, 20))
def test_filled_minute_is_no_outcome(filled: set[int], at_a_time: int) -> None:
    engine = ensemble_engine()
    found = run(engine, house(filled), at_a_time=at_a_time)
    minutes = [int(minute) - FIRST for outcomes in found for minute in outcomes.minutes]
    assert minutes == [minute for minute in range(6, N) if minute not in filled]
    assert engine.scores_of("home")[ALL_TIME].n == len(minutes)


def test_filled_minute_is_not_learned_from() -> None:
    engine = ensemble_engine()
    run(engine, house()[:-1])
    before = learned(engine)
    last = house()[-1]._replace(gap_kw=9.0)
    run(engine, [last._replace(is_filled=True)])
    assert learned(engine) == before
    assert engine.latest()[0].observed_minute == last.minute, "it has a forecast"
    assert engine.buffers.window("home")[-1] == 9.0
    measured = ensemble_engine()
    run(measured, [*house()[:-1], last])
    assert learned(measured) != before


def test_filled_minute_is_not_counted_as_a_real_reading() -> None:
    engine = Engine(Persistence(WindowSpec(4)))
    readings = house({2, 3, 4, 5, 6})
    n_observed = [engine.accept([reading]).n_observed for reading in readings[:9]]
    assert n_observed == [[], [2], [2], [2], [1], [0], [0], [1], [2]]
    assert engine.buffers.count_observed(engine.buffers.stream("home")) == 2


def test_filled_minute_may_begin_a_history() -> None:
    engine = Engine(Persistence(WindowSpec(4)))
    run(engine, house({0})[:3])
    assert engine.buffers.count_observed(engine.buffers.stream("home")) == 2


def test_history_omits_filled_minutes() -> None:
    engine = Engine(Persistence(), history=History(N, 1))
    run(engine, house({20, 30}))
    columns = engine.history.columns_of(0, N, 5)
    missing = {FIRST + 20, FIRST + 30}
    assert {*range(FIRST, FIRST + N)} - {*columns.read_minutes.tolist()} == missing
    without_outcome = columns.target_minutes[np.isnan(columns.actual_kw) & (columns.target_minutes < FIRST + N)]
    assert {*without_outcome.tolist()} == missing


def test_restored_engine_has_the_filled_minutes() -> None:
    engine = Engine(Persistence(WindowSpec(8)))
    run(engine, house({N - 3, N - 1}))
    after = Engine(Persistence(WindowSpec(8)), history=History(N, 1))
    restore_snapshot(after, capture_snapshot(engine))
    run(after, [Reading("home", FIRST + N, 1.0)])
    read = after.history.columns_of(0, N, 5).read_minutes - FIRST
    assert read.tolist() == [N - 7, N - 6, N - 5, N - 4, N - 2, N]


@pytest.mark.parametrize(("context", "n_observed"), [(4, 2), (30, 7)])
def test_filled_minutes_move_to_a_model_of_another_context(context: int, n_observed: int) -> None:
    before, after = Engine(Persistence(WindowSpec(8))), Engine(Persistence(WindowSpec(context)))
    run(before, house({N - 3, N - 1}))
    transfer_state(before, after)
    restored = Engine(Persistence(WindowSpec(context)))
    restore_snapshot(restored, capture_snapshot(before))
    for engine in (after, restored):
        assert engine.accept([Reading("home", FIRST + N, 1.0)]).n_observed == [n_observed]


@pytest.mark.long
@given(FILLED, st.integers(1, 20))
def test_replayed_filled_minutes_are_not_learned_from(filled: set[int], at_a_time: int) -> None:
    devices = ("home", "barn")
    readings = [
        reading for pair in zip(*(house(filled, device) for device in devices), strict=True) for reading in pair
    ]
    live, replayed = ensemble_engine(), ensemble_engine()
    run(live, readings, at_a_time=at_a_time)
    replay = JournalReplay(replayed)
    for at in range(0, len(readings), at_a_time):
        replay.replay_batch(readings[at : at + at_a_time], 0)
    replay.finish()
    assert learned(replayed) == learned(live)


def test_filled_minutes_of_a_batch_in_parts_are_not_learned_from() -> None:
    devices = ("a", "b", "c", "d")
    whole, apart = ensemble_engine(), ensemble_engine()
    for engine in (whole, apart):
        for i in range(N - 1):
            run(engine, [house((), device)[i] for device in devices], at_a_time=4)
    last = [house({N - 1} if device in "bd" else (), device)[-1] for device in devices]
    accepted = whole.accept(last)
    whole.forecast(accepted, 0)
    assert accepted.filled == [1, 3]
    sound, forecasts = forecast_with_bisection(apart, apart.accept(last), 0)
    assert (sound.filled, forecasts.devices) == ([1, 3], [*devices])
    for engine in (whole, apart):
        outcomes, _ = engine.learn()
        assert outcomes is not None
        assert outcomes.rows.tolist() == [0, 2]
