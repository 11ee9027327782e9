"""``gapcast setup`` in a real terminal, beside a real broker: from an empty folder to a configuration that serves."""

from __future__ import annotations

import stat
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.setup.conftest import PASSWORD, TEMPERATURE, Script, Setup, sending, stop_when_received, written
from tests.support.brokers import MosquittoBroker
from tests.support.ports import LOOPBACK, free_port
from tests.support.terminal import Terminal
from tests.support.waiting import GUARD_S

pytestmark = [pytest.mark.mosquitto, pytest.mark.e2e]


def tasmota(ahead_s: float = 0) -> list[tuple[str, str]]:
    """A plug that sends the time of its clock, in the local time of Paris."""
    now = f"{datetime.now(ZoneInfo('Europe/Paris')) + timedelta(seconds=ahead_s):%Y-%m-%dT%H:%M:%S}"
    return [TEMPERATURE, ("tele/plug/SENSOR", f'{{"Time":"{now}","ENERGY":{{"Total":5.631,"Power":230}}}}')]


def answer_defaults(person: Terminal) -> None:
    """Press Enter at the questions for one meter, up to its preview."""
    for question in ("Time zone", "Name of this device", "whole house or a single plug?", "Home Assistant?"):
        person.answer(question)


def test_setup_creates_a_configuration(setup: Setup, script: Script, folder: Path, guarded: MosquittoBroker) -> None:
    with sending(guarded, tasmota, username="meter", password=PASSWORD), setup() as person:
        person.answer("Broker", f"{LOOPBACK}:{free_port()}")
        person.wait_for("nothing listens at this address: start the broker")
        person.answer("Broker", f"{LOOPBACK}:{guarded.port}")
        person.wait_for("refused: ")
        person.wait_for("fix: the broker requires authentication")
        person.answer("User name at the broker [gapcast]")
        person.answer("Password", PASSWORD)
        person.wait_for("Connected to 127.0.0.1 port ")
        stop_when_received(person, 2)
        person.wait_for("Possible meters:")
        assert "tasmota on tele/{device}/SENSOR: plug 0.230 kW" in person.wait_for("Time zone of the house")
        person.answer(" [Europe/Paris]")
        person.answer("Name of this device [plug]")
        person.wait_for("plug: sends about every 0.")
        person.wait_for("every_s = 1 (the preset tasmota assumes 300)")
        person.answer("Does it measure the whole house or a single plug? (house, plug) [plug]")
        person.wait_for("The models are trained on whole houses.")
        person.answer("Home Assistant?")
        assert "plug: 0.230 kW" in person.wait_for("Are these power values correct?")
        assert not list(folder.iterdir())
        person.press_enter()
        person.wait_for('preset = "tasmota"')
        person.answer("Write this to gapcast.toml?", "y")
        shown = person.wait_for("Install ")
        person.wait_for("sudo install -D -m 644 gapcast.toml /etc/gapcast/gapcast.toml && ")  # /tmp is hidden from it
        person.wait_for("sudo install -m 600 mqtt-password /etc/gapcast/ && gapcast systemd-unit >gapcast.service && ")
        assert person.wait_end() == 0
    assert "gapcast check --wait 70" in shown
    assert "gapcast run\n" in shown
    assert "sudo systemctl enable gapcast && sudo systemctl restart gapcast" in person.shown, "it may run already"
    assert PASSWORD not in person.shown
    assert written(folder) == {
        "mqtt": {"host": LOOPBACK, "port": guarded.port, "username": "gapcast", "password_file": "mqtt-password"},
        "site": {"timezone": "Europe/Paris"},
        "sources": [{"preset": "tasmota", "every_s": 1}],
    }
    secret = folder / "mqtt-password"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text(encoding="utf-8") == PASSWORD + "\n"
    assert sorted(path.name for path in folder.iterdir()) == ["gapcast.toml", "mqtt-password"]
    with sending(guarded, tasmota, username="meter", password=PASSWORD):
        address = ("--set", "http.host=127.0.0.1", "--set", f"http.port={free_port()}")
        checked = script("check", "--wait", GUARD_S, *address, enough=10)
    assert checked.returncode == 0, checked.stdout
    assert ", of plug" in checked.stdout


