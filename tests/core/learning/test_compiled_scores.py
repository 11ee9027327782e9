"""Scores and drift by the compiled library and by numpy have the same digits, however outcomes arrive."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapcast.compiled import functions
from gapcast.compiled.functions import load_function, set_pointers
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.scores.compiled_scores import (
    CompiledDriftState,
    CompiledScoreSums,
    new_drift_state,
    new_score_sums,
)
from gapcast.core.learning.scores.drift import Drift
from gapcast.core.learning.scores.drift_state import DriftState
from gapcast.core.learning.scores.score_sums import PUBLISHED, ScoreSums
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.learning.scores.summary import ALL_TIME
from tests.core.learning.outcomes import MEMBERS, NAN, START, outcomes
from tests.support.library_choice import build

TRACKED = 35  # of 40 rows: more than are allocated at first, twice
ROWS = range(40)
Steps = list[tuple[str, int]]


def random_batch(seed: int) -> Outcomes:
    """Return up to 60 outcomes of a few devices: mostly several per device, over minutes, days or weeks."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 61))
    rows = rng.integers(0, rng.choice([2, 12, 40]), n)
    if rng.random() < 0.4:
        rows = np.unique(rows)
    minutes = START + rng.integers(-5_000, 5_000) + np.cumsum(rng.integers(-3, rng.choice([4, 400, 4_000]), len(rows)))
    values = rng.normal(1, 1, (len(rows), 6 + 2 * len(MEMBERS)))
    odd = rng.random(values.shape) < rng.choice([0, 0.2])
    values[odd] = rng.choice([NAN, np.inf, -np.inf, 1e30, -1e300, 0.0, 1e-320], int(odd.sum()))
    actual_kw = np.nan_to_num(values[:, 0], nan=1.0, posinf=1e9, neginf=0.0)
    members_kw = values[:, 6:].reshape(-1, 2, len(MEMBERS))
    return Outcomes(rows, minutes, actual_kw, values[:, 1], members_kw, values[:, 2:6])


def one_by_one(batch: Outcomes) -> list[Outcomes]:
    return [Outcomes(*(getattr(batch, field.name)[i : i + 1] for field in fields(batch))) for i in range(len(batch))]


def assert_same(found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name].tobytes() == expected[name].tobytes(), name


def take_step(step: str, seed: int, subject: Scores | Drift) -> None:
    """Do what ``step`` says, which adds no outcomes."""
    if step == "forget":
        subject.forget(seed % len(ROWS))
    elif step == "restore":
        subject.restore_columns(subject.columns(range(seed % len(ROWS))))


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "forget", "restore"]), st.integers(0, 2**32)), max_size=12
)


@given(STEPS)
def test_compiled_scores_equal_those_of_numpy(steps: Steps) -> None:
    compiled, plain = Scores(MEMBERS, TRACKED), build(Scores, MEMBERS, TRACKED, compiled=False)
    assert type(compiled._sums) is CompiledScoreSums
    assert type(plain._sums) is ScoreSums
    with np.errstate(all="ignore"):
        for step, seed in steps:
            if step == "add":
                compiled.add(random_batch(seed))
                plain.add(random_batch(seed))
            take_step(step, seed, compiled)
            take_step(step, seed, plain)
            assert_same(compiled.columns(ROWS), plain.columns(ROWS))


@given(STEPS)
def test_compiled_drift_equals_that_of_numpy(steps: Steps) -> None:
    compiled, plain = Drift(TRACKED, 2), build(Drift, TRACKED, 2, compiled=False)
    assert type(compiled._state) is CompiledDriftState
    assert type(plain._state) is DriftState
    with np.errstate(all="ignore"):
        for step, seed in steps:
            if step == "add":
                assert compiled.add(random_batch(seed)) == plain.add(random_batch(seed))
            take_step(step, seed, compiled)
            take_step(step, seed, plain)
            assert_same(compiled.columns(ROWS), plain.columns(ROWS))


@given(st.lists(st.integers(0, 2**32), max_size=3))
def test_scores_and_drift_do_not_depend_on_batches(compiled: bool, seeds: list[int]) -> None:
    together = build(Scores, MEMBERS, TRACKED, compiled=compiled), build(Drift, TRACKED, 2, compiled=compiled)
    single = build(Scores, MEMBERS, TRACKED, compiled=compiled), build(Drift, TRACKED, 2, compiled=compiled)
    with np.errstate(all="ignore"):
        for batch in map(random_batch, seeds):
            together[0].add(batch)
            changes = together[1].add(batch)
            changes_of_single = []
            for one in one_by_one(batch):
                single[0].add(one)
                changes_of_single += single[1].add(one)
            assert sorted(changes, key=repr) == sorted(changes_of_single, key=repr)
    assert_same(together[0].columns(ROWS), single[0].columns(ROWS))
    assert_same(together[1].columns(ROWS), single[1].columns(ROWS))


