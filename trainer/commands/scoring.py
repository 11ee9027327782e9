"""The command that scores models: evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import click

from trainer import cleanfile
from trainer.commands.options import FOLDER, MODELS, OUT, clean_option, progress
from trainer.errors import RunError
from trainer.files import write_whole


@click.command()
@click.argument("names", nargs=-1)
@clean_option
@click.option("--models", type=FOLDER, default=MODELS, show_default=True, help="Folder of the shipped models.")
@click.option("--json", "json_path", type=OUT, help="Write all scores to this file as well.")
@click.option("--brief", is_flag=True, help="Leave out the scores by readings seen.")
def evaluate(names: tuple[str, ...], path: Path, models: Path, json_path: Path | None, brief: bool) -> None:
    """Score models (NAMES, or all there are) on the test part beside persistence and trend."""
    from edge.predictors.store import load_model, model_names  # noqa: PLC0415 - imports a TFLite runtime
    from trainer.evaluate import evaluate as score_models  # noqa: PLC0415

    found = names or model_names(models)
    if not found:
        msg = f"{models}: holds no model: make one with `gapcast-trainer export`"
        raise RunError(msg)
    predictors = [load_model(models / name) for name in found]
    evaluations = score_models(predictors, cleanfile.read(path), by_readings=not brief, progress=progress())
    click.echo("\n\n".join("\n".join(evaluation.lines()) for evaluation in evaluations))
    if json_path is not None:
        write_whole(json_path, json.dumps([evaluation.as_json() for evaluation in evaluations], indent=2) + "\n")
        click.echo(f"\nwrote {json_path}")
