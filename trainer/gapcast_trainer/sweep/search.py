"""The search: one run a trial, judged on the validation part, until the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage

from gapcast_trainer.cleanfile import Clean
from gapcast_trainer.errors import RunError
from gapcast_trainer.fit import fit
from gapcast_trainer.run import Run
from gapcast_trainer.sweep.space import Space

STUDY_FILE = "study.log"
#: Trials that run whole before those that fall behind the median of the others are given up.
_N_WHOLE = 3


def search(  # noqa: PLR0913 - what a search is made of
    space: Space,
    clean: Clean,
    folder: Path,
    *,
    minutes: float,
    n_trials: int | None = None,
    progress: bool = False,
    note: Callable[[str], object] = lambda _: None,
) -> optuna.Study:
    """Try settings of ``space`` for ``minutes`` (or until ``n_trials`` are done) and return the study.

    It lies in ``folder`` and is gone on with where it was left; each trial's run is in a folder there.
    Trials are chosen by a tree-structured Parzen estimator (Bergstra et al. 2011) and judged by the
    best loss on the validation part; the test part is never looked at. Ctrl-C ends the search and
    keeps what is done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=space.plan.name,
        storage=JournalStorage(JournalFileBackend(str(folder / STUDY_FILE))),
        sampler=optuna.samplers.TPESampler(seed=space.plan.seed + n_done(folder)),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_N_WHOLE),
        load_if_exists=True,
    )
    until_s = time.monotonic() + minutes * 60

    def objective(trial: optuna.Trial) -> float:
        changes = space.suggest(trial)
        plan = space.plan.changed({**changes, "name": f"trial-{trial.number}"})
        note(f"trial {trial.number}: " + ", ".join(f"{key} = {value}" for key, value in changes.items()))

        def watch(run: Run) -> None:
            if run.best is None:
                return
            trial.report(run.best.validate_loss, len(run.history))
            if trial.should_prune():
                raise optuna.TrialPruned
            if time.monotonic() > until_s:
                raise KeyboardInterrupt

        run = fit(plan, clean, folder / plan.name, progress=progress, note=note, watch=watch)
        if run.best is None:
            msg = f"family {plan.family} has nothing to judge a trial by: it is not fitted by gradient descent"
            raise RunError(msg)
        trial.set_user_attr("epochs", len(run.history))
        trial.set_user_attr("validate_mse_kw2", run.best.validate_mse_kw2)
        if run.status == "interrupted" and time.monotonic() <= until_s:
            raise KeyboardInterrupt  # by a person
        return run.best.validate_loss

    try:
        study.optimize(objective, n_trials=n_trials, timeout=minutes * 60)
    except KeyboardInterrupt:
        note("ended; run it again to go on from here")
    return study


def n_done(folder: Path) -> int:
    """Return how many trials have left a run, so that a search that goes on draws other numbers."""
    return sum(1 for _ in folder.glob("trial-*"))
