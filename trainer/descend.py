"""Gradient descent with early stopping, the best weights kept on disk, and an ending by Ctrl-C that loses nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from tqdm import tqdm

from edge.core.window import F32
from trainer.errors import RunError
from trainer.families.base import Descent
from trainer.feed import Batches
from trainer.run import Epoch, Status
from trainer.windows import Examples

_VALIDATE_SIZE = 8192


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a descent stands after an epoch: all epochs so far, the best one's number (from 1) and its weights."""

    history: tuple[Epoch, ...]
    best_epoch: int
    weights: list[F32]


def descend(
    model: keras.Model,
    train: Examples,
    validate: Examples,
    hyper: Descent,
    *,
    keep: Callable[[Progress], None],
    progress: bool,
) -> Status:
    """Fit ``model`` to the mean and leave it with its best weights.

    The rate falls along half a cosine. ``keep`` is called after each epoch. Ctrl-C ends the fitting
    with what is best so far; before the first epoch has ended there is nothing to keep, and it goes on
    to the caller.
    """
    batches = Batches(train, hyper.batch_size, hyper.short_share, hyper.seed, redraw=True)
    judged = Batches(validate, _VALIDATE_SIZE, hyper.short_share, hyper.seed, redraw=False)
    rate = keras.optimizers.schedules.CosineDecay(
        hyper.learning_rate, hyper.epochs * len(batches), alpha=hyper.last_learning_rate / hyper.learning_rate
    )
    model.compile(keras.optimizers.Adam(rate, clipnorm=hyper.clip_norm), loss={"mean": "mse"})
    watch = _Watch(hyper, len(batches), rate, keep, progress)
    status: Status = "finished"
    try:
        model.fit(batches, validation_data=judged, epochs=hyper.epochs, callbacks=[watch], verbose=0, shuffle=False)
    except KeyboardInterrupt:
        if watch.best is None:
            raise
        status = "interrupted"
    finally:
        watch.close()
    if watch.best is None:
        msg = "the error was not a number from the first epoch on: lower learning_rate"
        raise RunError(msg)
    model.set_weights(watch.best.weights)
    return "stopped early" if watch.ran_out and status == "finished" else status


class _Watch(keras.callbacks.Callback):
    """Sees each epoch end: keeps the best weights, stops when patience has run out, moves the bar."""

    def __init__(
        self,
        hyper: Descent,
        n_batches: int,
        rate: keras.optimizers.schedules.LearningRateSchedule,
        keep: Callable[[Progress], None],
        progress: bool,
    ) -> None:
        super().__init__()
        self.best: Progress | None = None
        self.ran_out = False
        self._hyper = hyper
        self._n_batches = n_batches
        self._rate = rate
        self._keep = keep
        self._history: tuple[Epoch, ...] = ()
        self._bar = tqdm(total=hyper.epochs * n_batches, unit="batch", desc="training", disable=not progress)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        del batch, logs
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        found = logs or {}
        train, validate = float(found["loss"]), float(found["val_loss"])
        rate = float(self._rate((epoch + 1) * self._n_batches))
        self._history = (*self._history, Epoch(train, validate, rate))
        lowest = math.inf if self.best is None else self._history[self.best.best_epoch - 1].validate_mse_kw2
        if validate < lowest:
            self.best = Progress(self._history, epoch + 1, self.model.get_weights())
        elif self.best is not None:
            self.best = Progress(self._history, self.best.best_epoch, self.best.weights)
        if self.best is None:
            self.model.stop_training = True
            return
        self._keep(self.best)
        self._bar.set_postfix(epoch=epoch + 1, validate=f"{validate:.5f}", best=f"{min(lowest, validate):.5f}")
        if epoch + 1 - self.best.best_epoch >= self._hyper.patience:
            self.ran_out = True
            self.model.stop_training = True

    def close(self) -> None:
        """End the bar."""
        self._bar.close()
