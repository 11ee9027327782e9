"""A given topic is the topic of the source; with a preset, whatever the preset's own topic is."""

from __future__ import annotations

from typing import Any

import pytest

from gapcast.setup.meters.device_names import needs_name
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.preset_answers import MeterAnswer
from tests.setup.test_power_fields import only
from tests.setup.test_preset_recognition import recording_of
from tests.support.approximate import approx

TASMOTA = '{"Time":"2026-01-01T13:00:00","ENERGY":{"Power":345}}'
DSMR = (
    '{"timestamp":"2026-01-01T12:00:00Z","electricity_currently_delivered":"0.345",'
    '"electricity_currently_returned":"0.000"}'
)


@pytest.mark.parametrize(
    ("preset", "topic", "messages", "device"),
    [
        ("esphome", "{device}/sensor/grid_power/state", [("em/sensor/grid_power/state", "345")], "em"),
        ("evcc", "evcc/site/homePower", [("evcc/site/homePower", "345")], "home"),
        ("home-assistant", "hass/sensor/grid_power/state", [("hass/sensor/grid_power/state", "345")], "grid_power"),
        (
            "home-assistant",
            "homeassistant/sensor/stromzaehler/state",
            [("homeassistant/sensor/stromzaehler/state", "345")],
            "stromzaehler",
        ),
        ("zigbee2mqtt", "zigbee2mqtt/kitchen/plug", [("zigbee2mqtt/kitchen/plug", '{"power": 345}')], "plug"),
        ("zigbee2mqtt", "zigbee2mqtt/Big plug", [("zigbee2mqtt/Big plug", '{"power": 345}')], "Big_plug"),
        ("tasmota", "{device}/tele/SENSOR", [("dryer/tele/SENSOR", TASMOTA)], "dryer"),
        ("tasmota", "tele/dryer/SENSOR", [("tele/dryer/SENSOR", TASMOTA)], "dryer"),
        ("p1-esp", "p1/{part}", [("p1/actual_consumption", "345"), ("p1/actual_returndelivery", "0")], "home"),
        ("sdm120", "modbus/{device}", [("modbus/meter1", '{"power_active": 345}')], "meter1"),
        ("dsmr-reader", "huis/dsmr", [("huis/dsmr", DSMR)], "home"),
    ],
)
def test_preset_on_a_given_topic_reads_it(
    preset: str, topic: str, messages: list[tuple[str, str]], device: str
) -> None:
    chosen = only(recording_of(*messages), MeterAnswer(topic, preset))
    assert (chosen.source["preset"], chosen.source["topic"]) == (preset, topic)
    assert chosen.devices == {device: approx(0.345)}


SWITCHES = [(f"s1/status/switch:{i}", f'{{"apower": {10 * i}, "id": {i}}}') for i in range(2)]
PLUGS = [(f"{base}/{name}", '{"power": 96}') for base in ("zigbee2mqtt", "home/z2m") for name in ("plug", "tv")]
PHASES = [(f"shellies/em/emeter/{i}/power", f"{100 * i}") for i in range(2)]


@pytest.mark.parametrize(
    ("preset", "topic", "messages", "source"),
    [
        ("shelly-gen2-status", "{device}/status/switch:1", SWITCHES, {"topic": "{device}/status/switch:1"}),
        ("shelly-gen1", "shellies/{device}/emeter/1/power", PHASES, {"topic": "shellies/{device}/emeter/1/power"}),
        ("shelly-gen1", "shellies/{device}/emeter/{channel}/power", PHASES, {}),
        (
            "shelly-gen1",
            "shellies/em/emeter/{channel}/power",
            PHASES,
            {"topic": "shellies/em/emeter/{channel}/power", "device": "em-{channel}"},
        ),
        ("shelly-gen1", "shellies/+/emeter/+/power", PHASES, {}),
        (
            "shelly-gen1-3em",
            "shellies/em/emeter/{part}/power",
            [(f"shellies/em/emeter/{i}/power", "100") for i in range(3)],
            {"topic": "shellies/em/emeter/{part}/power", "device": "em"},
        ),
        ("zigbee2mqtt", "zigbee2mqtt/{device}", PLUGS, {}),
        ("zigbee2mqtt", "home/z2m/{device}", PLUGS, {"topic": "home/z2m/{channel}"}),
    ],
)
def test_preset_on_a_given_topic_keeps_it(
    preset: str, topic: str, messages: list[tuple[str, str]], source: dict[str, Any]
) -> None:
    (chosen,) = candidates(recording_of(*messages), "Europe/Paris", MeterAnswer(topic, preset))
    assert chosen.source == {"preset": preset} | source


def test_preset_on_a_pattern_of_devices_reads_names_with_a_space() -> None:
    recording = recording_of(*PLUGS, ("zigbee2mqtt/Kitchen plug", '{"power": 230}'))
    (chosen,) = candidates(recording, "Europe/Paris", MeterAnswer("zigbee2mqtt/{device}", "zigbee2mqtt"))
    assert sorted(chosen.devices) == ["Kitchen_plug", "plug", "tv"]


@pytest.mark.parametrize(
    ("topic", "messages", "preset", "devices"),
    [
        ("shellies/em/emeter/{channel}/power", PHASES, "shelly-gen1", {"em-0", "em-1"}),
        (
            "shellies/em/emeter/{channel}/power",
            [(f"shellies/em/emeter/{i}/power", "100") for i in range(3)],
            "shelly-gen1",
            {"em-0", "em-1", "em-2"},
        ),
        ("s1/status/{channel}", SWITCHES, "shelly-gen2-status", {"s1-switch_0", "s1-switch_1"}),
        ("{device}/status/switch:1", SWITCHES, "shelly-gen2-status", {"s1"}),
        ("tele/dryer/{channel}", [("tele/dryer/SENSOR", TASMOTA)], "tasmota", {"SENSOR"}),
    ],
)
def test_recognized_preset_on_a_given_pattern_keeps_it(
    topic: str, messages: list[tuple[str, str]], preset: str, devices: set[str]
) -> None:
    """Other devices of the preset are not read."""
    (chosen,) = candidates(recording_of(*messages), "Europe/Paris", MeterAnswer(topic))
    assert (chosen.source["preset"], chosen.source["topic"], set(chosen.devices)) == (preset, topic, devices)


def test_preset_on_a_topic_without_its_value_reads_nothing() -> None:
    recording = recording_of(("x/y", '{"temperature": 21}'), ("p/a", "1"))
    assert candidates(recording, "Europe/Paris", MeterAnswer("x/y", "zigbee2mqtt")) == []
    assert candidates(recording, "Europe/Paris", MeterAnswer("p/{part}", "p1-esp")) == []


def test_preset_on_the_topic_of_every_entity_reads_each_power() -> None:
    names = ("grid_power", "attic_temperature")
    recording = recording_of(*[(f"homeassistant/sensor/{name}/state", "345") for name in names])
    (chosen,) = candidates(
        recording, "Europe/Paris", MeterAnswer("homeassistant/sensor/{device}/state", "home-assistant")
    )
    assert chosen.devices == {"grid_power": approx(0.345)}


def test_needs_name_for_a_topic_without_the_level_of_the_name() -> None:
    assert [needs_name("zigbee2mqtt", topic) for topic in ("zigbee2mqtt/{channel}", "zigbee2mqtt/plug")] == [
        False,
        True,
    ]
