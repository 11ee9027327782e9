"""A snapshot moves an engine's state to the next engine, so that a restart changes no forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError, StateError
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.models.predictor import Prediction
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.journal_replay import JournalReplay
from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot, check_shapes
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import Padding, WindowSpec
from gapcast.predictors.baselines import Persistence, Trend

NOON = 21_476_160
DEVICES = ("home", "barn", "shed")
#: Minutes from one reading of a device to its next: in order, again, late, after gaps, a day and more ahead.
STEPS = st.one_of(st.integers(-4, 9), st.integers(-3, 3).map(lambda step: step + DAY_MIN), st.integers(1, 1))


def readings_of(steps: Sequence[tuple[int, int]]) -> list[Reading]:
    minutes = dict.fromkeys(DEVICES, NOON)
    readings = []
    for i, (who, step) in enumerate(steps):
        device = DEVICES[who]
        minutes[device] += step
        readings.append(Reading(device, minutes[device], round(0.1 + i * 0.7 % 3, 3), is_filled=i % 5 > 2))
    return readings


STREAMS = st.lists(st.tuples(st.integers(0, 2), STEPS), max_size=80).map(readings_of)


class Recorder:
    """An engine and all its forecasts, reading by reading."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.outputs: list[object] = []

    def run(self, readings: Sequence[Reading], issued_at_ms: int = 5) -> None:
        for reading in readings:
            accepted = self.engine.accept([reading])
            forecasts = self.engine.forecast(accepted, issued_at_ms)
            self.outputs.append((accepted.statuses, accepted.counts, accepted.disproved, list(forecasts)))

    @property
    def windows(self) -> dict[str, bytes]:
        return {device: self.engine.buffers.window(device).tobytes() for device in self.engine.buffers}


def restored(snapshot: Snapshot, engine: Engine | None = None) -> Engine:
    engine = engine or Engine(Trend())
    restore_snapshot(engine, snapshot)
    return engine


@given(STREAMS, STREAMS)
def test_restored_engine_makes_the_same_forecasts(before: list[Reading], after: list[Reading]) -> None:
    undisturbed = Recorder(Engine(Trend()))
    undisturbed.run(before)
    again = Recorder(restored(capture_snapshot(undisturbed.engine)))
    assert again.windows == undisturbed.windows
    assert again.engine.latest() == undisturbed.engine.latest()
    undisturbed.outputs.clear()
    undisturbed.run(after)
    again.run(after)
    assert again.outputs == undisturbed.outputs
    assert again.windows == undisturbed.windows


@given(STREAMS, STREAMS, STREAMS)
def test_restored_engine_after_replay_makes_the_same_forecasts(
    before: list[Reading], replayed: list[Reading], after: list[Reading]
) -> None:
    undisturbed = Recorder(Engine(Trend()))
    undisturbed.run(before, issued_at_ms=1)
    snapshot = capture_snapshot(undisturbed.engine)
    undisturbed.run(replayed, issued_at_ms=2)
    again = Recorder(restored(snapshot))
    replay = JournalReplay(again.engine)
    for at in range(0, len(replayed), 7):
        replay.replay_batch(replayed[at : at + 7], issued_at_ms=2)
    replay.finish()
    assert replay.n_readings == len(replayed)
    assert again.engine.latest() == undisturbed.engine.latest()
    undisturbed.outputs.clear()
    undisturbed.run(after)
    again.run(after)
    assert again.outputs == undisturbed.outputs


def test_restored_engine_has_the_end_of_an_import() -> None:
    recorder = Recorder(Engine(Trend()))
    recorder.run([Reading(device, NOON + i, 1.0 + i) for i in range(9) for device in DEVICES])
    recorder.engine.buffers.end_import("barn")
    snapshot = capture_snapshot(recorder.engine)
    assert snapshot.imported == ["barn"]
    engine = restored(replace(snapshot, imported=["barn", "of another state"]))
    queued = [Reading(device, NOON + i, 5.0) for i in range(3) for device in ("barn", "home")]
    assert [status.value for status in engine.accept(queued).statuses[::2]] == ["duplicate"] * 3
    assert (engine.buffers.newest("barn")[0], engine.buffers.newest("home")[0]) == (NOON + 8, NOON + 2)


