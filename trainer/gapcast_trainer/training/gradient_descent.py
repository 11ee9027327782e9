"""Gradient descent with early stopping; the best weights are stored on disk, also when stopped by Ctrl-C."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import ops
from tqdm import tqdm

from gapcast.core.window import F32
from gapcast_trainer.data.windows import Examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.experiments.sections import Descent
from gapcast_trainer.families.base import Design
from gapcast_trainer.families.graph import MEAN, QUANTILES
from gapcast_trainer.training.losses import Pinball, SquaredError, squared_error_at_horizon
from gapcast_trainer.training.run import Epoch, Status
from gapcast_trainer.training_data.batches import BatchOptions
from gapcast_trainer.training_data.house_mix import HouseMix
from gapcast_trainer.training_data.streamed_batches import StreamedBatches, batches_of
from gapcast_trainer.training_data.training_set import Streamed

_VALIDATE_SIZE = 8192


@dataclass(frozen=True, slots=True)
class EpochProgress:
    """The state after an epoch: all epochs so far, the number of the best one (from 1) and its weights."""

    history: tuple[Epoch, ...]
    best_epoch: int
    weights: list[F32]


def descend(  # noqa: PLR0913 - the last ones by keyword
    model: keras.Model,
    train: Examples | Streamed | HouseMix,
    validate: Examples | Streamed | HouseMix,
    design: Design,
    experiment: Experiment,
    *,
    on_epoch: Callable[[EpochProgress], None],
    progress: bool,
) -> Status:
    """Fit the trainable weights of ``model`` and set the best ones.

    ``on_epoch`` is called after each epoch. Ctrl-C stops the training with the best weights so far; before the
    end of the first epoch there are none, and KeyboardInterrupt propagates. Raises
    :class:`~gapcast.core.errors.SourceError` if a chunk of a training set is damaged.
    """
    descent, outputs = experiment.descent, tuple(model.output_names)
    drawn = BatchOptions(
        descent.batch_size,
        experiment.augment,
        experiment.seed,
        redraw=True,
        every=experiment.data.every,
        outputs=outputs,
    )
    batches = batches_of(train, drawn)
    judged = batches_of(validate, replace(drawn, size=_VALIDATE_SIZE, redraw=False, every=1))
    rate = Rate(descent, descent.epochs * len(batches))
    losses = {MEAN: SquaredError(experiment.loss, design), QUANTILES: Pinball(experiment.loss, design)}
    weights = {MEAN: experiment.loss.mean, QUANTILES: experiment.loss.quantiles}
    model.compile(
        optimiser(descent, rate),
        loss={name: losses[name] for name in outputs},
        loss_weights={name: weights[name] for name in outputs},
        metrics={MEAN: [keras.metrics.MeanMetricWrapper(squared_error_at_horizon, name="mse_kw2")]},
        jit_compile=False,  # compiled, the unrolled LSTMs are two to three times slower on a CPU
    )
    watch = EpochCallback(experiment, len(batches), rate, on_epoch, progress)
    averaged = [keras.callbacks.SwapEMAWeights()] if descent.average else []
    status: Status = "finished"
    try:
        model.fit(
            batches, validation_data=judged, epochs=descent.epochs, callbacks=[watch, *averaged], verbose=0,
            shuffle=False,
        )  # fmt: skip
    except KeyboardInterrupt:
        if watch.best is None:
            raise
        status = "interrupted"
    except Exception as error:
        problems = [feed.problem for feed in (batches, judged) if isinstance(feed, StreamedBatches) and feed.problem]
        if not problems:
            raise
        raise problems[0] from error
    finally:
        watch.close()
    if watch.best is None:
        msg = "the error was not a number from the first epoch on: lower descent.learning_rate"
        raise RunError(msg)
    model.set_weights(watch.best.weights)
    return "stopped early" if watch.ran_out and status == "finished" else status


class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate schedule over ``n_steps``."""

    def __init__(self, descent: Descent, n_steps: int) -> None:
        """Use the schedule of ``descent``."""
        super().__init__()
        self._descent = descent
        self._n_steps = n_steps

    def __call__(self, step: Any) -> Any:
        """Return the rate at ``step``."""
        descent = self._descent
        done = ops.minimum(ops.cast(step, "float32") / self._n_steps, 1.0)
        first, last = descent.learning_rate, descent.last_learning_rate
        if descent.schedule == "constant":
            rate = first * ops.ones_like(done)
        elif descent.schedule == "cosine":
            rate = last + (first - last) * 0.5 * (1 + ops.cos(math.pi * done))
        else:
            rate = first * ops.power(last / first, done)
        if descent.warm_up_steps:
            rate *= ops.minimum((ops.cast(step, "float32") + 1) / descent.warm_up_steps, 1.0)
        return rate


