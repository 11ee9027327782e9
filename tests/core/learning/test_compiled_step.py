"""The compiled step gives the same forecasts and learned state as the numpy modules for any stream of readings."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapcast.bundled.learning_prior import bundled_prior
from gapcast.core.arrays import device_rows
from gapcast.core.arrays.resized_arrays import extended
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.ensemble import compiled_step
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.ensemble.step_outcomes import KINDS
from gapcast.core.learning.ensemble.step_struct import STATE
from gapcast.core.learning.online_model import phase_table
from gapcast.core.models.predictor import Predictor
from gapcast.core.readings.reading import Reading
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence, Trend
from tests.support.examples import examples
from tests.support.houses import FIRST, EngineRun, Smooth, ensemble_engine, ensemble_of, house_kw, plug_kw, stream

pytestmark = pytest.mark.compiled

DEVICES = ("home", "barn", "shed", "loft")
STEPS = st.sampled_from((1, 1, 1, 1, 1, 1, 2, 4, 7, 0, -1))
FILLED_KW = 0.35
POWERS_KW = st.sampled_from((0.0, 0.1, FILLED_KW, 2.4, -0.5, 99.0)) | st.floats(-3, 12).map(lambda kw: round(kw, 3))
ENTRIES = st.lists(st.tuples(st.integers(0, 3), STEPS, POWERS_KW), min_size=30, max_size=90)
#: The arrays of the state with numbers, and values that damaged state may hold.
NUMBERS = tuple(name for name, kind in STATE.items() if kind.startswith("f"))
DAMAGED = (np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, -1.0)
#: Tolerance: the same sums in the same order, but a logarithm's or exponential function's last digit may differ.
ROUNDING = 1e-12


def pair(*models: Predictor, **options: Any) -> tuple[EngineRun, EngineRun]:
    """A run with the compiled step and one with numpy."""
    compiled, numpy = (EngineRun(ensemble_engine(*models, compiled=chosen, **options)) for chosen in (True, False))
    assert ensemble_of(compiled.engine).compiled_step is not None
    assert ensemble_of(numpy.engine).compiled_step is None
    return compiled, numpy


def readings_of(entries: list[tuple[int, int, float]]) -> list[Reading]:
    minutes = dict.fromkeys(DEVICES, FIRST)
    made = []
    for who, step, kw in entries:
        minutes[DEVICES[who]] += step
        made.append(Reading(DEVICES[who], minutes[DEVICES[who]], kw, is_filled=kw == FILLED_KW))
    return made


def states_differ_by(compiled: EngineRun, numpy: EngineRun) -> float:
    """Return the largest difference of two learned states, relative to the largest value of the array."""
    rows = [compiled.engine.buffers.row(device) for device in compiled.engine.buffers]
    found, expected = (ensemble_of(run.engine).columns(rows) for run in (compiled, numpy))
    assert found.keys() == expected.keys()
    for name in found:
        if found[name].dtype.kind in "iu":
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    return max(difference(found[name], expected[name]) for name in found if found[name].dtype.kind == "f")


def difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
    is_finite = np.isfinite(expected)
    size = np.abs(expected[is_finite]).max(initial=1e-30)
    apart = np.subtract(found, expected, where=is_finite, out=np.zeros(found.shape))
    return float((np.abs(apart) / size).max(initial=0.0))


@pytest.mark.long
@examples(60)
@given(ENTRIES, st.integers(1, 40), st.sampled_from((2, 10, 30, 61, 180)), st.integers(0, 4))
def test_compiled_step_any_stream_equals_numpy(
    entries: list[tuple[int, int, float]], size: int, context: int, n_tracked: int
) -> None:
    models = Smooth(WindowSpec(context)), Trend()
    compiled, numpy = pair(*models[: 1 if context < 30 else 2], max_devices=n_tracked)
    readings = readings_of(entries)
    compiled.process(readings, at_a_time=size)
    numpy.process(readings, at_a_time=size)
    assert compiled.forecasts == numpy.forecasts
    assert states_differ_by(compiled, numpy) < ROUNDING


def test_compiled_step_outcomes_equals_numpy() -> None:
    houses = {name: house_kw(900, seed) for seed, name in enumerate(DEVICES)}
    compiled, numpy = (run.process_houses(houses) for run in pair(zone=ZoneInfo("Europe/Brussels")))
    assert len(numpy.forecasts) > 3_000
    assert compiled.forecasts == numpy.forecasts
    for device in DEVICES:
        for name in ("minutes", "actual_kw", "last_kw", "members_kw", "published_kw"):
            found, expected = compiled.outcome(name, device), numpy.outcome(name, device)
            np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=ROUNDING, equal_nan=True)
    assert states_differ_by(compiled, numpy) < ROUNDING


def test_compiled_step_half_an_hour_ahead_equals_numpy() -> None:
    """The prior weights and the learning rates depend on the horizon."""
    houses = {name: house_kw(600, seed) for seed, name in enumerate(DEVICES)}
    compiled, numpy = (run.process_houses(houses) for run in pair(Smooth(lead_times_min=(5, 30))))
    assert compiled.forecasts == numpy.forecasts
    assert states_differ_by(compiled, numpy) < ROUNDING


@pytest.mark.parametrize("n_tracked", [4, 0])
def test_compiled_step_that_starts_from_the_prior_equals_numpy(n_tracked: int) -> None:
    """Untracked devices are always forecast from the prior."""
    houses = {name: house_kw(400, seed) for seed, name in enumerate(DEVICES)}
    pairs = pair(Smooth(WindowSpec(180)), prior=bundled_prior(), max_devices=n_tracked)
    compiled, numpy = (run.process_houses(houses) for run in pairs)
    assert compiled.forecasts == numpy.forecasts
    assert n_tracked == 0 or states_differ_by(compiled, numpy) < ROUNDING


@pytest.mark.parametrize("context", [21, 30, 45, 100, 180])
def test_compiled_step_finds_the_steps_of_numpy(context: int) -> None:
    """Steps in each minute or in none, at both ends of a window, of only part of a step, upwards and downwards."""
    draw = np.random.default_rng(context)
    minute = np.arange(2 * context)
    courses = {
        "alternating": 1.0 + minute % 2,
        "ramp": 0.2 * (minute % 40),
        "rare": 0.3 + 2.0 * (minute % (context - 7) < 3),
        "of a step": 0.15 * draw.integers(0, 3, len(minute)),
        "large": 1e5 * draw.integers(-1, 2, len(minute)),
        "constant": np.full(len(minute), 0.5),
    }
    limits = {"min_kw": -1e6, "max_kw": 1e6}
    pairs = pair(Smooth(WindowSpec(context), (1,)), **limits)
    compiled, numpy = (run.process_houses(courses) for run in pairs)
    assert compiled.forecasts == numpy.forecasts
    assert states_differ_by(compiled, numpy) < ROUNDING
    assert ensemble_of(numpy.engine).columns(range(6))[phase_table.OUTCOMES].any()


@pytest.mark.long
def test_compiled_step_equals_numpy_for_a_plug() -> None:
    """Its error scale falls below the minimum to which changes are clipped, a multiple of it."""
    compiled, numpy = (run.process(stream(plug_kw(3_600)), at_a_time=400) for run in pair())
    assert compiled.forecasts == numpy.forecasts
    assert states_differ_by(compiled, numpy) < ROUNDING


def test_compiled_step_model_without_quantiles_equals_numpy() -> None:
    readings = stream(house_kw(400))
    compiled, numpy = (run.process(readings) for run in pair(Smooth(quantile_levels=None), Persistence()))
    assert compiled.forecasts == numpy.forecasts
    assert states_differ_by(compiled, numpy) < ROUNDING


def test_compiled_step_forests_equals_numpy() -> None:
    compiled, numpy = (ensemble_of(run.engine) for run in pair(refits=True))
    draw = np.random.default_rng(2)
    rows = np.arange(3)
    for minute in range(40):
        windows = draw.gamma(1.0, 1.0, (3, 30)).astype(np.float32)
        predictions = [model.predict(windows[:, :, np.newaxis]) for model in compiled.models]
        forests_kw = draw.gamma(1.0, 1.0, (3, 2))
        forests_kw[minute % 3] = np.nan
        found, expected = (
            one.forecast(rows, np.full(3, FIRST + minute), windows, predictions, (), forests_kw)
            for one in (compiled, numpy)
        )
        np.testing.assert_allclose(found.kw, expected.kw, rtol=ROUNDING)
        np.testing.assert_allclose(found.shares, expected.shares, rtol=ROUNDING)
    outcomes, of_numpy = (Outcomes.joined(one.learn()) for one in (compiled, numpy))  # those of all minutes
    assert len(outcomes) == len(of_numpy) > 60
    for name in KINDS:
        np.testing.assert_allclose(getattr(outcomes, name), getattr(of_numpy, name), rtol=ROUNDING)


@pytest.mark.long
@examples(40)
@given(
    st.sampled_from(NUMBERS),
    st.sampled_from(DAMAGED),
    st.integers(0, 2),
)
def test_compiled_step_damaged_state_is_replaced_as_by_numpy(name: str, value: float, which: int) -> None:
    compiled, numpy = pair()
    houses = [stream(house_kw(60, seed), device=device) for seed, device in enumerate(DEVICES[:3])]
    readings = [reading for minute in zip(*houses, strict=True) for reading in minute]
    for run in (compiled, numpy):
        run.process(readings[:90], at_a_time=3)
        run.engine.learn()
        ensemble_of(run.engine).state.arrays[name][which + 1] = value
        run.process(readings[90:], at_a_time=6)
    assert compiled.forecasts == numpy.forecasts
    assert states_differ_by(compiled, numpy) < 1e-6


def test_compiled_step_continues_with_a_restored_state() -> None:
    houses = {name: house_kw(240, seed) for seed, name in enumerate(DEVICES)}
    compiled, numpy = (run.process_houses(houses) for run in pair())
    rows = list(range(len(DEVICES)))
    for run, other in ((compiled, numpy), (numpy, compiled)):
        columns = ensemble_of(other.engine).columns(rows)
        ensemble_of(run.engine).restore_columns(len(DEVICES), columns)
    later = [reading for name in DEVICES for reading in stream(house_kw(30, 9), FIRST + 240, name)]
    compiled.process(later, at_a_time=7)
    numpy.process(later, at_a_time=7)
    assert compiled.forecasts == numpy.forecasts


@pytest.mark.parametrize("option", ["combines", "learns", "calibrates"])
def test_compiled_step_other_options_use_numpy(option: str) -> None:
    assert Ensemble((Smooth(), Trend()), EnsembleOptions(**{option: False})).compiled_step is None


def test_compiled_step_submeters_use_numpy() -> None:
    assert Ensemble((Smooth(), Trend()), EnsembleOptions(n_submeters=1)).compiled_step is None


def test_compiled_step_with_too_many_members_uses_numpy() -> None:
    models = [Smooth(name=f"smooth {i}") for i in range(65)]
    assert Ensemble(models, EnsembleOptions()).compiled_step is None


def test_compiled_step_no_library_uses_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_step, "load_function", lambda name: None)
    assert Ensemble((Smooth(), Trend()), EnsembleOptions()).compiled_step is None


def test_compiled_step_memory_too_short_for_more_devices_keeps_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, _ = pair()
    compiled.process([reading for name in DEVICES for reading in stream(house_kw(20), device=name)], at_a_time=20)
    ensemble, made = ensemble_of(compiled.engine), 0
    n_rows = len(ensemble.state)

    def short_of_memory(arrays: dict[str, NDArray[Any]], name: str, n_rows: int) -> NDArray[Any]:
        nonlocal made
        made += 1
        if made > 3:
            raise MemoryError
        return extended(arrays, name, n_rows)

    more = [Reading(f"more {i}", FIRST + minute, 1.0) for i in range(40) for minute in (0, 1)]
    with monkeypatch.context() as patch:
        patch.setattr(device_rows, "extended", short_of_memory)
        with pytest.raises(MemoryError):
            ensemble.state.index(np.array([n_rows + 40]))
    assert len(ensemble.state) == n_rows == min(map(len, ensemble.state.arrays.values()))
    compiled.process(more, at_a_time=80)
    assert len(ensemble.state) > n_rows
