"""Loads driven by the engine, minute by minute, and the report of all strategies."""

from __future__ import annotations

import json
import shutil
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest

from gapcast.backtest.control.controlled_house import ControlledHouse
from gapcast.backtest.control.engine_runs import run_engine
from gapcast.backtest.control.house_run import reactive, run_rule
from gapcast.backtest.control.report import control_lines
from gapcast.backtest.control.run import HouseControl, LoadControl, StrategyResult, billed_months, run_control
from gapcast.backtest.control.tariffs import Tariff, bundled_tariffs
from gapcast.backtest.inputs.houses import FilePart
from gapcast.config.sections.demand import DemandKeys, DemandSettings
from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.core.engine import Engine
from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.outlook.options import OutlookConfig
from gapcast.core.time_grid import minute_label
from gapcast.recordings.recording import Minute
from gapcast.recordings.text.layout import FileFormat, Layout
from tests.backtest.test_outlooks import settings_with
from tests.support.houses import FIRST, Smooth
from tests.support.models import every_feature_model
from tests.support.outlook_model import OutlookModel

#: FIRST is midnight, and a Monday.
DAY = 1_440
#: From a quarter to six in the evening to six in the morning: 90 % of the minutes of a night.
NIGHT = range(1_065, DAY + 360)
#: A tariff for months that are not in the recording, which begins in November.
SUMMER = Tariff(
    name="summer", currency="EUR", source="https://example.org", checked="2026-01-01", per_kw_month=(2.0,),
    demand=DemandKeys(months="6-9"),
)  # fmt: skip
SITE = SiteDemandOptions(DemandOptions(by_month_peak=True), {}, UTC)


def engine() -> Engine:
    published = Smooth(lead_times_min=(1, 2, 3, 4, 5))
    return Engine(
        published,
        ensemble=Ensemble((published,), EnsembleOptions()),
        outlook=OutlookConfig(OutlookModel()),
        demand=SITE,
    )


def night(*, without: range = range(0)) -> ControlledHouse:
    """A house of 0.4 kW, and 3 kW for half an hour, for one night."""
    readings = [Minute(FIRST + i, 3.0 if 1_140 <= i < 1_170 else 0.4) for i in NIGHT if i not in without]
    return ControlledHouse.from_readings("a", readings, UTC, FIRST)


@pytest.mark.long
def test_engine_drives_the_loads_below_the_limit() -> None:
    house = night(without=range(1_300, 1_310))
    run = run_engine(engine(), [house], SITE)["a"]
    result = run.loads.finish()
    assert result.n_evenings == 1
    assert result.missing_kwh < 8.0
    assert run.is_over
    drawn_kwh = np.nansum(run.total_kw - house.kw) / 60
    assert drawn_kwh > 1.5  # the dishwasher, and some of the car


@pytest.mark.long
def test_engine_sees_no_reading_beyond_the_minute() -> None:
    """The power drawn until a minute does not depend on the rest of the night."""
    houses = [
        ControlledHouse.from_readings(
            "a", [Minute(FIRST + i, 0.4 if i < 1_110 else later_kw) for i in NIGHT], UTC, FIRST
        )
        for later_kw in (5.0, 0.4)
    ]
    high, low = (run_engine(engine(), [one], SITE)["a"].total_kw[:45].tolist() for one in houses)
    assert high == low


def test_house_without_demands_is_driven_by_the_last_reading() -> None:
    """The house's device has no limit, so there is no demand: the rule of the last reading applies."""
    house = night()
    site = SiteDemandOptions(DemandOptions(), {}, UTC)
    silent = Engine(Smooth(lead_times_min=(1, 2, 3, 4, 5)), demand=site)
    run = run_engine(silent, [house], SITE)["a"]
    assert np.array_equal(run.total_kw, run_rule(house, SITE.default, reactive).total_kw, equal_nan=True)


def test_months_with_few_nights_are_not_billed() -> None:
    readings = [Minute(FIRST + i, 0.4) for i in range(40 * DAY)]
    house = ControlledHouse.from_readings("a", readings, UTC, FIRST)
    found = [(len(months), is_short) for months, is_short in map(billed_months, (house, night()))]
    assert found == [(1, False), (1, True)]  # November, not nine days of December
    without = ControlledHouse.from_readings("c", readings[:60], UTC, FIRST)
    assert billed_months(without) == ([], False)


@pytest.mark.parametrize("is_short", [True, False])
def test_report_names_houses_without_a_month_of_enough_nights(is_short: bool) -> None:
    house = HouseControl("a", 2, 20, {}, is_short)
    note = "  no month has 14 of these nights: every month with any is billed"
    assert (note in control_lines(LoadControl([house], []))) is is_short