def optimiser(descent: Descent, rate: Rate) -> keras.optimizers.Optimizer:
    """Return the optimiser of ``descent`` with the schedule ``rate``."""
    common: dict[str, Any] = {
        "clipnorm": descent.clip_norm,
        "use_ema": bool(descent.average),
        "ema_momentum": descent.average or 0.99,
    }
    if descent.optimiser == "sgd":
        return keras.optimizers.SGD(
            rate, momentum=descent.momentum, weight_decay=descent.weight_decay or None, **common
        )
    if descent.optimiser == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=descent.weight_decay, **common)
    return keras.optimizers.Adam(rate, weight_decay=descent.weight_decay or None, **common)


class EpochCallback(keras.callbacks.Callback):
    """After each epoch stores the best weights, stops when patience has run out, and updates the progress bar."""

    def __init__(
        self,
        experiment: Experiment,
        n_batches: int,
        rate: Rate,
        on_epoch: Callable[[EpochProgress], None],
        progress: bool,
    ) -> None:
        super().__init__()
        self.best: EpochProgress | None = None
        self.ran_out = False
        self._descent = experiment.descent
        self._n_batches = n_batches
        self._rate = rate
        self._on_epoch = on_epoch
        self._history: tuple[Epoch, ...] = ()
        self._judged: list[F32] = []
        n_steps = experiment.descent.epochs * n_batches
        self._bar = tqdm(total=n_steps, unit="batch", desc=experiment.name, disable=not progress)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the progress bar."""
        del batch
        self._bar.update()
        if logs and self._bar.n % 50 == 0:
            self._bar.set_postfix(self._shown(f"{float(logs['loss']):.5f}"), refresh=False)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Store the validated weights: with weight averaging they differ from those of the descent."""
        del logs
        self._judged = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Store the epoch, and its weights if they are the best; stop when patience has run out."""
        found = {name: float(value) for name, value in (logs or {}).items()}
        rate = float(self._rate((epoch + 1) * self._n_batches))
        mse_kw2 = found.get("val_mse_kw2", found.get("val_mean_mse_kw2", math.nan))
        self._history = (*self._history, Epoch(found["loss"], found["val_loss"], mse_kw2, rate))
        lowest = math.inf if self.best is None else self._history[self.best.best_epoch - 1].validate_loss
        if found["val_loss"] < lowest:
            self.best = EpochProgress(self._history, epoch + 1, self._judged)
        elif self.best is not None:
            self.best = EpochProgress(self._history, self.best.best_epoch, self.best.weights)
        if self.best is None:
            self.model.stop_training = True
            return
        self._on_epoch(self.best)
        if epoch + 1 - self.best.best_epoch >= self._descent.patience:
            self.ran_out = True
            self.model.stop_training = True

    def _shown(self, loss: str) -> dict[str, str]:
        shown = {"epoch": f"{len(self._history) + 1}/{self._descent.epochs}", "loss": loss}
        if self.best is not None:
            shown["best"] = f"{self._history[self.best.best_epoch - 1].validate_loss:.5f}"
        return shown

    def close(self) -> None:
        """Close the progress bar."""
        self._bar.close()
