"""Runs the epochs of a training: progress, early stopping, and the best weights, also after Ctrl-C."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from tqdm import tqdm

from gapcast.core.arrays.array_types import F32
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.training.descent.compiled_state import create_state
from gapcast_trainer.training.descent.optimiser import LearningRate
from gapcast_trainer.training.run import Epoch, Status


@dataclass(frozen=True, slots=True)
class EpochProgress:
    """The state after an epoch: all epochs so far, the number of the best epoch (from 1) and its weights."""

    history: tuple[Epoch, ...]
    best_epoch: int
    weights: list[F32]


def fit_epochs(  # noqa: PLR0913 - the last ones by keyword
    model: keras.Model,
    batches: keras.utils.PyDataset,
    validation_batches: keras.utils.PyDataset,
    experiment: Experiment,
    rate: LearningRate,
    *,
    on_epoch: Callable[[EpochProgress], None],
    progress: bool,
) -> Status:
    """Fit the compiled ``model``, and set the weights of the epoch with the lowest validation loss.

    ``on_epoch`` is called after each epoch. Ctrl-C stops the training with the best weights so far; before the end of
    the first epoch there are none, and KeyboardInterrupt propagates. Raises :class:`RunError` if the loss is not a
    number from the first epoch on.
    """
    descent = experiment.descent
    callback = _EpochCallback(experiment, len(batches), rate, on_epoch, progress)
    averaging = [keras.callbacks.SwapEMAWeights()] if descent.average else []
    status: Status = "finished"
    try:
        create_state(model, *batches[0])
        model.fit(
            batches, validation_data=validation_batches, epochs=descent.epochs, callbacks=[callback, *averaging],
            verbose=0, shuffle=False,
        )  # fmt: skip
    except KeyboardInterrupt:
        if callback.best is None:
            raise
        status = "interrupted"
    finally:
        callback.close()
    if callback.best is None:
        msg = "the error was not a number from the first epoch on: lower descent.learning_rate"
        raise RunError(msg)
    model.set_weights(callback.best.weights)
    return "stopped early" if callback.ran_out and status == "finished" else status


class _EpochCallback(keras.callbacks.Callback):
    """After each epoch stores the best weights, stops when patience has run out, and updates the progress bar."""

    def __init__(
        self,
        experiment: Experiment,
        n_batches: int,
        rate: LearningRate,
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
        self._validated: list[F32] = []
        n_steps = experiment.descent.epochs * n_batches
        self._bar = tqdm(total=n_steps, unit="batch", desc=experiment.name, disable=not progress)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the progress bar."""
        del batch
        self._bar.update()
        if logs and self._bar.n % 50 == 0:
            self._bar.set_postfix(self._shown(f"{float(logs['loss']):.5f}"), refresh=False)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Store the validated weights: with weight averaging they differ from the descent's."""
        del logs
        self._validated = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Store the epoch, and its weights if they are the best; stop when patience has run out."""
        found = {name: float(value) for name, value in (logs or {}).items()}
        rate = float(self._rate((epoch + 1) * self._n_batches))
        mse_kw2 = found.get("val_mse_kw2", found.get("val_mean_mse_kw2", math.nan))
        self._history = (*self._history, Epoch(found["loss"], found["val_loss"], mse_kw2, rate))
        lowest = math.inf if self.best is None else self._history[self.best.best_epoch - 1].validate_loss
        if found["val_loss"] < lowest:
            self.best = EpochProgress(self._history, epoch + 1, self._validated)
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
