"""One engine replaces another without a change of the stream or of the state besides its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapcast.core.arrays import array_predicates
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.horizons.horizon_forecaster import DeviceHorizons, HorizonModels
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.learning_state import OF_ALL_DEVICES, SEEN, TRACKED
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.models.predictor import Predictor
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots import snapshot_checks
from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.snapshots.state_transfer import reserve_rows, transfer_state
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence, Trend
from tests.core.test_snapshot import NOON, STREAMS, Electric, Recorder


def engine_of(*models: Predictor, max_devices: int = 100, **options: bool) -> Engine:
    return Engine(
        models[0], max_devices, ensemble=Ensemble(models, EnsembleOptions(max_devices=max_devices, **options))
    )


def trend(context: int) -> Trend:
    return Trend(WindowSpec(context))


def stream(engine: Engine, minutes: range, devices: str = "abc") -> None:
    for minute in minutes:
        readings = [Reading(device, NOON + minute, 1.0 + (minute * ord(device)) % 5) for device in devices]
        engine.forecast(engine.accept(readings), minute)
        engine.learn()


@given(STREAMS, st.integers(0, 80))
def test_transfer_to_the_same_model_continues_exactly(readings: list[Reading], n_before: int) -> None:
    alone, first, second = (Recorder(Engine(Persistence())) for _ in range(3))
    alone.run(readings)
    first.run(readings[:n_before])
    latest = first.engine.latest()
    transfer_state(first.engine, second.engine)
    assert second.engine.latest() == latest
    second.run(readings[n_before:])
    assert first.outputs + second.outputs == alone.outputs
    assert second.windows == alone.windows


@given(STREAMS, st.sampled_from([2, 12, 30, 45]), st.sets(st.sampled_from(["home", "barn", "shed"])))
def test_transfer_to_another_context_cuts_or_pads_windows(
    readings: list[Reading], context: int, forgotten: set[str]
) -> None:
    before, after, restarted = (
        Recorder(Engine(trend(30))),
        Engine(trend(context)),
        Engine(trend(context)),
    )
    before.run(readings)
    for device in forgotten:
        before.engine.forget(device)
    restore_snapshot(restarted, capture_snapshot(before.engine))
    names = before.engine.buffers.names()
    transfer_state(before.engine, after)
    assert after.buffers.names() == names
    assert len(after.buffers) == len(restarted.buffers)
    for device in restarted.buffers:
        assert after.buffers.window(device).tobytes() == restarted.buffers.window(device).tobytes()
        ours, theirs = after.buffers.stream(device), restarted.buffers.stream(device)
        for name in ("last_minute", "observed", "held", "late_run"):
            assert getattr(ours, name) == getattr(theirs, name)


def test_transfer_reuses_free_rows() -> None:
    before, after = Engine(trend(30)), Engine(trend(12))
    stream(before, range(3))
    before.forget("b")
    transfer_state(before, after)
    stream(after, range(3, 5), "acd")
    assert after.buffers.names() == ["a", "d", "c"]


def test_transfer_to_another_model_drops_the_latest_forecasts() -> None:
    before, after = Engine(Persistence()), Engine(trend(30))
    stream(before, range(3))
    transfer_state(before, after)
    assert after.latest() == []
    stream(after, range(3, 4))
    assert [forecast.n_observed for forecast in after.latest()] == [4, 4, 4]


def other(context: int) -> Trend:
    return Trend(WindowSpec(context), name="other")


def test_transfer_with_a_new_member_keeps_the_latest_forecasts() -> None:
    before, after = engine_of(trend(30)), engine_of(trend(30), other(30))
    stream(before, range(3))
    latest = before.latest()
    transfer_state(before, after)
    for old, now in zip(latest, after.latest(), strict=True):
        assert old.experts is not None
        assert old.median_experts is not None
        experts, median_experts = ({**weights, "other": 0.0} for weights in (old.experts, old.median_experts))
        assert now == replace(old, experts=experts, median_experts=median_experts)


@pytest.mark.parametrize("after", [engine_of(trend(30)), Engine(trend(30))])
def test_transfer_without_a_member_drops_the_latest_forecasts(after: Engine) -> None:
    before = engine_of(trend(30), other(30))
    stream(before, range(3))
    transfer_state(before, after)
    assert after.latest() == []


def test_transfer_to_other_features_is_rejected() -> None:
    before = Engine(Persistence())
    stream(before, range(3))
    latest = before.latest()
    with pytest.raises(StateError, match=r"needs gap_kw, .* in each reading, but .* needs gap_kw: restart"):
        transfer_state(before, Engine(Electric()))
    assert before.latest() == latest
    stream(before, range(3, 4))
    assert before.latest()[0].n_observed == 4


def test_transfer_with_equal_members_keeps_learnt_state_exactly() -> None:
    before, after, alone = (engine_of(Persistence(), trend(30)) for _ in range(3))
    stream(before, range(40))
    stream(alone, range(60))
    transfer_state(before, after)
    stream(after, range(40, 60))
    assert after.latest() == alone.latest()
    assert after.ensemble is not None
    assert alone.ensemble is not None
    rows = range(3)
    for name, values in alone.ensemble.columns(rows).items():
        np.testing.assert_array_equal(after.ensemble.columns(rows)[name], values)


@pytest.mark.parametrize("with_room", [True, False])
def test_transfer_keeps_the_members_in_common(with_room: bool) -> None:
    before, after = engine_of(Persistence(), trend(30)), engine_of(Persistence(), max_devices=2)
    stream(before, range(40))
    before.forget("a")
    assert before.ensemble is not None
    learned = before.ensemble.columns([1])
    if with_room:
        reserve_rows(after, before.buffers.n_rows)
    transfer_state(before, after)
    assert after.ensemble is not None
    kept = after.ensemble.columns([1])
    np.testing.assert_array_equal(kept["seen"], learned["seen"])
    places = [learned["experts"].tolist().index(name) for name in kept["experts"].tolist()]
    np.testing.assert_array_equal(kept["memory"], learned["memory"][..., places])
    forgotten = after.ensemble.columns([0])["seen"][0]
    np.testing.assert_array_equal(forgotten, after.ensemble.state.initial("seen"))


def test_reserve_rows_allocates_for_learnt_state() -> None:
    alone, blended = Engine(Persistence()), engine_of(Persistence(), max_devices=50)
    reserve_rows(alone, 1_000)
    reserve_rows(blended, 1_000)
    assert blended.ensemble is not None
    assert len(blended.ensemble.state) == 51


def test_transfer_to_a_lower_limit_drops_devices() -> None:
    before, after = Engine(trend(30), 3), Engine(trend(12), 2)
    stream(before, range(3))
    transfer_state(before, after)
    assert list(after.buffers) == ["a", "b"]


def far(horizon_min: int) -> Trend:
    return Trend(WindowSpec(8), (horizon_min,))


def test_models_of_different_horizons_cannot_be_combined() -> None:
    with pytest.raises(ValueError, match="models of different horizons cannot be combined"):
        engine_of(far(5), Persistence(WindowSpec(8), (15,)))


def test_transfer_to_another_horizon_starts_learning_and_scores_again() -> None:
    before, after = engine_of(far(5)), engine_of(far(15))
    stream(before, range(40))
    transfer_state(before, after)
    assert list(after.buffers) == list("abc")
    assert after.latest() == []
    assert all(summary.n == 0 for summary in after.scores_of("a").values())
    fresh = engine_of(far(15)).ensemble
    assert fresh is not None
    assert after.ensemble is not None
    for name, array in after.ensemble.state.arrays.items():
        assert np.array_equal(array[1], fresh.state.initial(name), equal_nan=True), name


def test_snapshot_of_another_horizon_restores_windows_but_no_learning() -> None:
    before, after = engine_of(far(5)), engine_of(far(15))
    stream(before, range(40))
    problems = restore_snapshot(after, capture_snapshot(before))
    assert problems.learning == "it was learned 5 min ahead, and the models forecast 15 min ahead"
    assert problems.devices == []
    assert list(after.buffers) == list("abc")
    assert all(summary.n == 0 for summary in after.scores_of("a").values())


def test_restored_snapshot_that_releases_has_no_learned_columns() -> None:
    before, after, alone = engine_of(far(5)), engine_of(far(5)), engine_of(far(5))
    stream(before, range(40))
    stream(alone, range(60))
    snapshot = capture_snapshot(before)
    assert restore_snapshot(after, snapshot, releases=True).learning == ""
    assert set(snapshot.learning_state) == OF_ALL_DEVICES | {TRACKED, SEEN}
    stream(after, range(40, 60))
    assert after.latest() == alone.latest()


def test_ensemble_that_releases_removes_restored_columns() -> None:
    before, after = engine_of(far(5)).horizons.main.ensemble, engine_of(far(5)).horizons.main.ensemble
    assert before is not None
    assert after is not None
    columns, again = before.columns([0, 1]), before.columns([0, 1])
    after.restore_columns(2, columns, releases=True)
    assert set(columns) == OF_ALL_DEVICES | {TRACKED, SEEN}
    for name, array in after.columns([0, 1]).items():
        np.testing.assert_array_equal(array, again[name])


def test_implausible_rows_are_found_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_predicates, "_BLOCK_VALUES", 6)
    columns = {"a": np.zeros((7, 3)), "b": np.zeros(7), "none": np.zeros((7, 0))}
    columns["a"][5, 2] = columns["b"][6] = np.inf
    assert snapshot_checks.implausible_sums(columns).tolist() == [False] * 5 + [True] * 2


def test_snapshot_without_a_horizon_is_of_five_minutes() -> None:
    """Versions before 0.2 stored no horizon: all their models had this one."""
    before = engine_of(far(5))
    stream(before, range(40))
    snapshot = capture_snapshot(before)
    del snapshot.learning_state["horizon_min"]
    assert restore_snapshot(engine_of(far(5)), snapshot).learning == ""
    assert "5 min ahead" in restore_snapshot(engine_of(far(15)), snapshot).learning


@pytest.mark.parametrize("horizon", [np.array([5.0]), np.array([5, 5]), np.array(5)])
def test_snapshot_with_a_damaged_horizon_restores_no_learning(horizon: np.ndarray) -> None:
    before = engine_of(far(5))
    stream(before, range(40))
    snapshot = capture_snapshot(before)
    snapshot.learning_state["horizon_min"] = horizon
    assert "horizon" in restore_snapshot(engine_of(far(5)), snapshot).learning


def saved_before_situations(engine: Engine) -> Snapshot:
    """Return a snapshot as earlier versions stored it: weights without situations, in kW, with their learning rates."""
    snapshot = capture_snapshot(engine)
    state = snapshot.learning_state
    memory, scale_kw = state["memory"][:, :, :, -1].astype(np.float64), state["seen"][:, 0]
    unit = np.stack((scale_kw**2, scale_kw), axis=-1)[:, :, np.newaxis]
    before = np.ones((len(memory), 4, *memory.shape[2:]))
    before[:, :3] = memory * unit[:, np.newaxis]
    before[:, 1] *= unit
    snapshot.learning_state["memory"] = before
    del snapshot.learning_state["due_levels"]
    return snapshot


def test_snapshot_without_situations_restores_the_weights_for_all() -> None:
    before, after = engine_of(Persistence(), trend(30)), engine_of(Persistence(), trend(30))
    stream(before, range(40))
    assert restore_snapshot(after, saved_before_situations(before)).learning == ""
    assert before.ensemble is not None
    assert after.ensemble is not None
    expected = before.ensemble.columns(range(3))["memory"][:, :, :, -1:]
    restored = after.ensemble.columns(range(3))["memory"]
    np.testing.assert_allclose(restored, np.broadcast_to(expected, restored.shape), rtol=1e-5)
    stream(after, range(40, 60))


def test_snapshot_without_situations_and_bad_rates_restores_no_weights() -> None:
    before, after = engine_of(Persistence(), trend(30)), engine_of(Persistence(), trend(30))
    stream(before, range(40))
    snapshot = saved_before_situations(before)
    snapshot.learning_state["memory"][1, 3] = 0.0
    assert restore_snapshot(after, snapshot).learning == "1 rows of learned values or scores are out of range"
    assert after.ensemble is not None
    assert (after.ensemble.columns([1])["memory"] == 0).all()


def test_snapshot_without_situations_or_scales_restores_no_learning() -> None:
    before, after = engine_of(Persistence(), trend(30)), engine_of(Persistence(), trend(30))
    stream(before, range(40))
    snapshot = saved_before_situations(before)
    del snapshot.learning_state["seen"]
    assert "shape" in restore_snapshot(after, snapshot).learning


def record_copied_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each later call of :meth:`Scores.columns`."""
    n_rows: list[int] = []
    columns = Scores.columns

    def recorded(scores: Scores, rows: Sequence[int], *, copies: bool = True) -> dict[str, NDArray[np.generic]]:
        n_rows.append(len(rows))
        return columns(scores, rows, copies=copies)

    monkeypatch.setattr(Scores, "columns", recorded)
    return n_rows


def tracking_two(*models: Predictor) -> Engine:
    return Engine(models[0], ensemble=Ensemble(models, EnsembleOptions(max_devices=2)))


def test_transfer_copies_no_scores_of_untracked_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = tracking_two(trend(30)), tracking_two(trend(30), other(30))
    stream(before, range(9))
    n_rows = record_copied_rows(monkeypatch)
    transfer_state(before, after)
    assert max(n_rows) == 2
    assert [after.scores_of(device)[ALL_TIME].n for device in "abc"] == [3, 3, 0]


def test_restart_with_a_horizon_copies_no_scores_of_untracked_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_horizon() -> Engine:
        models = [HorizonModels(one, Ensemble((one,), EnsembleOptions(max_devices=2))) for one in (far(5), far(10))]
        return Engine(models[0].model, ensemble=models[0].ensemble, horizons=DeviceHorizons({"b": 10}, models[1:]))

    before, after = with_horizon(), with_horizon()
    stream(before, range(14))
    snapshot = capture_snapshot(before)
    n_rows = record_copied_rows(monkeypatch)
    assert restore_snapshot(after, snapshot) == ("", [])
    assert max(n_rows) == 2
    assert [after.scores_of(device) for device in "abc"] == [before.scores_of(device) for device in "abc"]
