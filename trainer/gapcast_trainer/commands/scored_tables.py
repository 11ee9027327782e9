"""Scores models for the command ``evaluate``, and prints the tables: of one clean file, or of several houses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gapcast.bundled import models_path
from gapcast.recordings.formats import clean_file
from gapcast.recordings.text.layout import FileFormat
from gapcast.recordings.written_files import check_apart
from gapcast_trainer.commands.options import CLEAN, shows_progress

if TYPE_CHECKING:
    from gapcast_trainer.houses.lead_result import HousesLeadEvaluation
    from gapcast_trainer.houses.result import HousesEvaluation
    from gapcast_trainer.scores.lead_result import LeadEvaluation
    from gapcast_trainer.scores.options import EvaluationOptions
    from gapcast_trainer.scores.result import Evaluation


def score_file(
    names: Sequence[str],
    models: Path,
    path: Path | None,
    lead_times_min: Sequence[int] | None,
    options: EvaluationOptions,
    written: Mapping[str, Path | None],
) -> Evaluation | LeadEvaluation:
    """Score models on the clean file ``path`` (None: the file of their runs), and print the tables.

    ``written`` are the files that the command writes, by option.
    """
    from gapcast_trainer.evaluation.evaluate import evaluate as score_models
    from gapcast_trainer.evaluation.lead_evaluation import evaluate_leads
    from gapcast_trainer.evaluation.scored_models import load_scored
    from gapcast_trainer.scores.lead_table import lead_lines
    from gapcast_trainer.scores.table import lines
    from gapcast_trainer.training.run_readings import clean_path_of

    own, shipped = load_scored(names, models, _show, lead_times_min=lead_times_min or ())
    path = path or clean_path_of([model.card for model in own], CLEAN.parent) or CLEAN
    check_apart([path], written, (models, models_path()))
    scored, readings = [*own, *shipped], clean_file.read(path)
    if lead_times_min is None:
        found = score_models(scored, readings, options, progress=shows_progress(), show=_show)
        click.echo("\n".join(lines(found, brief=options.brief)))
        click.echo(f"\nscored on {_shown(path)}")
        return found
    by_lead = evaluate_leads(scored, readings, lead_times_min, options, progress=shows_progress(), show=_show)
    click.echo("\n".join(lead_lines(by_lead)))
    click.echo(f"\nscored on {_shown(path)}")
    return by_lead


def score_houses(
    names: Sequence[str],
    models: Path,
    files: Sequence[Path],
    form: FileFormat,
    lead_times_min: Sequence[int] | None,
    *,
    peers: bool,
    fit_days: int | None,
    peers_rows: int | None,
    scored_rows: int | None,
) -> HousesEvaluation | HousesLeadEvaluation:
    """Score models on each of ``files``, one house each, and print the tables."""
    from gapcast_trainer.evaluation.scored_models import load_scored
    from gapcast_trainer.houses.evaluation import HousesOptions, evaluate_houses
    from gapcast_trainer.houses.files import read_houses
    from gapcast_trainer.houses.lead_evaluation import evaluate_house_leads
    from gapcast_trainer.houses.lead_table import house_lead_lines
    from gapcast_trainer.houses.table import lines

    own, shipped = load_scored(names, models, _show, lead_times_min=lead_times_min or ())
    options = HousesOptions(peers, fit_days, scored_rows=scored_rows)
    options = options if peers_rows is None else replace(options, fit_rows=peers_rows)
    if lead_times_min is not None:
        by_lead = evaluate_house_leads([*own, *shipped], read_houses(files, form), lead_times_min, options, _show)
        click.echo("\n".join(house_lead_lines(by_lead)))
        return by_lead
    found = evaluate_houses([*own, *shipped], read_houses(files, form), options, _show)
    click.echo("\n".join(lines(found)))
    return found


def _show(message: str) -> None:
    click.echo(message, err=True)


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
