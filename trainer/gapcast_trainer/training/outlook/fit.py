"""Trains an outlook model: its features are computed once, then its head is fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import keras
import numpy as np
from numpy.typing import NDArray

from gapcast.core.time_grid import minute_label
from gapcast.predictors.models_folder.files import MODEL_FILE
from gapcast.predictors.models_folder.store import load_model
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.families import find_family, multiscale
from gapcast_trainer.families.outlook import OutlookParts, build_parts
from gapcast_trainer.families.parts.base import Design, Hyper, Scale
from gapcast_trainer.git_commit import git_commit
from gapcast_trainer.tflite.file_weights import set_file_weights
from gapcast_trainer.training.descent.best_weights import BestWeights
from gapcast_trainer.training.descent.epochs import EpochProgress
from gapcast_trainer.training.outlook.feature_rows import FeatureRows, feature_rows, join_rows
from gapcast_trainer.training.outlook.head_training import fit_head
from gapcast_trainer.training.outlook.series import train_span, training_series
from gapcast_trainer.training.run import Run, code_versions, save_run, utc_now
from gapcast_trainer.training_data.other_houses import house_of_card, with_houses

#: Number of windows of each house to validate on, as a share of its windows to train on.
_VALIDATE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class HeadRows:
    """Rows to train and to validate on. ``probability`` ``[N]`` is the probability of drawing each training row."""

    train: FeatureRows
    validate: FeatureRows
    probability: NDArray[np.float64]


def body_scale(folder: Path, hyper: Hyper) -> Scale:
    """Return the scale of the trunk in ``folder``; raise :class:`RunError` if ``hyper`` describes another."""
    card = load_model(folder).card
    wanted = hyper.model_dump(mode="json")["body"]
    if card.family != multiscale.FAMILY.name or card.experiment is None or card.experiment["hyper"] != wanted:
        msg = f"{folder}: is not the model that hyper.body describes, of family {multiscale.FAMILY.name}"
        raise RunError(msg)
    return Scale(**card.experiment["scale"])


def outlook_parts(design: Design, hyper: Hyper, body: Path) -> OutlookParts:
    """Build the model with the weights of the trunk: the model in the folder ``body``."""
    built = build_parts(design, hyper)
    set_file_weights(built.body, (body / MODEL_FILE).read_bytes())
    return built


def outlook_rows(
    built: OutlookParts,
    main: CleanFile,
    houses: Mapping[str, CleanFile],
    experiment: Experiment,
    show: Callable[[str], object],
) -> HeadRows:
    """Compute the features of all series of ``experiment``; raise :class:`RunError` if a house has no rows."""
    others = [(house, houses[house.name]) for house in experiment.houses]
    series = training_series(main, others, experiment)
    train, validate, shares = list[FeatureRows](), list[FeatureRows](), list[float]()
    for place, house in enumerate(series):
        found = feature_rows(built.features, house, SplitPart.TRAIN, experiment, n_most=house.n_rows)
        if found is None:
            msg = f"house {house.name}: no window to train on with the hour after it measured: give it a longer file"
            raise RunError(msg)
        train.append(found)
        shares += [house.share / len(found)] * len(found)
        if house.split is not None:
            n_most = max(round(house.n_rows * _VALIDATE_SHARE), 1)
            validation_rows = feature_rows(built.features, house, SplitPart.VALIDATE, experiment, n_most=n_most)
            validate += [] if validation_rows is None else [validation_rows]
        show(f"{experiment.name}: {place + 1} of {len(series)} series, {house.name}: {len(found):,} windows")
    if not validate:
        msg = f"experiment {experiment.name}: no window to validate on: see data.train_until and data.validate_until"
        raise RunError(msg)
    probability = np.array(shares)
    return HeadRows(join_rows(train), join_rows(validate), probability / probability.sum())


def fit_outlook(  # noqa: PLR0913 - the last ones by keyword
    experiment: Experiment,
    readings: CleanFile,
    folder: Path,
    *,
    houses: Mapping[str, CleanFile] = MappingProxyType({}),
    body: Path,
    progress: bool = False,
    show: Callable[[str], object] = lambda _: None,
    watch: Callable[[Run], object] = lambda _: None,
) -> Run:
    """Fit the outlook of ``experiment`` around the frozen trunk in the folder ``body``; store the run in ``folder``.

    ``houses`` are the clean files of the experiment's other houses, by name; see
    :func:`gapcast_trainer.training.fit.fit`.
    """
    _, hyper = find_family(experiment.family, experiment.hyper)
    scale = body_scale(body, hyper)
    experiment = with_houses(experiment.with_dates(readings), houses)
    experiment = experiment.model_copy(update={"hyper": hyper.model_dump(mode="json")})
    design = Design(experiment.task(), experiment.outputs.quantile_levels, scale)
    keras.utils.set_random_seed(experiment.seed)
    built = outlook_parts(design, hyper, body)
    rows = outlook_rows(built, readings, houses, experiment, show)
    first, last = train_span(readings, experiment)
    card = load_model(body).card
    run = Run(
        experiment=experiment,
        scale=scale,
        source=readings.report.source,
        source_sha256=readings.report.sha256,
        clean_sha256=readings.sha256,
        n_train=len(rows.train),
        n_validate=len(rows.validate),
        train_first=minute_label(first),
        train_last=minute_label(last),
        git_commit=git_commit(),
        versions=code_versions(),
        started_at=utc_now(),
        readings=str(readings.path),
        others=tuple(house_of_card(house, houses[house.name]) for house in experiment.houses),
        start=f"{card.name} {card.version} {card.sha256}",
        time_zone=str(readings.series.zone),
    )
    best = BestWeights(run, folder, show, watch)

    def save(so_far: EpochProgress) -> None:
        """Store the weights of the whole model, with the best weights of the head so far."""
        current = built.head.get_weights()
        built.head.set_weights(so_far.weights)
        best.save_progress(replace(so_far, weights=built.whole.get_weights()))
        built.head.set_weights(current)

    best.show_start()
    status = fit_head(
        built.head, rows.train, rows.validate, rows.probability, experiment, on_epoch=save, progress=progress
    )  # fmt: skip
    run = replace(best.run, status=status)
    save_run(folder, run)
    return run
