"""Tariffs: the files bundled with gapcast, and invalid files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gapcast.backtest.control.tariffs import bundled_tariffs, read_tariff, tariffs_of
from gapcast.core.errors import SettingsError

HEAD = 'name = "t"\ncurrency = "EUR"\nsource = "https://example.org"\nchecked = "2026-01-01"\n'
JANUARY, JUNE = 0, 5


def written(folder: Path, text: str) -> Path:
    path = folder / "tariff.toml"
    path.write_text(HEAD + text)
    return path


def test_bundled_tariffs_are_of_three_countries() -> None:
    flanders, missouri, norway = bundled_tariffs()
    assert [one.currency for one in (flanders, missouri, norway)] == ["EUR", "USD", "NOK"]
    assert 12 * flanders.month_price(JANUARY, 2.5) == pytest.approx(129.5, abs=0.01)
    assert missouri.month_price(JANUARY, 5.0) == pytest.approx(16.85)  # the page's own examples
    assert missouri.month_price(JUNE, 5.0) == pytest.approx(40.8)
    assert [norway.month_price(JANUARY, kw) for kw in (1.9, 2.0, 2.1, 7.0, 1_000.0)] == [125, 125, 190, 300, 4_570]
    assert all(one.source.startswith("https://") for one in (flanders, missouri, norway))


def test_peak_is_at_least_the_floor(tmp_path: Path) -> None:
    tariff = read_tariff(written(tmp_path, "per_kw_month = 2.0\n[demand]\nfloor_kw = 2.5"))
    local = np.arange(60)
    assert tariff.peaks_kw(np.full(60, 1.0), local) == {0: 2.5}
    assert tariff.peaks_kw(np.full(60, 3.0), local) == {0: 3.0}


def test_tariff_without_a_floor_bills_what_was_drawn(tmp_path: Path) -> None:
    tariff = read_tariff(written(tmp_path, "per_kw_month = 2.0"))
    assert tariff.peaks_kw(np.full(60, 1.0), np.arange(60)) == {0: 1.0}


def test_peak_above_the_last_step_has_no_price(tmp_path: Path) -> None:
    tariff = read_tariff(written(tmp_path, "steps = [[2, 100], [5, 200]]"))
    with pytest.raises(SettingsError, match=r"steps of t end at 5 kW, and a month has 12\.0 kW: add a step"):
        tariff.month_price(JANUARY, 12.0)


def test_peak_above_a_step_by_rounding_has_its_price(tmp_path: Path) -> None:
    tariff = read_tariff(written(tmp_path, "steps = [[2, 100], [5, 200]]"))
    assert [tariff.month_price(JANUARY, kw) for kw in (2.0000000000000004, 2.001, 5.000000000000001)] == [100, 200, 200]


def test_exported_power_does_not_lower_the_billed_peak() -> None:
    flanders = bundled_tariffs()[0]
    assert flanders.peaks_kw(np.tile([8.0, -8.0, 2.0], 5), np.arange(15)) == {0: pytest.approx(10 / 3)}
    assert flanders.peaks_kw(np.tile([8.0, np.nan, np.nan], 5), np.arange(15)) == {}


def test_year_price_has_the_price_of_each_month(tmp_path: Path) -> None:
    missouri = bundled_tariffs()[1]
    assert missouri.year_price(5.0) == pytest.approx(8 * 16.85 + 4 * 40.8)
    summer = read_tariff(written(tmp_path, 'per_kw_month = 2.0\n[demand]\nmonths = "6-9"'))
    assert summer.year_price(5.0) == pytest.approx(4 * 10.0)


def test_given_tariffs_replace_the_bundled_ones(tmp_path: Path) -> None:
    path = written(tmp_path, "per_kw_month = 2.0")
    assert [one.name for one in tariffs_of([path])] == ["t"]
    assert len(tariffs_of([])) == 3


def test_tariffs_of_one_name_are_rejected(tmp_path: Path) -> None:
    path = written(tmp_path, "per_kw_month = 2.0")
    other = tmp_path / "other.toml"
    other.write_text(path.read_text().replace("2.0", "9.0"))
    with pytest.raises(SettingsError, match=r"^--tariff .*other\.toml: another tariff is also named 't': change"):
        tariffs_of([path, other])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file: give either per_kw_month or steps"),
        ("per_kw_month = 1.0\nsteps = [[2, 1]]", "give either per_kw_month or steps"),
        ("per_kw_month = [1.0, 2.0]", "per_kw_month: give one price, or twelve"),
        ("steps = [[5, 1], [2, 3]]", "steps must rise"),
        ("per_kw_month = 1.0\n[demand]\nwindow_min = 7", "demand.window_min: windows must divide"),
        ("per_kw_month = 1.0\n[demand]\nlimit_kw = 4", "demand: limit_kw has no effect in a tariff: remove it"),
        ('per_kw_month = 1.0\n[demand]\nrunning_topic = "r"', r"running_topic has no effect .* keys: window_min, peak"),
        ("per_kw_month = -1.0", "per_kw_month.0: must be at least 0"),
        ("steps = [[2, 1], [5, -3]]", "steps.1.1: must be at least 0"),
        ("per_kw_month = inf", "per_kw_month.0: must be a finite number"),
        ("per_kw_month = ", "cannot be read"),
    ],
)
def test_bad_tariff_is_named_with_its_problem(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        read_tariff(written(tmp_path, text))
    assert str(caught.value).startswith(f"--tariff {tmp_path / 'tariff.toml'}: ")


def test_missing_tariff_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_tariff(tmp_path / "none.toml")