def test_setup_asks_the_unit_of_an_unknown_meter(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    messages = [TEMPERATURE, ("garage/sensor/grid_power/state", "412.0")]
    with sending(mosquitto, messages), setup("--broker", f"{LOOPBACK}:{mosquitto.port}") as person:
        stop_when_received(person, 2)
        person.answer("Time zone")
        person.answer("grid_power sends 412: is that in W or kW? (W, kW) [W]", "w")
        person.answer("Name of this device [grid_power]", "my house")
        person.wait_for("'my house' cannot name a device: use 1 to 64 of A-Z a-z 0-9")
        person.answer("Name of this device [grid_power]", "house")
        person.answer("whole house or a single plug? (house, plug) [house]")
        person.answer("Home Assistant?", "y")
        assert "house: 0.412 kW" in person.wait_for("Are these power values correct?")
        person.press_enter()
        person.answer("Write this", "")
        assert person.wait_end() == 0
    assert written(folder)["sources"] == [
        {"topic": "garage/sensor/grid_power/state", "device": "house", "format": "number", "unit": "W", "every_s": 1}
    ]
    assert written(folder)["homeassistant"] == {"enabled": True}


def test_setup_reports_a_wrong_clock_and_uses_arrival(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    with (
        sending(mosquitto, lambda: tasmota(-7_200)),
        setup("--broker", f"{LOOPBACK}:{mosquitto.port}") as person,
    ):
        stop_when_received(person, 2)
        answer_defaults(person)
        person.wait_for("plug: timestamps are 12")
        person.answer("Use the time of arrival instead of the meter's timestamps?")
        person.answer("Are these power values correct?")
        person.answer("Write this")
        assert person.wait_end() == 0
    assert written(folder)["sources"][0]["time_form"] == "arrival"


def test_setup_asks_before_it_overwrites(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    (folder / "gapcast.toml").write_text("# mine\n", encoding="utf-8")
    with setup("--broker", f"{LOOPBACK}:{mosquitto.port}") as person:
        person.answer("gapcast.toml already exists. Replace it at the end? [y/N]")
        assert person.wait_end() == 2
    assert (folder / "gapcast.toml").read_text(encoding="utf-8") == "# mine\n"
    (folder / "mqtt-password").touch()
    with setup("--config", "mqtt.toml") as person:
        person.answer("mqtt-password already exists. Replace it at the end? [y/N]")
        assert person.wait_end() == 2
    arguments = ["--broker", f"{LOOPBACK}:{mosquitto.port}", "--topic", "tele/+/SENSOR"]
    with sending(mosquitto, tasmota), setup(*arguments) as person:
        person.answer("Replace it at the end? [y/N]", "y")
        stop_when_received(person, 1)
        answer_defaults(person)
        person.answer("Are these power values correct?")
        person.answer("Write this", "n")
        person.wait_for("Nothing was written.")
        assert person.wait_end() == 0
    assert (folder / "gapcast.toml").read_text(encoding="utf-8") == "# mine\n"


def test_setup_without_a_known_meter_lists_topics(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    messages = [TEMPERATURE, ("lab/7/x", "0.412"), ("lab/8/x", "0.3")]
    with sending(mosquitto, messages), setup("--broker", f"{LOOPBACK}:{mosquitto.port}") as person:
        stop_when_received(person, 3)
        person.wait_for("None of these looks like a power reading:")
        person.wait_for("lab/7/x  0.412")
        person.answer("Listen again?")
        person.answer("Topic of the meter, to select among all its numbers", "lab/#/x")
        person.wait_for("'lab/#/x' is not a topic: # is the last level only")
        person.answer("Topic of the meter", "lab/{device}/x")
        stop_when_received(person, 2)
        person.answer("Time zone")
        person.answer("is that in W or kW? (W, kW) [kW]")
        person.answer("Do they measure whole houses or single plugs?")
        person.answer("Home Assistant?")
        person.answer("Are these power values correct?")
        person.answer("Write this")
        assert person.wait_end() == 0
    assert written(folder)["sources"] == [{"topic": "lab/{device}/x", "format": "number", "unit": "kW", "every_s": 1}]


def test_setup_doubts_implausible_power_and_changes_the_unit(
    setup: Setup, folder: Path, mosquitto: MosquittoBroker
) -> None:
    in_kw = [("homeassistant/sensor/grid_power/state", "0.412")]
    with sending(mosquitto, in_kw), setup("--broker", f"{LOOPBACK}:{mosquitto.port}") as person:
        stop_when_received(person, 1)
        person.answer("Time zone")
        person.answer("Name of this device [grid_power]", "home")
        person.wait_for("home: sends when its power changes; a power is valid for 600 s (hold_s)")
        person.answer("whole house or a single plug?")
        person.answer("Home Assistant? [Y/n]")  # its messages were found there
        person.wait_for("0.000412 kW is very low")
        person.answer("Are these power values correct? [y/N]")
        person.answer("Which unit does the meter send?", "kw")
        assert "home: 0.412 kW" in person.wait_for("Are these power values correct? [Y/n]")
        person.press_enter()
        person.answer("Write this")
        assert person.wait_end() == 0
    (source,) = written(folder)["sources"]
    assert (source["unit"], source["device"], "every_s" in source) == ("kW", "home", False)


def test_setup_accepts_a_meter_that_is_not_sending_yet(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    with setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0.2") as person:
        person.wait_for("have permission to read its topic?")
        person.answer("Listen again?", "n")
        person.answer("Time zone")
        person.answer("Which meter is it", "dsmr-reader")
        person.answer("whole house or a single plug?")
        person.answer("Home Assistant?")
        person.answer("Write this")
        assert person.wait_end() == 0
    assert written(folder)["sources"] == [{"preset": "dsmr-reader"}]


def test_setup_without_wildcard_rights_asks_for_the_topic(
    setup: Setup,
    restricted_broker: MosquittoBroker,
) -> None:
    with setup("--broker", f"{LOOPBACK}:{restricted_broker.port}", "--username", "gapcast", "--wait", "0.2") as person:
        person.answer("User name at the broker [gapcast]")
        person.answer("Password", "the word")
        person.wait_for("the subscription to # is refused")
        person.answer("Topic that this account has permission to read", "meters/+/power")
        person.wait_for("the subscription to meters/+/power is refused")


def test_setup_asks_again_for_what_is_wrong(setup: Setup, guarded: MosquittoBroker) -> None:
    """Address, name, port, account and time zone each have their own error, and are asked again at once."""
    with sending(guarded, tasmota, username="meter", password=PASSWORD), setup() as person:
        person.answer("Broker", "house:port")
        person.wait_for("'house:port' is not a broker address: use HOST or HOST:PORT, e.g. 192.168.1.5:1883")
        person.answer("Broker", "no-such-host.invalid")
        person.wait_for("host not found: no-such-host.invalid")
        person.answer("Broker", f"{LOOPBACK}:{free_port()}")
        person.wait_for("connection refused")
        person.answer("Broker", f"{LOOPBACK}:{guarded.port}")
        person.wait_for("refused: Not authorized")
        person.answer("User name at the broker [gapcast]")
        person.answer("Password", "wrong")
        person.wait_for('the broker does not accept "gapcast" with this password')
        person.answer("User name at the broker [gapcast]")
        person.answer("Password", PASSWORD)
        stop_when_received(person, 2)
        person.answer("Time zone of the house [Europe/Paris]", "Berlin")
        person.wait_for('there is no time zone "Berlin": did you mean Europe/Berlin?')
        person.answer("Time zone of the house [Europe/Berlin]")
        person.answer("Name of this device")
