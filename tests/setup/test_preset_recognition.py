"""Meters recognised by their recorded messages, and sources offered for unknown meters."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gapcast.config.sections.mqtt import TopicSettings
from gapcast.core.errors import SettingsError
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.setup.config_file import check_writable, toml_of, write
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.preset_recognition import Candidate
from gapcast.setup.meters.sending_interval import with_interval
from gapcast.setup.prompts import UnattendedPrompts
from tests.setup.conftest import METERS
from tests.support.approximate import approx

NOW_MS = round(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1_000)


def recording_of(*messages: tuple[str, str], every_s: float = 10.0, retained: bool = False) -> MessageRecording:
    """Record ``messages``, one after the other."""
    recording = MessageRecording()
    for i, (topic, payload) in enumerate(messages):
        body = payload.encode()
        publication = Publication(topic, body, 0, False, retained, b"", len(body))
        recording.add(ReceivedMessage(publication, i * every_s, NOW_MS + round(i * every_s * 1_000)))
    return recording


def test_summary_of_only_gapcasts_messages_names_no_meter() -> None:
    own = ("gap/home/forecast", "{}")
    assert MessageRecording().summary == "0 messages on 0 topics"
    assert recording_of(own).summary == "1 message, none of a meter"
    assert recording_of(own, ("tele/plug/SENSOR", "{}")).summary == "2 messages on 1 topic"


def found(recording: MessageRecording, topic: str | None = None, preset: str | None = None) -> list[Candidate]:
    return candidates(recording, "Europe/Paris", MeterAnswer(topic, preset))


PLAIN = [meter for meter in METERS if "power_kw" in meter and "value" not in meter.get("set", {})]


@pytest.mark.parametrize("meter", PLAIN, ids=[f"{i}-{meter['preset']}" for i, meter in enumerate(PLAIN)])
@pytest.mark.parametrize("prefix", ["", "cellar/house 7/"])
def test_recognition_of_each_preset_also_below_a_prefix(meter: dict[str, Any], prefix: str) -> None:
    first = found(recording_of(*[(prefix + topic, payload) for topic, payload in meter["sends"]]))[0]
    assert first.source["preset"] == meter["preset"]
    if not (prefix and meter["preset"] == "home-assistant"):
        assert first.devices == {meter["device"]: approx(meter["power_kw"])}
    assert ("topic" in first.source) == (bool(prefix) or meter["preset"] == "home-assistant")


NO_POWER = [meter for meter in METERS if "power_kw" not in meter and not meter["origin"].startswith("the same, two")]


@pytest.mark.parametrize("meter", NO_POWER, ids=[f"{i}-{meter['preset']}" for i, meter in enumerate(NO_POWER)])
def test_recognition_ignores_messages_without_power(meter: dict[str, Any]) -> None:
    recognised = found(recording_of(*[tuple(message) for message in meter["sends"]]))
    assert meter["preset"] not in {one.source.get("preset") for one in recognised}


def test_recognition_of_total_and_current_power_in_home_assistant() -> None:
    names = ("envoy_1_current_power_consumption", "shellypro3em_1_total_active_power", "shellypro3em_1_current")
    recording = recording_of(*[(f"homeassistant/sensor/{name}/state", "500") for name in names])
    assert [one.devices for one in found(recording)] == [{name: approx(0.5)} for name in names[1::-1]]


@pytest.mark.parametrize(
    ("payload", "value"),
    [('{"total_power": 700, "energy": 5}', "total_power"), ('{"total_power": 7, "power": 230}', "power")],
)
def test_recognition_prefers_an_unambiguous_name_of_power(payload: str, value: str) -> None:
    (only,) = found(recording_of(("meters/attic", payload)))
    assert only.source["value"] == value


OWN = [topic for name, topic in TopicSettings() if name != "reading"]


@pytest.mark.parametrize("pattern", OWN)
def test_recognition_ignores_what_gapcast_publishes(pattern: str) -> None:
    topic = pattern.replace("{device}", "power").replace("{gateway}", "power")
    assert found(recording_of((topic, "1234"), (topic, '{"power_kw": 1.2, "headroom_kw": 0.5}'))) == []


def test_recognition_offers_three_phases_as_one_device_first() -> None:
    phases = [f'{{"params":{{"ts":1707932870.0{i},"em1:{i}":{{"id":{i},"act_power":{100 * i}}}}}}}' for i in (0, 1, 2)]
    whole, *single = found(recording_of(*[("shelly-1/events/rpc", payload) for payload in phases]))
    assert (whole.source, whole.devices) == ({"preset": "shelly-gen2-phases"}, {"shelly-1": approx(0.3)})
    assert [one.source["value"] for one in single] == [f"params.em1:{i}.act_power" for i in (0, 1, 2)]


def test_recognition_offers_two_channels_as_one_device_first() -> None:
    channels = [f'{{"params":{{"ts":1707932870.0{i},"em1:{i}":{{"id":{i},"act_power":{100 * i}}}}}}}' for i in (0, 1)]
    whole, *single = found(recording_of(*[("shelly-1/events/rpc", payload) for payload in channels]))
    assert (whole.source, whole.devices) == ({"preset": "shelly-gen2-two-channels"}, {"shelly-1": approx(0.1)})
    assert [one.source["value"] for one in single] == [f"params.em1:{i}.act_power" for i in (0, 1)]


def test_recognition_of_tasmota_with_a_changed_topic() -> None:
    payload = '{"Time":"2026-01-01T13:00:00","ENERGY":{"Total":5.631,"Power":230}}'
    (only,) = found(recording_of(("plug/tele/SENSOR", payload)))
    assert only.source == {"preset": "tasmota", "topic": "plug/tele/SENSOR", "device": "plug"}
    assert only.devices == {"plug": approx(0.23)}


def test_recognition_of_tasmota_without_a_clock_uses_arrival() -> None:
    (only,) = found(recording_of(("tele/head/SENSOR", '{"Time":"1970-01-01T00:35:26","ENERGY":{"Power":136}}')))
    assert only.source == {"preset": "tasmota", "time_form": "arrival"}


def test_recognition_of_a_relay_with_several_meters() -> None:
    payload = '{"Time":"2026-01-01T13:00:00","ENERGY":{"Total":5.631,"Power":[230,12]}}'
    both, first, second = found(recording_of(("tele/relay/SENSOR", payload)))
    source = {"preset": "tasmota", "topic": "tele/relay/SENSOR", "device": "relay"}
    assert both.source == source | {"value": "ENERGY.Power.0 + ENERGY.Power.1"}
    assert [one.source["value"] for one in (first, second)] == ["ENERGY.Power.0", "ENERGY.Power.1"]
    assert [one.devices["relay"] for one in (both, first, second)] == [approx(kw) for kw in (0.242, 0.23, 0.012)]


def test_recognition_of_a_meter_by_its_parts_leaves_out_its_other_values() -> None:
    """``phase_power_current`` of DSMR-reader is a current."""
    names = ("electricity_currently_delivered", "electricity_currently_returned", "phase_power_current_l1")
    recording = recording_of(*[(f"dsmr/reading/{name}", "1.2") for name in names])
    for topic in (None, "dsmr/#"):
        assert [one.source for one in found(recording, topic)] == [{"preset": "dsmr-reader-topics"}]
    (given,) = found(recording, f"dsmr/reading/{names[-1]}")
    assert given.source["topic"] == f"dsmr/reading/{names[-1]}"


def test_preset_of_a_relay_with_several_meters_offers_each() -> None:
    recording = recording_of(("tele/relay/SENSOR", '{"Time":"2026-01-01T13:00:00","ENERGY":{"Power":[230,12]}}'))
    unnamed, pattern = found(recording), "tele/{device}/SENSOR"
    assert len(unnamed) == 3
    assert found(recording, None, "tasmota") == unnamed
    assert found(recording, None, "shelly-gen1") == []
    of_pattern = found(recording, pattern, "tasmota")
    assert of_pattern == found(recording, pattern)
    assert of_pattern[0].source == {"preset": "tasmota", "topic": pattern, "value": "ENERGY.Power.0 + ENERGY.Power.1"}


@pytest.mark.parametrize("n_meters", [0, 5])
def test_recognition_of_a_relay_with_too_many_meters(n_meters: int) -> None:
    payload = f'{{"Time":"2026-01-01T13:00:00","ENERGY":{{"Power":{[1] * n_meters}}}}}'
    assert found(recording_of(("tele/relay/SENSOR", payload))) == []


def test_guess_names_the_device_of_another_component() -> None:
    payload = '{"params":{"ts":1767268800.1,"cover:0":{"id":0,"apower":22.1}}}'
    (only,) = found(recording_of(("shellyplus2pm-1/events/rpc", payload)))
    assert (only.source["device"], only.source["value"]) == ("shellyplus2pm-1", "params.cover:0.apower")


def test_recognition_uses_retained_messages() -> None:
    (only,) = found(recording_of(("garage/sensor/power/state", "412.0"), retained=True))
    assert (only.source, only.devices) == ({"preset": "esphome"}, {"garage": approx(0.412)})


@pytest.mark.parametrize(
    ("message", "source", "number"),
    [
        (("lab/bench/power", "412"), {"topic": "lab/bench/power", "device": "bench", "format": "number"}, 412.0),
        (
            ("inverter/ac", '{"grid": {"gridPower": 1.25, "power_factor": 0.9}}'),
            {"topic": "inverter/ac", "device": "inverter", "value": "grid.gridPower"},
            1.25,
        ),
    ],
)
def test_guess_power_by_name_leaves_the_unit_open(
    message: tuple[str, str], source: dict[str, str], number: float
) -> None:
    (only,) = found(recording_of(message))
    assert (only.source, only.unit_known) == (source, False)
    assert list(only.devices.values()) == [approx(number)]


def test_guess_reads_the_unit_from_the_name() -> None:
    (only,) = found(recording_of(("solar/out", '{"power_kw": 2.5}')))
    assert (only.source["unit"], only.unit_known, only.devices) == ("kW", True, {"out": approx(2.5)})


@pytest.mark.parametrize(
    "message",
    [
        ("zigbee2mqtt/attic", '{"temperature": 21.5, "power_on_behavior": 1}'),
        ("attic/sensor/temperature/state", "21.5"),
        ("homeassistant/sensor/attic_temperature/state", "21.5"),
        ("homeassistant/sensor/plug_power/config", '{"power": 1}'),
        ("homeassistant/sensor/gapcast_home_power/state", "0.412"),
        ("gap/home/forecast", '{"gap_kw": 1.0, "power": 1.0}'),
        ("gapcast/gw/power", "3"),
        ("cam/power", "\x00not a number"),
        ("lab/power", '["power", 1]'),
        ("zigbee2mqtt/door", '{"battery": 100, "contact": false, "power_outage_count": 6889}'),
        ("dsmr/meter-stats/power_failure_count", "3"),
        ("dsmr/meter-stats/long_power_failure_count", "1"),
        ("homeassistant/sensor/p1_meter_power_failures_detected/state", "3"),
        ("homeassistant/sensor/p1_meter_average_demand/state", "245"),
        ("homeassistant/sensor/system_monitor_load_1m/state", "0.42"),
        ("homewizard/p1", '{"any_power_fail_count": 4, "montly_power_peak_w": 2450}'),
        ("telegraf/pi/system", '{"fields": {"load1": 0.1, "load15": 0.2, "load5": 0.1, "n_cpus": 4}}'),
        ("rpi/pi/cpu_load", "12.1"),
        ("glances/pi/load/min1", "0.3"),
        ("solar_assistant/inverter_1/load_percentage/state", "12"),
        ("zigbee2mqtt/bridge/info", '{"config": {"advanced": {"channel": 11, "transmit_power": 20}}}'),
        ("zigbee2mqtt/bridge/health", '{"power": 20}'),
        ("evcc/site/maxGridSupplyWhileBatteryCharging", "0"),
        ("energymeter/sensor/power_meter_pulses/state", "3"),
        ("lab/power", "nan"),
        ("lab/power", ""),
    ],
)
def test_guess_ignores_values_that_are_no_power(message: tuple[str, str]) -> None:
    assert found(recording_of(message)) == []


@pytest.mark.parametrize("name", ["load_power_1", "load1_w", "power_l1", "load_l1"])
def test_guess_of_a_numbered_power(name: str) -> None:
    (only,) = found(recording_of(("inverter/ac", f'{{"{name}": 345}}')))
    assert only.source["value"] == name


def test_guess_finds_an_energy_counter_beside_counts_of_outages() -> None:
    meter, contact = ("pulse/meter", '{"total_kwh": 1234.5}'), ("zigbee2mqtt/door", '{"power_outage_count": 6889}')
    (only,) = found(recording_of(meter, contact))
    assert (only.source["value"], only.is_counter) == ("total_kwh", True)


def test_guess_on_a_given_topic_offers_every_number() -> None:
    assert [one.source["value"] for one in found(recording_of(("x/y", '{"a": 1, "b": {"c": 2}}')), topic="x/y")] == [
        "a",
        "b.c",
    ]


def test_recording_ignores_messages_over_the_limit() -> None:
    assert found(recording_of(("lab/power", '{"power": 1, "x": "' + "x" * 70_000 + '"}'))) == []


@pytest.mark.parametrize(
    ("preset", "topic", "payload", "every_s", "set_to"),
    [
        ("tasmota", "tele/plug/SENSOR", '{"Time":"2026-01-01T13:00:00","ENERGY":{"Power":230}}', 10, 10),
        ("tasmota", "tele/plug/SENSOR", '{"Time":"2026-01-01T13:00:00","ENERGY":{"Power":230}}', 300, None),
        ("esphome", "garage/sensor/power/state", "412", 5, 5),
        ("esphome", "garage/sensor/power/state", "412", 58, None),
        ("esphome", "garage/sensor/power/state", "412", 110, 120),
        ("home-assistant", "homeassistant/sensor/grid_power/state", "412", 200, None),
        ("gapcast", "gap/home/reading", "0.4", 300, None),
    ],
)
def test_with_interval_adds_an_unusual_interval(
    preset: str, topic: str, payload: str, every_s: float, set_to: float | None
) -> None:
    recording = recording_of(*[(topic, payload)] * 4, every_s=every_s)
    candidate = next(one for one in found(recording) if one.source["preset"] == preset)
    assert with_interval(dict(candidate.source), candidate)[0].get("every_s") == set_to


# --- the files ----------------------------------------------------------------------------------------


def test_toml_of_rejects_unsupported_values() -> None:
    assert 'username = "Zo\\"e"' in toml_of({"mqtt": {"username": 'Zo"e'}})
    with pytest.raises(SettingsError, match="remove control characters"):
        toml_of({"mqtt": {"username": "a\x7f"}})


def test_write_is_atomic_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"
    write(path, "one", 0o600, replacing=False)
    with pytest.raises(SettingsError, match="already exists"):
        write(path, "two", 0o600, replacing=False)
    assert path.read_text(encoding="utf-8") == "one"
    write(path, "three", 0o600, replacing=True)
    assert (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) == ("three", 0o600)
    assert [one.name for one in path.parent.iterdir()] == ["secret"]
    with pytest.raises(SettingsError, match="cannot write"):
        write(path / "below a file", "four", 0o600, replacing=False)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (0, r"Permission denied\): choose another location with --config, or use sudo$"),
        (os.ST_RDONLY, r"Read-only file system\): choose another location with --config$"),
    ],
)
def test_config_file_that_cannot_be_written_is_an_error(
    flags: int, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=flags))
    with pytest.raises(SettingsError, match=rf"^cannot write .*gapcast.toml \({tmp_path}: {problem}"):
        check_writable(tmp_path / "new" / "gapcast.toml")


def test_write_makes_folders_that_the_service_may_enter(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write(tmp_path / "etc" / "gapcast" / "gapcast.toml", "", 0o644, replacing=False)
    finally:
        os.umask(before)
    assert [oct((tmp_path / one).stat().st_mode & 0o777) for one in ("etc", "etc/gapcast")] == ["0o755", "0o755"]


def test_unattended_prompts_use_defaults_or_options() -> None:
    nobody = UnattendedPrompts()
    assert nobody.text("Zone", "UTC", "--timezone") == "UTC"
    with pytest.raises(SettingsError, match="Unit: pass --unit"):
        nobody.text("Unit", None, "--unit")
    with pytest.raises(SettingsError, match="--password-file"):
        nobody.secret("Password")
