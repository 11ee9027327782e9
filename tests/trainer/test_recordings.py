"""A clean file of ``prepare`` gives a back-test the same minutes as the file that it was made from."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest
from click.testing import CliRunner

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.inputs.houses import FilePart
from gapcast.backtest.processes import run_files
from gapcast.config.settings import Settings
from gapcast.core.errors import SourceError
from gapcast.recordings.formats import clean_file
from gapcast.recordings.recording import read_recording
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast_trainer.cli import main
from tests.support.models import shipped_models
from tests.support.recorded_meters import BERLIN, write_local_samples

#: 2025-10-26T00:00Z: an hour before the clock goes back in Berlin.
AUTUMN_S = 1_761_436_800


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A plug's CSV and the clean file of it."""
    folder = tmp_path_factory.mktemp("plug")
    raw, clean = folder / "plug.csv", folder / "clean" / "plug.parquet"
    write_local_samples(raw, AUTUMN_S - 3_600, n_minutes=360)
    arguments = ["prepare", raw, "--time-column", "time", "--value-column", "power_w", "--timezone", "Europe/Berlin"]
    found = CliRunner().invoke(main, [*map(str, arguments), "--out", str(clean)])
    assert found.exit_code == 0, found.output
    return raw, clean


def test_clean_file_has_the_minutes_of_its_csv(prepared: tuple[Path, Path]) -> None:
    raw, clean = prepared
    form = FileFormat(Layout("time", "power_w", zone=BERLIN))
    from_csv, from_parquet = read_recording(raw, form), read_recording(clean)
    assert list(from_parquet.minutes()) == list(from_csv.minutes())
    assert from_parquet.report == from_csv.report
    assert from_parquet.report.n_missing == 7
    with pytest.raises(SourceError, match=r"plug\.parquet: is Parquet of .*needs no --time-column"):
        read_recording(clean, form)


def test_prepare_of_a_clean_file_keeps_its_time_zone(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    again = tmp_path / "again.parquet"
    found = CliRunner().invoke(main, ["prepare", str(prepared[1]), "--out", str(again)])
    assert found.exit_code == 0, found.output
    assert clean_file.read(again).sha256 == clean_file.read(prepared[1]).sha256


def test_clean_file_for_another_clock_names_the_setting(prepared: tuple[Path, Path]) -> None:
    recording, remark = read_recording(prepared[1]), "prepared in time zone Europe/Berlin: set site.timezone to it"
    assert remark in "\n".join(recording.lines(UTC))
    assert remark not in "\n".join(recording.lines(BERLIN))


def test_backtest_of_a_clean_file_equals_that_of_its_csv(prepared: tuple[Path, Path]) -> None:
    raw, clean = prepared
    settings = Settings.model_validate({"models": {"path": shipped_models()}, "site": {"timezone": "Europe/Berlin"}})
    assert engine_of(settings, load_models(settings)).zone == BERLIN
    part = FilePart(zone=BERLIN)
    from_csv = run_files(settings, [raw], FileFormat(Layout("time", "power_w", zone=BERLIN)), part)
    from_parquet = run_files(settings, [clean], FileFormat(), part)
    assert from_csv.scored == from_parquet.scored
    assert from_csv.scored.n > 300
