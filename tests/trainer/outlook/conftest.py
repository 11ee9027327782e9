"""Fixtures of the outlook's tests: a small body and the outlook around it, trained and exported once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.training.run import Run
from tests.support.measured_tests import unmeasured
from tests.trainer.outlook.small_outlook import body_experiment, outlook_experiment


@pytest.fixture(scope="session")
def models(small: CleanFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the body."""
    from gapcast_trainer.export.export import export
    from gapcast_trainer.training.fit import fit

    folder = tmp_path_factory.mktemp("outlook")
    with unmeasured():  # tests of each cover their lines
        fit(body_experiment(), small, folder / "runs/body")
        export(folder / "runs/body", small, folder / "models")
    return folder / "models"


@pytest.fixture(scope="session")
def fitted(small: CleanFile, models: Path) -> tuple[Run, Path]:
    """A run of the outlook around the body."""
    from gapcast_trainer.training.fit import fit

    folder = models.parent / "runs/outlook"
    return fit(outlook_experiment(), small, folder, start=models / "body"), folder


@pytest.fixture(scope="session")
def messages() -> list[str]:
    """The messages of the export, after it."""
    return []


@pytest.fixture(scope="session")
def exported(small: CleanFile, models: Path, fitted: tuple[Run, Path], messages: list[str]) -> Any:
    """What the export returns."""
    from gapcast_trainer.export.export import export

    return export(fitted[1], small, models, show=messages.append)
