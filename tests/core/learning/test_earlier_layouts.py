"""Learned state stored by earlier versions: covariances in blocks, all feature columns, and one more slot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gapcast.core.errors import StateError
from gapcast.core.learning.ensemble import boa_weights, mean_correction, median_calibration, median_threshold
from gapcast.core.learning.online_model import packed_covariance, random_features, rls_features
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.windows.window import WindowSpec
from gapcast.storage.checkpoints import checkpoint
from tests.core.learning.test_submeters import engine_with, model_of
from tests.core.learning.test_submeters import readings_of as metered_readings_of
from tests.support.houses import FIRST, EngineRun, Smooth, ensemble_engine, ensemble_of, house_kw, stream

#: A checkpoint of the previous version after 300 minutes of two houses, and its forecasts of the following 60 minutes.
FOLDER = Path(__file__).parents[2] / "fixtures" / "state-v2" / "blocks"
N_BEFORE, N_AFTER = 300, 60
DEVICES = ("home", "barn")


@pytest.fixture(autouse=True)
def recorded_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the layout and the constants of the version that stored the state."""
    monkeypatch.setattr(random_features, "UNITS", tuple(range(44)))
    monkeypatch.setattr(rls_features, "UNITS", tuple(range(44)))
    for module in (random_features, rls_features):
        monkeypatch.setattr(module, "N_HIDDEN", 44)
    monkeypatch.setattr(random_features, "_LIMIT", 4.0)
    monkeypatch.setattr(random_features, "drawn", random_features.drawn.__wrapped__)
    monkeypatch.setattr(boa_weights, "PRIMARY_PRIOR", 0.35)


@pytest.fixture
def without_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable learned offsets and thresholds of mean and median, as in that version; only in numpy."""
    for module in (mean_correction, median_calibration, median_threshold):
        monkeypatch.setattr(module, "update", lambda *_: None)
    monkeypatch.setattr(median_threshold, "_FIRST", 0.0)


def readings_of(first: int, end: int) -> list[Reading]:
    houses = [stream(house_kw(N_BEFORE + N_AFTER, seed), FIRST, name) for seed, name in enumerate(DEVICES)]
    return [reading for minute in zip(*houses, strict=True) for reading in minute][2 * first : 2 * end]


def new_engine(*, compiled: bool = True) -> EngineRun:
    return EngineRun(ensemble_engine(Smooth(WindowSpec(8)), compiled=compiled))


def restored(*, compiled: bool) -> EngineRun:
    """Return an engine with the stored state, and its forecasts of the following minutes."""
    snapshot = checkpoint.read(FOLDER / "checkpoint-00000002.npz")
    assert snapshot.learning_state["covariance"].shape == (2, 5, 14, 42)
    assert snapshot.learning_state["due_columns"].shape == (2, 6, 70)
    run = new_engine(compiled=compiled)
    assert restore_snapshot(run.engine, snapshot) == ("", [])
    return run.process(readings_of(N_BEFORE, N_BEFORE + N_AFTER), at_a_time=2)


@pytest.mark.usefixtures("without_offsets")
def test_state_in_blocks_gives_the_forecasts_of_its_version() -> None:
    run = restored(compiled=False)
    found = [[f.gap_kw, f.median_kw, f.lower_kw, f.upper_kw] for f in run.forecasts]
    expected = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
    assert [[f.device, f.observed_minute] for f in run.forecasts] == [row[:2] for row in expected]
    assert np.array(found) == pytest.approx(np.array([row[2:] for row in expected]), abs=1e-9)


def test_state_in_blocks_is_continued_by_the_compiled_step_as_by_numpy() -> None:
    found, expected = (
        [[f.gap_kw, f.median_kw, f.lower_kw, f.upper_kw] for f in restored(compiled=compiled).forecasts]
        for compiled in (True, False)
    )
    assert found == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.usefixtures("without_offsets")
def test_state_in_blocks_equals_state_learned_today() -> None:
    """The stored numbers are equal too: this version learns the same from the same readings as earlier versions."""
    before, today = (
        new_engine(compiled=False),
        new_engine(compiled=False).process(readings_of(0, N_BEFORE), at_a_time=2),
    )
    restore_snapshot(before.engine, checkpoint.read(FOLDER / "checkpoint-00000002.npz"))
    found, expected = (ensemble_of(run.engine).columns([0, 1]) for run in (before, today))
    for name in ("covariance", "coefficients", "memory", "due"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6, abs=1e-9), name
    assert np.array_equal(found["due_minute"], expected["due_minute"])
    assert {*found["due_minute"][0].tolist()} == set(range(FIRST + N_BEFORE, FIRST + N_BEFORE + 5))


def test_pending_forecast_of_an_older_minute_gives_way_to_the_newest() -> None:
    snapshot = checkpoint.read(FOLDER / "checkpoint-00000002.npz")
    for name in ("due_minute", "due"):
        snapshot.learning_state[name] = snapshot.learning_state[name].copy()
    minutes = snapshot.learning_state["due_minute"]
    newest, free = minutes.max(), int((minutes[0] == -1).argmax())
    minutes[0, free] = newest - 5  # of a reading that was filled: it never became due
    snapshot.learning_state["due"][0, free] = 7.0
    run = new_engine()
    assert restore_snapshot(run.engine, snapshot) == ("", [])
    arrays = ensemble_of(run.engine).state.arrays
    assert sorted(arrays["due_minute"][1].tolist()) == list(range(newest - 4, newest + 1))
    assert not (arrays["due"][1] == 7.0).any()


def test_pending_forecasts_without_combined_median_use_the_published_one() -> None:
    today, earlier = (ensemble_of(new_engine().process(readings_of(0, 20)).engine).columns([0, 1]) for _ in range(2))
    due = earlier["due"]
    earlier["due"] = due[..., :-1]
    median_kw = due[..., -6]  # of mean, median, bounds, last reading, scale, and the median before the threshold
    ensemble = ensemble_of(new_engine().engine)
    ensemble.restore_columns(2, earlier)
    restored = ensemble.columns([0, 1])
    assert np.array_equal(restored.pop("due"), np.concatenate((due[..., :-1], median_kw[..., np.newaxis]), axis=-1))
    for name, array in restored.items():
        np.testing.assert_array_equal(array, today[name])


@pytest.mark.parametrize("name", ["covariance", "due_columns"])
def test_learned_arrays_of_another_size_are_rejected(name: str) -> None:
    before = ensemble_of(new_engine().process(readings_of(0, 20)).engine).columns([0, 1])
    with pytest.raises(StateError, match="shape"):
        ensemble_of(new_engine().engine).restore_columns(2, {**before, name: before[name][..., :-1]})


def test_submetered_state_in_blocks_gives_the_same_forecasts() -> None:
    readings = metered_readings_of(240)
    before = EngineRun(engine_with()).process(readings[:200])
    today, earlier = capture_snapshot(before.engine), capture_snapshot(before.engine)
    name = "submetered covariance"
    earlier.learning_state[name] = packed_covariance.unpack(earlier.learning_state[name])
    runs = []
    for snapshot in (today, earlier):
        runs.append(EngineRun(engine_with()))
        assert restore_snapshot(runs[-1].engine, snapshot) == ("", [])
        assert model_of(runs[-1].engine).columns(range(1))["submetered followed"].size
        runs[-1].process(readings[200:])
    assert runs[0].forecasts == runs[1].forecasts != []
