"""From a clean series to a training run: the weights of one named model, and all that made them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge.core.grid import minute_label
from trainer.clean import Series
from trainer.cleanfile import Clean
from trainer.descend import Progress, descend
from trainer.errors import RunError
from trainer.families import find_model
from trainer.families.base import Descent
from trainer.run import Run, git_commit, hyper_fields, hyper_from, now, save_run, save_weights
from trainer.split import Part, Split
from trainer.windows import Examples, Task, examples


def fit(  # noqa: PLR0913 - the things a run is made of
    name: str,
    clean: Clean,
    folder: Path,
    *,
    split: Split,
    task: Task | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: bool = False,
    note: Callable[[str], object] = lambda _: None,
) -> Run:
    """Fit the model called ``name`` and leave its run in ``folder``.

    ``changes`` are hyper-parameters that differ from the model's own; ``note`` is told how each epoch
    ended. Raises :class:`RunError` where the name or a hyper-parameter is unknown or a part of the
    split holds no windows.
    """
    task = task or Task()
    family, hyper = find_model(name)
    train, validate = (_part(clean.series, task, split, part) for part in (Part.TRAIN, Part.VALIDATE))
    kw = clean.series.gap_kw[: split.bounds(Part.TRAIN)[1] - clean.series.first_minute]
    measured: dict[str, Any] = {
        "mean_kw": round(float(np.nanmean(kw)), 4),
        "scale_kw": round(float(np.nanstd(kw)), 4) or 1.0,
    }
    hyper = hyper_from(family.hyper, asdict(hyper) | measured | dict(changes or {}), f"model {name}")

    keras.utils.set_random_seed(hyper.seed)
    model = family.build(task, hyper)
    run = Run(
        name=name,
        family=family.name,
        hyper=hyper_fields(hyper),
        context=task.window.context,
        padding=task.window.padding,
        lead_times_min=task.lead_times_min,
        split=split,
        source=clean.report.source,
        source_sha256=clean.report.sha256,
        clean_sha256=clean.sha256,
        n_train=len(train),
        n_validate=len(validate),
        train_first=minute_label(clean.series.first_minute),
        train_last=minute_label(int(train.observed_minute[-1]) + task.horizon_min),
        git_commit=git_commit(),
        versions={"python": platform.python_version(), **{n: version(n) for n in ("keras", "tensorflow", "numpy")}},
        started_at=now(),
    )
    if family.solve is not None:
        family.solve(model, train, hyper, progress=progress)
        run = replace(run, status="finished", weights_sha256=save_weights(folder, model.get_weights()))
    elif isinstance(hyper, Descent):
        keeper = _Keeper(run, folder, note)
        status = descend(model, train, validate, hyper, keep=keeper.keep, progress=progress)
        run = replace(keeper.run, status=status)
    else:
        msg = f"family {family.name} has no solver, and its hyper-parameters are not those of a descent"
        raise TypeError(msg)
    save_run(folder, run)
    return run


class _Keeper:
    """Keeps the run in its folder as it stands after each epoch."""

    def __init__(self, run: Run, folder: Path, note: Callable[[str], object]) -> None:
        self.run = run
        self._folder = folder
        self._note = note

    def keep(self, so_far: Progress) -> None:
        """Write the run, and the weights where they are better than any before."""
        n_epochs, last = len(so_far.history), so_far.history[-1]
        better = so_far.best_epoch == n_epochs
        digest = save_weights(self._folder, so_far.weights) if better else self.run.weights_sha256
        self.run = replace(
            self.run,
            best_epoch=so_far.best_epoch,
            validate_mse_kw2=so_far.history[so_far.best_epoch - 1].validate_mse_kw2,
            weights_sha256=digest,
            history=so_far.history,
        )
        save_run(self._folder, self.run)
        errors = f"MSE {last.train_mse_kw2:.5f} in training, {last.validate_mse_kw2:.5f} in validation"
        self._note(f"epoch {n_epochs}: {errors}{', the best so far' if better else ''}")


def _part(series: Series, task: Task, split: Split, part: Part) -> Examples:
    found = examples(series, task, split, part)
    if not len(found):
        first, until = split.bounds(part)
        since = "the beginning" if first is None else minute_label(first)
        msg = (
            f"no window to {part.value} on: the file has none observed from {since} to {minute_label(until)} "
            "with its target read; set --train-until and --validate-until to times inside of it"
        )
        raise RunError(msg)
    return found