def test_drift_detects_changes_within_one_batch(compiled: bool) -> None:
    """Eight days with small errors and four with large ones, of two devices, in one batch."""
    drift = build(Drift, TRACKED, 1, compiled=compiled)
    days = np.repeat(np.arange(12), 2)
    errors_kw = np.where(days < 8, 0.1, 5.0)
    published_kw = np.stack([errors_kw, errors_kw, errors_kw * NAN, errors_kw * NAN], axis=1)
    changes = drift.add(outcomes([3, 1] * 12, (START + days * 1440).tolist(), 0.0, published_kw))
    assert [(change.row, change.direction) for change in changes] == [(3, "grew"), (1, "grew")]


def test_untracked_rows_allocate_nothing(compiled: bool) -> None:
    scores, drift = build(Scores, MEMBERS, TRACKED, compiled=compiled), build(Drift, TRACKED, compiled=compiled)
    batch = outcomes([1_000_000, 3, 35], START, 1.0)
    scores.add(batch)
    drift.add(batch)
    assert len(scores._sums) == len(drift._state) == 16
    assert scores.overall()[ALL_TIME].n == 1


def test_restored_rows_beyond_the_allocated_ones_continue(compiled: bool) -> None:
    made: list[Scores | Drift] = [build(Scores, MEMBERS, TRACKED, compiled=compiled) for _ in range(2)]
    made += [build(Drift, TRACKED, 1, compiled=compiled) for _ in range(2)]
    for before, after in (made[:2], made[2:]):
        before.add(outcomes(range(30), START, 1.0))
        after.restore_columns(before.columns(range(30)))
        for one in (before, after):
            one.add(outcomes(range(30), START + 1, 1.5))
        assert_same(after.columns(ROWS), before.columns(ROWS))


def test_scores_expired_bucket_starts_at_zero_whatever_it_contains(compiled: bool) -> None:
    scores = build(Scores, MEMBERS, TRACKED, compiled=compiled)
    scores.add(outcomes([0], START, 1.0))
    scores._sums.arrays["buckets"][:] = NAN
    scores.add(outcomes([0], START + 9 * 1440, 2.0))
    published = scores.columns([0])[f"{PUBLISHED} buckets"]
    assert np.isfinite(published[0]).all(axis=1).sum() == 2  # one of the day and one of the week
    assert np.nansum(published[0, :, 1]) == 2.0


def test_compiled_scores_convert_types_and_strides() -> None:
    scores, expected = Scores(MEMBERS, TRACKED), Scores(MEMBERS, TRACKED)
    batch = outcomes([0, 2, 1], [START, START + 1, START], [0.5, 1.0, 2.0])
    expected.add(batch)
    strided: dict[str, Any] = {
        field.name: np.repeat(getattr(batch, field.name), 2, axis=0)[::2].astype(
            np.int32 if field.name in ("rows", "minutes") else np.float32
        )
        for field in fields(batch)
    }
    scores.add(Outcomes(**strided))
    assert_same(scores.columns(ROWS), expected.columns(ROWS))


def test_compiled_scores_reject_arrays_of_another_shape() -> None:
    scores, drift = Scores(MEMBERS, TRACKED), Drift(TRACKED)
    batch = outcomes([0, 1], START, 1.0)
    wrong = Outcomes(batch.rows, batch.minutes, np.ones(3), batch.last_kw, batch.members_kw, batch.published_kw)
    for subject in (scores, drift):
        before = subject.columns(ROWS)
        with pytest.raises(ValueError, match="broadcast"):
            subject.add(wrong)
        assert_same(subject.columns(ROWS), before)


def test_numpy_adds_without_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "load_library", lambda: None)
    assert load_function("gapcast_add_to_scores") is None
    assert type(new_score_sums(MEMBERS, 1)) is ScoreSums
    assert type(new_drift_state(1, 1)) is DriftState


class Pair(ctypes.Structure):
    _fields_ = (("n", ctypes.c_int64), ("values", ctypes.POINTER(ctypes.c_double)))


def test_set_pointers_sets_the_address_of_an_array() -> None:
    pair, values = Pair(2), np.array([1.5, 2.5])
    set_pointers(pair, values=values)
    values[1] = 7.0
    assert [pair.values[i] for i in range(pair.n)] == [1.5, 7.0]


def test_set_pointers_rejects_arrays_that_the_library_cannot_use() -> None:
    read_only = np.zeros(2)
    read_only.flags.writeable = False
    for array in (np.zeros(2, dtype=np.float32), np.zeros(4)[::2], read_only):
        with pytest.raises(ValueError, match="values is not a writable C-contiguous array of float64"):
            set_pointers(Pair(), values=array)
