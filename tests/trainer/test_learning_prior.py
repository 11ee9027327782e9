"""``gapcast-trainer learning-prior``: the start of the online model, fitted to files of houses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gapcast.bundled.learning_prior import bundled_prior, read_prior
from gapcast.core.learning.online_model import analog_features, rls_model
from gapcast_trainer.cli import main
from tests.support.houses import house_kw

COLUMNS = ("--time-column", "time", "--value-column", "kw", "--unit", "kW")


def house_file(path: Path, n_minutes: int, seed: int) -> str:
    start = np.datetime64("2024-01-01T00:00:00")
    rows = [f"{start + np.timedelta64(i, 'm')},{kw}" for i, kw in enumerate(house_kw(n_minutes, seed).tolist())]
    path.write_text("\n".join(["time,kw", *rows]))
    return str(path)


@pytest.mark.long
def test_learning_prior_fits_all_columns_of_the_bundled_one(tmp_path: Path) -> None:
    """And those of phases and analogs, in which the bundled one, which is older, has no effect."""
    files = [house_file(tmp_path / f"{seed}.csv", 4_000, seed) for seed in (1, 2)]
    out = tmp_path / "prior.npz"
    result = CliRunner().invoke(main, ["learning-prior", *files, "--out", str(out), *COLUMNS])
    assert result.exit_code == 0, result.output
    assert "from 2 houses" in result.output
    prior = read_prior(out)
    newer = {"phase", *analog_features.MEAN_CHANGE_NAMES}
    assert tuple(name for name in prior.names if name not in newer) == bundled_prior().names
    assert newer <= {*prior.names}
    assert np.linalg.eigvalsh(prior.covariance.astype(np.float64)).min() > 0
    assert np.diag(prior.covariance).max() <= rls_model.PRIOR


def test_learning_prior_of_a_short_house_names_it(tmp_path: Path) -> None:
    file = house_file(tmp_path / "short.csv", 600, 1)
    result = CliRunner().invoke(main, ["learning-prior", file, "--out", str(tmp_path / "prior.npz"), *COLUMNS])
    assert result.exit_code == 2
    assert "short.csv: has 594 outcomes, and the prior needs more than 1465" in result.output
