"""Shared paths and options of the commands."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gapcast.recordings import clean_file
from gapcast.recordings.clean_file import Clean
from gapcast_trainer.trainingset import TrainingSet, open_set

RAW = Path("household_power_consumption.zip")
CLEAN = Path("runs/household.parquet")
MODELS = Path("models")

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
OUT = click.Path(path_type=Path, dir_okay=False)
TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])
clean_option = click.option(
    "--clean", "path", type=OUT, default=CLEAN, show_default=True, help="File that `prepare` wrote."
)
set_option = click.option(
    "--from",
    "training_set",
    type=FOLDER,
    help="Training set of many houses (`gapcast-fleet prepare`), instead of --clean.",
)


def chosen_readings(path: Path, training_set: Path | None) -> Clean | TrainingSet:
    """Return the clean file or the training set that :data:`clean_option` and :data:`set_option` name.

    Raises :class:`click.UsageError` if both are given.
    """
    if training_set is None:
        return clean_file.read(path)
    given = click.get_current_context().get_parameter_source("path")
    if given is not click.core.ParameterSource.DEFAULT:
        msg = f"--clean {path} and --from {training_set}: give one of them"
        raise click.UsageError(msg)
    return open_set(training_set)


def progress() -> bool:
    """Return whether to show progress bars."""
    return sys.stderr.isatty()
