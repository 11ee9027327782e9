"""Meters with several channels in their messages: each is offered, and a script names the one it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gapcast.core.errors import SettingsError
from gapcast.setup.meters.channels import may_have_others
from gapcast.setup.meters.preset_answers import MeterAnswer
from tests.setup.conftest import Script, sending, written
from tests.setup.test_power_fields import only
from tests.setup.test_preset_recognition import found, recording_of
from tests.support.approximate import approx
from tests.support.brokers import MosquittoBroker
from tests.support.ports import LOOPBACK

TOPIC = "shellyproem50-1/events/rpc"


def rpc(components: str, topic: str = TOPIC) -> tuple[str, str]:
    return topic, f'{{"method":"NotifyStatus","params":{{"ts":1767268800.0,{components}}}}}'


def em1(channel: int, power_w: float) -> tuple[str, str]:
    return rpc(f'"em1:{channel}":{{"id":{channel},"act_power":{power_w}}}')


PAIR = [em1(0, 5.0), em1(1, 6769.3)]
PATHS = ["params.em1:0.act_power", "params.em1:1.act_power"]


@pytest.mark.parametrize("preset", [None, "shelly-gen2"])
def test_channels_of_a_meter_and_their_sum_are_offered(preset: str | None) -> None:
    total, first, second = found(recording_of(*PAIR), preset=preset)
    assert total.devices == {"shellyproem50-1": approx(6.7743)}
    source = {"preset": "shelly-gen2", "topic": TOPIC, "device": "shellyproem50-1"}
    assert [one.source for one in (first, second)] == [source | {"value": path} for path in PATHS]
    assert second.devices == {"shellyproem50-1": approx(6.7693)}


@pytest.mark.parametrize("component", ["switch", "pm1"])
def test_channel_other_than_the_first_is_offered(component: str) -> None:
    (only_one,) = found(recording_of(rpc(f'"{component}:1":{{"apower":12.0}}')))
    assert (only_one.source["preset"], only_one.source["value"]) == ("shelly-gen2", f"params.{component}:1.apower")


def test_channels_beside_a_total_are_not_offered() -> None:
    relays = '"switch:0":{"apower":1},"switch:1":{"apower":2}'
    (only_one,) = found(recording_of(rpc('"em:0":{"total_act_power":412.0}'), rpc(relays)))
    assert (only_one.source, only_one.devices) == ({"preset": "shelly-gen2"}, {"shellyproem50-1": approx(0.412)})


def test_channels_of_one_meter_leave_others_as_they_are() -> None:
    plug = rpc('"switch:0":{"apower":12.0}', "plug/events/rpc")
    sources: list[Any] = [one.source for one in found(recording_of(*PAIR, plug))]
    assert {"preset": "shelly-gen2"} in sources
    assert [source["value"] for source in sources if source.get("value") in PATHS] == PATHS


def test_phases_of_a_zigbee_meter_and_their_sum_are_offered() -> None:
    """``power`` of Zigbee2MQTT is that of phase A alone."""
    topic, plug = "zigbee2mqtt/main meter", ("zigbee2mqtt/tv", '{"power": 12}')
    meters = recording_of((topic, '{"power": 89, "power_phase_b": 384, "power_phase_c": 0, "voltage": 231.2}'), plug)
    total, pattern, *phases = found(meters)
    assert (total.devices, pattern.source) == ({"main_meter": approx(0.473)}, {"preset": "zigbee2mqtt"})
    source = {"preset": "zigbee2mqtt", "topic": topic, "device": "main_meter"}
    assert total.source == source | {"value": "power + power_phase_b + power_phase_c"}
    assert [one.source["value"] for one in phases] == ["power", "power_phase_b", "power_phase_c"]


def test_phases_beside_their_sum_are_not_offered() -> None:
    payload = '{"power": 1200, "power_phase_a": 500, "power_phase_b": 400, "power_phase_c": 300}'
    (meter,) = found(recording_of(("zigbee2mqtt/main", payload)))
    assert (meter.devices, meter.source) == ({"main": approx(1.2)}, {"preset": "zigbee2mqtt"})


@pytest.mark.parametrize("meter", [MeterAnswer(), MeterAnswer(TOPIC), MeterAnswer(preset="shelly-gen2")])
def test_choice_between_channels_names_the_options(meter: MeterAnswer) -> None:
    with pytest.raises(SettingsError, match="has the powers of several channels: choose by --preset ") as error:
        only(recording_of(*PAIR), meter)
    assert f"; or --preset shelly-gen2 --topic {TOPIC} --value {PATHS[1]}" in str(error.value)


@pytest.mark.parametrize(
    ("components", "may"),
    [
        ('"em1:0":{"act_power":1}', True),
        ('"em:0":{"total_act_power":1}', False),
        ('"switch:0":{"apower":1}', True),
        ('"em1:1":{"act_power":1}', True),
        ('"em1:0":{"act_power":1},"em1:1":{"act_power":2}', True),
    ],
)
@pytest.mark.parametrize("preset", [None, "shelly-gen2"])
def test_channels_may_follow_the_sent_ones(preset: str | None, components: str, *, may: bool) -> None:
    """A script that stopped listening at the first ones would not know about them."""
    recording = recording_of(rpc(components))
    assert any(may_have_others(one, recording) for one in found(recording, preset=preset)) is may


@pytest.mark.mosquitto
@pytest.mark.e2e
def test_setup_unattended_reads_the_channel_of_value(script: Script, folder: Path, mosquitto: MosquittoBroker) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--preset", "shelly-gen2"]
    with sending(mosquitto, PAIR):
        refused = script(*arguments, enough=10)
        assert (refused.returncode, list(folder.iterdir())) == (2, [])
        done = script(*arguments, "--topic", TOPIC, "--value", PATHS[1], "--device", "house", enough=10)
    assert done.returncode == 0, done.stderr
    source = {"preset": "shelly-gen2", "topic": TOPIC, "value": PATHS[1], "device": "house"}
    assert written(folder)["sources"] == [source]
