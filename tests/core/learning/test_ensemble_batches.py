"""A batch gives the same forecasts and learned state as its readings one by one, bit for bit."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.readings.reading import Reading
from tests.support.examples import examples
from tests.support.houses import FIRST, EngineRun, ensemble_engine

DEVICES = ("home", "barn", "shed", "loft")
#: Minutes until a device's next reading; now and then it is late, repeated, or after a gap.
STEPS = st.sampled_from((1, 1, 1, 1, 1, 1, 1, 2, 4, 7, 0, -1))
#: A reading with this power is of a filled minute.
FILLED_KW = 0.35
POWERS_KW = st.sampled_from((0.0, 0.1, 0.35, 2.4, -0.5, 100.0)) | st.floats(-3, 12).map(lambda kw: round(kw, 3))
ENTRIES = st.lists(st.tuples(st.integers(0, 3), STEPS, POWERS_KW), min_size=30, max_size=70)
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def readings_of(entries: list[tuple[int, int, float]]) -> list[Reading]:
    minutes = dict.fromkeys(DEVICES, FIRST)
    made = []
    for who, step, kw in entries:
        device = DEVICES[who]
        minutes[device] += step
        made.append(Reading(device, minutes[device], kw, is_filled=kw == FILLED_KW))
    return made


def in_batches(run: EngineRun, readings: list[Reading], sizes: list[int]) -> EngineRun:
    at, i = 0, 0
    while at < len(readings):
        size = sizes[i % len(sizes)]
        run.process(readings[at : at + size], at_a_time=size)
        at, i = at + size, i + 1
    return run


def forecasts_by_device(run: EngineRun) -> dict[str, list[Forecast]]:
    return {device: list(run.of(device)) for device in DEVICES}


@pytest.mark.long
@examples(60)
@given(ENTRIES, SIZES, st.booleans())
def test_ensemble_any_batching_gives_the_same_result(
    entries: list[tuple[int, int, float]], sizes: list[int], calibrates: bool
) -> None:
    readings = readings_of(entries)
    one_by_one = EngineRun(ensemble_engine(calibrates=calibrates))
    in_some = EngineRun(ensemble_engine(calibrates=calibrates))
    one_by_one.process(readings)
    in_batches(in_some, readings, sizes)
    assert in_some.forecasts == one_by_one.forecasts
    assert in_some.state() == one_by_one.state()


@pytest.mark.long
@examples(60)
@given(ENTRIES, SIZES, st.integers(0, 3))
def test_ensemble_untracked_devices_in_a_batch_change_nothing(
    entries: list[tuple[int, int, float]], sizes: list[int], n_tracked: int
) -> None:
    """Untracked devices get the forecast of a new device, and nothing is learned from them."""
    readings = readings_of(entries)
    runs = []
    for one in (True, False):
        run = EngineRun(ensemble_engine(max_devices=n_tracked))
        runs.append(run.process(readings) if one else in_batches(run, readings, sizes))
    one_by_one, in_some = runs
    assert in_some.forecasts == one_by_one.forecasts
    assert in_some.state() == one_by_one.state()
    rows = np.concatenate([np.empty(0, np.int64), *(outcomes.rows for outcomes in in_some.outcomes)])
    assert (rows < n_tracked).all()


def test_ensemble_batch_may_mix_tracked_and_untracked_devices(compiled: bool) -> None:
    entries = [(who, 1, 1.0 + who + i % 3) for i in range(40) for who in (0, 1)]
    alone, mixed = (
        EngineRun(ensemble_engine(max_devices=1, compiled=compiled)).process(readings_of(entries), at_a_time=at_a_time)
        for at_a_time in (1, 2)
    )
    assert forecasts_by_device(mixed) == forecasts_by_device(alone)
    assert mixed.state() == alone.state()
    assert {int(row) for outcomes in mixed.outcomes for row in outcomes.rows} == {0}


@pytest.mark.long
@examples(30)
@given(ENTRIES, st.randoms(use_true_random=False))
def test_ensemble_order_of_devices_does_not_matter(entries: list[tuple[int, int, float]], chance: Random) -> None:
    readings = readings_of(entries)
    queues = {device: [reading for reading in readings if reading.device == device] for device in DEVICES}
    shuffled: list[Reading] = []
    while any(queues.values()):
        device = chance.choice([device for device, queue in queues.items() if queue])
        shuffled.append(queues[device].pop(0))
    one, other = (
        EngineRun(ensemble_engine()).process(readings, at_a_time=17),
        EngineRun(ensemble_engine()).process(shuffled, at_a_time=23),
    )
    assert forecasts_by_device(other) == forecasts_by_device(one)
    assert other.state() == one.state()


@pytest.mark.long
def test_ensemble_batch_of_hundreds_equals_single_devices() -> None:
    draw = np.random.default_rng(3)
    powers_kw = np.round(draw.gamma(1.0, 0.6, (120, 300)), 3)
    together, alone = EngineRun(ensemble_engine()), EngineRun(ensemble_engine())
    for minute in range(120):
        batch = [Reading(f"d{i}", FIRST + minute, float(kw)) for i, kw in enumerate(powers_kw[minute])]
        together.process(batch, at_a_time=len(batch))
        alone.process(batch[:5])
    for device in (f"d{i}" for i in range(5)):
        assert together.of(device) == alone.of(device)
        assert together.state()[device] == alone.state()[device]
