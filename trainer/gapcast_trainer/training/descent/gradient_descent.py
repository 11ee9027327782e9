"""Gradient descent on windows: losses, batches of the training and validation parts, and the optimiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np

from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.families.parts.base import Design
from gapcast_trainer.families.parts.graph import MEAN, QUANTILES
from gapcast_trainer.training.descent.epochs import EpochProgress, fit_epochs
from gapcast_trainer.training.descent.losses import Pinball, SquaredError, squared_error_at_horizon
from gapcast_trainer.training.descent.optimiser import LearningRate, make_optimiser
from gapcast_trainer.training.run import Status
from gapcast_trainer.training_data.batches import Batches, BatchOptions
from gapcast_trainer.training_data.house_mix import MixedBatches
from gapcast_trainer.training_data.streamed_batches import StreamedBatches
from gapcast_trainer.training_data.window_source import WindowSource, batches_of

_VALIDATE_SIZE = 8192


def descend(  # noqa: PLR0913 - the last ones by keyword
    model: keras.Model,
    train: WindowSource,
    validate: WindowSource,
    design: Design,
    experiment: Experiment,
    *,
    on_epoch: Callable[[EpochProgress], None],
    progress: bool,
) -> Status:
    """Fit the trainable weights of ``model``, like :func:`~gapcast_trainer.training.descent.epochs.fit_epochs`.

    Raises :class:`~gapcast.core.errors.SourceError` if a chunk of a training set is damaged.
    """
    descent, outputs = experiment.descent, tuple(model.output_names)
    options = _batch_options(experiment, outputs)
    batches = batches_of(train, options)
    validation_batches = _validation_batches(validate, options)
    rate = LearningRate(descent, descent.epochs * len(batches))
    losses = {MEAN: SquaredError(experiment.loss, design), QUANTILES: Pinball(experiment.loss, design)}
    weights = {MEAN: experiment.loss.mean, QUANTILES: experiment.loss.quantiles}
    model.compile(
        make_optimiser(descent, rate),
        loss={name: losses[name] for name in outputs},
        loss_weights={name: weights[name] for name in outputs},
        metrics={MEAN: [keras.metrics.MeanMetricWrapper(squared_error_at_horizon, name="mse_kw2")]},
        jit_compile=False,  # compiled, the unrolled LSTMs are two to three times slower on a CPU
    )
    try:
        return fit_epochs(model, batches, validation_batches, experiment, rate, on_epoch=on_epoch, progress=progress)
    except Exception as error:
        feeds = (batches, validation_batches)
        problems = [feed.problem for feed in feeds if isinstance(feed, StreamedBatches) and feed.problem]
        if not problems or error in problems:
            raise
        raise problems[0] from error


def persistence_mse_kw2(validate: WindowSource, experiment: Experiment) -> float:
    """Return the MSE of persistence at the horizon, kW^2, on the windows on which :func:`descend` validates.

    Raises :class:`~gapcast.core.errors.SourceError` if a chunk of a training set is damaged.
    """
    batches = _validation_batches(validate, _batch_options(experiment, (MEAN,)))
    n_windows, total_kw2 = 0, 0.0
    for index in range(len(batches)):
        inputs, targets, _ = batches[index]
        error_kw = targets[MEAN][:, -1].astype(np.float64) - inputs[:, -1, 0]
        n_windows += error_kw.size
        total_kw2 += float(np.square(error_kw).sum())
    return total_kw2 / n_windows


def _batch_options(experiment: Experiment, outputs: tuple[str, ...]) -> BatchOptions:
    return BatchOptions(
        experiment.descent.batch_size,
        experiment.augment,
        experiment.seed,
        redraw=True,
        every=experiment.data.every,
        outputs=outputs,
    )


def _validation_batches(validate: WindowSource, options: BatchOptions) -> Batches | StreamedBatches | MixedBatches:
    return batches_of(validate, replace(options, size=_VALIDATE_SIZE, redraw=False, every=1))
