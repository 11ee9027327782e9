"""The ensemble: which model is published, its memory, and restarts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32
from gapcast.core.arrays.device_rows import DeviceRows
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError, StateError
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.forecasts.forecast_json import ForecastEncoder
from gapcast.core.forecasts.forecast_range import ForecastReplacements
from gapcast.core.forecasts.outcomes import LEARNED, PERSISTENCE
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.online_model import packed_covariance, rls_model
from gapcast.core.learning.online_model.removed_columns import without_columns
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.models.predictor import Prediction, Predictor
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.journal_replay import JournalReplay
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence, Trend
from gapcast.predictors.models_folder.store import load_model
from gapcast.storage.checkpoints import checkpoint
from tests.support.examples import examples
from tests.support.houses import FIRST, EngineRun, Smooth, ensemble_engine, ensemble_of, house_kw, same_outcomes, stream
from tests.support.models import shipped_models, shipped_names

LEADS_MIN = (1, 2, 3, 4, 5)
DEVICES = ("home", "barn", "shed")


def readings_of(n_minutes: int, first: int = 0, devices: tuple[str, ...] = DEVICES) -> list[Reading]:
    """A reading a minute of each device, minute by minute."""
    houses = [
        stream(house_kw(first + n_minutes, seed)[first:], FIRST + first, name) for seed, name in enumerate(devices)
    ]
    return [reading for minute in zip(*houses, strict=True) for reading in minute]


def restored(run: EngineRun, folder: Path, engine: Engine) -> EngineRun:
    """A run that continues from the bytes of another run's checkpoint."""
    path = folder / "checkpoint.npz"
    path.write_bytes(checkpoint.encode(capture_snapshot(run.engine)))
    snapshot = checkpoint.read(path)
    assert snapshot is not None
    assert restore_snapshot(engine, snapshot) == ("", [])
    return EngineRun(engine)


# --- published model --------------------------------------------------------------------------------

#: Models with an interval, one lead time and several, without a median, without an upper bound, and without any.
MODELS: tuple[Predictor, ...] = (
    Smooth(),
    Smooth(lead_times_min=LEADS_MIN),
    Smooth(quantile_levels=(0.05, 0.95)),
    Smooth(quantile_levels=(0.5,)),
    Trend(lead_times_min=LEADS_MIN),
)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("includes_path", [True, False])
def test_ensemble_switched_off_publishes_the_primary_model(model: Predictor, includes_path: bool) -> None:
    readings = readings_of(300)
    alone = EngineRun(Engine(model, includes_path=includes_path)).process(readings, at_a_time=7)
    options: dict[str, Any] = {"combines": False, "calibrates": False, "learns": False}
    combined = EngineRun(ensemble_engine(model, Trend(), includes_path=includes_path, **options)).process(
        readings, at_a_time=7
    )
    assert combined.forecasts == alone.forecasts
    assert combined.engine.latest() == alone.engine.latest()


@pytest.mark.parametrize("model", MODELS)
def test_ensemble_without_blend_calibrates_the_primary_model(model: Predictor) -> None:
    readings = readings_of(300)
    alone = EngineRun(Engine(model)).process(readings, at_a_time=7)
    combined = EngineRun(ensemble_engine(model, combines=False, learns=False)).process(readings, at_a_time=7)
    published = [
        (forecast.gap_kw, forecast.median_kw, forecast.path_kw, forecast.model) for forecast in combined.forecasts
    ]
    assert published == [(one.gap_kw, one.median_kw, one.path_kw, one.model) for one in alone.forecasts]
    assert all(forecast.level == 0.9 and forecast.experts is None for forecast in combined.forecasts)


def test_ensemble_drops_a_single_bound() -> None:
    model = Smooth(quantile_levels=(0.05, 0.5))
    run = EngineRun(ensemble_engine(model, calibrates=False)).process(readings_of(30))
    assert {(forecast.lower_kw, forecast.upper_kw, forecast.level) for forecast in run.forecasts} == {
        (None, None, None)
    }
    assert all(json.loads(each) for each in documents_of(run.engine, 31))


