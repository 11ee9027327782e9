"""The series that an outlook is trained on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.time_grid import minute_label
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.synthetic_houses.families import FAMILIES
from gapcast_trainer.training.outlook import series as made
from gapcast_trainer.training.outlook.series import TrainingSeries, train_span, training_series
from tests.trainer.outlook.small_outlook import outlook_experiment

EXPERIMENT = outlook_experiment(
    outlook={"simulated": 20, "n_simulated": 1, "mixture": 30, "n_mixtures": 4, "mixed_simulated_share": 1.0},
    mixing={"n_each": 1, "second_share": 1.0, "base_share": 1.0},
)


@pytest.fixture(scope="module")
def series(small: CleanFile) -> list[TrainingSeries]:
    """Simulated houses of a week, which mixtures repeat."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "_SIMULATED_DAYS", 7)
        return training_series(small, [], EXPERIMENT)


@pytest.mark.long
def test_training_series_are_house_simulations_and_mixtures(series: list[TrainingSeries]) -> None:
    names = [its.name for its in series]
    assert names[0] == EXPERIMENT.name
    assert names[1:] == [*(f"{family}-1" for family in FAMILIES), *(f"mixture-{place}" for place in range(1, 5))]
    assert [its.n_rows for its in series] == [EXPERIMENT.outlook.main, *[20] * len(FAMILIES), *[30] * 4]
    assert [its.split is None for its in series] == [False, *[True] * (len(FAMILIES) + 4)]


def test_training_series_begin_with_the_first_minute_of_the_experiment(small: CleanFile) -> None:
    first = minute_label(small.series.first_minute + 600)
    experiment = outlook_experiment(outlook={"n_simulated": 0, "n_mixtures": 0}).changed({"data.first": first})
    (house,) = training_series(small, [], experiment)
    assert house.first_minute == train_span(small, experiment)[0] == small.series.first_minute + 600
    assert np.array_equal(house.gap_kw, small.series.outcome_kw[600:], equal_nan=True)


def test_training_series_have_the_clocks_of_their_houses(small: CleanFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated houses begin at midnight UTC; mixtures have the clock of their first house."""
    monkeypatch.setattr(made, "_SIMULATED_DAYS", 2)
    zones = [ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York")]
    main, other = (replace(small, series=replace(small.series, zone=zone)) for zone in zones)
    experiment = outlook_experiment(
        outlook={"n_simulated": 1, "n_mixtures": 1}, houses=[{"name": "other", "source": "nobody"}]
    )
    found = training_series(main, [(experiment.houses[0], other)], experiment)
    assert [its.zone for its in found[:2]] == zones
    assert {its.zone for its in found[2:-1]} == {UTC}
    assert found[-1].zone in zones


def test_pieces_begin_at_midnight_of_their_house() -> None:
    house = TrainingSeries("a", 26_000_000, np.ones(20 * 1_440), 1, 1.0, zone=ZoneInfo("Asia/Kolkata"))
    rng = np.random.default_rng(1)
    begins = [(made._piece(rng, [house], 1_440)[0] + 5 * 60 + 30) % 1_440 for _ in range(200)]
    assert 80 < begins.count(0) < 120


def test_training_series_have_the_shares_of_the_experiment(series: list[TrainingSeries]) -> None:
    sizes = EXPERIMENT.outlook
    of_mixtures = sum(its.share for its in series if its.name.startswith("mixture"))
    assert series[0].share == sizes.main_share
    assert of_mixtures == pytest.approx(sizes.mixture_share)
    assert sum(its.share for its in series[1:]) - of_mixtures == pytest.approx(sizes.simulated_share)


def test_mixtures_repeat_only_with_the_same_seed(small: CleanFile) -> None:
    experiment = outlook_experiment(outlook={"n_simulated": 0, "n_mixtures": 1})
    first, again, other = (
        training_series(small, [], experiment.model_copy(update={"seed": seed})) for seed in (1, 1, 2)
    )
    assert np.array_equal(first[-1].gap_kw, again[-1].gap_kw, equal_nan=True)
    assert not np.array_equal(first[-1].gap_kw, other[-1].gap_kw, equal_nan=True)


def test_mixtures_differ_and_are_of_the_training_part(series: list[TrainingSeries]) -> None:
    """Mixtures of a house of four days repeat its training part."""
    mixtures = [its.gap_kw for its in series[-4:]]
    assert [kw.size for kw in mixtures] == [25 * 1_440, *[40 * 1_440] * 3]
    assert all(not np.array_equal(a, b) for a, b in pairwise(kw[: 25 * 1_440] for kw in mixtures))
    assert series[0].until(SplitPart.TRAIN) < series[0].until(SplitPart.VALIDATE) < series[0].gap_kw.size
    assert series[-1].until(SplitPart.TRAIN) == series[-1].gap_kw.size


def test_mixtures_of_a_long_house_are_pieces_of_it(small: CleanFile) -> None:
    kw = np.concatenate([np.full(100_000, 0.5), small.series.gap_kw])
    series = replace(small.series, first_minute=small.series.first_minute - 100_000, gap_kw=kw)
    long = replace(small, series=series)
    experiment = outlook_experiment(outlook={"n_simulated": 0, "n_mixtures": 2, "mixed_simulated_share": 0.0})
    _, *mixtures = training_series(long, [], experiment)
    assert all(its.first_minute >= long.series.first_minute for its in mixtures)
    assert all(its.gap_kw.size in {25 * 1_440, 40 * 1_440} for its in mixtures)
