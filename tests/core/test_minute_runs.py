"""Minutes accepted in runs: the same batch and state as reading by reading."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from gapcast.core.engine import Engine
from gapcast.core.plans.plan import LoadPlan
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import Buffers
from gapcast.core.streams.history import History
from gapcast.core.streams.minute_runs import MinuteRun, accept_runs, accepts_runs
from gapcast.core.streams.week import WeekHistory
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import WindowSpec
from tests.support.houses import FIRST, Smooth, ensemble_engine

CONTEXT = 12


def run_of(minutes: Sequence[int], device: str = "home", filled: Sequence[int] = ()) -> MinuteRun:
    """Readings at ``minutes`` after the first; readings with an index in ``filled`` are of filled minutes."""
    at = np.array(minutes, dtype=np.int64)
    return MinuteRun(device, at + FIRST, np.sin(at / 3) * 2 + 1 / 3, np.isin(np.arange(at.size), filled))


def readings_of(runs: Sequence[MinuteRun]) -> list[Any]:
    return [reading for run in runs for reading in run.readings()]


def state_of(buffers: Buffers) -> list[Any]:
    """The state of all devices, with the windows instead of their indices."""
    names = ("last_minute", "n_seen", "observed", "filled", "held", "late_run", "row")
    streams = {device: buffers.stream(device) for device in buffers}
    return [
        (device, [getattr(stream, name) for name in names], buffers.window(device).tobytes())
        for device, stream in streams.items()
    ]


def document_of(accepted: AcceptedBatch) -> dict[str, Any]:
    found = {field.name: getattr(accepted, field.name) for field in fields(accepted)}
    return found | {"windows": accepted.windows.tobytes()}


def check_both_ways(batches: Sequence[Sequence[MinuteRun]], n_counted: int = CONTEXT, max_devices: int = 9) -> None:
    in_runs, one_by_one = (Engine(Smooth(WindowSpec(CONTEXT)), max_devices) for _ in range(2))
    for engine in (in_runs, one_by_one):
        engine.buffers.set_counted_minutes(n_counted)
    for runs in batches:
        assert accepts_runs(in_runs.buffers)
        found, expected = accept_runs(runs, in_runs.buffers), one_by_one.accept(readings_of(runs))
        assert document_of(found) == document_of(expected)
        assert state_of(in_runs.buffers) == state_of(one_by_one.buffers)


@pytest.mark.parametrize("n_counted", [CONTEXT, 5])
@pytest.mark.parametrize(
    "minutes",
    [
        range(40),
        [*range(20), *range(22, 50)],
        [*range(20), *range(20 + DAY_MIN // 2, 40 + DAY_MIN // 2)],
        [*range(20), *range(3 * DAY_MIN, 3 * DAY_MIN + 20)],
        [*range(20), 3 * DAY_MIN, *range(20, 40)],
        [*range(20), 19, 19, *range(20, 30)],
        [*range(20, 40), *range(10, 30)],
        [5],
        [],
        [*range(0, 30, 2)],
    ],
)  # fmt: skip
def test_minutes_in_runs_are_accepted_as_one_by_one(minutes: Sequence[int], n_counted: int) -> None:
    check_both_ways([[run_of(minutes)], [run_of(range(60, 70))]], n_counted)
    filled = [i for i in range(len(minutes)) if i % 7 in {2, 3}]
    check_both_ways([[run_of(minutes, filled=filled)], [run_of(range(60, 70))]], n_counted)


def test_devices_in_runs_are_accepted_as_one_by_one() -> None:
    some = [run_of(range(15), "a"), run_of(range(3, 30), "b"), run_of([], "c"), run_of(range(15, 20), "a")]
    check_both_ways([some, [run_of(range(20, 60), "a"), run_of(range(4), "d")]], max_devices=2)


def test_random_minutes_in_runs_are_accepted_as_one_by_one() -> None:
    draw = random.Random(7)
    for _ in range(30):
        minute, batches = 0, []
        for _ in range(6):
            minutes = []
            for _ in range(draw.randrange(40)):
                minute += draw.choices([1, 0, -1, 2, 7, 40, 2 * DAY_MIN], [60, 1, 1, 3, 1, 1, 1])[0]
                minutes.append(minute)
            filled = [i for i in range(len(minutes)) if draw.random() < 0.1]
            batches.append([run_of(minutes, filled=filled)])
        check_both_ways(batches, draw.choice([3, CONTEXT]))


def test_engine_accepts_runs_as_readings() -> None:
    runs = [run_of([*range(30), *range(33, 70)], filled=[4, 40])]
    found, expected = (ensemble_engine() for _ in range(2))
    assert document_of(found.accept_runs(runs)) == document_of(expected.accept(readings_of(runs)))


def test_engine_with_more_than_power_accepts_runs_one_by_one() -> None:
    runs = [run_of(range(30))]
    expected = document_of(Engine(Smooth()).accept(readings_of(runs)))
    with_history = Engine(Smooth(), history=History(60, 3))
    assert document_of(with_history.accept_runs(runs)) == expected
    assert with_history.history.columns_of(0, 10, 5).read_minutes.tolist() == [FIRST + i for i in range(20, 30)]
    with_plan = Engine(Smooth())
    with_plan.replace_plan("home", LoadPlan(()))
    assert document_of(with_plan.accept_runs(runs)) == expected


def test_only_power_alone_is_accepted_in_runs() -> None:
    spec = WindowSpec(CONTEXT)
    assert accepts_runs(Buffers(spec, 3))
    assert not accepts_runs(Buffers(spec, 3, ("gap_kw", "voltage_v")))
    assert not accepts_runs(Buffers(spec, 3, submeters={"home": ("oven",)}))
    assert not accepts_runs(Buffers(spec, 3, week=WeekHistory(3)))
