"""The phase table: the step of a load that a window shows, and what it learns when the step is undone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.errors import StateError
from gapcast.core.learning.online_model import phase_table
from gapcast.core.learning.online_model.phase_table import N_AGES, N_CELLS, N_LONGER, OUTCOMES, SHARES
from gapcast.core.windows.window import WindowSpec
from tests.support.examples import examples
from tests.support.houses import EngineRun, Smooth, ensemble_engine, ensemble_of, house_kw, stream

CONTEXT = 180
HORIZON_MIN = 5
State = dict[str, NDArray[np.integer]]


def cycling(n_minutes: int, on_min: int = 12, off_min: int = 20) -> F64:
    """Return a load of 2 kW on a base of 0.5 kW that cycles, and was switched on in the first minute; kW."""
    return np.where(np.arange(n_minutes) % (on_min + off_min) < on_min, 2.5, 0.5)


def found(kw: F64) -> tuple[float, int, int, int]:
    """Return height of the step, direction, and indices by age and by length, at the end of one window."""
    phases = phase_table.find_phases(np.array([kw], dtype=np.float32))
    direction, place = divmod(int(phases.cells[0]), N_AGES * N_LONGER)
    return float(phases.height_kw[0]), direction, *divmod(place, N_LONGER)


def place_of(minutes: float, least: float = 1.0) -> int:
    return int(2 * np.log1p(minutes / least))


def windows_of(kw: F64) -> F32:
    return np.lib.stride_tricks.sliding_window_view(kw.astype(np.float32), CONTEXT)


def new_state() -> State:
    return {name: array[np.newaxis] for name, array in phase_table.initial_state().items()}


def learned(kw: F64) -> State:
    """Return the table of one device after all windows of ``kw``."""
    state = new_state()
    windows = windows_of(kw)
    for before, after in zip(windows[:-HORIZON_MIN], windows[HORIZON_MIN:], strict=True):
        phases = phase_table.find_phases(before[np.newaxis])
        phase_table.update(state, np.zeros(1, dtype=np.int64), phases, (after[-1:] - before[-1:]).astype(np.float64))
    return state


def test_phase_of_a_cycling_load_is_compared_with_the_last_of_its_kind() -> None:
    kw = cycling(CONTEXT + 40)
    on_for_9 = kw[: 32 * 5 + 10]  # switched on nine minutes ago, for the sixth time
    assert found(on_for_9) == (2.0, 1, place_of(9), 5 - place_of(3, 1.5)), "three minutes less than the last time"
    off_for_20 = kw[: 32 * 6]
    assert found(off_for_20)[:3] == (-2.0, 0, place_of(19))


def test_phase_without_an_earlier_one_of_its_kind_has_its_own_cells() -> None:
    kw = np.full(CONTEXT, 0.5)
    assert found(kw)[0] == 0
    kw[-4:] += 2.0
    assert found(kw) == (2.0, 1, place_of(3), N_LONGER - 1)
    assert found(kw[-2:])[0] == found(kw[-1:])[0] == 0


@pytest.mark.parametrize("share", [0.15, 0.5, 0.85])
def test_phase_begins_within_the_minute_in_which_the_load_switched(share: float) -> None:
    """Two minute means show the step: a step of the whole height, at the mean of their times."""
    kw = np.full(CONTEXT, 0.5)
    kw[-12:] += 2.0
    kw[-13] += 2.0 * share
    height_kw, _, by_age, _ = found(kw)
    assert height_kw == pytest.approx(2.0)
    assert by_age == place_of(11 + share)


def test_phase_of_a_load_is_not_ended_by_smaller_steps() -> None:
    kw = cycling(32 * 5 + 10)
    alone = found(kw)
    kw[-4:] += 1.5  # three quarters of the compressor's height
    kw[-50:-40] += 0.7
    assert found(kw) == alone
    kw[-3:] += 0.3
    assert found(kw)[0] == pytest.approx(1.8), "the second half of a step in two minutes"


def test_phase_table_learns_when_a_load_switches_off() -> None:
    kw = cycling(4_000)
    state = learned(kw)
    windows = windows_of(kw)[1_000:1_032]
    phases = phase_table.find_phases(windows)
    expected_kw = phase_table.expected_kw(state, np.zeros(32, dtype=np.int64), phases)
    actual_kw = kw[1_000 + CONTEXT - 1 + HORIZON_MIN :][:32] - windows[:, -1]
    assert np.abs(expected_kw - actual_kw).mean() < 0.25 * np.abs(actual_kw).mean()
    assert not phase_table.expected_kw(new_state(), np.zeros(32, dtype=np.int64), phases).any()


def test_phase_table_forgets_slowly_how_a_load_was() -> None:
    """The mean is over a limited number of outcomes, so that a new habit replaces the first one."""
    state = new_state()
    phases, row = phase_table.Phases(np.array([2.0]), np.array([7])), np.zeros(1, dtype=np.int64)
    for change_kw, expected_kw in ((-2.0, -2.0), (0.0, 0.0), (-1.0, -1.0), (3.0, 0.0), (-9.0, -2.0)):
        for _ in range(3_000):
            phase_table.update(state, row, phases, np.array([change_kw]))
        assert phase_table.expected_kw(state, row, phases)[0] == pytest.approx(expected_kw, abs=0.02)
    assert state[OUTCOMES][0].tolist() == [255 * (cell == 7) for cell in range(N_CELLS)]


@examples(50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.sampled_from((0.01, 1.0, 30.0)))
def test_phases_of_a_batch_equal_those_one_by_one(seed: int, n_minutes: int, size: float) -> None:
    draw = np.random.default_rng(seed)
    kw = house_kw(n_minutes + 20, seed) * size
    kw[draw.random(len(kw)) < 0.1] = 0.0
    windows = np.lib.stride_tricks.sliding_window_view(kw.astype(np.float32), n_minutes)
    whole = phase_table.find_phases(windows)
    ones = [phase_table.find_phases(window[np.newaxis]) for window in windows]
    assert whole.cells.tolist() == [one.cells[0] for one in ones]
    assert whole.height_kw.tolist() == [one.height_kw[0] for one in ones]
    assert ((whole.cells >= 0) & (whole.cells < N_CELLS)).all()


@examples(20)
@given(st.integers(-32_768, 32_767), st.integers(0, 255), st.floats(-100, 100), st.floats(-1e6, 1e6))
def test_phase_table_in_any_state_expects_at_most_the_step(share: int, n: int, height_kw: float, change: float) -> None:
    """This includes damaged state: values are always numbers, and learning replaces the damage."""
    state: State = {SHARES: np.full((1, N_CELLS), share, np.int16), OUTCOMES: np.full((1, N_CELLS), n, np.uint8)}
    phases, row = phase_table.Phases(np.array([height_kw]), np.array([3])), np.zeros(1, dtype=np.int64)
    assert abs(phase_table.expected_kw(state, row, phases)[0]) <= abs(height_kw) * 1.0001
    for _ in range(3_000 * (height_kw != 0)):
        phase_table.update(state, row, phases, np.array([change]))
    learned_kw = -height_kw * np.clip(-change / height_kw, 0, 1) if height_kw else 0.0
    assert phase_table.expected_kw(state, row, phases)[0] == pytest.approx(learned_kw, abs=0.01 * abs(height_kw))


def test_phase_table_learns_nothing_from_what_is_not_a_number() -> None:
    state, row = new_state(), np.zeros(1, dtype=np.int64)
    for height_kw, change_kw in ((0.0, 1.0), (2.0, np.nan), (np.inf, -np.inf)):
        with np.errstate(invalid="ignore"):
            phase_table.update(state, row, phase_table.Phases(np.array([height_kw]), row), np.array([change_kw]))
    assert not state[OUTCOMES].any()


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("context", "horizon_min"), [(CONTEXT, HORIZON_MIN), (60, 30)])
def test_phase_table_is_learned_from_the_windows_of_the_forecasts(
    context: int, horizon_min: int, *, compiled: bool
) -> None:
    """The table learns at the outcome, from the minutes that are in both windows."""
    kw = cycling(400) + np.random.default_rng(1).normal(0, 0.02, 400).round(3)
    model = Smooth(WindowSpec(context), (horizon_min,))
    run = EngineRun(ensemble_engine(model, compiled=compiled)).process(stream(kw, device="home"))
    run.engine.learn()
    padded = np.concatenate((np.full(context, kw[0]), kw)).astype(np.float32)
    state = new_state()
    for minute in range(1, len(kw) - horizon_min):  # the first reading has no forecast
        window = padded[1 + horizon_min + minute : 1 + minute + context]
        phases, change_kw = phase_table.find_phases(window[np.newaxis]), kw[minute + horizon_min] - window[-1:]
        phase_table.update(state, np.zeros(1, dtype=np.int64), phases, change_kw.astype(np.float64))
    arrays = ensemble_of(run.engine).state.arrays
    assert state[OUTCOMES].sum() > 200
    assert arrays[OUTCOMES][1].tolist() == state[OUTCOMES][0].tolist()
    assert arrays[SHARES][1].tolist() == pytest.approx(state[SHARES][0].tolist(), abs=1)


@pytest.mark.parametrize("compiled", [True, False])
def test_replaced_forecasts_teach_the_phase_table_nothing(*, compiled: bool) -> None:
    run = EngineRun(ensemble_engine(Smooth(WindowSpec(CONTEXT)), compiled=compiled))
    for reading in stream(cycling(120), device="home"):
        run.process([reading])
        run.engine.learn()
        ensemble_of(run.engine).state.arrays["coefficients"][1] = np.nan
    assert not ensemble_of(run.engine).state.arrays[OUTCOMES][1].any()


def test_phase_table_with_other_values_is_rejected() -> None:
    run = EngineRun(ensemble_engine(Smooth(WindowSpec(CONTEXT)))).process(stream(cycling(60), device="home"))
    saved = ensemble_of(run.engine).columns([0])
    for name in (SHARES, OUTCOMES):
        for wrong in (saved[name].astype(np.float64), saved[name].astype(np.int64), saved[name][:, :1]):
            with pytest.raises(StateError, match=f"{name} has values of another type or number"):
                ensemble_of(ensemble_engine(Smooth(WindowSpec(CONTEXT)))).restore_columns(1, {**saved, name: wrong})