def documents_of(engine: Engine, minute: int) -> list[bytes]:
    batch = readings_of(1, minute)
    return list(ForecastEncoder().encode(engine.forecast(engine.accept(batch), 5)))


def test_ensemble_uncalibrated_bounds_follow_the_median() -> None:
    run = EngineRun(ensemble_engine(calibrates=False, min_kw=-100)).process(stream(house_kw(400) - 40), at_a_time=20)
    centers_kw = []
    for forecast in run.forecasts:
        assert forecast.median_kw is not None
        assert forecast.lower_kw is not None
        assert forecast.upper_kw is not None
        assert forecast.upper_kw - forecast.lower_kw == pytest.approx(0.72, abs=1e-4)
        centers_kw.append((forecast.upper_kw + forecast.lower_kw) / 2 - forecast.median_kw)
    assert np.abs(centers_kw).max() < 0.06  # that of the largest threshold: 0.3 scales of 0.2 kW
    assert np.mean(np.abs(centers_kw) < 1e-4) < 0.5  # the threshold is in use


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("calibrates", [True, False])
@pytest.mark.parametrize("includes_path", [True, False])
def test_ensemble_published_document_equals_the_latest(model: Predictor, calibrates: bool, includes_path: bool) -> None:
    """Over MQTT, as an object, and read again from the latest forecasts."""
    engine = ensemble_engine(model, Persistence(name="same"), calibrates=calibrates, includes_path=includes_path)
    EngineRun(engine).process(readings_of(100), at_a_time=10)
    batch = engine.accept(readings_of(1, 100))
    forecasts = engine.forecast(batch, 1_300_000_000_123)
    sent = [json.loads(each) for each in ForecastEncoder().encode(forecasts)]
    assert sent == [forecast.document() for forecast in forecasts]
    assert engine.latest() == list(forecasts)
    for document in sent:
        assert document["model"] == "blend"
        for who in ("experts", "median_experts"):
            assert tuple(document[who]) == ensemble_of(engine).members
            assert sum(document[who].values()) == pytest.approx(1, abs=0.0005 * len(document[who]))
        if includes_path and len(model.lead_times_min) > 1:
            assert document["path"][-1] == document["gap_kw"]
            assert len(document["path"]) == len(LEADS_MIN)
        else:
            assert "path" not in document


def test_ensemble_path_ends_at_the_published_forecast() -> None:
    model = Trend(lead_times_min=LEADS_MIN)
    readings = readings_of(200)
    own = EngineRun(Engine(model)).process(readings, at_a_time=10).forecasts
    published = EngineRun(ensemble_engine(model)).process(readings, at_a_time=10).forecasts
    for one, blended in zip(own, published, strict=True):
        assert one.path_kw is not None
        assert blended.path_kw is not None
        added_kw = blended.gap_kw - one.gap_kw
        expected = [max(kw + added_kw * lead / 5, 0) for kw, lead in zip(one.path_kw, LEADS_MIN, strict=True)]
        assert blended.path_kw == pytest.approx(expected, abs=1e-5)


def test_ensemble_published_weights_reproduce_mean_and_median() -> None:
    """This holds for the median until its calibration has learned something."""
    run = EngineRun(ensemble_engine()).process(stream(house_kw(400)))
    minutes, members_kw = run.outcome("minutes"), run.outcome("members_kw")
    early, late = ({each.target_minute: each for each in run.forecasts}[int(minutes[i])] for i in (0, 100))
    assert late.experts is not None
    assert early.median_experts is not None
    assert late.gap_kw == pytest.approx(members_kw[100, 0] @ np.array(list(late.experts.values())), abs=0.01)
    assert early.median_kw == pytest.approx(members_kw[0, 1] @ np.array(list(early.median_experts.values())), abs=0.01)


