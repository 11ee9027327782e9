"""The series on which an outlook is trained: the houses, simulated houses, and mixtures of both.

A mixture is a piece of a house multiplied by a random factor, plus pieces of other houses, simulated houses, loads and
a base load. It is mixed before windows are cut, so that the week's history of a window is of the same house.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.features import minute_of_day
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import MinuteSplit, SplitPart, minute_at
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.experiments.sections import House
from gapcast_trainer.loads.kinds import library
from gapcast_trainer.synthetic_houses.families import FAMILIES, simulate
from gapcast_trainer.training_data.other_houses import split_of
from gapcast_trainer.training_data.training_data import from_first_minute

#: Length of simulated houses and of mixtures, days. Every fourth mixture is shorter: houses with little history.
_SIMULATED_DAYS, _MIXTURE_DAYS, _SHORT_DAYS = 70, 40, 25
#: A Monday, since the epoch: simulated houses begin on one.
_MONDAY_MIN = 4 * DAY_MIN
#: Maximum share of missing minutes of a piece for a mixture, and number of tries to find a piece.
_MISSING_SHARE, _N_TRIES = 0.3, 200


@dataclass(frozen=True, slots=True)
class TrainingSeries:
    """A series ``gap_kw`` ``[T]``, NaN where missing; its windows observed in a part of ``split`` count.

    ``zone`` is the zone of features of the time of day and the week. ``split`` None: all windows count, only for
    training. ``n_rows`` is the maximum number of windows to draw, ``share`` their share of the batches, relative to
    other series.
    """

    name: str
    first_minute: int
    gap_kw: F64
    n_rows: int
    share: float
    split: MinuteSplit | None = None
    zone: tzinfo = UTC

    def until(self, part: SplitPart) -> int:
        """Return the number of minutes before the end of ``part``."""
        if self.split is None:
            return self.gap_kw.size
        return min(self.gap_kw.size, self.split.bounds(part)[1] - self.first_minute)


def training_series(
    main: CleanFile, others: Sequence[tuple[House, CleanFile]], experiment: Experiment
) -> list[TrainingSeries]:
    """Return all series of ``experiment``, the main house first; the same experiment and files give the same series."""
    sizes = experiment.outlook
    weight = sum(house.weight for house, _ in others)
    its = from_first_minute(main.series, experiment)
    houses = [
        TrainingSeries(experiment.name, its.first_minute, its.outcome_kw, sizes.main, sizes.main_share,
                       experiment.split(), its.zone)
    ]  # fmt: skip
    houses += [
        TrainingSeries(
            house.name, clean.series.first_minute, clean.series.outcome_kw, sizes.house,
            sizes.house_share * house.weight / weight, split_of(clean, experiment.embargo_min), clean.series.zone,
        )
        for house, clean in others
    ]  # fmt: skip
    simulated = [
        TrainingSeries(
            f"{name}-{seed}", _MONDAY_MIN, simulate(name, _SIMULATED_DAYS, seed), sizes.simulated,
            sizes.simulated_share / (len(FAMILIES) * sizes.n_simulated),
        )
        for name in FAMILIES
        for seed in range(1, sizes.n_simulated + 1)
    ]  # fmt: skip
    return [*houses, *simulated, *_mixtures(houses, simulated, experiment)]


def _mixtures(
    houses: Sequence[TrainingSeries], simulated: Sequence[TrainingSeries], experiment: Experiment
) -> list[TrainingSeries]:
    sizes, mixing, sigma = experiment.outlook, experiment.mixing, experiment.augment.scaled_sigma
    rng = np.random.default_rng((experiment.seed, 1))
    loads = library(mixing.n_each, experiment.seed, left_out=mixing.left_out) if sizes.n_mixtures else np.empty((0, 1))
    found = []
    for place in range(sizes.n_mixtures):
        n_min = DAY_MIN * (_MIXTURE_DAYS if place % 4 else _SHORT_DAYS)
        first, kw, zone = _piece(rng, houses, n_min)
        kw = kw * np.exp(rng.normal(0, sigma))
        if rng.random() < mixing.second_share:
            kw = kw + _piece(rng, houses, kw.size)[1] * np.exp(rng.normal(0, sigma))
        if simulated and rng.random() < sizes.mixed_simulated_share:
            other = simulated[int(rng.integers(len(simulated)))].gap_kw
            kw = kw + np.resize(other, kw.size) * np.exp(rng.normal(0, sigma))
        for _ in range(int(rng.choice(len(mixing.n_loads), p=np.array(mixing.n_loads) / sum(mixing.n_loads)))):
            kw = kw + np.resize(loads[int(rng.integers(len(loads)))], kw.size) * np.exp(
                rng.normal(0, mixing.load_sigma)
            )
        if rng.random() < mixing.base_share:
            kw = kw + rng.exponential(mixing.base_kw)
        share = sizes.mixture_share / sizes.n_mixtures
        found.append(TrainingSeries(f"mixture-{place + 1}", first, kw, sizes.mixture, share, zone=zone))
    return found


def _piece(rng: np.random.Generator, houses: Sequence[TrainingSeries], n_min: int) -> tuple[int, F64, tzinfo]:
    """Return first minute, power and zone of a piece of the training part of a random house, ``[n_min]`` at most.

    Half of the pieces begin at midnight of the house, so that sums of two keep their times of day. If no house is long
    enough, pieces are shorter, and minutes of the longest one repeat.
    """
    longest = max(houses, key=lambda house: house.until(SplitPart.TRAIN))
    for _ in range(_N_TRIES):
        house = houses[int(rng.integers(len(houses)))]
        spare = house.until(SplitPart.TRAIN) - n_min
        if spare < 0:
            continue
        begin = int(rng.integers(spare + 1))
        if rng.random() < 1 / 2:
            begin = max(begin - int(minute_of_day(np.array([house.first_minute + begin]), house.zone)[0]), 0)
        piece = house.gap_kw[begin : begin + n_min]
        if np.isnan(piece).mean() < _MISSING_SHARE:
            return house.first_minute + begin, piece, house.zone
    return longest.first_minute, np.resize(longest.gap_kw[: longest.until(SplitPart.TRAIN)], n_min), longest.zone


def train_span(main: CleanFile, experiment: Experiment) -> tuple[int, int]:
    """Return the first and the last minute of the main house used in training, including outcomes."""
    until = minute_at(experiment.split().train_until) - experiment.embargo_min - 1 + experiment.task().horizon_min
    return from_first_minute(main.series, experiment).first_minute, min(until, main.series.last_minute)
