"""``gapcast.forecast``: one forecast from a list or an array, as ``POST /predict`` makes it."""

from __future__ import annotations

import math
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gapcast
from gapcast.bundled import models_path
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.readings.reading import Reading
from gapcast.core.series import forecast_series
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.tflite import TflitePredictor
from tests.support.examples import examples
from tests.support.models import history_model

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 1, 15, 12, 0, 30, tzinfo=BERLIN)
MINUTE = int(NOON.timestamp()) // 60
READINGS = [0.3 + minute % 7 / 2 for minute in range(200)]


@pytest.fixture(scope="module")
def lstm() -> TflitePredictor:
    return load_model(models_path() / "lstm")


def figures(made: Forecast) -> dict[str, object]:
    return {**made.document(), "issued_at": None}


@examples(60)
@given(st.lists(st.none() | st.floats(-1, 12, width=32), max_size=60), st.lists(st.floats(0, 9, width=32), min_size=2))
def test_forecast_equals_a_prediction_of_the_service(
    lstm: TflitePredictor, earlier: list[float | None], newest: list[float]
) -> None:
    readings = [*earlier, *newest]
    first = MINUTE - len(readings) + 1
    stream = [Reading("any", first + i, kw) for i, kw in enumerate(readings) if kw is not None]
    expected = forecast_series(lstm, stream, 0, BERLIN)
    made = gapcast.forecast(readings, at=NOON)
    assert figures(made) == figures(expected)
    assert (made.observed_minute, made.target_minute, made.model) == (MINUTE, MINUTE + 5, "lstm")


def test_forecast_accepts_any_sequence_of_numbers() -> None:
    expected = figures(gapcast.forecast(READINGS, 5, at=NOON))
    with_nan = [math.nan, *READINGS]
    for readings in (tuple(READINGS), np.array(READINGS), (kw for kw in READINGS), with_nan, [None, *READINGS]):
        assert figures(gapcast.forecast(readings, at=NOON)) == expected


def test_forecast_of_a_masked_array_has_missing_minutes() -> None:
    masked = np.ma.masked_equal([*READINGS[:-3], 50.0, *READINGS[-2:]], 50.0)
    with_none = [*READINGS[:-3], None, *READINGS[-2:]]
    assert figures(gapcast.forecast(masked, at=NOON)) == figures(gapcast.forecast(with_none, at=NOON))


def test_forecast_uses_the_time_zone_of_at() -> None:
    """The same instant by another clock is another time of day."""
    assert figures(gapcast.forecast(READINGS, at=NOON)) != figures(gapcast.forecast(READINGS, at=NOON.astimezone(UTC)))


def test_forecast_without_a_time_is_of_now() -> None:
    before = datetime.now(UTC)
    made = gapcast.forecast(READINGS)
    after = datetime.now(UTC)
    assert int(before.timestamp()) // 60 <= made.observed_minute <= int(after.timestamp()) // 60


def test_forecast_starts_after_a_gap_that_is_not_filled() -> None:
    missing: list[float | None] = [None] * 6
    made = gapcast.forecast([*READINGS, *missing, 0.4, 0.5], at=NOON)
    assert made.n_observed == 2
    assert figures(made) == figures(gapcast.forecast([0.4, 0.5], at=NOON))


def test_forecast_without_the_newest_minutes_is_from_the_last_reading() -> None:
    made = gapcast.forecast([*READINGS, None, None], at=NOON)
    assert figures(made) == figures(gapcast.forecast(READINGS, at=NOON - timedelta(minutes=2)))


def test_forecast_from_a_folder_of_models(tmp_path: Path) -> None:
    shutil.copytree(models_path() / "linear", tmp_path / "linear")
    (tmp_path / "registry.json").write_text('{"default": "linear"}')
    assert gapcast.forecast(READINGS, at=NOON, models=tmp_path).model == "linear"