def test_ensemble_leaves_out_a_member_with_nan() -> None:
    class Broken(Trend):
        def predict(self, windows: F32) -> Prediction:
            return Prediction(np.full((len(windows), 1), np.nan, dtype=np.float32))

    engine = ensemble_engine(Smooth(), Broken(name="broken"))
    forecasts = engine.forecast(engine.accept(readings_of(3)), 0)
    assert forecasts.replacements == ForecastReplacements(models=("broken",), replaced=())
    assert len(forecasts) > 0
    assert np.isfinite(forecasts.gap_kw).all()


@pytest.mark.parametrize(("names", "most_bytes"), [(["lstm"], 23_000), (shipped_names(), 25_000)])
def test_ensemble_state_of_a_device_is_at_most_23_kb_by_default(names: list[str], most_bytes: int) -> None:
    """With all shipped models it is more: each member has weights and scores."""
    models = [load_model(shipped_models() / name) for name in names]
    ensemble = Ensemble([model for model in models if not model.history_steps], EnsembleOptions())
    scores = Scores(ensemble.members, 1).columns([0])
    n_bytes = ensemble.n_bytes_per_device + sum(array.nbytes for array in scores.values())
    assert n_bytes <= most_bytes


# --- tracked devices --------------------------------------------------------------------------------


def test_ensemble_untracked_device_gets_a_new_devices_forecast() -> None:
    engine = ensemble_engine(max_devices=1)
    run = EngineRun(engine).process(readings_of(600), at_a_time=9)
    new = EngineRun(ensemble_engine()).process(readings_of(2, 0)).forecasts[0]
    for device in ("barn", "shed"):
        assert {json.dumps(forecast.experts) for forecast in run.of(device)} == {json.dumps(new.experts)}
    assert {int(row) for row in run.outcome("rows")} == {0}
    engine.forget("shed")
    assert len(ensemble_of(engine).state) == 4, "nothing is kept of untracked devices"


def test_ensemble_forgotten_device_starts_as_new() -> None:
    run = EngineRun(ensemble_engine()).process(readings_of(300), at_a_time=9)
    run.engine.forget("barn")
    run.engine.forget("nobody")
    run.forecasts.clear()
    again = EngineRun(ensemble_engine()).process(readings_of(100, 300, ("barn",)))
    run.process(readings_of(100, 300, ("barn",)))
    assert run.forecasts == again.forecasts


def test_ensemble_columns_include_pending_outcomes() -> None:
    engine, other = ensemble_engine(), ensemble_engine()
    for each in (engine, other):
        EngineRun(each).process(readings_of(50))
        each.forecast(each.accept(readings_of(1, 50)), 0)
    columns = ensemble_of(engine).columns([0, 1, 2])
    outcomes, _ = other.learn()
    assert outcomes is not None
    assert len(outcomes) == 3
    after = ensemble_of(other).columns([0, 1, 2])
    assert all(np.array_equal(columns[name], after[name], equal_nan=columns[name].dtype.kind == "f") for name in after)
    late, _ = engine.learn()
    assert late is not None
    assert same_outcomes(late, outcomes)


def test_device_rows_grow_and_forget() -> None:
    rows = DeviceRows({"kw": np.array([1.0, 2.0])})
    rows.write_back("kw", rows.index(np.array([40, 3])), np.zeros((2, 2)))
    assert len(rows) == 41, "as many as are needed, where that is more than the usual growth"
    rows.forget(99)
    rows.forget(40)
    assert rows.arrays["kw"][[3, 40, 5]].tolist() == [[0, 0], [1, 2], [1, 2]]
    assert rows.columns(np.empty(0, dtype=np.int64))["kw"].shape == (0, 2)


# --- over a restart -------------------------------------------------------------------------------


@pytest.mark.long
@examples(15)
@given(st.integers(0, 120), st.integers(1, 20))
def test_ensemble_restored_from_a_checkpoint_continues_exactly(
    tmp_path_factory: pytest.TempPathFactory, n_before: int, at_a_time: int
) -> None:
    undisturbed = EngineRun(ensemble_engine(max_devices=2)).process(readings_of(n_before), at_a_time=at_a_time)
    again = restored(undisturbed, tmp_path_factory.mktemp("kept"), ensemble_engine(max_devices=2))
    assert again.engine.latest() == undisturbed.engine.latest()
    assert again.state() == undisturbed.state()
    undisturbed.forecasts.clear()
    for run in (undisturbed, again):
        run.process(readings_of(80, n_before), at_a_time=at_a_time)
    assert again.forecasts == undisturbed.forecasts
    assert again.state() == undisturbed.state()


