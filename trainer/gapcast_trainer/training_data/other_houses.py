"""The houses on which a model is trained beside the house of its clean file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from gapcast.core.models.card_provenance import TrainedOnHouse
from gapcast.core.time_grid import DAY_MIN, minute_label
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import MinuteSplit, SplitPart, minute_at
from gapcast_trainer.data.split_dates import default_ends
from gapcast_trainer.data.windows import Examples, cut_examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.experiments.sections import House
from gapcast_trainer.families.parts.base import Scale
from gapcast_trainer.loads.kinds import KINDS, library
from gapcast_trainer.synthetic_houses.families import FAMILIES, simulate
from gapcast_trainer.training_data.house_mix import HouseMix

_NEVER, _DAY = datetime(9999, 1, 1, tzinfo=UTC), timedelta(days=1)
#: Length of simulated houses, days; the Monday, since the epoch, on which they begin; the seed of a family's first
#: house.
_SIMULATED_DAYS, _MONDAY, _FIRST_SEED = 20, 4, 500


def with_houses(experiment: Experiment, houses: Mapping[str, CleanFile]) -> Experiment:
    """Return ``experiment`` with only those of its houses that have a clean file in ``houses``, by name.

    Raises :class:`RunError` for a house that the experiment does not have.
    """
    known = [house.name for house in experiment.houses]
    unknown = [name for name in houses if name not in known]
    if unknown:
        there = f"they are {', '.join(known)}" if known else "it has none"
        what = f"is none of the houses of experiment {experiment.name}"
        msg = f"--house {unknown[0]}: {what}: {there} (add it to [[houses]])"
        raise RunError(msg)
    return experiment.model_copy(update={"houses": tuple(house for house in experiment.houses if house.name in houses)})


def split_of(clean: CleanFile, embargo_min: int) -> MinuteSplit:
    """Return the split of a house: its last 15 % are for validation, and no part for the test."""
    first = clean.series.first_minute
    ends = default_ends(first, first + clean.series.gap_kw.size)
    return MinuteSplit(ends["validate_until"], ends["test_until"], _NEVER, embargo_min)


def mix_houses(
    main: Examples, houses: Sequence[tuple[House, CleanFile]], experiment: Experiment, scale: Scale
) -> HouseMix:
    """Return the windows of ``main`` and of the same part of the other ``houses``, and loads to mix in."""
    unknown = [kind for kind in experiment.mixing.left_out if kind not in KINDS]
    if unknown:
        there = f"there are {', '.join(KINDS)}"
        msg = f"experiment {experiment.name}: mixing.left_out: there is no kind of load {unknown[0]}: {there}"
        raise RunError(msg)
    others = [
        cut_examples(clean.series, experiment.task(), split_of(clean, experiment.embargo_min), main.part)
        for _, clean in houses
    ]
    for (house, _), found in zip(houses, others, strict=True):
        if not len(found):
            msg = f"house {house.name}: no window to {main.part.value} on: give it a longer file, or leave it out"
            raise RunError(msg)
    simulated = _simulated_houses(experiment) if main.part is SplitPart.TRAIN else []
    shared_weight = experiment.mixing.simulated_weight / max(len(simulated), 1)
    return HouseMix(
        houses=(main, *others, *simulated),
        weights=(
            experiment.mixing.main_weight,
            *(house.weight for house, _ in houses),
            *[shared_weight] * len(simulated),
        ),
        loads=library(experiment.mixing.n_each, experiment.seed, left_out=experiment.mixing.left_out),
        mixing=experiment.mixing,
        scale_kw=scale.scale_kw,
    )


def _simulated_houses(experiment: Experiment) -> list[Examples]:
    """Return the windows of simulated houses, all for training; the same experiment gives the same windows."""
    first_minute = DAY_MIN * _MONDAY
    split = MinuteSplit(_NEVER - 2 * _DAY, _NEVER - _DAY, _NEVER, experiment.embargo_min)
    return [
        cut_examples(
            Series(first_minute, simulate(name, _SIMULATED_DAYS, _FIRST_SEED + place)), experiment.task(), split,
            SplitPart.TRAIN,
        )
        for name in FAMILIES
        for place in range(experiment.mixing.n_simulated)
    ]  # fmt: skip


def house_of_card(house: House, clean: CleanFile) -> TrainedOnHouse:
    """Return the house as a model's card states it."""
    until = minute_at(split_of(clean, 0).train_until)
    return TrainedOnHouse(
        name=house.name,
        source=house.source,
        sha256=clean.report.sha256,
        first=datetime.fromisoformat(minute_label(clean.series.first_minute)),
        last=datetime.fromisoformat(minute_label(until - 1)),
        weight=house.weight,
    )
