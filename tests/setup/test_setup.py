"""``gapcast setup`` in a real terminal, beside a real broker: from an empty folder to a configuration that serves."""

from __future__ import annotations

import re
import stat
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gapcast.config.loader import load
from gapcast.presets import presets
from tests.integration.test_tls import HERE, secured
from tests.setup.conftest import METERS, sending
from tests.support.brokers import MosquittoBroker, guarded_mosquitto
from tests.support.certificates import Authority
from tests.support.ports import LOOPBACK, free_port
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.mosquitto, pytest.mark.e2e]
Setup = Callable[..., AbstractContextManager[Terminal]]
Script = Callable[..., subprocess.CompletedProcess[str]]
PASSWORD = "broker-word-4711"
TEMPERATURE = ("zigbee2mqtt/attic", '{"temperature": 21.5, "linkquality": 80, "battery": 97}')


def tasmota(ahead_s: float = 0) -> list[tuple[str, str]]:
    """A plug with its clock, in the local time of Paris."""
    now = f"{datetime.now(ZoneInfo('Europe/Paris')) + timedelta(seconds=ahead_s):%Y-%m-%dT%H:%M:%S}"
    return [TEMPERATURE, ("tele/plug/SENSOR", f'{{"Time":"{now}","ENERGY":{{"Total":5.631,"Power":230}}}}')]


