"""The name of a device whose topic has no level for it, asked at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapcast.setup.meters.device_names import device_by
from tests.setup.conftest import Script, Setup, written
from tests.support.brokers import MosquittoBroker
from tests.support.ports import LOOPBACK


@pytest.mark.parametrize(
    ("preset", "topic", "device"),
    [
        ("tasmota", "tele/dryer/SENSOR", "dryer"),
        ("shelly-gen1-3em", "shellies/x/emeter/{part}/power", "x"),
        ("shelly-gen1", "shellies/x/emeter/{channel}/power", "x-{channel}"),
        ("shelly-gen2-status", "x/status/em1:1", "x-em1_1"),
        ("tasmota", "tele/{part}/SENSOR", "home"),
        ("tasmota", "tele/my plug/SENSOR", None),
        ("tasmota", "lab/x", None),
        ("tasmota", "SENSOR", None),
    ],
)
def test_device_of_a_topic_is_that_of_the_preset(preset: str, topic: str, device: str | None) -> None:
    assert device_by(preset, topic) == device


@pytest.mark.mosquitto
@pytest.mark.e2e
def test_setup_unattended_names_the_device_by_the_topic(
    script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0", "--preset"]
    done = script(*arguments, "tasmota", "--topic", "tele/dryer/SENSOR")
    assert done.returncode == 0, done.stderr
    assert written(folder)["sources"] == [{"preset": "tasmota", "topic": "tele/dryer/SENSOR", "device": "dryer"}]
    phases = ["shelly-gen1-3em", "--topic", "shellies/x/emeter/{part}/power"]
    assert script(*arguments, *phases, "--overwrite").returncode == 0
    assert written(folder)["sources"][0]["device"] == "x"
    channels = ["shelly-gen1", "--topic", "shellies/x/emeter/{channel}/power"]
    assert script(*arguments, *channels, "--overwrite").returncode == 0
    assert written(folder)["sources"][0]["device"] == "x-{channel}"
    plugs = ["zigbee2mqtt", "--topic", "z2m/{device}"]
    assert script(*arguments, *plugs, "--overwrite").returncode == 0
    assert written(folder)["sources"] == [{"preset": "zigbee2mqtt", "topic": "z2m/{channel}"}]
    unknown = script(*arguments, "tasmota", "--topic", "lab/x", "--overwrite")
    assert unknown.returncode == 2
    assert "--device: 'lab/x' has no {device}, and does not match the preset tasmota: name the device" in unknown.stderr


@pytest.mark.mosquitto
@pytest.mark.e2e
def test_setup_asks_the_name_of_a_meter_not_sending_yet(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    options = ["--preset", "tasmota", "--topic", "tele/dryer/SENSOR", "--wait", "0", "--no-home-assistant"]
    with setup("--broker", f"{LOOPBACK}:{mosquitto.port}", *options) as person:
        person.answer("Time zone")
        person.answer("Name of this device [dryer]", "my dryer")
        person.wait_for("'my dryer' cannot name a device")
        person.answer("Name of this device [dryer]")
        person.answer("single plug")
        person.answer("Write this")
        assert person.wait_end() == 0
    assert written(folder)["sources"] == [{"preset": "tasmota", "topic": "tele/dryer/SENSOR", "device": "dryer"}]