def test_restart_keeps_what_the_device_in_a_reused_row_learned(tmp_path: Path) -> None:
    """It came last, but has the row of a forgotten tracked device; the device before it is untracked."""
    before = EngineRun(ensemble_engine(max_devices=2)).process(readings_of(10, devices=("gone", "home", "untracked")))
    before.engine.forget("gone")
    before.process(readings_of(30, 10, devices=("home", "untracked", "last")))
    after = restored(before, tmp_path, ensemble_engine(max_devices=2))
    assert {device: after.engine.buffers.row(device) for device in after.engine.buffers} == {
        "last": 0,
        "home": 1,
        "untracked": 2,
    }
    for device in ("home", "untracked", "last"):
        assert after.engine.scores_of(device) == before.engine.scores_of(device)
    more = readings_of(10, 40, devices=("home", "untracked", "last"))
    n_before = len(before.forecasts)
    assert after.process(more).forecasts == before.process(more).forecasts[n_before:]


def test_ensemble_learns_again_from_the_journal(tmp_path: Path) -> None:
    undisturbed = EngineRun(ensemble_engine()).process(readings_of(100), at_a_time=5)
    again = restored(undisturbed, tmp_path, ensemble_engine())
    undisturbed.process(readings_of(60, 100), at_a_time=5)
    replay = JournalReplay(again.engine)
    for at in range(0, 180, 11):
        replay.replay_batch(readings_of(60, 100)[at : at + 11], 7)
    replay.finish()
    assert again.engine.latest() == undisturbed.engine.latest()
    assert again.state() == undisturbed.state()


def test_journal_replay_skips_a_batch_that_failed() -> None:
    class Shy(Trend):
        def predict(self, windows: F32) -> Prediction:
            if (windows[:, -1, 0] == 9.0).any():
                msg = "the runtime cannot run the file"
                raise ModelError(msg)
            return Prediction(windows[:, -1, :1])

    replay = JournalReplay(engine := ensemble_engine(Shy()))
    replay.replay_batch(stream([1.0, 2.0]), 1)
    replay.replay_batch(stream([9.0], FIRST + 2), 2)
    replay.finish()
    assert [forecast.observed_minute for forecast in engine.latest()] == [FIRST + 1]


def test_ensemble_with_other_models_keeps_common_state(tmp_path: Path) -> None:
    before = EngineRun(ensemble_engine(Smooth(), Trend())).process(readings_of(400), at_a_time=9)
    old = ensemble_of(before.engine)
    after = restored(before, tmp_path, ensemble_engine(Persistence(name="same"), Smooth()))
    new = ensemble_of(after.engine)
    kept_memory, memory = old.state.arrays["memory"][1:4], new.state.arrays["memory"][1:4]
    for name in ("smooth", LEARNED, PERSISTENCE):
        was, now = old.members.index(name), new.members.index(name)
        assert np.array_equal(memory[..., now], kept_memory[..., was])
    same = memory[..., new.members.index("same")]
    assert np.array_equal(same[:, 0], kept_memory[:, 0].min(-1)), "a new ensemble member has the regret of the worst"
    columns, old_columns = list(new._inputs.rls_features.names), list(old._inputs.rls_features.names)
    at, was = columns.index("lag 1"), old_columns.index("lag 1")
    coefficients = new.state.arrays["coefficients"][1:4]
    covariance, old_covariance = (
        packed_covariance.to_matrices(one.state.arrays["covariance"][1:4]) for one in (new, old)
    )
    kept = np.array([i for i, name in enumerate(old_columns) if name in columns])
    assert len(kept) == len(old_columns) - 1, "one model has gone"
    old_coefficients = old.state.arrays["coefficients"][1:4, :, : len(old_columns)]
    expected, expected_covariance = without_columns(old_coefficients, old_covariance, kept)
    place = kept.tolist().index(was)
    assert np.array_equal(coefficients[..., at], expected[..., place])
    assert np.array_equal(covariance[:, at, at], expected_covariance[:, place, place])
    assert (coefficients[..., columns.index("same mean")] == 0).all(), "the learned ones together are the forecast"
    for name in ("seen", "usual"):
        assert np.array_equal(new.state.arrays[name][1:4], old.state.arrays[name][1:4], equal_nan=True)
    assert (new.state.arrays["due_minute"][1:4] == -1).all(), "other members made them"
    assert after.engine.latest() == [], "and other models made them"
    after.process(readings_of(60, 400), at_a_time=9)
    assert len(after.forecasts) == 180


