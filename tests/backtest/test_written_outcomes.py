"""Each forecast is a line with its outcome, or without one if the reading is missing."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.forecasts.outcomes_file import HEADER, OutcomesFile
from gapcast.backtest.request import BacktestRequest
from gapcast.backtest.results.results import Backtest
from gapcast.backtest.run import run_houses
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.time_grid import minute_label
from gapcast.recordings.recording import Minute
from tests.support.models import shipped_models

#: 2010-11-01T00:00Z
FIRST = 21_476_160
ALONE = {"blend": False, "calibrate": False, "model": "linear"}


def lines_of(folder: Path, minutes: list[int], **forecast: object) -> tuple[Backtest, list[dict[str, str]]]:
    """Run over a house with readings at ``minutes`` after FIRST; return the result and the written lines."""
    settings = Settings.model_validate({"models": {"path": shipped_models()}, "forecast": ALONE | forecast})
    out, home = folder / "out.csv", [Minute(FIRST + minute, (7 * i) % 11 / 10) for i, minute in enumerate(minutes)]
    found = run_houses(
        engine_of(settings, load_models(settings)), {"home": iter(home)}, request=BacktestRequest(out=out)
    )
    with out.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        lines = list(reader)
        assert tuple(reader.fieldnames or ()) == HEADER
    return found, lines


def test_outcome_line_has_the_reading_of_its_minute(tmp_path: Path) -> None:
    found, lines = lines_of(tmp_path, list(range(40)))
    assert [line["observed_at"] for line in lines] == [minute_label(FIRST + i) for i in range(1, 40)]
    for i, line in enumerate(lines, start=1):
        assert line["target_at"] == minute_label(FIRST + i + 5)
        assert float(line["last_kw"]) == pytest.approx((7 * i) % 11 / 10)
        if i + 5 < 40:
            assert float(line["actual_kw"]) == pytest.approx((7 * (i + 5)) % 11 / 10)
        else:
            assert line["actual_kw"] == "", "the file ends before"
        assert line["came_kw"] == line["actual_kw"], "its name in 0.1.0"
    assert found.scored.n == sum(line["actual_kw"] != "" for line in lines) == 34


def test_outcome_line_without_a_reading_is_blank(tmp_path: Path) -> None:
    minutes = [minute for minute in range(40) if minute not in {12, 13}] + [400, 401]
    _, lines = lines_of(tmp_path, minutes)
    empty = {line["target_at"] for line in lines if not line["actual_kw"]}
    assert empty == {minute_label(FIRST + minute) for minute in (12, 13, 40, 41, 42, 43, 44, 406)}
    assert len(lines) == len({line["observed_at"] for line in lines}) == len(minutes) - 2


@pytest.mark.parametrize("back_to", [0, 30, 34])
def test_outcome_lines_survive_time_going_back(tmp_path: Path, back_to: int) -> None:
    minutes = [*range(40), *range(back_to, 80)]
    found, lines = lines_of(tmp_path, minutes)
    n_first, n_again = 39, 80 - back_to - 3  # three readings prove that time went back; the third has a forecast
    assert len(lines) == n_first + n_again + 1
    assert found.scored.n == sum(line["actual_kw"] != "" for line in lines)
    of_each = [(line["observed_at"], line["last_kw"]) for line in lines]
    assert len(set(of_each)) == len(of_each)


def test_scores_equal_the_outcome_lines(tmp_path: Path) -> None:
    found, lines = lines_of(tmp_path, list(range(200)), blend=True, calibrate=True)
    scored = [{key: float(line[key]) for key in HEADER[3:]} for line in lines if line["actual_kw"]]
    summary = found.houses[0].live[ALL_TIME]
    assert summary.n == len(scored) == 194
    assert summary.mse_kw2 == pytest.approx(
        sum((one["gap_kw"] - one["actual_kw"]) ** 2 for one in scored) / 194, abs=1e-5
    )
    inside = [one["lower_kw"] <= one["actual_kw"] <= one["upper_kw"] for one in scored]
    assert summary.coverage == pytest.approx(sum(inside) / 194, abs=0.011)


def test_outcome_file_unwritable_is_named(tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(SettingsError, match=r"out\.csv"):
        lines_of(tmp_path, list(range(10)))


def test_outcome_file_of_one_reading_has_no_lines(tmp_path: Path) -> None:
    found, lines = lines_of(tmp_path, [0])
    assert (found.n_readings, lines) == (1, [])


def test_outcome_file_after_an_error_is_the_earlier_one(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("earlier", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), OutcomesFile(out):
        raise ZeroDivisionError
    assert out.read_text(encoding="utf-8") == "earlier"
    assert list(tmp_path.iterdir()) == [out]


def test_outcome_file_on_a_full_disk_is_named() -> None:
    problem = r"--out /dev/full: cannot be written \(No space left on device\)"
    with pytest.raises(SettingsError, match=problem), OutcomesFile(Path("/dev/full")):
        pass
