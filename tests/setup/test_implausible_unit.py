"""``gapcast setup --yes``: a power that is implausible in the assumed unit is not written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.setup.conftest import Script, sending, written
from tests.support.brokers import MosquittoBroker
from tests.support.ports import LOOPBACK

pytestmark = [pytest.mark.mosquitto, pytest.mark.e2e]


def test_setup_unattended_refuses_an_implausible_unit(script: Script, folder: Path, mosquitto: MosquittoBroker) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}"]
    with sending(mosquitto, [("homeassistant/sensor/grid_power/state", "0.458")]):
        refused = script(*arguments, enough=5)
        assert (refused.returncode, list(folder.iterdir())) == (2, [])
        assert "grid_power: 0.000458 kW is very low: " in refused.stderr
        assert "(pass --unit W or --unit kW to confirm the unit)" in refused.stderr
        given = ["--topic", "homeassistant/sensor/grid_power/state", "--unit"]
        assert script(*arguments, *given, "kW", enough=5).returncode == 0
        assert written(folder)["sources"][0]["unit"] == "kW"
        assert script(*arguments, *given, "W", "--overwrite", enough=5).returncode == 0


def test_setup_unattended_accepts_the_low_power_of_a_plug(
    script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    with sending(mosquitto, [("shellies/plug-1/relay/0/power", "0.4")]):
        done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", enough=20)
    assert done.returncode == 0, done.stderr
    assert "0.0004 kW is very low" in done.stdout
    assert written(folder)["sources"] == [{"preset": "shelly-gen1-plug", "every_s": 1}]