def test_restore_into_reused_rows_does_not_mix_devices() -> None:
    recorder = Recorder(Engine(Trend()))
    recorder.run([Reading(device, NOON + i, 1.0 + i) for i in range(3) for device in DEVICES])
    recorder.engine.forget("home")
    recorder.run([Reading(device, NOON + 3 + i, 9.0 + i) for i in range(3) for device in ("barn", "loft")])
    engine = recorder.engine
    assert engine.buffers.names() == ["loft", "barn", "shed"], "in the row of the one that was forgotten"
    again = Recorder(restored(capture_snapshot(engine)))
    buffers = again.engine.buffers
    assert again.windows == recorder.windows
    assert [(device, buffers.row(device)) for device in buffers] == [("loft", 0), ("barn", 1), ("shed", 2)]
    assert [buffers.device(row) for row in range(buffers.n_rows)] == ["loft", "barn", "shed"]
    for device in ("barn", "shed", "loft", "home"):
        assert again.engine.latest_of(device) == engine.latest_of(device)


def test_replay_does_not_restore_a_forgotten_device() -> None:
    engine = Engine(Trend())
    replay = JournalReplay(engine)
    replay.replay_batch([Reading(device, NOON + i, 1.0 + i) for i in range(3) for device in DEVICES], issued_at_ms=2)
    replay.forget("barn")
    replay.forget("nobody")
    replay.finish()
    assert [forecast.device for forecast in engine.latest()] == ["home", "shed"]
    assert len(replay.forgotten) == 2


def test_snapshot_is_a_copy() -> None:
    recorder = Recorder(Engine(Trend()))
    recorder.run([Reading("home", NOON + i, 1.0 + i) for i in range(5)])
    snapshot = capture_snapshot(recorder.engine)
    recorder.run([Reading("home", NOON + 5, 99.0)])
    assert restored(snapshot).buffers.window("home")[-1] == 5.0
    assert restored(snapshot).latest()[0].observed_minute == NOON + 4


# --- where the next engine is another -----------------------------------------------------------------


def stood(readings: Sequence[Reading], spec: WindowSpec | None = None) -> Snapshot:
    recorder = Recorder(Engine(Persistence(spec or WindowSpec(8))))
    recorder.run(readings)
    return capture_snapshot(recorder.engine)


def test_restore_with_a_shorter_context_copies_the_newest_minutes() -> None:
    snapshot = stood([Reading("home", NOON + i, float(i)) for i in range(8)])
    engine = restored(snapshot, Engine(Persistence(WindowSpec(3))))
    assert engine.buffers.window("home").tolist() == [5.0, 6.0, 7.0]
    assert engine.accept([Reading("home", NOON + 8, 8.0)]).n_observed == [3]


@pytest.mark.parametrize(("padding", "front"), [("oldest", 2.0), ("zero", 0.0)])
def test_restore_with_a_longer_context_pads_by_its_own_rule(padding: Padding, front: float) -> None:
    minutes = [(0, 2.0), (1, 3.0), (4, 6.0)]  # two minutes filled; what stands before is padding
    snapshot = stood([Reading("home", NOON + minute, kw) for minute, kw in minutes])
    engine = restored(snapshot, Engine(Persistence(WindowSpec(12, padding))))
    assert engine.buffers.window("home").tolist() == [front] * 7 + [2.0, 3.0, 4.0, 5.0, 6.0]
    assert engine.accept([Reading("home", NOON + 5, 7.0)]).n_observed == [4]


def test_restore_with_another_model_drops_the_latest_forecasts() -> None:
    snapshot = stood([Reading("home", NOON + i, float(i)) for i in range(8)])
    assert [forecast.gap_kw for forecast in restored(snapshot, Engine(Persistence(WindowSpec(8)))).latest()] == [7.0]
    assert restored(snapshot, Engine(Trend(WindowSpec(8)))).latest() == []


@dataclass(frozen=True, slots=True)
class TwoLeads(Persistence):
    """Persistence with two lead times."""

    lead_times_min: tuple[int, ...] = (4, 5)

    def predict(self, windows: F32) -> Prediction:
        return Prediction(np.repeat(windows[:, -1, :1], 2, axis=1))


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True), (True, True), (False, False)])
def test_restore_with_a_new_path_drops_the_latest_forecasts(before: bool, after: bool) -> None:
    recorder = Recorder(Engine(TwoLeads(), includes_path=before))
    recorder.run([Reading("home", NOON + i, float(i)) for i in range(4)])
    engine = restored(capture_snapshot(recorder.engine), Engine(TwoLeads(), includes_path=after))
    assert engine.latest() == (recorder.engine.latest() if before is after else [])
    assert engine.buffers.window("home")[-1] == 3.0


def test_restore_stops_at_the_device_limit() -> None:
    stream = [Reading(device, NOON + i, 1.0) for i in range(3) for device in DEVICES]
    stream += [Reading("shed", NOON + 3 * DAY_MIN, 1.0), Reading("barn", NOON, 1.0), Reading("barn", NOON + 1, 1.0)]
    engine = restored(stood(stream), Engine(Persistence(WindowSpec(8)), max_devices=1))
    assert list(engine.buffers) == ["home"]
    assert [forecast.device for forecast in engine.latest()] == ["home"]
    assert engine.accept([Reading("shed", NOON + 9, 1.0)]).statuses == [ReadingStatus.FULL]