def test_restore_of_many_devices_equals_single_restores() -> None:
    """Covariances are converted for several devices at a time."""
    before = EngineRun(ensemble_engine(Smooth(), Trend())).process(readings_of(100), at_a_time=9)
    saved = ensemble_of(before.engine).columns([0, 1, 2])
    of_each = {name for name, array in saved.items() if name not in {"experts", "columns", "horizon_min"}}
    many = {name: array[np.arange(130) % 3] if name in of_each else array for name, array in saved.items()}
    many["followed"] = np.arange(130)
    new = Ensemble((Smooth(),), EnsembleOptions())
    new.restore_columns(130, many)
    for name, array in new.state.arrays.items():
        np.testing.assert_array_equal(array[1:131], array[1:4][np.arange(130) % 3], err_msg=name)
    assert np.count_nonzero(new.state.arrays["coefficients"][130]) > 10


def test_restore_with_other_models_without_an_online_model_keeps_weights() -> None:
    options = EnsembleOptions(learns=False)
    before = EngineRun(Engine(Smooth(), ensemble=Ensemble((Smooth(), Trend()), options))).process(readings_of(100))
    saved = ensemble_of(before.engine).columns([0, 1, 2])
    new = Ensemble((Smooth(),), options)
    new.restore_columns(3, saved)
    np.testing.assert_array_equal(new.state.arrays["memory"][1:4, ..., 0], saved["memory"][..., 0])


def test_restore_of_two_float64_covariances_averages_them() -> None:
    """Learning state of version 0.1: other features, separate covariances of mean and median, only upper triangles."""
    before = EngineRun(ensemble_engine()).process(readings_of(100), at_a_time=9)
    saved = ensemble_of(before.engine).columns([0, 1, 2])
    names = ["smooth mean", "trend mean", "smooth median", "lag 1", "an input of old"]
    draw = np.random.default_rng(1)
    root = draw.normal(0, 0.01, (3, 2, 5, 5))
    old = root @ root.transpose(0, 1, 3, 2)
    coefficients = draw.normal(0, 1, (3, 2, 5))
    triangles = old[..., *np.triu_indices(5)]
    saved |= {"columns": np.array(names), "coefficients": coefficients, "covariance": triangles}
    del saved["inside"], saved["due_columns"]
    new = ensemble_of(ensemble_engine())
    new.restore_columns(3, saved)
    own = list(new._inputs.rls_features.names)
    places = [own.index(name) for name in names[:4]]
    restored_coefficients = new.state.arrays["coefficients"][1:4]
    expected, expected_covariance = without_columns(
        coefficients.astype(np.float32), old[:, 0].astype(np.float32), np.arange(4)
    )
    assert restored_coefficients[..., places] == pytest.approx(expected)
    assert np.count_nonzero(restored_coefficients[0, 0]) == 4
    matrices = packed_covariance.to_matrices(new.state.arrays["covariance"][1:4])
    assert matrices[:, places][:, :, places] == pytest.approx(expected_covariance)
    assert matrices[:, own.index("lag 2"), own.index("lag 2")] == pytest.approx(rls_model.PRIOR)
    assert (new.state.arrays["due_minute"][1:4] == -1).all()


