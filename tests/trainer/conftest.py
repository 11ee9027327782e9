"""Fixtures of the trainer's tests: a small household, prepared once, and the runs made from it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from gapcast.recordings.formats import clean_file, uci
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import minute_series
from gapcast_trainer.data import clean_file_writer
from tests.support import uci_files
from tests.trainer import synthetic

# They run in an environment of their own, with TensorFlow: see scripts/test.
collect_ignore_glob = ["*.py"] if find_spec("tensorflow") is None else []


@pytest.fixture(scope="session")
def clean_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean file of a synthetic household with gaps of 1, 5, 6 and 90 minutes."""
    folder = tmp_path_factory.mktemp("household")
    kw = uci_files.household()
    for start, length in ((1_000, 1), (2_000, 5), (3_000, 6), (6_000, 90), (8_000, 3)):
        kw[start : start + length] = np.nan
    raw = uci_files.write_text(folder / "raw.txt", uci_files.rows(kw.tolist()))
    path = folder / "household.parquet"
    clean_file_writer.write(*minute_series(uci.read(raw)), path)
    return path


@pytest.fixture(scope="session")
def small(clean_path: Path) -> CleanFile:
    """The clean file, read."""
    return clean_file.read(clean_path)


@pytest.fixture(scope="session")
def linear_run(small: CleanFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of the linear model."""
    from gapcast_trainer.training.fit import fit

    folder = tmp_path_factory.mktemp("runs") / "linear"
    fit(synthetic.experiment("linear", "linear"), small, folder)
    return folder


@pytest.fixture(scope="session")
def whole(whole_set: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanFile:
    """The clean file of the whole UCI set, read."""
    path = tmp_path_factory.mktemp("whole") / "household.csv"
    clean_file_writer.write(*minute_series(uci.read(whole_set)), path)
    return clean_file.read(path)
