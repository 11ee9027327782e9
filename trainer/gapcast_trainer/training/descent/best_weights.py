"""Stores a training run after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gapcast_trainer.training.descent.epochs import EpochProgress
from gapcast_trainer.training.run import Run, save_run, save_weights


class BestWeights:
    """Stores the run after each epoch, with the best weights."""

    def __init__(self, run: Run, folder: Path, show: Callable[[str], object], watch: Callable[[Run], object]) -> None:
        """Store into ``folder``; for ``show`` and ``watch`` see :func:`gapcast_trainer.training.fit.fit`."""
        self.run = run
        self._folder = folder
        self._show = show
        self._watch = watch

    def show_start(self) -> None:
        """Show that the first epoch begins: it may take a while."""
        experiment = self.run.experiment
        n_windows = math.ceil(self.run.n_train / experiment.data.every)
        self._show(f"epoch 1 of at most {experiment.descent.epochs}: {n_windows:,} windows …")

    def save_progress(self, so_far: EpochProgress) -> None:
        """Write the run, and the weights if they are the best so far.

        Raises what ``watch`` raises to stop the training.
        """
        n_epochs, last = len(so_far.history), so_far.history[-1]
        better = so_far.best_epoch == n_epochs
        digest = save_weights(self._folder, so_far.weights) if better else self.run.weights_sha256
        self.run = replace(
            self.run,
            best_epoch=so_far.best_epoch,
            weights_sha256=digest,
            history=so_far.history,
        )
        save_run(self._folder, self.run)
        losses = f"loss {last.train_loss:.5f} in training, {last.validate_loss:.5f} in validation"
        errors = f"{losses} (MSE {last.validate_mse_kw2:.5f} kW²)"
        self._show(f"epoch {n_epochs}: {errors}{', the best so far' if better else ''}")
        try:
            self._watch(self.run)
        except Exception:  # it stops the training: a pruned trial, for example
            self.run = replace(self.run, status="interrupted")
            save_run(self._folder, self.run)
            raise