@pytest.mark.parametrize("options", [{"learns": False}, {"combines": False, "learns": False}, {"calibrates": False}])
def test_ensemble_with_other_options_keeps_learning(tmp_path: Path, options: dict[str, Any]) -> None:
    before = EngineRun(ensemble_engine()).process(readings_of(100), at_a_time=9)
    other = restored(before, tmp_path, ensemble_engine(**options)).process(readings_of(20, 100), at_a_time=9)
    back = restored(other, tmp_path, ensemble_engine()).process(readings_of(20, 120), at_a_time=9)
    assert len(back.forecasts) == 60
    row = ensemble_of(back.engine).state.arrays["seen"][1]
    assert row[1] > 95, "outcomes are counted on"


def test_ensemble_with_a_lower_limit_drops_devices(tmp_path: Path) -> None:
    before = EngineRun(ensemble_engine()).process(readings_of(100), at_a_time=9)
    engine = Engine(Smooth(), 2, ensemble=Ensemble((Smooth(), Trend()), EnsembleOptions(max_devices=1)))
    after = restored(before, tmp_path, engine)
    assert after.state()["home"] == before.state()["home"]
    assert list(after.engine.buffers) == ["home", "barn"]


def without(archive: dict[str, NDArray[Any]], *names: str) -> dict[str, NDArray[Any]]:
    return {name: column for name, column in archive.items() if not name.startswith(names)}


