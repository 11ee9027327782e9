"""The engine: batches in, forecasts out, with the latest forecast of each device stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.errors import RequestError
from gapcast.core.forecasts.forecast import join_forecasts
from gapcast.core.forecasts.forecast_range import ForecastReplacements, Replacement
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Prediction
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.series import forecast_series
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence, Trend

NOON = 21_476_160


class Quantiles(Persistence):
    """Persistence with a fixed interval, to follow quantiles through the engine."""

    def predict(self, windows: F32) -> Prediction:
        mean = windows[:, -1, :1]
        return Prediction(mean, np.stack([mean * share for share in (0.5, 0.9, 2.0)], axis=-1))


WITH_QUANTILES = Quantiles(quantile_levels=(0.05, 0.5, 0.95))


def minutes(n: int, device: str = "home") -> list[Reading]:
    return [Reading(device, NOON + minute, 1.0 + minute) for minute in range(n)]


def test_engine_with_other_limits_than_its_ensemble_is_rejected() -> None:
    ensemble = Ensemble((Trend(),), EnsembleOptions(min_kw=-5.0, max_kw=20.0))
    for limits in (None, Limits(-5.0, 20.0)):
        assert Engine(Trend(), limits=limits, ensemble=ensemble).limits == Limits(-5.0, 20.0)
    with pytest.raises(ValueError, match=r"limits: .*max_kw=10.* but the ensemble has .*max_kw=20.0"):
        Engine(Trend(), limits=Limits(-5.0, 10.0), ensemble=ensemble)


def test_engine_batch_may_hold_many_readings_of_one_device() -> None:
    engine = Engine(Trend())
    forecasts = engine.forecast(engine.accept(minutes(50)), issued_at_ms=7)
    assert [forecast.observed_minute for forecast in forecasts] == [NOON + minute for minute in range(1, 50)]
    assert forecasts[-1].gap_kw == pytest.approx(55.0)
    assert forecasts[-1].n_observed == 30


def test_engine_keeps_the_latest_forecast_of_each_device() -> None:
    engine = Engine(Persistence())
    for device in (f"d{i}" for i in range(40)):
        engine.forecast(engine.accept(minutes(3, device)), issued_at_ms=9)
    latest = engine.latest()
    assert [forecast.device for forecast in latest] == [f"d{i}" for i in range(40)]
    assert {forecast.gap_kw for forecast in latest} == {3.0}
    assert engine.latest_of("d3") == latest[3]


def test_engine_device_without_a_forecast_has_no_latest() -> None:
    engine = Engine(Persistence())
    engine.forecast(engine.accept(minutes(1)), issued_at_ms=0)
    assert engine.latest_of("home") is None
    assert engine.latest_of("nobody") is None
    assert engine.latest() == []


def test_engine_device_beyond_allocated_rows_has_no_latest() -> None:
    engine = Engine(Persistence())
    engine.accept([Reading(f"d{i}", NOON, 1.0) for i in range(40)])
    assert engine.latest_of("d39") is None


def test_forecast_reads_median_and_bounds_from_quantiles() -> None:
    engine = Engine(WITH_QUANTILES)
    forecast = engine.forecast(engine.accept(minutes(3)), issued_at_ms=0)[-1]
    assert (forecast.gap_kw, forecast.median_kw, forecast.lower_kw, forecast.upper_kw) == (3.0, 2.7, 1.5, 6.0)
    assert forecast.level == 0.9
    assert engine.latest_of("home") == forecast


def test_forecast_without_a_quantile_level_has_none() -> None:
    engine = Engine(Quantiles(quantile_levels=(0.1, 0.5, 0.9)))
    forecast = engine.forecast(engine.accept(minutes(3)), issued_at_ms=0)[-1]
    assert (forecast.median_kw, forecast.lower_kw, forecast.level) == (2.7, None, None)


def test_forecast_document_has_all_fields() -> None:
    engine = Engine(Persistence())
    document = engine.forecast(engine.accept(minutes(2)), issued_at_ms=1_767_268_800_123)[0].document()
    assert document == {
        "v": 1, "device": "home", "observed_at": "2010-11-01T00:01:00Z", "target_at": "2010-11-01T00:06:00Z",
        "issued_at": "2026-01-01T12:00:00.123Z", "horizon_min": 5, "gap_kw": 2.0, "median_kw": None, "lower_kw": None,
        "upper_kw": None, "level": None, "model": "persistence", "model_version": "1", "n_observed": 2, "context": 30,
    }  # fmt: skip


# --- several lead times -----------------------------------------------------------------------------

PATH = Trend(lead_times_min=(1, 2, 3, 4, 5))


def test_forecast_of_several_lead_times_has_a_path() -> None:
    engine = Engine(PATH)
    forecast = engine.forecast(engine.accept(minutes(40)), issued_at_ms=0)[-1]
    assert forecast.path_kw == pytest.approx((41, 42, 43, 44, 45))
    document = forecast.document()
    assert list(document)[-1] == "path"
    assert forecast.path_kw is not None
    assert document["path"] == list(forecast.path_kw)
    assert document["gap_kw"] == forecast.path_kw[-1]


def test_forecast_of_one_lead_time_has_no_path() -> None:
    engine = Engine(Persistence())
    forecast = engine.forecast(engine.accept(minutes(3)), issued_at_ms=0)[-1]
    assert forecast.path_kw is None
    assert "path" not in forecast.document()
    assert engine.latest_of("home") == forecast


@dataclass(frozen=True, slots=True)
class FixedOutput(Persistence):
    """A model with given outputs, for five minutes and three levels."""

    lead_times_min: tuple[int, ...] = (1, 2, 3, 4, 5)
    quantile_levels: tuple[float, ...] | None = (0.05, 0.5, 0.95)
    outputs: tuple[float, ...] = ()

    def predict(self, windows: F32) -> Prediction:
        outputs = np.tile(np.array(self.outputs, dtype=np.float32), (len(windows), 1))
        return Prediction(outputs[:, :5], np.repeat(outputs[:, np.newaxis, 5:], 5, axis=1))


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=8, max_size=8))
def test_engine_latest_equals_the_published_forecast(outputs: list[float]) -> None:
    engine = Engine(FixedOutput(outputs=tuple(outputs)))
    forecast = engine.forecast(engine.accept(minutes(2)), issued_at_ms=5)[0]
    assert (forecast.lower_kw, forecast.median_kw, forecast.upper_kw) == tuple(
        round(kw, 6) for kw in sorted(outputs[5:])
    )
    latest = engine.latest_of("home")
    assert latest is not None
    assert latest == forecast
    assert latest.document() == forecast.document()


def test_forecast_path_with_nan_becomes_persistence() -> None:
    engine = Engine(FixedOutput(outputs=(1.0, np.nan, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)))
    forecasts = engine.forecast(engine.accept(minutes(2)), issued_at_ms=0)
    assert forecasts[0].path_kw == (2.0,) * 5
    assert forecasts.replacements == ForecastReplacements(("persistence",), (Replacement("home", "model", 1.0),))


def test_joined_forecasts_have_the_replacements_of_all_parts() -> None:
    engine = Engine(FixedOutput(outputs=(1.0, np.nan, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)))
    parts = [engine.forecast(engine.accept(minutes(2, device=device)), issued_at_ms=0) for device in ("a", "b")]
    replaced = tuple(Replacement(device, "model", 1.0) for device in ("a", "b"))
    assert join_forecasts(parts).replacements == ForecastReplacements(("persistence",), replaced)


def test_joined_forecasts_without_repairs_have_none() -> None:
    engine = Engine(Persistence())
    assert join_forecasts([engine.forecast(engine.accept(minutes(2)), issued_at_ms=0)]).replacements is None


@pytest.mark.parametrize("levels", [(0.05, 0.5, 0.95), (0.25, 0.5, 0.75)])
@pytest.mark.parametrize("place", [5, 6, 7])
def test_forecast_with_infinite_quantile_becomes_persistence(levels: tuple[float, ...], place: int) -> None:
    outputs = [1.0] * 8
    outputs[place] = np.inf
    engine = Engine(FixedOutput(outputs=tuple(outputs), quantile_levels=levels))
    forecast = engine.forecast(engine.accept(minutes(2)), issued_at_ms=0)[0]
    interval_kw = (1.6, 2.4) if 0.05 in levels else (None, None)
    assert (forecast.gap_kw, forecast.median_kw, forecast.lower_kw, forecast.upper_kw) == (2.0, 2.0, *interval_kw)


def test_forecast_quantiles_are_selected_by_level_and_rounded() -> None:
    outputs = (0.0,) * 5 + (0.12345649, 0.5, 0.98765451, 1.25, 2.0)
    engine = Engine(FixedOutput(outputs=outputs, quantile_levels=(0.05, 0.25, 0.5, 0.75, 0.95)))
    forecast = engine.forecast(engine.accept(minutes(2)), issued_at_ms=0)[0]
    assert (forecast.lower_kw, forecast.median_kw, forecast.upper_kw) == (0.123456, 0.987655, 2.0)


# --- features ---------------------------------------------------------------------------------------


class Recording(Persistence):
    """Persistence that records its windows."""

    __slots__ = ("shown",)
    shown: F32

    def predict(self, windows: F32) -> Prediction:
        object.__setattr__(self, "shown", windows)
        return Persistence.predict(self, windows)


FEATURES = ("gap_kw", "voltage_v", "tod_sin", "tod_cos")
QUARTER_PAST = [Reading("home", NOON + 14, 1.0, measured={"voltage_v": 230.0}),
                Reading("home", NOON + 15, 2.0, measured={"voltage_v": 240.0, "current_a": 9.0})]  # fmt: skip


@pytest.mark.parametrize(("zone", "hour"), [(UTC, 0.25), (ZoneInfo("Europe/Paris"), 1.25)])
def test_engine_passes_features_in_local_time_to_a_model(zone: tzinfo, hour: float) -> None:
    model = Recording(WindowSpec(3), features=FEATURES)
    engine = Engine(model, zone=zone)
    engine.forecast(engine.accept(QUARTER_PAST), issued_at_ms=0)
    stream = model.shown
    assert stream[0, :, :2].tolist() == [[1.0, 230.0], [1.0, 230.0], [2.0, 240.0]]
    angle = 2 * np.pi * hour / 24
    np.testing.assert_allclose(stream[0, -1, 2:], [np.sin(angle), np.cos(angle)], atol=1e-6)
    forecast_series(model, QUARTER_PAST, 0, zone)
    assert np.array_equal(model.shown, stream)


def test_engine_rejects_a_reading_without_a_needed_feature() -> None:
    engine = Engine(Persistence(features=("gap_kw", "voltage_v", "current_a")))
    lacking = Reading("home", NOON, 1.0, measured={"current_a": 5.0})
    accepted = engine.accept([lacking, *minutes(1)])
    assert accepted.statuses == [ReadingStatus.INCOMPLETE] * 2
    assert accepted.counts == {"rejected": 2}
    assert (
        "no voltage_v, which model persistence needs: send gap_kw, voltage_v, current_a"
        in engine.explain_incomplete(lacking)
    )
    assert "no voltage_v or current_a, which" in engine.explain_incomplete(minutes(1)[0])
    assert len(engine.buffers) == 0


def test_series_without_a_needed_feature_is_rejected() -> None:
    readings = [QUARTER_PAST[0], Reading("home", NOON + 15, 1.0), QUARTER_PAST[1]]
    with pytest.raises(
        RequestError, match=r"readings\[1\]: the reading has no voltage_v, which model persistence needs"
    ):
        forecast_series(Persistence(features=FEATURES), readings, issued_at_ms=0)


def test_engine_counts_a_held_reading_with_the_next_one() -> None:
    engine, far = Engine(Persistence()), NOON + 5_000
    assert engine.accept([Reading("home", NOON, 1.0), Reading("home", far, 1.0)]).counts == {"accepted": 1}
    assert engine.accept([Reading("home", far + 1, 1.0)]).counts == {"accepted": 2}
    again = engine.accept([Reading("home", far + 5_000, 1.0), Reading("home", far + 2, 1.0)])
    assert again.counts == {"accepted": 1, "rejected": 1}
    assert [reading.minute for reading in again.disproved] == [far + 5_000]


def test_series_is_forecast_by_the_rules_of_the_stream() -> None:
    engine = Engine(Trend())
    stream = engine.forecast(engine.accept(minutes(12)), issued_at_ms=0)[-1]
    series = forecast_series(Trend(), minutes(12), issued_at_ms=0)
    assert series.device is None
    assert series.gap_kw == stream.gap_kw


@pytest.mark.parametrize(
    ("offsets", "problem"),
    [
        ([], "at least 2 are needed, not 0"),
        ([0], "at least 2 are needed, not 1"),
        ([0, 0], r"readings\[1\].*duplicate"),
        ([5, 6, 2], r"readings\[2\].*late"),
        ([0, 5_000], r"readings\[1\].*unconfirmed"),
        ([0, 1, 9], r"readings\[2\]: more than 5 minutes are missing before it"),
    ],
)
def test_series_without_a_forecast_is_rejected_by_name(offsets: list[int], problem: str) -> None:
    readings = [Reading("", NOON + offset, 1.0) for offset in offsets]
    with pytest.raises(RequestError, match=problem):
        forecast_series(Persistence(WindowSpec(10)), readings, issued_at_ms=0)


class Broken(Persistence):
    """A model that returns non-finite values."""

    def predict(self, windows: F32) -> Prediction:
        return Prediction(np.full((len(windows), 1), np.nan, dtype=np.float32))


def test_engine_replaces_a_non_finite_forecast_by_persistence() -> None:
    engine = Engine(Broken())
    forecasts = engine.forecast(engine.accept(minutes(2)), issued_at_ms=0)
    assert forecasts.gap_kw == [2.0]
    assert forecasts.replacements is not None
    assert forecasts.replacements.models == ("persistence",)


def test_series_replaces_a_non_finite_forecast_by_persistence() -> None:
    assert forecast_series(Broken(), minutes(2), 0, limits=Limits()).gap_kw == 2.0


def test_accepted_batch_entered_leaves_out_duplicates_and_late_readings() -> None:
    engine, (first, second, third) = Engine(Persistence()), minutes(3)
    all_accepted = [first, second]
    assert engine.accept(all_accepted).window_readings(all_accepted) is all_accepted
    batch = [second, third, first]
    assert engine.accept(batch).window_readings(batch) == [third]
