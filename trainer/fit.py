"""From a clean series to a training run: the weights of one experiment's model, and all that made them."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from edge.core.grid import minute_label
from trainer.clean import Series
from trainer.cleanfile import Clean
from trainer.descend import Progress, descend
from trainer.errors import RunError
from trainer.experiment import Experiment
from trainer.families import find_family
from trainer.families.base import Design, Scale
from trainer.run import Run, git_commit, now, save_run, save_weights
from trainer.split import Part, Split, minute_at
from trainer.windows import Examples, examples


def fit(
    plan: Experiment,
    clean: Clean,
    folder: Path,
    *,
    progress: bool = False,
    note: Callable[[str], object] = lambda _: None,
    watch: Callable[[Run], object] = lambda _: None,
) -> Run:
    """Fit the model of ``plan`` and leave its run in ``folder``.

    ``note`` is told how each epoch ended, ``watch`` is handed the run as it then stands and may end it
    by an exception. Raises :class:`RunError` where the family, a
    hyper-parameter or a feature is unknown or a part of the split holds no windows.
    """
    family, hyper = find_family(plan.family, plan.hyper)
    series, split = _from(clean.series, plan), plan.split()
    train, validate = (_part(series, plan, part) for part in (Part.TRAIN, Part.VALIDATE))
    design = Design(plan.task(), plan.outputs.quantile_levels, _scale(series, split))

    keras.utils.set_random_seed(plan.seed)
    model = family.build(design, hyper)
    run = Run(
        experiment=plan.model_copy(update={"hyper": hyper.model_dump(mode="json")}),
        scale=design.scale,
        source=clean.report.source,
        source_sha256=clean.report.sha256,
        clean_sha256=clean.sha256,
        n_train=len(train),
        n_validate=len(validate),
        train_first=minute_label(int(train.observed_minute[0])),
        train_last=minute_label(int(train.observed_minute[-1]) + design.task.horizon_min),
        git_commit=git_commit(),
        versions={"python": platform.python_version(), **{n: version(n) for n in ("keras", "tensorflow", "numpy")}},
        started_at=now(),
    )
    if family.solve is not None:
        family.solve(model, train, design, hyper, plan.augment, progress=progress)
    keeper = _Keeper(run, folder, note, watch)
    if model.trainable_weights:
        status = descend(model, train, validate, design, plan, keep=keeper.keep, progress=progress)
        run = replace(keeper.run, status=status)
    else:
        run = replace(run, status="finished", weights_sha256=save_weights(folder, model.get_weights()))
    save_run(folder, run)
    return run


def _from(series: Series, plan: Experiment) -> Series:
    """Return the series from the plan's first minute on."""
    if plan.data.first is None:
        return series
    n_before = min(max(minute_at(plan.data.first) - series.first_minute, 0), series.gap_kw.size)
    return replace(
        series,
        first_minute=series.first_minute + n_before,
        gap_kw=series.gap_kw[n_before:],
        extra={name: values[n_before:] for name, values in series.extra.items()},
    )


def _scale(series: Series, split: Split) -> Scale:
    kw = series.gap_kw[: split.bounds(Part.TRAIN)[1] - series.first_minute]
    return Scale(mean_kw=round(float(np.nanmean(kw)), 4), scale_kw=round(float(np.nanstd(kw)), 4) or 1.0)


class _Keeper:
    """Keeps the run in its folder as it stands after each epoch."""

    def __init__(self, run: Run, folder: Path, note: Callable[[str], object], watch: Callable[[Run], object]) -> None:
        self.run = run
        self._folder = folder
        self._note = note
        self._watch = watch

    def keep(self, so_far: Progress) -> None:
        """Write the run, and the weights where they are better than any before."""
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
        self._note(f"epoch {n_epochs}: {errors}{', the best so far' if better else ''}")
        self._watch(self.run)


def _part(series: Series, plan: Experiment, part: Part) -> Examples:
    split = plan.split()
    found = examples(series, plan.task(), split, part)
    if not len(found):
        first, until = split.bounds(part)
        since = "the beginning" if first is None else minute_label(first)
        msg = (
            f"no window to {part.value} on: the file has none observed from {since} to {minute_label(until)} "
            "with its target read; set data.train_until and data.validate_until to times inside of it"
        )
        raise RunError(msg)
    return found
