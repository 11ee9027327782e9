"""gapcast as a library: the page about it, and what a program may rely on."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

import gapcast
from gapcast import Engine, Forecast, Forecaster, Reading
from gapcast.app.models import engine_of, load_models
from gapcast.bundled import models_path
from gapcast.config.settings import Settings
from gapcast.predictors.library import Library
from tests.support.optional_tools import ROOT

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def house() -> Forecaster:
    made = Forecaster()
    made.add(1.0, START)
    return made


def test_example_of_the_page_runs_as_it_is() -> None:
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= 10
    found = subprocess.run([sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, check=False)
    assert found.stderr == ""
    assert re.fullmatch(
        r"in 5 min: \d\.\d kW, 90 %: \d\.\d to \d\.\d kW\n6 outcomes, mean absolute error \d\.\d\d kW\n", found.stdout
    )


def test_forecaster_forecasts_and_learns_like_the_engine() -> None:
    library = Library((models_path(),))
    engine = engine_of(Settings(), load_models(Settings(), library))
    house = Forecaster()
    for minute in range(40):
        power_kw = 0.3 + minute % 7
        made = house.add(power_kw, START + timedelta(minutes=minute, seconds=59))
        reading = Reading("house", int(START.timestamp()) // 60 + minute, power_kw)
        expected = list(engine.forecast(engine.accept([reading]), 0))
        engine.learn()
        assert ([made.gap_kw, made.lower_kw, made.upper_kw] if made else []) == [
            kw for one in expected for kw in (one.gap_kw, one.lower_kw, one.upper_kw)
        ]
    assert house.scores == engine.scores_of("house")


def test_forecaster_without_readings_has_no_scores() -> None:
    assert Forecaster().scores == {}


@pytest.mark.parametrize(
    ("power_kw", "at", "problem"),
    [
        (1.0, START, "there is a reading of this minute already"),
        (1.0, START - timedelta(minutes=1), "it is older than the last reading"),
        (1.0, datetime(2026, 1, 1, 1), "the time has no time zone"),  # noqa: DTZ001 - what is tested
        (230.0, START + timedelta(minutes=1), "230 kW is outside -100 to 100 kW; convert watts to kW"),
        (float("nan"), START + timedelta(minutes=1), "nan kW is outside"),
    ],
)
def test_reading_that_cannot_be_used_is_a_value_error(
    house: Forecaster, power_kw: float, at: datetime, problem: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        house.add(power_kw, at)


def test_reading_of_a_later_day_waits_for_the_next_one() -> None:
    house = Forecaster()
    house.add(1.0, START)
    assert house.add(1.0, START + timedelta(days=2)) is None


def test_package_exports_the_library() -> None:
    assert [getattr(gapcast, name) for name in gapcast.__all__] == [Engine, Forecast, Forecaster, Reading]
    with pytest.raises(AttributeError, match="has no attribute 'Told'"):
        _ = gapcast.Told


def test_import_of_the_package_loads_nothing_else() -> None:
    code = "import sys, gapcast; print(sorted(name for name in sys.modules if name.startswith(('gapcast.', 'numpy'))))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_library_loads_neither_mqtt_nor_http() -> None:
    code = "import sys; from gapcast import Forecaster; Forecaster(); "
    code += "print(sorted({*sys.modules} & {'paho', 'fastapi', 'uvicorn'}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
