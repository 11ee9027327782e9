"""A device renamed in the state of a stopped gateway continues under its new name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gapcast.cli import main
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError, StateInUseError
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.samples import Sample
from gapcast.history_import.device_rename import rename_device
from gapcast.history_import.stopped_gateway import open_stopped
from gapcast.refit.nights import REFIT_FOLDER
from gapcast.storage.store import Store
from tests.history_import.test_import import FIRST, meters_of, newest_of, run, settings_with, stored, written


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a gateway with readings of the devices home and barn."""
    settings = settings_with(tmp_path)
    for device in ("home", "barn"):
        run(settings, written(tmp_path / "a.csv"), device=device)
    return settings


def test_renamed_device_continues_with_its_state(settings: Settings, tmp_path: Path) -> None:
    rename_device(settings, {}, "home", "house")
    assert newest_of(settings) == {"house": (119, 114), "barn": (119, 114)}
    assert run(settings, written(tmp_path / "b.csv", FIRST + 120), device="house").scores.n == 234
    rename_device(settings, {}, "house", "home")
    assert newest_of(settings) == {"home": (239, 234), "barn": (119, 114)}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("hoem", "house", r"^OLD: .*stream has no readings of hoem; existing devices: home, barn$"),
        ("home", "barn", r"^NEW: the gateway has state of barn already: start the service, delete barn \(DELETE /dev"),
        ("home", "home", r"^NEW: the gateway has state of home already"),
        ("home", "planned", r"^NEW: the gateway has state of planned already"),
        ("home", "my house", r"^NEW: 'my house' cannot name a device"),
    ],
)
def test_rename_with_an_unusable_name_changes_nothing(settings: Settings, old: str, new: str, problem: str) -> None:
    with open_stopped(settings, {}) as gateway:
        gateway.engine.replace_plan("planned", LoadPlan((PlannedLoad(2.0, FIRST * 60_000, (FIRST + 9) * 60_000),)))
        gateway.write()
    before = stored(settings)
    with pytest.raises(SettingsError, match=problem):
        rename_device(settings, {}, old, new)
    assert stored(settings) == before


def test_rename_in_an_empty_state_lists_no_devices(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="has no readings of home; existing devices: none"):
        rename_device(settings_with(tmp_path), {}, "home", "house")


def test_rename_while_the_service_runs_is_refused(settings: Settings) -> None:
    with (
        open_stopped(settings, {}),
        pytest.raises(StateInUseError, match=r"the service is running: .* run this command, and start it again"),
    ):
        rename_device(settings, {}, "home", "house")


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"forecast": {"devices": {"house": {"horizon_min": 15}}}}, "forecast.devices.house"),
        ({"demand": {"devices": [{"device": "house", "limit_kw": 5.0}]}}, "demand.devices.0.device"),
        ({"submeters": [{"of": "house", "name": "car", "topic": "car", "format": "number"}]}, "submeters.0.of"),
    ],
)
def test_rename_after_the_configuration_was_changed_is_refused(
    settings: Settings, tmp_path: Path, sections: dict[str, Any], key: str
) -> None:
    before, changed = stored(settings), settings_with(tmp_path, **sections)
    problem = f"{key}: the state of home does not belong to the configuration of house: rename with the keys of home"
    with pytest.raises(SettingsError, match=re.escape(problem)):
        rename_device(changed, {}, "home", "house")
    assert stored(settings) == before


def test_renamed_device_keeps_what_it_learned_at_its_horizon(tmp_path: Path) -> None:
    before, after = (settings_with(tmp_path, forecast={"devices": {name: {"horizon_min": 15}}}) for name in "ab")
    run(before, written(tmp_path / "a.csv"), device="a")
    with pytest.raises(SettingsError, match=r"a has learned at a horizon of 15 min, and the configured horizon of 5"):
        rename_device(settings_with(tmp_path), {}, "a", "b")
    rename_device(before, {}, "a", "b")
    with open_stopped(after, {}) as gateway:
        assert not gateway.changed_horizons
        assert gateway.engine.scores_of("b")[ALL_TIME].n > 0


def test_rename_moves_the_archive_of_the_refit(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "stream" / REFIT_FOLDER
    folder.mkdir()
    for name in ("home.minutes", "home.forest", "home.2.minutes"):
        (folder / name).write_text(name, encoding="utf-8")
    rename_device(settings, {}, "home", "house.1")
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == {
        "house.1.minutes": "home.minutes",
        "house.1.forest": "home.forest",
        "home.2.minutes": "home.2.minutes",
    }


def test_rename_discards_the_open_minute_of_the_meter(tmp_path: Path) -> None:
    """Restored under its old topic, the meter would be another device."""
    settings = settings_with(
        tmp_path, sources=[{"topic": "meters/{device}", "format": "number", "unit": "W", "every_s": 10}]
    )
    run(settings, written(tmp_path / "a.csv"))
    with open_stopped(settings, {}) as gateway:
        store = Store(gateway.folder, holds_shard_lock=True)  # the lock is held already
        store.restore(gateway.engine)
        samples = [Sample(f"meters/{name}", FIRST * 60_000 + 5_000, {"": 250.0}, {}) for name in ("home", "barn")]
        store.append_batch([], 0, samples)
        store.close(None)
    rename_device(settings, {}, "home", "house")
    assert meters_of(tmp_path / "state") == ["meters/barn"]


@pytest.mark.usefixtures("restored_logs")
def test_rename_command_names_the_keys_to_change(tmp_path: Path) -> None:
    run(settings_with(tmp_path), written(tmp_path / "a.csv"))
    config = tmp_path / "gapcast.toml"
    config.write_text('[[demand.devices]]\ndevice = "home"\nlimit_kw = 5.0\n', encoding="utf-8")
    options = ["--config", str(config), "--set", f"state.path={tmp_path / 'state'}"]
    renamed = CliRunner().invoke(main, ["state", "rename", "home", "house", *options], catch_exceptions=False)
    assert renamed.exit_code == 0
    assert renamed.output.splitlines() == [
        f"home is now house, in {tmp_path / 'state' / 'stream'}.",
        "Change the device in demand.devices.0.device: otherwise house starts without these keys.",
        "Let the meter be read as house, and start the service: it continues from here.",
    ]
    again = CliRunner().invoke(main, ["state", "rename", "home", "house", *options])
    assert again.exit_code == 2
    assert "has no readings of home; existing devices: house" in again.output
