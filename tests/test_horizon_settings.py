"""``forecast.horizon_min`` of single devices: the configuration, the models that follow, and every error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gapcast.app.engines.device_limit import device_cost
from gapcast.app.engines.engine import engine_of
from gapcast.app.models.installed_models import InstalledModelError, error_of
from gapcast.app.models.loaded_models import Models
from gapcast.app.models.models import load_models
from gapcast.app.models.primary_model import primaries_of_devices
from gapcast.check.finding import CheckInput
from gapcast.check.models import check_models
from gapcast.config.loader import load
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelChoiceError, ModelError, SettingsError
from gapcast.core.forecasts.outcomes import LEARNED, PERSISTENCE
from gapcast.predictors.baselines import Trend
from gapcast.predictors.models_folder.library import Library
from tests.support.models import ModelCopy, every_feature_model, shipped_models
from tests.support.outlook_model import OutlookModel

OWN = {"devices": {"heatpump": {"horizon_min": 3}}}


def settings(models: Path | None = None, **sections: Any) -> Settings:
    return Settings.model_validate({"models": {"path": models or shipped_models()}, **sections})


def loaded(folder: Path | None = None, **sections: Any) -> tuple[Settings, Models]:
    chosen = settings(folder, **sections)
    return chosen, load_models(chosen)


# --- configuration ----------------------------------------------------------------------------------


def test_horizon_of_a_device_is_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gapcast.toml"
    file.write_text('[forecast.devices.heatpump]\nhorizon_min = 15\n[forecast.devices."a.b"]\nhorizon_min = 30\n')
    assert load(file, {}, {}).forecast.horizons_min == {"heatpump": 15, "a.b": 30}


def test_horizon_of_a_device_is_read_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "gapcast.toml"
    file.write_text("[forecast.devices.heatpump]\nhorizon_min = 15\n")
    environment = {
        "GAPCAST_FORECAST__DEVICES__HEATPUMP__HORIZON_MIN": "30",
        "GAPCAST_FORECAST__DEVICES__CAR__HORIZON_MIN": "10",
    }
    assert load(file, environment, {}).forecast.horizons_min == {"heatpump": 30, "car": 10}


@pytest.mark.parametrize(
    ("devices", "problem"),
    [
        ({"heatpump": {}}, "forecast.devices.heatpump.horizon_min: is missing"),
        ({"heatpump": 15}, "forecast.devices.heatpump: is a section, not a value"),
        (
            {"heatpump": {"horizon_min": 61}},
            "forecast.devices.heatpump.horizon_min: must be at most 60",
        ),
        ({"heatpump": {"horizon_min": 5, "path": True}}, "forecast.devices.heatpump.path: there is no such key"),
        ({"heat/pump": {"horizon_min": 5}}, "forecast.devices: 'heat/pump' cannot name a device: use 1 to 64 of"),
    ],
)
def test_impossible_horizon_of_a_device_is_an_error(devices: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(None, {}, {"forecast": {"devices": devices}})
    assert problem in str(raised.value)


# --- models -----------------------------------------------------------------------------------------


def test_device_with_its_own_horizon_has_the_members_of_that_horizon() -> None:
    chosen, models = loaded(forecast={"experts": ["linear"]} | OWN)
    engine = engine_of(chosen, models)
    ensemble = engine.forecaster_of("heatpump").ensemble
    assert ensemble is not None
    assert ensemble.members == ("lstm", "linear", LEARNED, PERSISTENCE)
    assert (engine.forecaster_of("heatpump").horizon_min, engine.forecaster_of("home").horizon_min) == (3, 5)
    assert engine.forecaster_of("heatpump").published_model.lead_times_min == (1, 2, 3)
    assert {model.name for model in models.active} >= {"lstm", "linear"}
    assert models.active[-1] is models.primary


def test_horizon_that_the_primary_model_lacks_has_another_model() -> None:
    chosen, models = loaded(forecast={"devices": {"heatpump": {"horizon_min": 15}, "car": {"horizon_min": 15}}})
    engine = engine_of(chosen, models)
    assert (models.primary.name, [one.name for one in models.of_horizons[15]]) == ("lstm", ["outlook"])
    assert engine.forecaster_of("car") is engine.forecaster_of("heatpump")
    assert engine.forecaster_of("car").model.name == "outlook"
    assert (engine.ensemble is None, engine.forecaster_of("car").ensemble is None) == (False, False)


def test_configured_members_are_used_at_the_horizons_that_they_have() -> None:
    _, models = loaded(forecast={"experts": ["lstm-5-3", "linear"]} | OWN)
    assert [one.name for one in models.others] == ["linear", "lstm-5-3"]
    assert [one.name for one in models.of_horizons[3]] == ["lstm", "linear"]


def test_horizon_without_an_ensemble_has_one_model() -> None:
    alone = {"blend": False, "calibrate": False, "learn": False}
    chosen, models = loaded(forecast=OWN | alone, learning={"max_devices": 0})
    engine = engine_of(chosen, models)
    assert (engine.ensemble, engine.forecaster_of("heatpump").ensemble) == (None, None)


def test_horizon_like_the_main_one_costs_nothing() -> None:
    chosen, models = loaded(forecast={"devices": {"heatpump": {"horizon_min": 5}}})
    assert (models.devices_min, models.of_horizons) == ({}, {})
    assert engine_of(chosen, models).horizons.others == {}
    assert models.stamps == loaded()[1].stamps


def test_horizons_of_devices_are_part_of_a_shards_models() -> None:
    _, models = loaded(forecast=OWN)
    assert models.stamps == loaded()[1].stamps | {"forecast.devices": "heatpump: 3 min"}


def test_memory_estimate_includes_additional_horizons() -> None:
    one, two = (device_cost(engine_of(*loaded(forecast=forecast))) for forecast in ({}, OWN))
    assert two.tracked_bytes > 1.5 * one.tracked_bytes
    assert two.outlook_bytes > 1.9 * one.outlook_bytes
    assert two.each_bytes > one.each_bytes


# --- errors -----------------------------------------------------------------------------------------


def test_unavailable_horizon_error_lists_the_available_ones() -> None:
    with pytest.raises(ModelError) as raised:
        loaded(forecast={"devices": {"heatpump": {"horizon_min": 7}}})
    assert str(raised.value) == (
        "forecast.devices.heatpump.horizon_min: no model forecasts 7 min ahead; possible are 1-5 (linear, lstm); "
        "1-5, 10, 15, 20, 30, 45, 60 (outlook); 5 (lstm-16-8, lstm-5-3)"
    )


def test_horizon_that_the_outlook_lacks_is_an_error() -> None:
    primary, outlook = Trend(lead_times_min=(5, 7)), OutlookModel()
    of_seven = {"heatpump": 7}, primary, {"trend": primary}
    with pytest.raises(ModelError) as raised:
        primaries_of_devices(*of_seven, outlook)
    assert str(raised.value) == (
        "forecast.devices.heatpump.horizon_min: the outlook model outlook does not forecast 7 min ahead; possible are "
        "1-5, 10, 15, 20, 30, 45, 60, or others with outlook.enabled = false"
    )
    assert primaries_of_devices(*of_seven, None) == {7: "trend"}


def test_model_of_other_readings_is_not_possible_for_a_device(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    ModelCopy(folder, source=every_feature_model())
    ModelCopy(folder, "lstm-5-3")
    with pytest.raises(ModelError) as raised:
        loaded(folder, forecast={"devices": {"heatpump": {"horizon_min": 1}}})
    assert "no model forecasts 1 min ahead; possible are 5 (lstm-5-3)" in str(raised.value)


@pytest.mark.parametrize(
    ("forecast", "code", "fix"),
    [
        ({"horizon_min": 7}, 2, "change this setting"),
        ({"devices": {"heatpump": {"horizon_min": 7}}}, 2, "change this setting"),
        ({"horizon_min": 15, "experts": ["linear"]}, 2, "change this setting"),
        ({"experts": ["liner"]}, 3, "correct the name in the settings"),
    ],
)
def test_check_of_a_setting_without_a_model_advises_to_correct_it(
    forecast: dict[str, Any], code: int, fix: str
) -> None:
    (finding,) = check_models(CheckInput(settings(forecast=forecast), {}, 0.0))
    assert finding.code == code
    assert fix in finding.fix


def test_horizon_that_no_model_has_does_not_blame_an_installed_one(tmp_path: Path) -> None:
    library = Library((shipped_models(), tmp_path))
    installed = ModelCopy(tmp_path, "lstm-5-3")
    for error, kind in ((ModelError("damaged"), InstalledModelError), (ModelChoiceError("7 min"), ModelChoiceError)):
        assert isinstance(error_of(error, installed.folder, library), kind)
