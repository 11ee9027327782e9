"""The time of day in a back-test uses the zone of the file's times, unless site.timezone is set."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gapcast.cli import main
from tests.support.commands import run_command
from tests.support.models import shipped_models

ALONE = ("forecast.model=linear", "forecast.blend=false", "forecast.calibrate=false", "forecast.learn=false")
N_MINUTES = 300
ZONE = "Asia/Kolkata"


@pytest.fixture
def meter(tmp_path: Path) -> Path:
    """A file in local time; `linear` uses the time of day."""
    path, start = tmp_path / "meter.csv", datetime(2026, 1, 1, 6, tzinfo=UTC).replace(tzinfo=None)
    lines = [f"{start + timedelta(minutes=i):%Y-%m-%d %H:%M},{200 + 300 * (i % 9)}" for i in range(N_MINUTES)]
    path.write_text("\n".join(["time,power_w", *lines, ""]), encoding="utf-8")
    return path


def scored(meter: Path, *arguments: str) -> dict[str, float]:
    """Return the full figures that the back-test prints for ``linear`` alone."""
    words = [word for setting in (f"models.path={shipped_models()}", *ALONE) for word in ("--set", setting)]
    columns = ("--time-column", "time", "--value-column", "power_w")
    done = run_command(
        ("gapcast", main),
        ["backtest", meter, *columns, "--json", "scores.json", *words, *arguments],
        meter.parent,
        {"PATH": os.environ["PATH"]},
    )
    assert done.exit_code == 0, done.output
    found: dict[str, float] = json.loads((meter.parent / "scores.json").read_text())["scored"]
    return found


@pytest.mark.usefixtures("restored_logs")
def test_backtest_uses_the_zone_of_the_file_for_the_time_of_day(meter: Path) -> None:
    local = scored(meter, "--timezone", ZONE)
    assert local == scored(meter, "--timezone", ZONE, "--set", f"site.timezone={ZONE}")
    assert local == scored(meter, "--set", f"site.timezone={ZONE}")
    elsewhere = scored(meter, "--timezone", ZONE, "--set", "site.timezone=UTC")
    assert elsewhere["n"] == local["n"]
    assert elsewhere["mse_kw2"] != local["mse_kw2"], "a zone that is set is that of the house"
