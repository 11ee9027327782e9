"""Training and validation data of a model, from a clean file or from a training set of many houses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np

from gapcast.core.documents.message_format import counted
from gapcast.core.models.card_provenance import TrainedOnHouse
from gapcast.core.time_grid import DAY_MIN, minute_label
from gapcast.core.windows.training_set import Manifest
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import MinuteSplit, SplitPart, minute_at
from gapcast_trainer.data.windows import Examples, cut_examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.experiments.sections import Mixing
from gapcast_trainer.families.parts.base import Scale
from gapcast_trainer.training_data.other_houses import house_of_card, mix_houses, with_houses
from gapcast_trainer.training_data.training_set import TrainingSet, TrainingSetPart
from gapcast_trainer.training_data.window_source import WindowSource

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The windows to train and to validate on, the scale of the training part, and its source.

    ``experiment`` has the actual split. ``sha256`` is of the clean file or the set, ``readings`` its path (empty if it
    is not a file) and ``zone`` the time zone of derived features; ``first`` and ``last`` are the first and last minute
    of training, RFC 3339. ``houses`` and ``left_out`` are a set's houses and its left-out houses; ``others`` are the
    houses besides the clean file's house.
    """

    experiment: Experiment
    train: WindowSource
    validate: WindowSource
    scale: Scale
    source: str
    source_sha256: str
    sha256: str
    first: str
    last: str
    readings: str
    zone: str = "UTC"
    houses: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    others: tuple[TrainedOnHouse, ...] = ()


def training_data_of(
    readings: CleanFile | TrainingSet, experiment: Experiment, houses: Mapping[str, CleanFile] = MappingProxyType({})
) -> TrainingData:
    """Return the data of ``experiment`` from ``readings`` and, by name, its other ``houses``.

    Houses of the experiment without a clean file are removed from it. A training set has its own houses, and no
    mixtures: the experiment keeps from the section ``mixing`` only the share of the weights from which the training
    starts. Raises :class:`RunError` if there are no windows, or a house is not one of the experiment's.
    """
    if isinstance(readings, TrainingSet):
        return _of_set(readings, experiment)
    return _of_clean(readings, with_houses(experiment, houses), houses)


def _of_clean(clean: CleanFile, experiment: Experiment, houses: Mapping[str, CleanFile]) -> TrainingData:
    experiment = experiment.with_dates(clean)
    series, split = from_first_minute(clean.series, experiment), experiment.split()
    scale = _scale(series, split)
    train, validate = (_part(series, experiment, part) for part in (SplitPart.TRAIN, SplitPart.VALIDATE))
    given = [(house, houses[house.name]) for house in experiment.houses]
    return TrainingData(
        experiment=experiment,
        train=mix_houses(train, given, experiment, scale) if experiment.mixes else train,
        validate=mix_houses(validate, given, experiment, scale) if experiment.mixes else validate,
        scale=scale,
        source=clean.report.source,
        source_sha256=clean.report.sha256,
        sha256=clean.sha256,
        first=minute_label(int(train.observed_minute[0])),
        last=minute_label(int(train.observed_minute[-1]) + experiment.task().horizon_min),
        readings=str(clean.path),
        zone=str(series.zone),
        others=tuple(house_of_card(house, clean) for house, clean in given),
    )


def _of_set(training_set: TrainingSet, experiment: Experiment) -> TrainingData:
    training_set.check(experiment)
    mixing = Mixing(start_share=experiment.mixing.start_share)
    experiment = experiment.model_copy(update={"houses": (), "mixing": mixing})
    manifest, task = training_set.manifest, experiment.task()
    houses = manifest.names(left_out=False)
    train_until, validate_until, test_until = _bounds(manifest)
    parts = {
        "first": None, "train_until": train_until, "validate_until": validate_until, "test_until": test_until,
        "embargo_min": manifest.embargo_min,
    }  # fmt: skip
    return TrainingData(
        experiment=experiment.with_data(experiment.data.model_copy(update=parts)),
        train=TrainingSetPart(training_set, SplitPart.TRAIN, task),
        validate=TrainingSetPart(training_set, SplitPart.VALIDATE, task),
        scale=_balanced_scale(manifest),
        source=f"{counted(len(houses), 'house')} of {manifest.source}",
        source_sha256=manifest.source_sha256,
        sha256=training_set.sha256,
        first=min(house.first for house in manifest.houses if not house.left_out),
        last=minute_label(minute_at(train_until) - manifest.embargo_min - 1 + task.horizon_min),
        readings=str(training_set.folder.absolute()),
        zone=str(training_set.zone),
        houses=houses,
        left_out=manifest.names(left_out=True),
    )


def _bounds(manifest: Manifest) -> tuple[datetime, datetime, datetime]:
    """Return the latest ends of the parts over the houses; the test part has other houses."""
    begins = [house.validate_from for house in manifest.houses if house.validate_from is not None]
    ends = {
        left_out: [house.last for house in manifest.houses if house.left_out is left_out] for left_out in (False, True)
    }
    train_until = max(map(datetime.fromisoformat, begins))
    validate_until = max(map(datetime.fromisoformat, ends[False])) + _MINUTE
    tested = [datetime.fromisoformat(last) for last in ends[True]]
    return train_until, validate_until, max([validate_until, *tested]) + _MINUTE


def _balanced_scale(manifest: Manifest) -> Scale:
    """Return mean and standard deviation of the training minutes, with equal weight per house."""
    trained_on = [house for house in manifest.houses if not house.left_out and house.n_taken["train"]]
    mean_kw = float(np.mean([house.mean_kw for house in trained_on]))
    square_kw2 = float(np.mean([house.mean_square_kw2 for house in trained_on]))
    scale_kw = math.sqrt(max(square_kw2 - mean_kw**2, 0.0))
    return Scale(round(mean_kw, 4), round(scale_kw, 4) or 1.0)


def from_first_minute(series: Series, experiment: Experiment) -> Series:
    """Return ``series`` from the first minute of ``experiment`` on."""
    if experiment.data.first is None:
        return series
    n_before = min(max(minute_at(experiment.data.first) - series.first_minute, 0), series.gap_kw.size)
    return replace(
        series,
        first_minute=series.first_minute + n_before,
        gap_kw=series.gap_kw[n_before:],
        extra={name: values[n_before:] for name, values in series.extra.items()},
        filled=None if series.filled is None else series.filled[n_before:],
    )


def _scale(series: Series, split: MinuteSplit) -> Scale:
    kw = series.gap_kw[: split.bounds(SplitPart.TRAIN)[1] - series.first_minute]
    known = kw[~np.isnan(kw)]
    if not known.size:
        return Scale(mean_kw=0.0, scale_kw=1.0)  # without windows: the training part is rejected as empty
    return Scale(mean_kw=round(float(known.mean()), 4), scale_kw=round(float(known.std()), 4) or 1.0)


def _part(series: Series, experiment: Experiment, part: SplitPart) -> Examples:
    split = experiment.split()
    found = cut_examples(series, experiment.task(), split, part)
    if not len(found):
        n_minutes = series.last_minute - series.first_minute + 1
        if n_minutes < DAY_MIN:
            msg = f"no window to {part.value} on: the readings span {n_minutes:,} min: use at least a day of readings"
            raise RunError(msg)
        first, until = split.bounds(part)
        since = "the beginning" if first is None else minute_label(first)
        msg = (
            f"no window to {part.value} on: the file has none observed from {since} to {minute_label(until)} "
            "with its target read; set data.train_until and data.validate_until to times inside of it, or to null for "
            "shares of the file"
        )
        raise RunError(msg)
    return found