def test_checkpoint_of_version_1_loads(tmp_path: Path) -> None:
    """It has no learned columns, and no weights of the latest forecasts."""
    before = EngineRun(Engine(Smooth())).process(readings_of(100), at_a_time=9)
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(checkpoint.encode(capture_snapshot(before.engine)))
    with np.load(path) as archive:
        columns = without(dict(archive), "learnt/", "scores/", "drift/", "latest_shares")
    about = json.loads(columns["about"].tobytes())
    del about["more"]
    about["version"] = 1  # which had no digest either
    columns["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    arrays: dict[str, Any] = columns
    np.savez(path, **arrays)
    snapshot = checkpoint.read(path)
    assert snapshot is not None
    for engine in (Engine(Smooth()), ensemble_engine()):
        assert restore_snapshot(engine, snapshot) == ("", [])
        assert [engine.buffers.window(device).tobytes() for device in DEVICES] == [
            before.engine.buffers.window(device).tobytes() for device in DEVICES
        ]
    EngineRun(engine).process(readings_of(10, 100))


Columns = dict[str, NDArray[Any]]
DAMAGE: dict[str, tuple[str, Any]] = {
    "names": ("experts", None),
    "devices": ("followed", None),
    "columns": ("columns", None),
    "a device twice": ("followed", np.zeros_like),
    "a device that cannot be": ("followed", lambda tracked: tracked - 1),
    "devices of another kind": ("followed", lambda tracked: tracked.astype(float)),
    "fewer rows": ("seen", lambda seen: seen[:-1]),
    "no rows": ("seen", lambda seen: seen[0, 0]),
    "another shape": ("due", lambda due: due[:, :, :-2]),  # one value fewer is an earlier layout
    "fewer members": ("memory", lambda memory: memory[..., :2]),
    "no numbers": ("covariance", lambda covariance: covariance * np.nan),
    "fewer rows of the weights": ("memory", lambda memory: memory[:-1]),
    "words for weights": ("memory", lambda memory: np.full(memory.shape, "x")),
    "words": ("seen", lambda seen: np.full(seen.shape, "x")),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_restore_with_bad_learnt_columns_keeps_the_readings(what: str) -> None:
    run = EngineRun(ensemble_engine()).process(readings_of(100), at_a_time=9)
    snapshot = capture_snapshot(run.engine)
    name, alter = DAMAGE[what]
    column = snapshot.learning_state.pop(name)
    if alter is not None:
        snapshot.learning_state[name] = alter(column)
    with pytest.raises(StateError):
        ensemble_of(ensemble_engine()).restore_columns(3, snapshot.learning_state)
    engine = ensemble_engine()
    assert restore_snapshot(engine, snapshot).learning != ""
    assert engine.latest() == run.engine.latest()
    fresh = EngineRun(engine)
    blank = ensemble_of(ensemble_engine()).columns([0])
    assert fresh.state()["home"] == {n: c.tobytes() for n, c in blank.items() if n != "followed"}
    fresh.process(readings_of(5, 100))
    assert all(np.isfinite(forecast.gap_kw) for forecast in fresh.forecasts)


# --- contexts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [2, 3, 6, 7, 12, 31, 200])
def test_ensemble_inputs_accept_any_context(context: int) -> None:
    run = EngineRun(ensemble_engine(Trend(spec=WindowSpec(context)))).process(readings_of(60), at_a_time=10)
    names = ensemble_of(run.engine)._inputs.rls_features.names
    assert names[0] == "trend mean"
    assert len([name for name in names if name.startswith("lag")]) == min(5, context - 1)
    assert len(run.forecasts) == 177


def test_ensemble_input_columns_match_their_names() -> None:
    engine = ensemble_engine(Trend(spec=WindowSpec(40)))
    view = ensemble_of(engine)._inputs.rls_features
    window = np.arange(40, dtype=np.float32)[np.newaxis]
    columns = view.columns_kw(window, [np.array([5.0], dtype=np.float32)], view.local_minute(np.array([FIRST + 360])))[
        0
    ]
    found = dict(zip(view.names, columns.tolist(), strict=False))
    backwards = {
        begin: np.mean([39 - k for k in range(begin, end)]) - 39 for begin, end in ((6, 10), (20, 30), (30, 40))
    }
    assert found["trend mean"] == 5.0 - 39.0
    assert (found["lag 1"], found["lag 5"]) == (-1.0, -5.0)
    assert found["minutes 6 to 10"] == pytest.approx(backwards[6])
    assert found["minutes 20 to 30"] == pytest.approx(backwards[20])
    assert found["minutes 30 to 40"] == pytest.approx(backwards[30])
    assert (found["level"], found["bias"]) == (39.0, 1.0)
    assert (found["tod_sin"], found["tod_cos"]) == pytest.approx((1.0, 0.0), abs=1e-12)


def test_ensemble_members_see_windows_of_their_own_context() -> None:
    short, long = Trend(spec=WindowSpec(5), name="short"), Trend(spec=WindowSpec(40), name="long")
    readings = readings_of(100)
    run = EngineRun(ensemble_engine(short, long)).process(readings, at_a_time=10)
    alone = {model.name: EngineRun(Engine(model)).process(readings, at_a_time=10) for model in (short, long)}
    for place, name in enumerate(("short", "long")):
        expected: dict[tuple[str, int], Forecast] = {(str(f.device), f.target_minute): f for f in alone[name].forecasts}
        for outcomes in run.outcomes:
            for row, minute, kw in zip(outcomes.rows, outcomes.minutes, outcomes.members_kw[:, 0, place], strict=True):
                assert expected[DEVICES[row], int(minute)].gap_kw == pytest.approx(kw, abs=1e-6)
    assert run.forecasts[-1].context == 40


def test_ensemble_members_see_their_own_features() -> None:
    """Each model gets the measured features that it requests, and no others."""
    shapes: dict[str, set[int]] = {}

    class Looking(Smooth):
        def predict(self, windows: F32) -> Prediction:
            shapes.setdefault(self.name, set()).add(windows.shape[-1])
            return Smooth.predict(self, windows)

    electric = Looking(name="electric", features=("gap_kw", "voltage_v"))
    readings = [Reading("home", FIRST + i, float(i), measured={"voltage_v": 230.0}) for i in range(20)]
    run = EngineRun(ensemble_engine(electric, Looking(name="power"))).process(readings, at_a_time=3)
    assert shapes == {"electric": {2}, "power": {1}}
    assert len(run.forecasts) == 19
