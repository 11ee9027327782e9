"""Shared paths and options of the commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np

from gapcast.bundled import models_path
from gapcast.recordings.formats import clean_file
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.training_data.training_set import TrainingSet, open_set


class IsoTime(click.ParamType[datetime]):
    """A date or a time in ISO 8601; in UTC if it has no offset."""

    name = "iso"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time in UTC; fail for anything else."""
        if isinstance(value, datetime):
            return value
        try:
            when = datetime.fromisoformat(value)
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time like 2010-11-01 or 2010-11-01T12:00Z", param, ctx)


RAW = Path("household_power_consumption.zip")
CLEAN = Path("runs/household.parquet")
MODELS = Path("models")

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
OUT = click.Path(path_type=Path, dir_okay=False)
clean_option = click.option(
    "--clean", "path", type=OUT, default=CLEAN, show_default=True, help="File that `prepare` wrote."
)
run_clean_option = click.option(
    "--clean", "path", type=OUT, help="File that `prepare` wrote.  [default: the file of the training run]"
)
models_option = click.option(
    "--models",
    type=FOLDER,
    help=f"Folder of your models.  [default: {MODELS}, or {CLEAN.parent / MODELS} in gapcast's own folders]",
)
set_option = click.option(
    "--from",
    "training_set",
    type=FOLDER,
    help="Training set of many houses (`gapcast-fleet prepare`), instead of --clean.",
)


house_option = click.option(
    "--house",
    "houses",
    multiple=True,
    metavar="NAME=FILE",
    help="Clean file of another house that the experiment names (may be repeated).",
)


def other_houses(given: tuple[str, ...], training_set: Path | None) -> dict[str, CleanFile]:
    """Return the clean files that :data:`house_option` names, by house name.

    Raises :class:`click.UsageError` if a value is not NAME=FILE, a house is named twice, or a training set is also
    given.
    """
    files = dict[str, Path]()
    for text in given:
        name, _, path = text.partition("=")
        if not name or not path or name in files:
            msg = f"--house {text}: must be NAME=FILE, each NAME once"
            raise click.UsageError(msg)
        files[name] = Path(path)
    if files and training_set is not None:
        msg = f"--house {given[0]} and --from {training_set}: a training set holds all its houses: give one of them"
        raise click.UsageError(msg)
    return {name: clean_file.read(path) for name, path in files.items()}


def check_different_houses(clean: CleanFile, path: Path, given: tuple[str, ...], others: Iterable[CleanFile]) -> None:
    """Raise :class:`click.UsageError` if two of the houses of a training have the same power in each minute.

    Otherwise the model would be trained on minutes that validate or test it. ``clean`` was read from ``path``, and
    ``others`` are the houses of the values ``given`` of :data:`house_option`.
    """
    known = [(f"--clean {path}", clean.series)]
    for text, other in zip(given, others, strict=True):
        for option, series in known:
            if series.first_minute == other.series.first_minute and np.array_equal(
                series.gap_kw, other.series.gap_kw, equal_nan=True
            ):
                msg = f"--house {text}: has the same readings as {option}: give the file of another house, or omit it"
                raise click.UsageError(msg)
        known.append((f"--house {text}", other.series))


def chosen_readings(path: Path | None, training_set: Path | None) -> CleanFile | TrainingSet | None:
    """Return the clean file or the training set that ``--clean`` and :data:`set_option` name, None if neither is given.

    Raises :class:`click.UsageError` if both are given.
    """
    if training_set is None:
        return None if path is None else clean_file.read(path)
    given = click.get_current_context().get_parameter_source("path")
    if given is not click.core.ParameterSource.DEFAULT:
        msg = f"--clean {path} and --from {training_set}: give one of them"
        raise click.UsageError(msg)
    return open_set(training_set)


def own_models(models: Path | None) -> Path:
    """Return the folder that :data:`models_option` names, by default one outside of gapcast's checkout and packages."""
    if models is not None:
        return models
    is_in_gapcast = Path.cwd().resolve().is_relative_to(models_path().resolve().parent)
    return CLEAN.parent / MODELS if is_in_gapcast else MODELS


def own_models_to_score(models: Path | None) -> Path:
    """Return :func:`own_models`; raise :class:`click.BadParameter` if ``models`` is given and has no model."""
    from gapcast.predictors.models_folder.store import model_names

    if models is not None and not model_names(models):
        problem = "it has no folder with a card.json" if models.is_dir() else "there is no such folder"
        msg = f"no models to score in {models}: {problem}"
        raise click.BadParameter(msg, param_hint="--models")
    return own_models(models)


def shows_progress() -> bool:
    """Return whether to show progress bars."""
    return sys.stderr.isatty()
