"""``gapcast-trainer learning-prior``: the initial learning state, fitted to files of houses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gapcast.bundled.learning_prior import bundled_prior, read_prior
from gapcast.core.learning.ensemble.learning_prior import LearningPrior, no_tables
from gapcast.core.learning.online_model import rls_model
from gapcast_trainer.cli import main
from gapcast_trainer.prior.fit import mean_of_houses
from tests.support.houses import house_kw

COLUMNS = ("--time-column", "time", "--value-column", "kw", "--unit", "kW")


def house_file(path: Path, n_minutes: int, seed: int) -> str:
    start = np.datetime64("2024-01-01T00:00:00")
    rows = [f"{start + np.timedelta64(i, 'm')},{kw}" for i, kw in enumerate(house_kw(n_minutes, seed).tolist())]
    path.write_text("\n".join(["time,kw", *rows]))
    return str(path)


@pytest.mark.long
def test_learning_prior_fits_all_columns_of_the_bundled_one(tmp_path: Path) -> None:
    files = [house_file(tmp_path / f"{seed}.csv", 2_000, seed) for seed in (1, 2)]
    out = tmp_path / "prior.npz"
    result = CliRunner().invoke(main, ["learning-prior", *files, "--out", str(out), *COLUMNS])
    assert result.exit_code == 0, result.output
    assert "from 2 houses" in result.output
    prior = read_prior(out)
    assert prior.rls.names == bundled_prior().rls.names
    assert np.linalg.eigvalsh(prior.rls.covariance.astype(np.float64)).min() > 0
    assert np.diag(prior.rls.covariance).max() <= rls_model.PRIOR
    assert {name: table.shape for name, table in prior.tables.items()} == {
        name: table.shape for name, table in no_tables().items()
    }
    assert all(table.any() for table in prior.tables.values())


def test_tables_of_a_prior_are_means_by_the_outcomes_of_each_entry() -> None:
    """Of two houses, one with half of its weight, and one more that changed nothing."""
    values, n_outcomes = np.array([[4.0, 4.0, 4.0], [1.0, 1.0, 1.0]]), np.array([[0, 200, 10**9], [0, 0, 10**9]])
    assert mean_of_houses(values, n_outcomes, 200.0) == pytest.approx([0.0, 2.0 / 1.5, 5.0 / 3.0])


def test_learning_prior_of_a_short_house_names_it(tmp_path: Path) -> None:
    file = house_file(tmp_path / "short.csv", 600, 1)
    result = CliRunner().invoke(main, ["learning-prior", file, "--out", str(tmp_path / "prior.npz"), *COLUMNS])
    assert result.exit_code == 2
    assert "short.csv: has 594 outcomes, and the prior needs more than 1465" in result.output


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of houses of each fit; a fit returns the bundled prior at once."""
    found: list[int] = []

    def fit(houses: Mapping[str, object], *_: object) -> LearningPrior:
        found.append(len(houses))
        return bundled_prior()

    monkeypatch.setattr("gapcast_trainer.prior.fit.fit_prior", fit)
    return found


def test_learning_prior_writes_the_named_file_in_a_new_folder(tmp_path: Path, fits: list[int]) -> None:
    file, out = house_file(tmp_path / "house.csv", 60, 1), tmp_path / "new/prior"
    result = CliRunner().invoke(main, ["learning-prior", file, "--out", str(out), *COLUMNS])
    assert (result.exit_code, fits) == (0, [1]), result.output
    assert result.output.endswith("columns, from 1 house\n")
    assert [path.name for path in out.parent.iterdir()] == ["prior"]
    assert read_prior(out).rls.names == bundled_prior().rls.names


def test_learning_prior_unwritable_is_an_error_before_the_fit(tmp_path: Path, fits: list[int]) -> None:
    file = house_file(tmp_path / "house.csv", 60, 1)
    result = CliRunner().invoke(main, ["learning-prior", file, "--out", f"{file}/prior.npz", *COLUMNS])
    assert (result.exit_code, fits) == (2, []), result.output
    assert "house.csv/prior.npz: cannot be written (" in result.output
