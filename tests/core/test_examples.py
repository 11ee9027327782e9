"""Training examples found piece by piece equal the whole series' examples."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.windows.examples import HouseExamples, HouseMinutes, count_recent, examples_in, with_targets
from gapcast.core.windows.training_set import (
    TEST,
    TRAIN,
    VALIDATE,
    Chunk,
    Contract,
    Draw,
    Manifest,
    TrainingSetHouse,
    row_type,
)
from gapcast.core.windows.window import MAX_FILL_MIN, WindowSpec, cut

SPECS = st.builds(WindowSpec, st.integers(2, 50), st.sampled_from(["oldest", "zero"]))
LEADS = st.sets(st.integers(1, 9), min_size=1).map(lambda leads: tuple(sorted(leads)))
#: Runs of readings, and the minutes missing after each: all relevant lengths, and an outage of half a day.
RUNS = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, MAX_FILL_MIN + 3) | st.integers(25, 40) | st.just(700)),
    min_size=1,
    max_size=8,
)


def laid_out(runs: list[tuple[int, int]], seed: int) -> np.ndarray:
    """Return power minute by minute, NaN where missing; the last minute was read."""
    random = np.random.default_rng(seed)
    parts = [np.append(random.uniform(-2, 9, n_read), np.full(n_missing, np.nan)) for n_read, n_missing in runs]
    kw = np.concatenate(parts)
    return kw[: np.flatnonzero(~np.isnan(kw))[-1] + 1]


def whole(kw: np.ndarray, outcome_kw: np.ndarray, spec: WindowSpec, leads: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the examples of a whole series."""
    windows = cut(kw, spec)
    rows, target_kw = with_targets(windows, np.arange(len(windows)), outcome_kw, leads)
    return {
        "observed_minute": windows.origin[rows],
        "n_observed": windows.n_observed[rows],
        "n_recent": count_recent(kw)[windows.origin[rows]],
        "target_kw": target_kw,
        "windows": windows[rows],
    }


def joined(found: list[HouseExamples], first: int) -> dict[str, np.ndarray]:
    names = ("observed_minute", "n_observed", "n_recent", "target_kw")
    columns = {name: np.concatenate([getattr(part, name) for part in found]) for name in names}
    columns["observed_minute"] -= first
    columns["windows"] = np.concatenate([part.windows_at(np.arange(part.observed_minute.size)) for part in found])
    return columns


@given(RUNS, SPECS, LEADS, st.integers(1, 90), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1]))
def test_examples_in_pieces_equal_those_of_the_whole_series(
    runs: list[tuple[int, int]], spec: WindowSpec, leads: tuple[int, ...], n_a_piece: int, seed: int, filled: float
) -> None:
    """A share of the minutes is ``filled``."""
    kw, first = laid_out(runs, seed), 20_000_000
    is_filled = np.random.default_rng(seed).random(kw.size) < filled
    at = np.flatnonzero(~np.isnan(kw))
    cuts = [at[k : k + n_a_piece] for k in range(0, at.size, n_a_piece)]
    pieces = [HouseMinutes(first + some, kw[some], is_filled[some]) for some in cuts]
    outcome_kw = np.where(is_filled, np.nan, kw)
    found, expected = joined(list(examples_in(pieces, spec, leads)), first), whole(kw, outcome_kw, spec, leads)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_examples_long_gap_takes_no_memory() -> None:
    minute = np.array([0, 1, 2, 3, 4, 5, 6, 7, 26_000_000, 26_000_001, 26_000_002])
    (found,) = examples_in([HouseMinutes(minute, np.arange(11.0), minute < 0)], WindowSpec(4), (1,))
    assert found.observed_minute.tolist() == [1, 2, 3, 4, 5, 6, 26_000_001]
    assert found.n_recent.tolist()[-1] == 2
    assert found.windows_at(np.array([6])).tolist() == [[8, 8, 8, 9]]


def test_training_set_embargo_separates_the_parts() -> None:
    contract = Contract(context=60, lead_times_min=(1, 5))
    begins = 1_000
    last_target = begins - contract.embargo_min - 1 + 5
    first_of_a_window = begins - 59
    assert last_target == first_of_a_window - 1


def test_training_set_manifest_lists_parts_and_houses() -> None:
    houses = tuple(
        TrainingSetHouse(name, left_out, 9, 0, 0, "a", "b", None, {TRAIN: 5}, {TRAIN: 3}, 1.0, 2.0)
        for name, left_out in (("a", False), ("b", True))
    )
    chunks = (Chunk("1", TRAIN, 5, ""), Chunk("2", TRAIN, 4, ""), Chunk("3", TEST, 2, ""))
    manifest = Manifest(1, "in", "", {}, Contract(), 34, Draw(), houses, chunks)
    assert [manifest.n_rows(part) for part in (TRAIN, VALIDATE, TEST)] == [9, 0, 2]
    assert (manifest.names(left_out=False), manifest.names(left_out=True)) == (("a",), ("b",))
    assert json.loads(manifest.text())["contract"]["context"] == 30
    assert row_type(180, 5)["window_kw"].shape == (180,)


@pytest.mark.parametrize("leads", [(1,), (1, 5)])
def test_example_has_all_of_its_targets(leads: tuple[int, ...]) -> None:
    kw = np.arange(12.0)
    kw[8] = np.nan
    found = whole(kw, kw, WindowSpec(2), leads)
    assert len(found["observed_minute"]) >= 4
    for minute, target_kw in zip(found["observed_minute"], found["target_kw"], strict=True):
        assert target_kw.tolist() == [minute + lead for lead in leads]
