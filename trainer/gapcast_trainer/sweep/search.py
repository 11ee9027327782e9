"""The search: one training run per trial, scored on the validation part, until the time is up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage

from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.errors import RunError
from gapcast_trainer.families import find_family
from gapcast_trainer.families.parts.base import Design, Family, Hyper, Scale
from gapcast_trainer.files import reported_if_unwritable
from gapcast_trainer.sweep.interruption import Interruption
from gapcast_trainer.sweep.report import FAILURE, TIME_UP
from gapcast_trainer.sweep.space import Space
from gapcast_trainer.training.fit import fit
from gapcast_trainer.training.run import Run

STUDY_FILE = "study.log"
#: Number of trials before trials that are worse than the median are pruned.
_N_WHOLE = 3
#: Number of consecutive failed trials after which the search fails: the cause is then not a trial's settings.
_MOST_FAILED = 10
#: The attribute of a study with the inputs on which its losses depend.
_IDENTITY = "identity"


def search(  # noqa: PLR0913 - the last ones by keyword
    space: Space,
    clean: CleanFile,
    folder: Path,
    *,
    minutes: float,
    n_trials: int | None = None,
    progress: bool = False,
    show: Callable[[str], object] = lambda _: None,
) -> optuna.Study:
    """Try settings of ``space`` for ``minutes`` (or until ``n_trials`` are done) and return the study.

    The study is stored in ``folder`` and resumed if it exists; each trial's run is in a folder there. Raises
    :class:`RunError` if a family is unknown, accepts none of the hyper-parameters or is not fitted by gradient descent,
    or if the stored study is of other data, another experiment or other choices.
    Trials are sampled by a tree-structured Parzen estimator (Bergstra et al. 2011) and scored by the
    best loss on the validation part; the test part is never used. A trial whose settings are invalid, or whose loss
    diverges, is pruned; the error of :data:`_MOST_FAILED` such trials in a row is raised. The trial that is under way
    when the time is up is pruned too: its loss after fewer epochs is not comparable. Ctrl-C stops the search and keeps
    the results.
    """
    _check_families(space)
    with reported_if_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warning of an interrupted trial has a traceback
    storage = JournalStorage(JournalFileBackend(str(folder / STUDY_FILE)))
    study = optuna.create_study(
        study_name=next(iter(optuna.get_all_study_names(storage)), space.experiment.name),  # one study in a folder
        storage=storage,
        sampler=optuna.samplers.TPESampler(seed=space.experiment.seed + n_done(folder)),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_N_WHOLE),
        load_if_exists=True,
    )
    _check_same(study, space, clean, folder)
    until_s, n_failed, interruption = time.monotonic() + minutes * 60, 0, Interruption()

    def objective(trial: optuna.Trial) -> float:
        nonlocal n_failed
        changes = space.suggest(trial)
        show(f"trial {trial.number}: " + ", ".join(f"{key} = {value}" for key, value in changes.items()))

        def watch(run: Run) -> None:
            interruption.raise_if_requested()
            _stop_if_useless(trial, run, until_s, show)

        try:
            experiment = space.experiment.changed({**changes, "name": f"trial-{trial.number}"})
            run = fit(experiment, clean, folder / experiment.name, progress=progress, show=show, watch=watch)
        except RunError as error:
            n_failed += 1
            trial.set_user_attr(FAILURE, str(error))
            if n_failed == _MOST_FAILED:
                raise
            show(f"trial {trial.number} failed: {error}")
            raise optuna.TrialPruned from error
        except Exception as error:
            if interruption.was_requested:
                raise KeyboardInterrupt from error
            raise
        n_failed = 0
        if run.best is None:
            raise _no_loss(experiment.family)
        trial.set_user_attr("epochs", len(run.history))
        trial.set_user_attr("validate_mse_kw2", run.best.validate_mse_kw2)
        if run.status == "interrupted":
            raise KeyboardInterrupt
        return run.best.validate_loss

    def stop_if_requested(*_: object) -> None:
        interruption.raise_if_requested()

    try:
        with interruption:
            study.optimize(objective, n_trials=n_trials, timeout=minutes * 60, callbacks=[stop_if_requested])
    except KeyboardInterrupt:
        show("stopped; run it again to resume")
    return study


def _stop_if_useless(trial: optuna.Trial, run: Run, until_s: float, show: Callable[[str], object]) -> None:
    """Raise :class:`optuna.TrialPruned` if ``trial`` falls behind, or the time is up at ``until_s`` before its end."""
    if run.best is None:
        return
    trial.report(run.best.validate_loss, len(run.history))
    if trial.should_prune():
        raise optuna.TrialPruned
    if time.monotonic() > until_s and len(run.history) < run.experiment.descent.epochs:
        trial.set_user_attr(TIME_UP, value=True)
        show(f"trial {trial.number} stopped after epoch {len(run.history)}: the time is up")
        raise optuna.TrialPruned


def _check_families(space: Space) -> None:
    """Raise :class:`RunError` if a family of ``space`` is unknown, accepts no hyper-parameters, or has no weights."""
    first = space.first_trial()
    design = Design(first.task(), first.outputs.quantile_levels, Scale(mean_kw=0.0, scale_kw=1.0))
    for name in space.families():
        family, hyper = _find_first(space, name)
        try:
            model = family.build(design, hyper)
        except RunError:
            continue  # the values do not fit each other: the trial shows why, and others may fit
        if not model.trainable_weights:
            raise _no_loss(name)


def _find_first(space: Space, name: str) -> tuple[Family, Hyper]:
    """Return the family called ``name`` and the first hyper-parameters of ``space`` that it accepts.

    The others may be those of another family. Raises :class:`RunError` if it is unknown or accepts none of them.
    """
    errors: list[RunError] = []
    for table in space.hyper_tables():
        try:
            return find_family(name, table)
        except RunError as error:
            errors.append(error)
    msg = f"{space.experiment.name}: family {name}: {errors[0]}"
    raise RunError(msg) from errors[0]


def _no_loss(family: str) -> RunError:
    return RunError(f"family {family} has no loss to score a trial by: it is not fitted by gradient descent")


def _check_same(study: optuna.Study, space: Space, clean: CleanFile, folder: Path) -> None:
    """Record the inputs on which the losses of ``study`` depend; raise :class:`RunError` if it began with others.

    Limits of numbers may change: later trials are then drawn from another range.
    """
    now = {"data": clean.sha256, **json.loads(json.dumps(space.identity(), default=str))}
    stored = study.user_attrs.get(_IDENTITY)
    if stored is None:
        study.set_user_attr(_IDENTITY, now)
        return
    unlike = [name for name in now if stored.get(name) != now[name]]
    if unlike:
        msg = (
            f"{folder}: has trials of another search ({', '.join(unlike)} differ), whose losses cannot be compared: "
            "use another folder (--out)"
        )
        raise RunError(msg)


def n_done(folder: Path) -> int:
    """Return the number of trials with a run, so that a resumed search draws other samples."""
    return sum(1 for _ in folder.glob("trial-*"))
