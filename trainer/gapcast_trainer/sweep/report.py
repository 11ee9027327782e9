"""Results of a sweep: a table for the terminal, and an HTML page with plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gapcast.core.documents.message_format import counted
from gapcast_trainer.errors import RunError
from gapcast_trainer.files import write_atomically
from gapcast_trainer.report.figure import BLUE, GREY, ORANGE, new_figure
from gapcast_trainer.report.page import EmbeddedFigure, figure_as_svg, render
from gapcast_trainer.sweep.space import Space

#: Number of trials in the table, best first.
_SHOWN = 20
_MIN_FOR_IMPORTANCE = 4
#: Attributes of a trial: why it failed, and whether the end of the search stopped it.
FAILURE, TIME_UP = "failure", "time_up"


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the completed trials, best first."""
    return sorted(study.get_trials(states=[TrialState.COMPLETE]), key=lambda trial: float(trial.values[0]))


def _failures(study: optuna.Study) -> list[str]:
    """Return why each of the failed trials failed, in their order."""
    return [str(trial.user_attrs[FAILURE]) for trial in study.get_trials() if FAILURE in trial.user_attrs]


def _stopped(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that were stopped early: by the pruner, or by the end of the search."""
    return [trial for trial in study.get_trials(states=[TrialState.PRUNED]) if FAILURE not in trial.user_attrs]


def _shown_failures(study: optuna.Study) -> str:
    """Return the number of failed trials and the reason of the last one, after a comma; empty if there are none."""
    found = _failures(study)
    return f", {len(found):,} failed (the last: {found[-1]})" if found else ""


def check_any_usable(study: optuna.Study, folder: Path) -> None:
    """Raise :class:`RunError` if all trials of the study in ``folder`` failed; Ctrl-C is no failure of a trial."""
    trials = study.get_trials()
    if trials and all(FAILURE in trial.user_attrs for trial in trials):
        msg = f"{folder}: no trial is completed{_shown_failures(study)}"
        raise RunError(msg)


def unfinished_line(study: optuna.Study) -> str:
    """Return the summary of a study without a completed trial."""
    is_time_up = any(TIME_UP in trial.user_attrs for trial in study.get_trials())
    fix = "increase --minutes" if is_time_up else "run it again"
    return f"no trial is completed yet{_shown_failures(study)}: {fix}"


def lines(study: optuna.Study, space: Space) -> list[str]:
    """Return the table: each trial's loss and MSE on the validation part, and its settings."""
    head, *rows = _table(study, space)
    widths = [max(len(row[place]) for row in [head, *rows]) + 2 for place in range(len(head))]
    n_each = f"{counted(len(finished(study)), 'trial')} completed, {len(_stopped(study)):,} stopped early"
    summary = f"{space.experiment.name}: {n_each}{_shown_failures(study)}"
    return [
        summary,
        *("".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]),
    ]


def write_page(study: optuna.Study, space: Space, path: Path) -> None:
    """Write the page: the table, the history of the search, and parameter importances."""
    head, *rows = _table(study, space)
    pictures = [_history(study)]
    shares = _importance(study)
    if shares:
        pictures.append(_importance_plot(shares))
    best = finished(study)[0]
    settings = [(key, space.shown(key, value)) for key, value in best.params.items()]
    write_atomically(
        path,
        render(
            "sweep/page.html", name=space.experiment.name, head=head, rows=rows, pictures=pictures, settings=settings,
            n_trials=len(study.get_trials()), best=f"{best.values[0]:.5f}",
        ),
    )  # fmt: skip


def _table(study: optuna.Study, space: Space) -> list[list[str]]:
    keys = list(space.ranges)
    rows = [["trial", "loss", "MSE kW²", "epochs", *keys]]
    for trial in finished(study)[:_SHOWN]:
        attributes: dict[str, Any] = trial.user_attrs
        rows.append(
            [
                str(trial.number),
                f"{trial.values[0]:.5f}",
                f"{attributes['validate_mse_kw2']:.5f}",
                str(attributes["epochs"]),
                *(space.shown(key, trial.params[key]) if key in trial.params else "" for key in keys),
            ]
        )
    return rows


def _history(study: optuna.Study) -> EmbeddedFigure:
    done = sorted(finished(study), key=lambda trial: trial.number)
    losses = [float(trial.values[0]) for trial in done]
    lowest = [min(losses[: place + 1]) for place in range(len(losses))]
    numbers = [trial.number for trial in done]
    with new_figure() as (figure, axes):
        axes.plot(numbers, losses, "o", color=BLUE, label="a trial")
        axes.step(numbers, lowest, where="post", color=ORANGE, label="the best so far")
        axes.set(xlabel="trial", ylabel="loss on the validation part")
        axes.legend()
        return figure_as_svg(figure, f"Loss of {len(done)} trials in their order; the best is {min(losses):.5f}.")


def _importance(study: optuna.Study) -> dict[str, float]:
    if len(finished(study)) < _MIN_FOR_IMPORTANCE:
        return {}
    return dict(optuna.importance.get_param_importances(study))


def _importance_plot(shares: dict[str, float]) -> EmbeddedFigure:
    keys = list(reversed(shares))
    with new_figure(height_in=1.2 + 0.35 * len(keys)) as (figure, axes):
        axes.barh(keys, [shares[key] for key in keys], color=GREY)
        axes.set(xlabel="share of the variation of the loss (fANOVA)", xlim=(0, 1))
        listed = ", ".join(f"{key} {share:.0%}" for key, share in shares.items())
        return figure_as_svg(figure, f"Importance of each setting: {listed}.")
