"""A forgotten device: its row is reused, and nothing of it remains."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.predictors.baselines import Persistence

NOON = 21_476_160
DEVICES = st.sampled_from([f"meter-{i}" for i in range(6)])


@given(st.lists(st.tuples(st.booleans(), DEVICES, st.floats(0, 9, width=32)), max_size=60))
def test_forget_resets_one_device_and_no_other(steps: list[tuple[bool, str, float]]) -> None:
    engine = Engine(Persistence(), max_devices=4)
    alone: dict[str, Engine] = {}
    for i, (forget, device, gap_kw) in enumerate(steps):
        if forget:
            assert (engine.forget(device) is not None) is (alone.pop(device, None) is not None)
            continue
        accepted = engine.accept([Reading(device, NOON + i, gap_kw)])
        if accepted.statuses == [ReadingStatus.FULL]:
            assert len(alone) == 4
            continue
        own = alone.setdefault(device, Engine(Persistence(), max_devices=1))
        expected = own.accept([Reading(device, NOON + i, gap_kw)])
        assert accepted.statuses == expected.statuses
        assert list(engine.forecast(accepted, 0)) == list(own.forecast(expected, 0))
    assert set(engine.buffers) == set(alone)
    assert {one.device: one for one in engine.latest()} == {
        device: own.latest_of(device) for device, own in alone.items() if own.latest_of(device) is not None
    }
    assert all(engine.latest_of(device) == own.latest_of(device) for device, own in alone.items())
    assert engine.buffers.n_rows <= 4


def test_forget_accepts_a_device_without_a_forecast() -> None:
    engine = Engine(Persistence())
    engine.accept([Reading(f"meter-{i}", NOON, 1.0) for i in range(100)])
    assert engine.forget("meter-99") == 99
    assert "meter-99" not in engine.buffers
    assert engine.forget("meter-99") is None


def test_new_device_takes_the_lowest_row_of_a_forgotten_one() -> None:
    """Devices in the first rows are tracked, including one that arrives after a tracked device was forgotten."""
    engine = Engine(Persistence(), max_devices=5)
    engine.accept([Reading(f"meter-{i}", NOON, 1.0) for i in range(5)])
    for row in (1, 0, 4, 2):
        assert engine.forget(f"meter-{row}") == row
    engine.accept([Reading(f"new-{i}", NOON, 1.0) for i in range(4)])
    assert [engine.buffers.row(f"new-{i}") for i in range(4)] == [0, 1, 2, 4]
