"""``gapcast.forecast`` of a pandas Series; pandas is installed where the trainer is."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

import gapcast
from gapcast.core.forecasts.forecast import Forecast
from tests.support.optional_tools import ROOT

BERLIN = ZoneInfo("Europe/Berlin")
POWER_KW = 0.3 + np.arange(200) % 7 / 2


def series(first: str, n: int = 200, freq: str = "1min", tz: str | None = "Europe/Berlin") -> pd.Series[float]:
    return pd.Series(np.resize(POWER_KW, n), index=pd.date_range(first, periods=n, freq=freq, tz=tz))


def figures(made: Forecast) -> dict[str, object]:
    return {**made.document(), "issued_at": None}


@pytest.mark.parametrize("first", ["2026-01-15 12:00", "2025-10-26 00:30", "2026-03-29 00:30"])
def test_forecast_of_a_series_has_its_times_and_zone(first: str) -> None:
    """Also across both clock changes."""
    power_kw = series(first)
    last = power_kw.index[-1].to_pydatetime()
    made = gapcast.forecast(power_kw, minutes=5)
    assert figures(made) == figures(gapcast.forecast(POWER_KW, at=last.astimezone(UTC).astimezone(BERLIN)))
    assert made.observed_minute == int(last.timestamp()) // 60


def test_forecast_of_a_series_with_missing_minutes() -> None:
    power_kw = series("2026-01-15 12:00")
    expected = figures(gapcast.forecast(power_kw.where(np.arange(200) != 190)))
    assert figures(gapcast.forecast(power_kw.drop(power_kw.index[190]))) == expected
    nullable = power_kw.astype("Float64").mask(np.arange(200) == 190, pd.NA)
    assert figures(gapcast.forecast(nullable)) == expected


def test_forecast_of_a_series_without_times_accepts_at() -> None:
    noon = datetime(2026, 1, 15, 12, tzinfo=BERLIN)
    made = gapcast.forecast(pd.Series(POWER_KW), at=noon)
    assert figures(made) == figures(gapcast.forecast(POWER_KW.tolist(), at=noon))


def test_forecast_of_samples_resampled_as_documented() -> None:
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```py\n(.*?)#.*?```", page, re.DOTALL)
    power_w = series("2025-10-26 01:50", 6_000, "10s").tz_localize(None) * 1_000  # with 02:00 to 02:59 twice
    made = gapcast.forecast(eval(example, {"power_w": power_w}))  # noqa: S307 - of our own page
    last = power_w.index[-1].tz_localize(BERLIN)
    assert made.observed_minute == int(last.timestamp()) // 60


@pytest.mark.parametrize(
    ("power_kw", "problem"),
    [
        (series("2026-01-15", tz=None), "its times have no time zone; use readings_kw.tz_localize('Europe/Berlin')"),
        (
            series("2026-01-15", freq="10s"),
            "one value a minute is needed, and these are 10 s apart; average them first",
        ),
        (
            series("2026-01-15", freq="5min"),
            "300 s apart; repeat each until the next one first, such as by readings_kw.resample('1min').ffill(limit=9)",
        ),
        (
            pd.Series([0.3, 0.4], pd.DatetimeIndex(["2026-01-15", None], tz=BERLIN)),
            "a time of its index is missing (NaT); use readings_kw[readings_kw.index.notna()]",
        ),
        (
            series("2026-01-15")[::-1],
            "2026-01-15 03:18:00+01:00 is not after 2026-01-15 03:19:00+01:00; sort the times",
        ),
        (series("2026-01-15", 1), "at least 2 are needed, not 1"),
        (series("2026-01-15", 0), "at least 2 are needed, not 0"),
        (pd.Series([0.3, 0.4], ["2026-01-15 12:00", "2026-01-15 12:01"]), "is no DatetimeIndex; convert it"),
        (
            series("2026-01-15", tz=None).to_period("min"),
            "the index of the Series, of period[min], is no DatetimeIndex",
        ),
        (pd.DataFrame({"kw": POWER_KW}), "is a DataFrame, not a Series; select its column with the power, in kW"),
    ],
)
def test_forecast_of_an_unusable_series_is_a_value_error(power_kw: pd.Series[float], problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        gapcast.forecast(power_kw)


def test_forecast_of_a_series_with_times_rejects_at() -> None:
    with pytest.raises(ValueError, match="the index of the Series has the times already"):
        gapcast.forecast(series("2026-01-15"), at=datetime(2026, 1, 15, tzinfo=UTC))


@pytest.mark.parametrize("readings", [pd.array([0.4] * 60), pd.Index([0.4] * 60)])
def test_forecast_accepts_other_pandas_arrays(readings: Any) -> None:
    assert gapcast.forecast(readings).gap_kw > 0


def test_forecast_of_a_series_of_texts_is_a_value_error() -> None:
    texts: Any = pd.Series(["much"] * 60)
    with pytest.raises(ValueError, match=r"readings_kw\[0\]='much': must be a number, kW"):
        gapcast.forecast(texts)