def written(folder: Path) -> dict[str, Any]:
    load(folder / "gapcast.toml", {}, {})
    return tomllib.loads((folder / "gapcast.toml").read_text(encoding="utf-8"))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A mosquitto that asks for a password."""
    with guarded_mosquitto(tmp_path, ("gapcast", "meter"), PASSWORD) as broker:
        yield broker


# --- a person -----------------------------------------------------------------------------------------


def test_setup_creates_a_configuration(setup: Setup, script: Script, folder: Path, guarded: MosquittoBroker) -> None:
    with sending(guarded, tasmota, username="meter", password=PASSWORD), setup() as person:
        person.answer("Broker", f"{LOOPBACK}:{free_port()}")
        person.answer("Topic of the meter")
        person.answer("Time zone of the house [Europe/Paris]")
        person.wait_for("nothing listens at this address: start the broker")
        person.answer("Broker", f"{LOOPBACK}:{guarded.port}")
        person.answer("Use TLS?")
        person.wait_for("refused: ")
        person.answer("User name at the broker [gapcast]")
        person.answer("Password", PASSWORD)
        person.wait_for("Connected")
        for _ in range(2):  # shown each second: from the second on, the meter's interval is known
            person.wait_for(" messages on 2 topics; ")
        person.press_enter()
        person.wait_for("Possible meters:")
        assert "tasmota on tele/{device}/SENSOR: plug 0.230 kW" in person.wait_for("Home Assistant?")
        person.wait_for(": ")
        person.press_enter()
        assert "plug: 0.230 kW" in person.wait_for("Are these power values correct?")
        assert not list(folder.iterdir())
        person.press_enter()
        person.wait_for('preset = "tasmota"')
        person.answer("Write this to gapcast.toml?", "y")
        shown = person.wait_for("Install ")
        person.wait_for("sudo install -D -m 644 gapcast.toml /etc/gapcast/gapcast.toml && ")  # /tmp is hidden from it
        person.wait_for("sudo install -m 600 mqtt-password /etc/gapcast/ && gapcast systemd-unit | sudo tee /etc/")
        assert person.wait_end() == 0
    assert "gapcast check --wait 70" in shown
    assert "gapcast run\n" in shown
    assert "sudo systemctl enable --now gapcast" in person.shown
    assert PASSWORD not in person.shown
    assert written(folder) == {
        "mqtt": {"host": LOOPBACK, "port": guarded.port, "username": "gapcast", "password_file": "mqtt-password"},
        "site": {"timezone": "Europe/Paris"},
        "sources": [{"preset": "tasmota", "every_s": 10}],
    }
    secret = folder / "mqtt-password"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text(encoding="utf-8") == PASSWORD + "\n"
    assert sorted(path.name for path in folder.iterdir()) == ["gapcast.toml", "mqtt-password"]
    with sending(guarded, tasmota, username="meter", password=PASSWORD):
        checked = script("check", "--wait", "0.5", "--set", "http.host=127.0.0.1", "--set", f"http.port={free_port()}")
    assert checked.returncode == 0, checked.stdout
    assert ", of plug" in checked.stdout


def test_setup_asks_the_unit_of_an_unknown_meter(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    messages = [TEMPERATURE, ("garage/sensor/grid_power/state", "412.0")]
    with sending(mosquitto, messages), setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0.4") as person:
        person.answer("Topic of the meter")
        person.answer("Time zone")
        person.answer("grid_power sends 412: is that in W or kW? (W, kW) [W]", "w")
        person.answer("Name of this device [grid_power]", "house")
        person.answer("Home Assistant?", "y")
        assert "house: 0.412 kW" in person.wait_for("Are these power values correct?")
        person.press_enter()
        person.answer("Write this", "")
        assert person.wait_end() == 0
    assert written(folder)["sources"] == [
        {"topic": "garage/sensor/grid_power/state", "device": "house", "format": "number", "unit": "W"}
    ]
    assert written(folder)["homeassistant"] == {"enabled": True}


def test_setup_reports_a_wrong_clock_and_uses_arrival(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    with (
        sending(mosquitto, lambda: tasmota(-7_200)),
        setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0.4") as person,
    ):
        person.answer("Topic of the meter")
        person.answer("Time zone")
        person.answer("Home Assistant?")
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
    with sending(mosquitto, tasmota), setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0.4") as person:
        person.answer("Replace it at the end? [y/N]", "y")
        person.answer("Topic of the meter", "tele/+/SENSOR")
        person.answer("Time zone")
        person.answer("Home Assistant?")
        person.answer("Are these power values correct?")
        person.answer("Write this", "n")
        person.wait_for("Nothing was written.")
        assert person.wait_end() == 0
    assert (folder / "gapcast.toml").read_text(encoding="utf-8") == "# mine\n"


def test_setup_without_a_known_meter_lists_topics(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    messages = [TEMPERATURE, ("lab/7/x", "0.412")]
    with sending(mosquitto, messages), setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0.4") as person:
        person.answer("Topic of the meter")
        person.answer("Time zone")
        person.wait_for("None of these looks like a power reading:")
        person.wait_for("lab/7/x  0.412")
        person.answer("Listen again?")
        person.answer("Topic of the meter", "lab/{device}/x")
        person.answer("is that in W or kW? (W, kW) [kW]")
        person.answer("Home Assistant?")
        person.answer("Are these power values correct?")
        person.answer("Write this")
        assert person.wait_end() == 0
    assert written(folder)["sources"] == [{"topic": "lab/{device}/x", "format": "number", "unit": "kW"}]


def test_setup_offers_a_choice_of_several_meters(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    phases = [(f"shellies/shellyem3-1/emeter/{i}/power", f"{100 * i}.5") for i in range(3)]
    others = [("shellies/plug-1/relay/0/power", "20.5"), ("garage/sensor/power/state", "412")]
    with (
        sending(mosquitto, [*phases, *others]),
        setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0.4", "--no-home-assistant") as person,
    ):
        person.answer("Topic of the meter")
        person.answer("Time zone")
        listed = person.wait_for("Which of them?")
        assert re.findall(r"^ +(\d)  (\S+) on", listed, re.MULTILINE) == [
            ("1", "shelly-gen1-3em"), ("2", "shelly-gen1"), ("3", "shelly-gen1-plug"), ("4", "esphome"),
        ]  # fmt: skip
        assert listed.count("shellyem3-1-") == 3
        person.type("9")
        person.wait_for("a number from 1 to 4")
        person.answer("Which of them?", "1, 2")
        person.wait_for("these read the same messages: choose only one of them")
        person.answer("Which of them?", "1, 4")
        assert person.wait_for("Are these power values correct?").count(" kW (") == 2
        person.press_enter()
        person.answer("Write this")
        assert person.wait_end() == 0
    assert written(folder)["sources"] == [{"preset": "shelly-gen1-3em"}, {"preset": "esphome"}]


def test_setup_doubts_implausible_power_and_changes_the_unit(
    setup: Setup, folder: Path, mosquitto: MosquittoBroker
) -> None:
    in_kw = [("homeassistant/sensor/grid_power/state", "0.412")]
    with sending(mosquitto, in_kw), setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0.4") as person:
        person.answer("Topic of the meter")
        person.answer("Time zone")
        person.answer("Name of this device [grid_power]", "home")
        person.answer("Home Assistant? [Y/n]")  # its messages were found there
        person.wait_for("0.000412 kW is very low")
        person.answer("Are these power values correct? [y/N]")
        person.answer("Which unit does the meter send?", "kw")
        assert "home: 0.412 kW" in person.wait_for("Are these power values correct? [Y/n]")
        person.press_enter()
        person.answer("Write this")
        assert person.wait_end() == 0
    (source,) = written(folder)["sources"]
    assert (source["unit"], source["device"]) == ("kW", "home")


def test_setup_accepts_a_meter_that_is_not_sending_yet(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    with setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0.2") as person:
        person.answer("Topic of the meter")
        person.answer("Time zone")
        person.wait_for("have permission to read its topic?")
        person.answer("Listen again?", "n")
        person.answer("Which meter is it", "dsmr-reader")
        person.answer("Home Assistant?")
        person.answer("Write this")
        assert person.wait_end() == 0
    assert written(folder)["sources"] == [{"preset": "dsmr-reader"}]


def test_setup_without_wildcard_rights_asks_for_the_topic(
    setup: Setup,
    restricted_broker: MosquittoBroker,
) -> None:
    with setup("--broker", f"{LOOPBACK}:{restricted_broker.port}", "--username", "gapcast", "--wait", "0.2") as person:
        person.answer("Topic of the meter")
        person.answer("Time zone")
        person.answer("User name at the broker [gapcast]")
        person.answer("Password", "the word")
        person.wait_for("the subscription to # is refused")
        person.answer("Topic that this account has permission to read", "meters/+/power")
        person.wait_for("the subscription to meters/+/power is refused")


# --- a script -----------------------------------------------------------------------------------------


def test_setup_finds_every_documented_meter(script: Script, folder: Path, mosquitto: MosquittoBroker) -> None:
    messages = [(topic, payload) for meter in METERS for topic, payload in meter["sends"]]
    with sending(mosquitto, [*messages, TEMPERATURE]):
        done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0.6")
    assert done.returncode == 2
    assert "several meters were found: select one with --preset or --topic" in done.stderr
    for preset in set(presets()) - {"shelly-gen2-phases"}:  # of three phases; the one that was found has two
        assert re.search(rf"^ +\d+  {preset} on .*: .* kW", done.stdout, re.MULTILINE), f"{preset}: {done.stdout}"
    assert "zigbee2mqtt" not in done.stdout
    assert not list(folder.iterdir())


def test_setup_unattended_takes_all_answers_as_options(script: Script, folder: Path, guarded: MosquittoBroker) -> None:
    secret = folder.parent / "secret"
    secret.write_text(PASSWORD, encoding="utf-8")
    options = [
        "setup", "--yes", "--broker", f"{LOOPBACK}:{guarded.port}", "--username", "gapcast", "--password-file", secret,
        "--topic", "lab/{device}/data", "--value", "ac.p", "--unit", "W", "--timezone", "Europe/Lisbon",
        "--home-assistant", "--config", "made/gapcast.toml",
    ]  # fmt: skip
    with sending(guarded, [("lab/oven/data", '{"ac": {"p": 1250, "q": 3}}')], username="meter", password=PASSWORD):
        done = script(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    document = written(folder / "made")
    assert document["sources"] == [{"topic": "lab/{device}/data", "value": "ac.p", "unit": "W"}]
    assert document["site"] == {"timezone": "Europe/Lisbon"}
    assert (folder / "made" / "mqtt-password").read_text(encoding="utf-8").strip() == PASSWORD
    again = script(*options)
    assert again.returncode == 2
    assert "pass --overwrite" in again.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 1, "nothing listens at this address: start the broker"),
        (["--preset", "tasmot"], 2, "unknown preset 'tasmot'; available: dsmr-reader, "),
        (["--password-file", "/nowhere"], 2, "--password-file: cannot read /nowhere"),
        (["--broker", "house:port"], 2, "'house:port' is not a broker address"),
    ],
)
def test_setup_errors_name_a_fix(options: list[str], code: int, words: str, script: Script, folder: Path) -> None:
    done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{free_port()}", *options)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert not list(folder.iterdir())


def test_setup_connects_with_tls(script: Script, folder: Path, tmp_path: Path, authority: Authority) -> None:
    with secured(tmp_path, authority, authority.issue("broker", alternative=HERE)) as (port, _):
        arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{port}", "--preset", "tasmota", "--wait", "0", "--tls"]
        refused = script(*arguments)
        assert (refused.returncode, list(folder.iterdir())) == (1, [])
        assert "mqtt.tls.ca_path" in refused.stderr
        done = script(*arguments, "--ca", authority.certificate)
    assert done.returncode == 0, done.stderr
    assert written(folder)["mqtt"]["tls"] == {"enabled": True, "ca_path": str(authority.certificate)}


@pytest.mark.parametrize(
    ("options", "source"),
    [
        (["--topic", "lab/{device}/w", "--unit", "W"], {"topic": "lab/{device}/w", "format": "number", "unit": "W"}),
        (
            ["--topic", "lab/x", "--value", "ac.p", "--unit", "kW", "--device", "pump"],
            {"topic": "lab/x", "device": "pump", "value": "ac.p", "unit": "kW"},
        ),
        (["--preset", "p1-esp", "--device", "house"], {"preset": "p1-esp", "device": "house"}),
    ],
)
def test_setup_unattended_writes_a_meter_not_sending_yet(
    options: list[str], source: dict[str, str], script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0", *options)
    assert done.returncode == 0, done.stderr
    assert written(folder)["sources"] == [source]


def test_setup_unattended_does_not_choose_between_meters(
    script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--wait", "0.3"]
    messages = [*tasmota(), ("shellies/shelly-plug-s1/relay/0/power", "20.58")]
    with sending(mosquitto, messages):
        done = script(*arguments)
        assert done.returncode == 2
        assert "select one with --preset or --topic" in done.stderr
        assert "shelly-gen1-plug on shellies/{device}/relay/{channel}/power: shelly-plug-s1-0 0.021 kW" in done.stdout
        assert not list(folder.iterdir())
        assert script(*arguments, "--preset", "shelly-gen1-plug").returncode == 0
    assert written(folder)["sources"] == [{"preset": "shelly-gen1-plug"}]


def test_setup_unattended_without_messages_writes_nothing(
    script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--preset", "dsmr-reader"]
    done = script(*arguments, "--wait", "0.2")
    assert done.returncode == 1
    assert "--wait 0 writes without waiting for a meter" in done.stderr
    assert not list(folder.iterdir())
    assert script(*arguments, "--wait", "0").returncode == 0
    assert written(folder)["sources"] == [{"preset": "dsmr-reader"}]


def test_setup_without_a_terminal_asks_for_options(script: Script) -> None:
    done = script("setup")
    assert done.returncode == 2
    assert "answer them with options and pass --yes" in done.stderr
