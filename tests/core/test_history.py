"""The history of the last minutes: readings, forecasts and outcomes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.state_transfer import transfer_state
from gapcast.core.streams.history import AHEAD_MIN, History, HistoryColumns
from gapcast.core.windows.features import MEASURED
from gapcast.predictors.baselines import Persistence

FIRST = 21_476_160
HORIZON = 5


def engine_with(n_minutes: int = 60, max_devices: int = 3) -> Engine:
    return Engine(Persistence(), history=History(n_minutes, max_devices))


def feed(engine: Engine, *readings: tuple[int, float], device: str = "home", at_once: bool = False) -> None:
    """Accept readings of minutes after FIRST, each in its own batch, or all in one."""
    every = [Reading(device, FIRST + minute, kw) for minute, kw in readings]
    for batch in [every] if at_once else [[reading] for reading in every]:
        engine.forecast(engine.accept(batch), 0)


def past(engine: Engine, n_minutes: int = 60, device: str = "home") -> HistoryColumns:
    return engine.history.columns_of(engine.buffers.row(device), n_minutes, HORIZON)


def read(engine: Engine, n_minutes: int = 60, device: str = "home") -> list[tuple[int, float]]:
    found = past(engine, n_minutes, device)
    return [(int(m) - FIRST, float(kw)) for m, kw in zip(found.read_minutes, found.read_kw, strict=True)]


def forecasts_of(engine: Engine) -> dict[int, tuple[float, float]]:
    found = past(engine)
    columns = zip(
        found.target_minutes.tolist(), found.published_kw[:, 0].tolist(), found.actual_kw.tolist(), strict=True
    )
    return {minute - FIRST: (kw, actual) for minute, kw, actual in columns}


@pytest.mark.parametrize("at_once", [False, True])
def test_history_has_readings_forecasts_and_outcomes(at_once: bool) -> None:
    engine = engine_with()
    feed(engine, *((m, float(m)) for m in range(8)), at_once=at_once)
    assert read(engine) == [(m, float(m)) for m in range(8)]
    assert {m: kw for m, (kw, _) in forecasts_of(engine).items()} == {m + 5: float(m) for m in range(1, 8)}
    assert {m: actual for m, (_, actual) in forecasts_of(engine).items() if m <= 7} == {6: 6.0, 7: 7.0}
    assert all(np.isnan(actual) for m, (_, actual) in forecasts_of(engine).items() if m > 7)


def test_history_filled_minute_is_not_a_reading() -> None:
    engine = engine_with()
    feed(engine, (0, 1.0), (3, 4.0), (20, 2.0), (21, 2.5))
    assert read(engine) == [(0, 1.0), (3, 4.0), (20, 2.0), (21, 2.5)]


def test_history_is_limited_to_the_requested_minutes() -> None:
    engine = engine_with(n_minutes=10)
    feed(engine, *((m, float(m)) for m in range(200)))
    assert [m for m, _ in read(engine, 4)] == [196, 197, 198, 199]
    assert [m for m, _ in read(engine, 10_000)] == list(range(190, 200))
    assert min(forecasts_of(engine)) == 190
    assert max(forecasts_of(engine)) == 204


@pytest.mark.parametrize("at_once", [False, True])
def test_history_of_a_restarted_stream_is_not_mixed(at_once: bool) -> None:
    engine = engine_with()
    feed(engine, *((100 + m, 9.0) for m in range(10)), *((m, float(m)) for m in range(4)), at_once=at_once)
    assert read(engine) == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]
    assert {m: kw for m, (kw, _) in forecasts_of(engine).items()} == {7: 2.0, 8: 3.0}


def test_history_has_a_minute_confirmed_later() -> None:
    engine = engine_with(n_minutes=600)
    feed(engine, (0, 1.0), (3_000, 2.0), (3_001, 3.0))
    assert read(engine, 600) == [(3_000, 2.0), (3_001, 3.0)]


def test_history_of_devices_over_the_limit_is_not_stored() -> None:
    engine = engine_with(max_devices=1)
    feed(engine, (0, 1.0), (1, 2.0))
    feed(engine, (0, 1.0), (1, 2.0), device="other")
    assert len(read(engine)) == 2
    assert read(engine, device="other") == []
    nobody = engine_with(n_minutes=0)
    feed(nobody, (0, 1.0), (1, 2.0))
    assert read(nobody) == []
    assert past(nobody).forecasts() == []


def test_history_of_many_devices_at_once() -> None:
    engine = engine_with(max_devices=20)
    for minute in range(3):
        engine.forecast(engine.accept([Reading(f"d{i}", FIRST + minute, float(i)) for i in range(30)]), 0)
    assert read(engine, device="d19") == [(0, 19.0), (1, 19.0), (2, 19.0)]
    assert read(engine, device="d20") == []


def test_history_stores_only_power_of_several_channels() -> None:
    class Wide(Persistence):
        features = tuple(MEASURED)

    engine = Engine(Wide(), history=History(60, 1))
    measured = dict.fromkeys(MEASURED, 7.0)
    engine.accept([Reading("home", FIRST + minute, float(minute), measured=measured) for minute in range(3)])
    assert read(engine) == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_history_of_a_forgotten_device_is_empty() -> None:
    engine = engine_with()
    feed(engine, (0, 1.0), (1, 2.0))
    row = engine.buffers.row("home")
    engine.forget("home")
    assert engine.history.columns_of(row, 60, HORIZON).readings() == []
    engine.history.forget(17)
    feed(engine, (5, 3.0), device="next")
    assert read(engine, device="next") == [(5, 3.0)]
    assert past(engine, device="next").forecasts() == []


def test_history_is_transferred_to_another_engine() -> None:
    before, after = engine_with(), engine_with()
    feed(before, (0, 1.0), (1, 2.0))
    transfer_state(before, after)
    feed(after, (2, 3.0))
    assert read(after) == [(0, 1.0), (1, 2.0), (2, 3.0)]


def test_history_documents_have_labels_and_outcomes() -> None:
    engine = engine_with()
    feed(engine, *((m, 0.1 * m) for m in range(7)))
    assert past(engine, 2).readings() == [
        {"ts": "2010-11-01T00:05:00Z", "gap_kw": 0.5},
        {"ts": "2010-11-01T00:06:00Z", "gap_kw": 0.6},
    ]
    assert past(engine, 1).forecasts()[0] == {
        "observed_at": "2010-11-01T00:01:00Z",
        "target_at": "2010-11-01T00:06:00Z",
        "gap_kw": 0.1,
        "median_kw": None,
        "lower_kw": None,
        "upper_kw": None,
        "actual_kw": 0.6,
        "came_kw": 0.6,
    }


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 40))
def test_history_has_only_readings_since_the_start(minutes: list[int], n_minutes: int) -> None:
    engine = engine_with(n_minutes)
    for i, minute in enumerate(minutes):
        feed(engine, (minute, float(i)))
    if not minutes:
        return
    found = read(engine, n_minutes)
    newest = engine.buffers.stream("home").last_minute - FIRST
    assert found[-1][0] == newest
    assert [m for m, _ in found] == sorted({m for m, _ in found})
    assert all(newest - n_minutes < m <= newest and minutes[round(kw)] == m for m, kw in found)
    assert all(minute <= newest + HORIZON for minute in forecasts_of(engine))
    assert AHEAD_MIN >= HORIZON


def test_history_forecast_of_an_ended_run_is_not_stored() -> None:
    engine = engine_with()
    feed(engine, (0, 1.0))
    forecasts = engine.forecast(engine.accept([Reading("home", FIRST + 1, 2.0)]), 0)
    engine.history.forget(0)
    engine.history.record_forecasts([0], forecasts)
    feed(engine, (2, 3.0))
    assert list(forecasts_of(engine)) == [7]
