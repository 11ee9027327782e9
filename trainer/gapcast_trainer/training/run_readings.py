"""Finds the readings of training runs and of the models exported from these runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gapcast.core.models.card import ModelCard
from gapcast.recordings.formats import clean_file
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.errors import RunError
from gapcast_trainer.training.run import RUN_FILE, Run, read_run
from gapcast_trainer.training_data.training_set import TrainingSet, open_set


def readings_of(folder: Path) -> CleanFile | TrainingSet:
    """Return the clean file or the training set on which the run in ``folder`` was trained.

    Raises :class:`RunError` if the run does not state it, or it no longer exists.
    """
    run = read_run(folder)
    path = _path_of(run, folder)
    return open_set(path) if run.houses else clean_file.read(path)


def clean_path_of(cards: Iterable[ModelCard], runs: Path) -> Path | None:
    """Return the clean file of the runs under ``runs`` from which models with these ``cards`` were exported.

    None if there is no such run. Raises :class:`RunError` if the runs have several files, or the file does not exist.
    """
    found = {_path_of(run, folder): card.name for card in cards for folder, run in _runs(runs) if _is_run_of(card, run)}
    if len(found) > 1:
        files = ", ".join(f"{name} of {path}" for path, name in found.items())
        msg = f"the models are of different files: {files}; name models of one file, or give --clean"
        raise RunError(msg)
    return next(iter(found), None)


def _runs(runs: Path) -> list[tuple[Path, Run]]:
    found = []
    for path in sorted(runs.glob(f"*/{RUN_FILE}")):
        try:
            found.append((path.parent, read_run(path.parent)))
        except RunError:
            continue  # unfinished, or of another version
    return found


def _is_run_of(card: ModelCard, run: Run) -> bool:
    is_same = (run.name, run.source_sha256) == (card.name, card.trained_on.sha256)
    return is_same and bool(run.readings) and not run.houses


def _path_of(run: Run, folder: Path) -> Path:
    path, option = Path(run.readings), "--from" if run.houses else "--clean"
    if not run.readings:
        msg = f"{folder}: the run does not state what it was trained on: give it by {option}"
        raise RunError(msg)
    if not path.exists():
        msg = f"{folder}: the run was trained on {path}, which is not there: give it by {option}"
        raise RunError(msg)
    return path
