"""Trains the model of an experiment and stores the training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import keras

from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.families import find_family
from gapcast_trainer.families.parts.base import Design, Hyper
from gapcast_trainer.git_commit import git_commit
from gapcast_trainer.training.descent.best_weights import BestWeights
from gapcast_trainer.training.descent.gradient_descent import descend, persistence_mse_kw2
from gapcast_trainer.training.descent.start_weights import StartWeights, set_start_weights
from gapcast_trainer.training.outlook.fit import fit_outlook
from gapcast_trainer.training.run import Run, code_versions, save_run, save_weights, utc_now
from gapcast_trainer.training_data.house_mix import HouseMix
from gapcast_trainer.training_data.training_data import TrainingData, training_data_of
from gapcast_trainer.training_data.training_set import TrainingSet


def fit(  # noqa: PLR0913 - the last ones by keyword
    experiment: Experiment,
    readings: CleanFile | TrainingSet,
    folder: Path,
    *,
    houses: Mapping[str, CleanFile] = MappingProxyType({}),
    start: Path | None = None,
    progress: bool = False,
    show: Callable[[str], object] = lambda _: None,
    watch: Callable[[Run], object] = lambda _: None,
) -> Run:
    """Fit the model of ``experiment`` and store the run in ``folder``.

    ``houses`` are the clean files of the experiment's other houses, by name; ``start`` is the folder of the run from
    whose weights the training starts; for an outlook, the folder of the model around which it is built. After each
    epoch, ``show`` is called with a progress message and ``watch`` with the run; ``watch`` may stop the training by
    raising an exception. Raises :class:`~gapcast_trainer.errors.RunError` if the family, a hyper-parameter or a feature
    is unknown, a part of the split has no windows, a training set's windows do not match the experiment, a family with
    a closed form gets houses, or only new layers are to be trained but there is no start.
    """
    family, hyper = find_family(experiment.family, experiment.hyper)
    if family.takes_history:
        if start is None or isinstance(readings, TrainingSet):
            msg = f"family {family.name} is built around a model: give its folder by --start, and a clean file"
            raise RunError(msg)
        return fit_outlook(
            experiment, readings, folder, houses=houses, body=start, progress=progress, show=show, watch=watch
        )  # fmt: skip
    experiment.check_start(has_start=start is not None)
    data = training_data_of(readings, experiment, houses)
    experiment = data.experiment
    design = Design(experiment.task(), experiment.outputs.quantile_levels, data.scale)
    keras.utils.set_random_seed(experiment.seed)
    model = family.build(design, hyper)
    start_weights = None if start is None else set_start_weights(model, start)
    if start_weights is not None and experiment.descent.only_new:
        start_weights.freeze(model)
    run = _new_run(data, hyper, start_weights)
    if family.solve is not None:
        if isinstance(data.train, HouseMix):
            msg = f"family {family.name} is fitted in closed form, to one house: leave out houses and mixing"
            raise RunError(msg)
        family.solve(model, data.train, design, hyper, experiment.augment, progress=progress)
    if model.trainable_weights:
        run = replace(run, persistence_mse_kw2=persistence_mse_kw2(data.validate, experiment))
        best_weights = BestWeights(run, folder, show, watch)
        best_weights.show_start()
        status = descend(
            model, data.train, data.validate, design, experiment, on_epoch=best_weights.save_progress, progress=progress
        )
        run = replace(best_weights.run, status=status)
        if start_weights is not None and experiment.mixing.start_share:
            start_weights.average_into(model, experiment.mixing.start_share)
            run = replace(run, weights_sha256=save_weights(folder, model.get_weights()))
    else:
        run = replace(run, status="finished", weights_sha256=save_weights(folder, model.get_weights()))
    save_run(folder, run)
    return run


def _new_run(data: TrainingData, hyper: Hyper, start_weights: StartWeights | None) -> Run:
    """Return the run that begins now, with all ``hyper``-parameters, including those that the experiment omits."""
    return Run(
        experiment=data.experiment.model_copy(update={"hyper": hyper.model_dump(mode="json")}),
        scale=data.scale,
        source=data.source,
        source_sha256=data.source_sha256,
        clean_sha256=data.sha256,
        n_train=len(data.train),
        n_validate=len(data.validate),
        train_first=data.first,
        train_last=data.last,
        git_commit=git_commit(),
        versions=code_versions(),
        started_at=utc_now(),
        houses=data.houses,
        left_out=data.left_out,
        readings=data.readings,
        others=data.others,
        start="" if start_weights is None else str(start_weights),
        time_zone=data.zone,
    )