@pytest.mark.parametrize(
    ("readings", "problem"),
    [
        ([], "readings_kw: at least 2 are needed, not 0"),
        ([0.3], "readings_kw: at least 2 are needed, not 1"),
        ([0.3, None, math.nan], "readings_kw: at least 2 are needed, not 1"),
        ([0.3, 0.3, *[None] * 6, 0.3], "readings_kw: more than 5 minutes are missing before the newest; 2 are needed"),
        ([0.3, 230.0, 240.0], "readings_kw[1]: 230 kW is outside -100 to 100 kW; convert watts to kW"),
        ([0.3, -math.inf], "readings_kw[1]: -inf kW is outside"),
        ([0.3, "much"], "readings_kw[1]='much': must be a number, kW"),
        ([0.3, "0.3"], "readings_kw[1]='0.3': must be a number, kW"),
        ([0.3, True], "readings_kw[1]=True: must be a number, kW"),
        (np.array([0.3, "0.3"], dtype=object), "readings_kw[1]='0.3': must be a number, kW"),
        (np.array("much", dtype=object), "readings_kw: must be numbers, kW (could not convert"),
        (np.array(["0.3", "0.4"]), "readings_kw: must be numbers, kW, not of the type <U3"),
        (np.array([True, False]), "readings_kw: must be numbers, kW, not of the type bool"),
        ([0.3, {}], "readings_kw: must be numbers, kW"),
        ([0.3, 10**400], "readings_kw: must be numbers, kW"),
        ([[0.3, 0.4], [0.3, 0.4]], "readings_kw: must have one dimension, not the shape (2, 2)"),
    ],
)
def test_forecast_of_unusable_readings_is_a_value_error(readings: list[float | None], problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        gapcast.forecast(readings, at=NOON)


@pytest.mark.parametrize("minutes", [0, 7, 61])
def test_forecast_of_another_horizon_lists_what_is_possible(minutes: int) -> None:
    possible = r"possible are 1-5 \(linear, lstm\).*; 5 \(lstm-16-8, lstm-5-3\)"
    with pytest.raises(ValueError, match=rf"minutes={minutes}: no model has this lead time; {possible}"):
        gapcast.forecast(READINGS, minutes, at=NOON)


def test_forecast_accepts_a_lead_time_of_numpy() -> None:
    minutes: Any = np.int64(3)
    assert gapcast.forecast(READINGS, minutes, at=NOON).document()["horizon_min"] == 3


def test_forecast_of_a_shorter_lead_time_is_the_models() -> None:
    whole, made = gapcast.forecast(READINGS, at=NOON), gapcast.forecast(READINGS, 3, at=NOON)
    assert (made.horizon_min, made.model) == (3, "lstm")
    assert whole.path_kw is not None
    assert made.path_kw == whole.path_kw[:3]
    assert made.gap_kw == whole.path_kw[2]


@pytest.fixture
def with_history(tmp_path: Path) -> Path:
    """A folder with a model of five minutes, and one with a history of a week and lead times up to an hour."""
    shutil.copytree(history_model(), tmp_path / "with-history")
    shutil.copytree(models_path() / "linear", tmp_path / "linear")
    (tmp_path / "registry.json").write_text('{"default": "linear"}')
    return tmp_path


def test_forecast_with_a_history_takes_a_week_of_readings(with_history: Path) -> None:
    """Readings before a gap count, those before a gap of more than a day do not."""
    newest: list[float | None] = [1.0] * 120
    gap: list[float | None] = [None] * 300
    long_gap: list[float | None] = [None] * (24 * 60 + 1)

    def made(readings: list[float | None]) -> Forecast:
        found = gapcast.forecast(readings, 60, at=NOON, models=with_history)
        assert (found.horizon_min, found.model) == (60, "with-history")
        return found

    alone = made(newest)
    before: list[float | None] = [3.0] * 600
    assert made(before + gap + newest).gap_kw > alone.gap_kw + 0.5
    assert figures(made(before + long_gap + newest)) == figures(alone)
    assert made([*[3.0] * 9 * 24 * 60, *newest]).n_observed == 30


@pytest.mark.parametrize(
    ("readings", "arguments", "problem"),
    [
        (READINGS, {"minutes": "5"}, "minutes='5': must be a whole number, such as minutes=5"),
        (READINGS, {"minutes": 5.0}, "minutes=5.0: must be a whole number, such as minutes=5"),
        (READINGS, {"minutes": True}, "minutes=True: must be a whole number, such as minutes=5"),
        ("123", {}, "readings_kw='123': must be a list, an array or a Series of the powers of minutes, kW"),
        (b"123", {}, "readings_kw=b'123': must be a list, an array or a Series of the powers of minutes, kW"),
        (0.3, {}, "readings_kw=0.3: must be a list, an array or a Series of the powers of minutes, kW"),
        (READINGS, {"at": "2026-01-15"}, "at='2026-01-15': must be a datetime with a time zone, such as datetime."),
        (
            READINGS,
            {"models": "no/such/folder"},
            "models='no/such/folder': is not a folder; it needs a folder for each",
        ),
        (READINGS, {"models": models_path() / "lstm"}, "/lstm': has no registry.json; write {"),
    ],
)
def test_forecast_of_an_unusable_argument_is_a_value_error(
    readings: Any, arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        gapcast.forecast(readings, **arguments)


def test_forecast_time_without_a_zone_is_rejected() -> None:
    with pytest.raises(ValueError, match="at=2026-01-15T12:00:30: the time has no time zone"):
        gapcast.forecast(READINGS, at=NOON.replace(tzinfo=None))


@pytest.mark.parametrize("readings", [{1: 0.5, 2: 0.6}, {"power": READINGS}])
def test_forecast_of_a_dictionary_is_rejected(readings: dict[Any, Any]) -> None:
    """A list of its keys would be forecast."""
    with pytest.raises(ValueError, match="must be a list, an array or a Series"):
        gapcast.forecast(readings)
