"""The learned state of outlooks survives restarts and engine swaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.core.engine import Engine
from gapcast.core.forecasts import power_floor
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.outlook.stored_state import SIGNATURE, TRACKED, implausible_outlooks
from gapcast.core.snapshots.journal_replay import JournalReplay
from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.snapshots.state_transfer import transfer_state
from gapcast.storage.checkpoints import checkpoint
from tests.core.outlook.runs import outlook_engine, process
from tests.support.houses import FIRST, Smooth, house_kw, stream
from tests.support.outlook_model import OutlookModel

LEADS_MIN = OutlookModel().lead_times_min

READINGS = [
    one
    for minute in zip(*(stream(house_kw(200, seed), FIRST, name) for seed, name in enumerate("ab")), strict=True)
    for one in minute
]


def run(n: int, engine: Engine | None = None, begin: int = 0) -> Engine:
    engine = engine or outlook_engine()
    process(engine, READINGS[begin : begin + n], 2)
    return engine


def same(one: Engine, other: Engine) -> bool:
    """Return whether outlooks, scores and learned state are equal, bit for bit."""
    assert one.outlooks is not None
    assert other.outlooks is not None
    rows = [0, 1]
    left, right = one.outlooks.columns(rows), other.outlooks.columns(rows)
    return left.keys() == right.keys() and all(
        np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f") for name in left
    )


def through_file(snapshot: Snapshot, folder: Path) -> Snapshot:
    path = folder / "checkpoint.npz"
    path.write_bytes(checkpoint.encode(snapshot))
    return checkpoint.read(path)


def test_restored_engine_continues_exactly(tmp_path: Path) -> None:
    alone, before, after = run(300), run(160), outlook_engine()
    assert restore_snapshot(after, through_file(capture_snapshot(before), tmp_path)) == ("", [])
    assert same(before, after)
    assert after.outlook_scores_of("a") == before.outlook_scores_of("a")
    run(140, after, 160)
    assert same(alone, after)
    found, wanted = after.outlook_of("b"), alone.outlook_of("b")
    assert found is not None
    assert wanted is not None
    assert np.array_equal(found.point_kw, wanted.point_kw)


def test_restored_snapshot_that_releases_has_no_outlook_columns() -> None:
    before, after = run(160), outlook_engine()
    snapshot = capture_snapshot(before)
    assert restore_snapshot(after, snapshot, releases=True).learning == ""
    assert snapshot.outlook == {}
    assert same(before, after)


def by_slot(columns: dict[str, Any]) -> None:
    """Store the values of pending outlooks like early checkpoints of 0.2.0: all lead times in each slot."""
    issued, values, n_slots = columns["issued_minute"], columns["values"], LEADS_MIN[-1] + 1
    found = np.full((len(values), n_slots, len(LEADS_MIN), *values.shape[2:]), 7.0, dtype=values.dtype)
    for device, minute in enumerate(issued.max(axis=1).tolist()):
        for k, lead in enumerate(LEADS_MIN):
            for issued_min in range(minute - lead + 1, minute + 1):
                place = sum(LEADS_MIN[:k]) + issued_min % lead
                found[device, issued_min % n_slots, k] = values[device, place]
    columns["values"] = found


@pytest.mark.parametrize("n", [6, 160])
def test_values_stored_by_slot_are_put_in_their_places(n: int, tmp_path: Path) -> None:
    alone, snapshot, after = run(n + 140), capture_snapshot(run(n)), outlook_engine()
    by_slot(snapshot.outlook)
    assert restore_snapshot(after, through_file(snapshot, tmp_path)) == ("", [])
    run(140, after, n)
    assert same(alone, after)


def test_state_without_the_gain_of_the_last_reading_is_restored(tmp_path: Path) -> None:
    snapshot, after = capture_snapshot(run(160)), outlook_engine()
    gains = snapshot.outlook["share_gains"]
    snapshot.outlook["share_gains"] = gains[..., :-1].copy()
    assert restore_snapshot(after, through_file(snapshot, tmp_path)) == ("", [])
    assert after.outlooks is not None
    restored = after.outlooks.columns([0, 1])["share_gains"]
    assert np.array_equal(restored[..., :-1], gains[..., :-1])
    assert not restored[..., -1].any()


def test_state_without_lowest_powers_is_restored(tmp_path: Path) -> None:
    snapshot, after = capture_snapshot(run(160)), outlook_engine()
    del snapshot.outlook[power_floor.STATE], snapshot.learning_state[power_floor.STATE]
    assert restore_snapshot(after, through_file(snapshot, tmp_path)) == ("", [])
    assert after.outlooks is not None
    restored = after.outlooks.columns([0, 1])
    assert np.array_equal(restored[power_floor.STATE], [power_floor.initial_state()] * 2)
    assert np.array_equal(restored["coefficients"], snapshot.outlook["coefficients"])


def test_snapshot_without_outlooks_is_restored(tmp_path: Path) -> None:
    before = replace(capture_snapshot(run(40)), outlook={})
    after = outlook_engine()
    assert restore_snapshot(after, through_file(before, tmp_path)) == ("", [])
    assert after.outlook_of("a") is None
    without = Engine(Smooth())
    assert restore_snapshot(without, capture_snapshot(run(40))).devices == []


def test_other_outlook_model_starts_again() -> None:
    after = outlook_engine(outlook_model=replace(OutlookModel(), version="2"))
    assert restore_snapshot(after, capture_snapshot(run(60))) == ("", [])
    assert after.outlook_of("a") is None
    assert after.outlook_scores_of("a")[ALL_TIME].point[0].n == 0


def test_engine_with_fewer_outlooks_restores_the_first() -> None:
    after = outlook_engine(options=OutlookOptions(max_devices=1))
    assert restore_snapshot(after, capture_snapshot(run(60))) == ("", [])
    assert after.outlook_of("a") is not None
    assert after.outlook_of("b") is None


@pytest.mark.parametrize("releases", [False, True])
@pytest.mark.parametrize("name", ["seen", "coefficients", "sums", "log_width", "issued_minute"])
def test_damaged_outlook_row_is_reset_without_the_others(name: str, releases: bool) -> None:
    snapshot = capture_snapshot(run(60))
    snapshot.outlook[name][0] = -5_000_000_000 if name == "issued_minute" else 1e35
    after = outlook_engine()
    restored = restore_snapshot(after, snapshot, releases=releases)
    assert restored.learning == "1 rows of learned outlooks are out of range"
    assert (snapshot.outlook == {}) == releases
    assert after.outlook_of("a") is None
    assert after.outlook_of("b") is not None


def without_array(columns: dict[str, Any]) -> None:
    del columns["sums"]


def without_row(columns: dict[str, Any]) -> None:
    columns["sums"] = columns["sums"][:1]


def of_other_type(columns: dict[str, Any]) -> None:
    columns["inputs"] = columns["inputs"].astype(np.float64)


def twice(columns: dict[str, Any]) -> None:
    columns[TRACKED] = np.zeros(2, dtype=np.int64)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (without_array, "has no sums"),
        (without_row, "sums of the stored outlooks is"),
        (of_other_type, "inputs of the stored outlooks is"),
        (twice, "names a device twice"),
    ],
)
def test_columns_that_do_not_fit_are_left_out(damage: Callable[[dict[str, Any]], None], problem: str) -> None:
    snapshot = capture_snapshot(run(60))
    damage(snapshot.outlook)
    after = outlook_engine()
    assert problem in restore_snapshot(after, snapshot).learning
    assert after.outlook_of("a") is None


def test_signature_of_another_form_is_left_out() -> None:
    snapshot = capture_snapshot(run(20))
    del snapshot.outlook[SIGNATURE]
    after = outlook_engine()
    assert restore_snapshot(after, snapshot) == ("", [])
    assert after.outlook_of("a") is None


@pytest.mark.long
def test_engine_swap_keeps_what_was_learned() -> None:
    alone, before, after = run(300), run(160), outlook_engine()
    transfer_state(before, after)
    run(140, after, 160)
    assert same(alone, after)


def test_engine_swap_to_another_model_starts_again() -> None:
    before, after = run(60), outlook_engine(outlook_model=replace(OutlookModel(), name="other"))
    transfer_state(before, after)
    assert after.outlook_of("a") is None
    without = Engine(Smooth())
    transfer_state(after, without)
    assert without.outlook_of("a") is None


@pytest.mark.parametrize("of_ensemble", [True, False])
def test_journal_replay_makes_the_same_outlooks(*, of_ensemble: bool) -> None:
    def engine() -> Engine:
        return outlook_engine() if of_ensemble else Engine(Smooth(), outlook=OutlookConfig(OutlookModel()))

    alone, after = engine(), engine()
    run(120, alone)
    replay = JournalReplay(after)
    for at in range(0, 120, 2):
        replay.replay_batch(READINGS[at : at + 2], 7)
    replay.finish()
    assert same(alone, after)
    found = after.outlook_of("a")
    assert found is not None
    assert found.issued_at_ms == 7


def test_implausible_outlooks_without_arrays_are_none() -> None:
    assert not implausible_outlooks({TRACKED: np.arange(2)}).any()
