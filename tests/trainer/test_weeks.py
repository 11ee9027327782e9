"""The picture of back-tests by week."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gapcast_trainer.errors import RunError
from gapcast_trainer.report.figure_file import write_figure
from gapcast_trainer.report.weeks import MOST_ROWS, figure_of, read


def written(path: Path, n: int = 9_000, coverage: float | None = 0.9) -> Path:
    week = {
        "n": n, "mse_kw2": 0.15, "mae_kw": 0.11, "persistence_mse_kw2": 0.2, "persistence_mae_kw": 0.12,
        "coverage": coverage, "width_kw": None if coverage is None else 0.3,
    }  # fmt: skip
    weeks = [{"begins_at": f"2013-06-{day:02d}T00:00:00Z", **week} for day in (6, 13, 20)]
    path.write_text(json.dumps({"houses": {path.stem: {"weeks": weeks}}}), encoding="utf-8")
    return path


@pytest.mark.long
@pytest.mark.parametrize(("kind", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_weeks_picture_is_deterministic(tmp_path: Path, kind: str, begins: bytes) -> None:
    houses = read([written(tmp_path / "one.json"), written(tmp_path / "two.json")])
    assert list(houses) == ["one", "two"]
    first, again = tmp_path / f"first.{kind}", tmp_path / f"again.{kind}"
    write_figure(figure_of(houses), first)
    write_figure(figure_of(houses), again)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes().startswith(begins)


@pytest.mark.parametrize("n", [MOST_ROWS, MOST_ROWS + 1, 28])
def test_weeks_picture_of_many_houses_names_each(tmp_path: Path, n: int) -> None:
    houses = read([written(tmp_path / f"house{k:02d}.json") for k in range(n)])
    figure = figure_of(houses)
    shown = [panel.get_title(loc="left") for panel in figure.axes if panel.get_visible()]
    assert [title for title in shown if title.startswith("house")] == list(houses)
    assert len(shown) == (2 * n if n <= MOST_ROWS else n)
    assert figure.get_size_inches()[1] < 17


@pytest.mark.parametrize("n", [1, MOST_ROWS + 1])
def test_weeks_picture_without_an_interval(tmp_path: Path, n: int) -> None:
    figure = figure_of(read([written(tmp_path / f"house{k}.json", coverage=None) for k in range(n)]))
    shown = [text.get_text() for panel in figure.axes for text in panel.texts]
    assert shown == ([] if n == 1 else ["no interval"] * n)


def test_week_of_constant_power_is_a_gap_in_the_line(tmp_path: Path) -> None:
    path = written(tmp_path / "house.json")
    content = json.loads(path.read_text())
    content["houses"]["house"]["weeks"][1] |= {"persistence_mse_kw2": 0.0, "persistence_mae_kw": 0.0}
    path.write_text(json.dumps(content))
    lines = figure_of(read([path])).axes[0].get_lines()[:2]
    shown = [[float(y) for y in np.asarray(line.get_ydata())] for line in lines]
    assert shown == [pytest.approx([25, np.nan, 25], nan_ok=True), pytest.approx([25 / 3, np.nan, 25 / 3], nan_ok=True)]


def test_weeks_of_one_house_in_two_files_are_rejected(tmp_path: Path) -> None:
    first = written(tmp_path / "house.json")
    second = tmp_path / "again.json"
    second.write_text(first.read_text())
    with pytest.raises(RunError, match=f"^{second}: house is a house of {first} too: leave one out"):
        read([first, second])


def test_weeks_with_few_forecasts_are_left_out(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="few has no week of 5000 forecasts"):
        read([written(tmp_path / "few.json", n=4_999)])


@pytest.mark.parametrize("content", ["no JSON", "[]", "{}", '{"houses": ["a"]}', '{"houses": {"a": {}}}'])
def test_weeks_other_file_is_rejected(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"other\.json: is not what gapcast backtest --json writes"):
        read([path])


def test_weeks_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="none"):
        read([tmp_path / "none.json"])
