"""A checkpoint replaces the journal by its readings per device or its size, at any rate of readings."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapcast.storage.checkpoints import checkpoint_rule
from gapcast.storage.checkpoints.checkpoint_rule import (
    LEAST_JOURNAL_BYTES,
    MOST_READINGS,
    MOST_READINGS_EACH,
    CheckpointRule,
)
from gapcast.storage.generations import files_of
from tests.storage.test_store import ProcessRun, assert_continues, minutes

FEW, EACH = 60, 3


@pytest.fixture
def _few_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule with small limits, as if thousands of readings had been sent."""
    monkeypatch.setattr(checkpoint_rule, "MOST_READINGS", FEW)
    monkeypatch.setattr(checkpoint_rule, "MOST_READINGS_EACH", EACH)


def feed(process: ProcessRun, folder: Path, minute_range: range, devices: list[str]) -> list[int]:
    """Persist a reading of each of ``devices`` in each minute; return the newest generation after each minute."""
    generations = []
    for minute in minute_range:
        process.run(minutes(minute, minute + 1, devices), at_a_time=len(devices))
        process.store.catch_up()
        generations.append(max(files_of(folder).values()))
    return generations


@pytest.mark.parametrize("n_devices", [1, 1_000, 5_000])
def test_rule_readings_per_device_bound_the_journal(n_devices: int) -> None:
    rule = CheckpointRule()
    rule.set_devices(n_devices)
    most = max(MOST_READINGS, MOST_READINGS_EACH * n_devices)
    assert not rule.is_due(LEAST_JOURNAL_BYTES - 1, most - 1)
    assert rule.is_due(0, most)


def test_rule_size_bounds_the_journal_by_the_last_checkpoint() -> None:
    rule = CheckpointRule()
    assert rule.is_due(LEAST_JOURNAL_BYTES, 0)
    rule.set_checkpoint(LEAST_JOURNAL_BYTES)
    assert not rule.is_due(2 * LEAST_JOURNAL_BYTES - 1, 0)
    assert rule.is_due(2 * LEAST_JOURNAL_BYTES, 0)


@pytest.mark.usefixtures("_few_readings")
def test_store_few_devices_write_a_checkpoint_per_least_journal(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    generations = feed(process, tmp_path, range(2 * FEW), ["home"])
    assert generations == [1 + (minute + 1) // FEW for minute in range(2 * FEW)]
    process.end()


@pytest.mark.usefixtures("_few_readings")
def test_store_many_devices_write_a_checkpoint_per_few_readings_each(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    generations = feed(process, tmp_path, range(1 + 4 * EACH), [f"d{i}" for i in range(FEW)])
    # The first minute fills the least journal; from then on the devices are known.
    assert generations == [2 + minute // EACH for minute in range(1 + 4 * EACH)]
    process.end()


@pytest.mark.usefixtures("_few_readings")
@pytest.mark.parametrize("n_after", [0, 1, EACH - 1])
def test_store_longest_journal_restores_the_same_state(tmp_path: Path, n_after: int) -> None:
    devices, n_minutes = [f"d{i}" for i in range(FEW)], 1 + 2 * EACH + n_after
    process = ProcessRun(tmp_path)
    feed(process, tmp_path, range(n_minutes), devices)
    process.kill()
    last = ProcessRun(tmp_path)
    assert_continues(last, *(minutes(minute, minute + 1, devices) for minute in range(n_minutes)))
    last.end()