@dataclass(frozen=True, slots=True)
class Electric(Persistence):
    """Persistence with voltage as a second feature."""

    features: tuple[str, ...] = ("gap_kw", "voltage_v")


def test_restore_with_other_features_selects_the_columns() -> None:
    stream = [Reading("home", NOON + i, float(i), measured={"voltage_v": 230.0 + i}) for i in range(8)]
    recorder = Recorder(Engine(Electric(WindowSpec(8))))
    recorder.run(stream)
    snapshot = capture_snapshot(recorder.engine)
    same = restored(snapshot, Engine(Electric(WindowSpec(8))))
    assert same.buffers.window("home")[-1].tolist() == [7.0, 237.0]
    less = restored(snapshot, Engine(Persistence(WindowSpec(8))))
    assert less.buffers.window("home").tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    with pytest.raises(StateError, match="have no voltage_v, which model persistence needs"):
        restore_snapshot(Engine(Electric(WindowSpec(8))), capture_snapshot(less))


# --- what cannot be -----------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["values", "observed", "last_minute", "n_seen", "latest_kw", "latest_when"])
def test_restore_rejects_columns_of_different_length(column: str) -> None:
    snapshot = stood([Reading("home", NOON, 1.0)])
    check_shapes(snapshot)
    shorter = replace(snapshot, **{column: getattr(snapshot, column)[:0]})
    with pytest.raises(StateError, match=f"{column} is of shape"):
        check_shapes(shorter)


def test_restore_ignores_bits_of_minutes_before_a_stored_window() -> None:
    """Bits without a value must not cost the windows of all devices."""
    before = Engine(Persistence(WindowSpec(30)))
    before.accept([Reading(device, NOON + i, float(i)) for i in range(40) for device in ("home", "barn")])
    snapshot = capture_snapshot(before)
    observed = snapshot.observed.copy()
    observed[0, -1] |= 0x80  # of 32 bits the last two have no minute
    engine = Engine(Persistence(WindowSpec(60)))
    restore_snapshot(engine, replace(snapshot, observed=observed))
    for device in ("home", "barn"):
        assert engine.buffers.window(device).tolist() == [10.0] * 30 + [float(i) for i in range(10, 40)]


class Overflowing(Persistence):
    """A model that cannot be run if the last reading is above 50 kW."""

    def predict(self, windows: F32) -> Prediction:
        last = windows[:, -1, :1]
        if (last > 50).any():
            msg = "the runtime cannot run the file"
            raise ModelError(msg)
        return Prediction(last)


def test_replay_with_a_failing_model_restores_windows() -> None:
    engine = Engine(Overflowing())
    replay = JournalReplay(engine)
    replay.replay_batch([Reading("home", NOON, 1.0), Reading("home", NOON + 1, 60.0)], 3)
    replay.finish()
    assert engine.latest() == []
    assert engine.buffers.window("home")[-1] == 60.0


def test_snapshot_has_scores_of_tracked_devices_alone() -> None:
    model = Persistence()
    options = EnsembleOptions(max_devices=2)
    engines = [Engine(model, ensemble=Ensemble((model,), options)) for _ in range(2)]
    readings = [Reading(device, NOON + minute, 1.0) for minute in range(9) for device in ("a", "b", "c")]
    for reading in readings:
        engines[0].forecast(engines[0].accept([reading]), 7)
        engines[0].learn()
    snapshot = capture_snapshot(engines[0])
    assert {len(column) for column in [*snapshot.scores.values(), *snapshot.drift.values()]} == {2}
    again = restored(snapshot, engines[1])
    scores = [[engine.scores_of(device)[ALL_TIME].n for device in "abc"] for engine in (engines[0], again)]
    assert scores[0] == scores[1] == [3, 3, 0]


@pytest.mark.parametrize(("n_tracked", "n_scored"), [(1, [3, 0]), (2, [3, 0]), (3, [3, 0])])
def test_snapshot_after_a_deletion_restores_scores_at_any_limit(n_tracked: int, n_scored: list[int]) -> None:
    model = Persistence()
    engines = [Engine(model, ensemble=Ensemble((model,), EnsembleOptions(max_devices=n))) for n in (2, n_tracked)]
    for minute in range(9):
        for device in ("a", "b", "c"):
            engines[0].forecast(engines[0].accept([Reading(device, NOON + minute, 1.0)]), 7)
            engines[0].learn()
    engines[0].forget("a")
    again = restored(capture_snapshot(engines[0]), engines[1])
    assert [again.scores_of(device)[ALL_TIME].n for device in "bc"] == n_scored
