"""The week of quarter-hours in an engine: filled, used, stored, restored and moved with its device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Prediction
from gapcast.core.readings.reading import Reading
from gapcast.core.series import forecast_series
from gapcast.core.snapshots.journal_replay import JournalReplay
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.snapshots.state_transfer import transfer_state
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence
from tests.core.test_snapshot import NOON, STREAMS, Recorder
from tests.support.examples import examples


@dataclass(frozen=True, slots=True)
class QuarterMean(Persistence):
    """Forecasts the mean of the newest complete quarter-hour."""

    spec: WindowSpec = WindowSpec(20)
    name: str = "quarter-mean"
    history_steps: int = 672

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        assert history is not None
        assert history.shape == (len(windows), self.history_steps)
        assert np.isfinite(history).all()
        return Prediction(0.9 * history[:, -1:] + 0.1 * history[:, -97:-96])


def hour(device: str = "home", start: int = NOON, n: int = 60) -> list[Reading]:
    return [Reading(device, start + i, float(i // 15)) for i in range(n)]


def ensemble_of(model: Persistence, max_devices: int = 10) -> Engine:
    options = EnsembleOptions(max_devices=max_devices)
    return Engine(model, ensemble=Ensemble((model,), options, UTC))


def test_engine_without_a_history_model_has_no_week() -> None:
    assert Engine(Persistence()).buffers.week is None


def test_engine_forecasts_with_the_complete_quarters() -> None:
    recorder = Recorder(Engine(QuarterMean()))
    recorder.run(hour())
    assert [forecast.gap_kw for forecast in recorder.engine.latest()] == [pytest.approx(0.9 * 3 + 0.1 * 1.5)]


def test_engine_in_a_batch_forecasts_as_one_by_one() -> None:
    alone, at_once = Engine(QuarterMean()), Engine(QuarterMean())
    expected = [forecast for one in hour(n=400) for forecast in alone.forecast(alone.accept([one]), 5)]
    assert list(at_once.forecast(at_once.accept(hour(n=400)), 5)) == expected


def test_engine_without_a_known_quarter_uses_the_windows_mean() -> None:
    engine = Engine(QuarterMean())
    forecasts = engine.forecast(engine.accept([Reading("home", NOON + 1, 1.0), Reading("home", NOON + 2, 3.0)]), 0)
    assert forecasts[0].gap_kw == pytest.approx((19 * 1.0 + 3.0) / 20, abs=1e-6)


@pytest.mark.parametrize(("n_tracked", "known"), [(2, True), (1, False), (0, False)])
def test_engine_stores_the_week_only_of_tracked_devices(n_tracked: int, known: bool) -> None:
    engine = ensemble_of(QuarterMean(), n_tracked)
    for device in ("barn", "home"):
        engine.forecast(engine.accept(hour(device)), 0)
    week = engine.buffers.week
    assert (week is not None and week.has(1)) is known
    assert (week is None) is (n_tracked == 0)
    assert [engine.latest_of(device) is not None for device in ("barn", "home")] == [True, True]


def test_engine_predicts_without_learning_with_the_same_history() -> None:
    engine = ensemble_of(QuarterMean())
    engine.forecast(engine.accept(hour()), 0)
    predictions = engine.predict(engine.accept([Reading("home", NOON + 60, 0.0)]))
    assert predictions[0].mean[0, 0] == pytest.approx(0.9 * 3 + 0.1 * 1.5)


def test_forecast_series_takes_the_quarters_of_its_readings() -> None:
    assert forecast_series(QuarterMean(), hour(), 0).gap_kw == pytest.approx(0.9 * 3 + 0.1 * 1.5)


@examples(40)
@given(STREAMS, STREAMS, STREAMS)
def test_restored_week_after_replay_makes_the_same_forecasts(
    before: list[Reading], replayed: list[Reading], after: list[Reading]
) -> None:
    undisturbed = Recorder(Engine(QuarterMean()))
    undisturbed.run(before, issued_at_ms=1)
    snapshot = capture_snapshot(undisturbed.engine)
    undisturbed.run(replayed, issued_at_ms=2)
    again = Recorder(Engine(QuarterMean()))
    assert restore_snapshot(again.engine, snapshot).devices == []
    replay = JournalReplay(again.engine)
    for at in range(0, len(replayed), 7):
        replay.replay_batch(replayed[at : at + 7], issued_at_ms=2)
    replay.finish()
    assert again.engine.latest() == undisturbed.engine.latest()
    undisturbed.outputs.clear()
    undisturbed.run(after)
    again.run(after)
    assert again.outputs == undisturbed.outputs


@pytest.mark.parametrize("week", [{}, {"device": np.array([0])}])
def test_restore_without_a_sound_week_begins_with_the_windows(week: dict[str, np.ndarray]) -> None:
    before = Recorder(Engine(QuarterMean(WindowSpec(40))))
    before.run(hour())
    engine = Engine(QuarterMean(WindowSpec(40)))
    restore_snapshot(engine, replace(capture_snapshot(before.engine), week=week))
    forecast = engine.forecast(engine.accept([Reading("home", NOON + 60, 0.0)]), 0)[0]
    # The first quarter and a half are unknown: the mean of the known quarters replaces them.
    assert forecast.gap_kw == pytest.approx(0.9 * 3 + 0.1 * 2)


def test_restore_into_an_engine_without_history_leaves_it_out() -> None:
    before = Recorder(Engine(QuarterMean()))
    before.run(hour())
    engine = Engine(Persistence(WindowSpec(20)))
    assert restore_snapshot(engine, capture_snapshot(before.engine)).devices == []
    assert engine.buffers.week is None
    assert capture_snapshot(engine).week == {}


def test_restore_of_an_implausible_device_forgets_its_week() -> None:
    before = Recorder(Engine(QuarterMean()))
    before.run(hour())
    snapshot = capture_snapshot(before.engine)
    snapshot.values[:] = np.nan
    engine = Engine(QuarterMean())
    assert restore_snapshot(engine, snapshot).devices == ["home"]
    assert engine.buffers.week is not None
    assert not engine.buffers.week.has(0)


@pytest.mark.parametrize("context", [20, 40])
def test_transfer_moves_the_week(context: int) -> None:
    before, after = Recorder(Engine(QuarterMean())), Engine(QuarterMean(WindowSpec(context)))
    before.run(hour())
    expected = before.engine.latest()[0].gap_kw
    transfer_state(before.engine, after)
    forecast = after.forecast(after.accept([Reading("home", NOON + 60, 0.0)]), 0)[0]
    assert forecast.gap_kw == expected


@pytest.mark.parametrize("context", [20, 40])
def test_transfer_to_a_model_with_history_begins_with_the_windows(context: int) -> None:
    before, after = Recorder(Engine(Persistence(WindowSpec(context)))), Engine(QuarterMean())
    before.run(hour())
    transfer_state(before.engine, after)
    forecast = after.forecast(after.accept([Reading("home", NOON + 60, 0.0)]), 0)[0]
    assert forecast.gap_kw == pytest.approx(0.9 * 3 + 0.1 * (2.5 if context == 20 else 2.0), abs=0.06)


def test_transfer_to_a_model_without_history_drops_the_week() -> None:
    before, after = Recorder(Engine(QuarterMean())), Engine(Persistence(WindowSpec(20)))
    before.run(hour())
    transfer_state(before.engine, after)
    assert after.buffers.week is None
    assert after.accept([Reading("home", NOON + 60, 0.0)]).n_observed == [20]


def test_week_counts_elapsed_time_across_a_clock_change() -> None:
    """The skipped hour is missing, and the repeated hour is there twice: quarters have 15 minutes."""
    for change in (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)):
        first = int(change.timestamp()) // 60 - 180
        found = []
        for zone in (UTC, ZoneInfo("Europe/Berlin")):
            engine = Engine(QuarterMean(), zone=zone)
            found.append(list(engine.forecast(engine.accept(hour(start=first, n=360)), 0)))
        assert found[0] == found[1]
        assert found[0][-1].gap_kw == pytest.approx(0.9 * 23 + 0.1 * 11.5)


def test_forget_removes_the_week() -> None:
    engine = Engine(QuarterMean())
    engine.forecast(engine.accept(hour()), 0)
    engine.forget("home")
    forecasts = engine.forecast(engine.accept([Reading("barn", NOON + 90, 5.0), Reading("barn", NOON + 91, 5.0)]), 0)
    assert forecasts[0].gap_kw == pytest.approx(5.0)