def test_report_names_tariffs_of_one_currency_in_their_columns() -> None:
    others = ({"name": "old"}, {"name": "north", "currency": "NOK"})
    tariffs = [SUMMER, *(SUMMER.model_copy(update=one) for one in others)]
    prices: dict[str, float | None] = {"summer": 1_234.4, "old": None, "north": 5.0}
    house = HouseControl("a", 2, 20, {"house alone": StrategyResult(3.0, prices, None)})
    _, head, line, *_ = control_lines(LoadControl([house], tariffs))
    assert head.startswith(f"{'month peak':>32}  summer, EUR a year  old, EUR a year   NOK a year  ")
    assert line == f"  house alone{'3.00 kW':>19}{'1,234':>20}{'-':>17}{'5':>13}"


def csv_of(path: Path, minutes: range) -> Path:
    rows = [f"{minute_label(FIRST + i)},{3.0 if 1_140 <= i % DAY < 1_170 else 0.4}" for i in minutes]
    path.write_text("\n".join(["time,kw", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.long
def test_control_reports_every_strategy(tmp_path: Path) -> None:
    file = csv_of(tmp_path / "a.csv", NIGHT)
    settings = settings_with(tmp_path / "models", demand=DemandSettings(limit_kw="month_peak"))
    form, part = FileFormat(Layout("time", "kw", unit="kW")), FilePart(score_from=minute_label(FIRST))
    found = run_control(settings, [file], form, part, [SUMMER, *bundled_tariffs()])
    of_house = found.houses[0].strategies
    assert list(of_house) == [
        "house alone", "no control", "last reading", "last reading, late", "gapcast", "hindsight"
    ]  # fmt: skip
    assert of_house["no control"].peak_kw > of_house["last reading"].peak_kw >= of_house["hindsight"].peak_kw
    assert of_house["hindsight"].peak_kw == pytest.approx(of_house["house alone"].peak_kw)
    prices = of_house["house alone"].year_prices  # of a year, not of twelve Novembers
    assert prices["Missouri (Ameren, Ultimate Savers)"] == pytest.approx(1.7 * (8 * 3.37 + 4 * 8.16))
    assert prices["summer"] is None
    text = list(control_lines(found))
    assert text[0] == "a: 1 night with a car and a dishwasher, 1 month billed"
    assert text[1].startswith("  no month has 14 of these nights")
    assert text[3].split()[:6] == ["house", "alone", "3.00", "kW", "-", "155"]
    assert text[-1].startswith("Norway 2026 (Elvia): https://")
    json.dumps(found.document(), allow_nan=False)


def test_control_step_that_is_missing_is_named_before_the_engine_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without control, the house has 9 kW."""
    monkeypatch.setattr("gapcast.backtest.control.run.load_models", lambda _: pytest.fail("models are loaded"))
    steps = SUMMER.model_copy(
        update={"per_kw_month": (), "steps": ((2.0, 100.0), (4.0, 200.0)), "demand": DemandKeys()}
    )
    file = csv_of(tmp_path / "a.csv", NIGHT)
    settings = settings_with(tmp_path / "models", demand=DemandSettings(limit_kw=2.5))
    form, part = FileFormat(Layout("time", "kw", unit="kW")), FilePart(score_from=minute_label(FIRST))
    with pytest.raises(SettingsError, match="the steps of summer end at 4 kW"):
        run_control(settings, [file], form, part, [steps])


def test_control_of_a_house_without_night_names_the_file(tmp_path: Path) -> None:
    file = csv_of(tmp_path / "a.csv", range(60))
    settings = settings_with(tmp_path / "models", demand=DemandSettings(limit_kw=2.5))
    form = FileFormat(Layout("time", "kw", unit="kW"))
    with pytest.raises(SourceError, match="has no night with readings to add loads to"):
        run_control(settings, [file], form, FilePart(), bundled_tariffs())


def test_control_by_a_model_that_needs_voltage_is_refused(tmp_path: Path) -> None:
    models = tmp_path / "models"
    settings_with(models)
    shutil.copytree(every_feature_model(), models / "every-feature")
    forecast = {"model": "every-feature", "experts": []}
    settings = settings_with(models, demand=DemandSettings(limit_kw=2.5), forecast=forecast)
    form, part = FileFormat(Layout("time", "kw", unit="kW")), FilePart(score_from=minute_label(FIRST))
    with pytest.raises(SettingsError, match=r"model every-feature needs .*voltage_v.* a back-test reads the power"):
        run_control(settings, [csv_of(tmp_path / "a.csv", NIGHT)], form, part, [])


def test_control_has_the_nights_of_the_site_not_of_the_file(tmp_path: Path) -> None:
    """The house's evening by UTC, the zone of the file's times, is early morning in Tokyo."""
    file = csv_of(tmp_path / "a.csv", NIGHT)
    settings = settings_with(
        tmp_path / "models", demand=DemandSettings(limit_kw=2.5), site={"timezone": "Asia/Tokyo"}
    )  # fmt: skip
    form, part = FileFormat(Layout("time", "kw", unit="kW")), FilePart(score_from=minute_label(FIRST), zone=UTC)
    with pytest.raises(SourceError, match="has no night with readings to add loads to"):
        run_control(settings, [file], form, part, bundled_tariffs())
