"""Several meters with ``gapcast setup``: some, all, by name, or their sum; in a terminal and in a script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.setup.conftest import Script, Setup, sending, stop_when_received, written
from tests.support.brokers import MosquittoBroker
from tests.support.ports import LOOPBACK
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.mosquitto, pytest.mark.e2e]
PLUGS = [(f"shellies/plug-{name}/relay/0/power", f"{power}.5") for name, power in (("a", 100), ("b", 200), ("c", 300))]
TASMOTA = [
    (f"tele/{name}/SENSOR", f'{{"Time":"2026-01-01T13:00:00","ENERGY":{{"Power":{power}}}}}')
    for name, power in (("tv", 80), ("pv", 400))
]
PLUG_PRESET = {"preset": "shelly-gen1-plug", "every_s": 1}


def finish(person: Terminal) -> str:
    """Press Enter at the questions after the names; return what the preview shows."""
    person.answer("single plug")
    shown = person.wait_for("Are these power values correct?")
    person.answer("")
    person.answer("Write this")
    assert person.wait_end() == 0
    return shown


# --- a person -----------------------------------------------------------------------------------------


def test_setup_offers_a_choice_of_several_meters(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    phases = [(f"shellies/shellyem3-1/emeter/{i}/power", f"{100 * i}.5") for i in range(3)]
    others = [("shellies/plug-1/relay/0/power", "20.5"), ("garage/sensor/power/state", "412")]
    arguments = ["--broker", f"{LOOPBACK}:{mosquitto.port}", "--no-home-assistant"]
    with sending(mosquitto, [*phases, *others]), setup(*arguments) as person:
        stop_when_received(person, 5)
        listed = person.wait_for("Select meters:")
        assert re.findall(r"^ +(\d)  (\S+) on", listed, re.MULTILINE) == [
            ("1", "shelly-gen1-3em"), ("2", "shelly-gen1"), ("3", "shelly-gen1-plug"), ("4", "esphome"),
        ]  # fmt: skip
        assert re.findall(r"^ +(2\.\d)  only (\S+) (\S+ kW)", listed, re.MULTILINE) == [
            ("2.1", "shellyem3-1-0", "0.001 kW"),
            ("2.2", "shellyem3-1-1", "0.101 kW"),
            ("2.3", "shellyem3-1-2", "0.201 kW"),
        ]
        person.type("9")
        person.wait_for("there is no 9: enter a number from 1 to 4")
        person.answer("Select meters:", "1, 2")
        person.wait_for("these read the same messages: choose only one of them")
        person.answer("Select meters:", "1, 4")
        person.answer("Time zone")
        person.answer("Name of this device [shellyem3-1]")
        person.answer("Name of this device [garage]")
        assert finish(person).count(" kW (") == 2
    assert written(folder)["sources"] == [
        {"preset": "shelly-gen1-3em", "every_s": 1},
        {"preset": "esphome", "every_s": 1},
    ]


@pytest.mark.parametrize(
    ("answer", "names", "sources"),
    [
        ("1", [], [PLUG_PRESET]),
        (
            "1.1, 1.3",
            ["fridge", ""],
            [
                PLUG_PRESET | {"topic": "shellies/plug-a/relay/0/power", "device": "fridge"},
                PLUG_PRESET | {"topic": "shellies/plug-c/relay/0/power", "device": "plug-c-0"},
            ],
        ),
        (
            "1.1 - 1.2 + 1.3",
            ["house"],
            [
                {
                    "topic": "shellies/{part}/relay/0/power",
                    "device": "house",
                    "format": "number",
                    "value": "plug-a - plug-b + plug-c",
                    "unit": "W",
                    "every_s": 1,
                }
            ],
        ),
    ],
    ids=["all", "some", "sum"],
)
def test_setup_accepts_all_some_or_the_sum(
    answer: str,
    names: list[str],
    sources: list[dict[str, Any]],
    setup: Setup,
    folder: Path,
    mosquitto: MosquittoBroker,
) -> None:
    with (
        sending(mosquitto, PLUGS),
        setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--no-home-assistant") as person,
    ):
        stop_when_received(person, 3)
        person.answer("Select meters:", answer)
        person.answer("Time zone")
        for name in names:
            person.answer("Name of this device", name)
        shown = finish(person)
    assert written(folder)["sources"] == sources
    if answer.startswith("1.1 -"):
        assert re.search(r"house: 0\.20\d kW", shown), "100.5 - 200.5 + 300.5 W"


def test_setup_adds_up_meters_that_send_json(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    with (
        sending(mosquitto, TASMOTA),
        setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--no-home-assistant") as person,
    ):
        stop_when_received(person, 2)
        person.answer("Select meters:", "1.2 - 1.1")
        person.answer("Time zone")
        person.answer("Name of this device", "house")
        shown = finish(person)
    assert written(folder)["sources"] == [
        {"preset": "tasmota", "topic": "tele/{part}/SENSOR", "device": "house", "value": "tv - pv", "every_s": 1}
    ]
    assert re.search(r"house: -?\d\.\d+ kW", shown)


def test_setup_names_meters_that_cannot_be_summed(setup: Setup, mosquitto: MosquittoBroker) -> None:
    messages = [*TASMOTA, ("shellies/shelly-plug-s1/relay/0/power", "20.58")]
    with sending(mosquitto, messages), setup("--broker", f"{LOOPBACK}:{mosquitto.port}") as person:
        stop_when_received(person, 3)
        person.answer("Select meters:", "1.1 + 2")
        person.wait_for("cannot be added up: gapcast adds values of one message, or of meters of one kind")
        person.wait_for('"Several meters as one device" in docs/meters.md')
        person.answer("Select meters:", "none")
        person.answer("Listen again?", "n")


def test_setup_rejects_a_duplicate_device_name(setup: Setup, mosquitto: MosquittoBroker) -> None:
    with sending(mosquitto, TASMOTA), setup("--broker", f"{LOOPBACK}:{mosquitto.port}") as person:
        stop_when_received(person, 2)
        person.answer("Select meters:", "1.1, 1.2")
        person.answer("Time zone")
        person.answer("Name of this device [pv]", "home")
        person.answer("Name of this device [tv]", "home")
        person.wait_for("'home' is the name of another device: choose another")
        person.answer("Name of this device [tv]", "tv")
        person.wait_for("Do they measure whole houses or single plugs?")


def test_setup_accepts_a_house_and_a_plug(setup: Setup, mosquitto: MosquittoBroker) -> None:
    messages = [("shellies/plug-1/relay/0/power", "20.5"), ("garage/sensor/power/state", "412")]
    with sending(mosquitto, messages), setup("--broker", f"{LOOPBACK}:{mosquitto.port}") as person:
        stop_when_received(person, 2)
        person.answer("Select meters:", "1, 2")
        person.answer("Time zone")
        person.answer("Name of this device [")
        person.answer("Name of this device [")
        person.answer("Do they measure whole houses or single plugs? (house, plug, both) [both]")
        person.wait_for("For a single plug, the online model adapts to its readings")


# --- a script -----------------------------------------------------------------------------------------


def test_setup_unattended_does_not_choose_between_meters(
    script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}"]
    messages = [*TASMOTA, ("shellies/shelly-plug-s1/relay/0/power", "20.58")]
    with sending(mosquitto, messages):
        done = script(*arguments, enough=10 * len(messages))
        assert done.returncode == 2
        assert "select one with --preset or --topic, or several by repeating them" in done.stderr
        assert "shelly-gen1-plug on shellies/{device}/relay/{channel}/power: shelly-plug-s1-0 0.021 kW" in done.stdout
        assert not list(folder.iterdir())
        assert script(*arguments, "--preset", "shelly-gen1-plug").returncode == 0
    assert written(folder)["sources"] == [PLUG_PRESET]


def test_setup_unattended_accepts_several_presets_and_topics(
    script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--overwrite"]
    with sending(mosquitto, [*TASMOTA, *PLUGS, ("lab/pump", "0.7")]):
        by_preset = script(*arguments, "--preset", "tasmota", "--preset", "shelly-gen1-plug")
        assert by_preset.returncode == 0, by_preset.stderr
        assert written(folder)["sources"] == [{"preset": "tasmota", "every_s": 1}, PLUG_PRESET]
        topics = ["--topic", "tele/pv/SENSOR", "--topic", "tele/tv/SENSOR", "--topic", "lab/pump"]
        names = ["--device", "roof", "--device", "tv", "--device", "pump-1"]
        units = ["--unit", "W", "--unit", "W", "--unit", "kW"]
        by_topic = script(*arguments, *topics, *names, *units)
        assert by_topic.returncode == 0, by_topic.stderr
    assert written(folder)["sources"] == [
        {"preset": "tasmota", "topic": "tele/pv/SENSOR", "device": "roof", "unit": "W", "every_s": 1},
        {"preset": "tasmota", "topic": "tele/tv/SENSOR", "device": "tv", "unit": "W", "every_s": 1},
        {"topic": "lab/pump", "device": "pump-1", "format": "number", "unit": "kW", "every_s": 1},
    ]
    assert "roof: 0.400 kW" in by_topic.stdout
    assert "pump-1: 0.700 kW" in by_topic.stdout


def test_setup_unattended_adds_up_meters_that_send_json(
    script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--preset", "tasmota"]
    with sending(mosquitto, TASMOTA):
        done = script(*arguments, "--topic", "tele/{part}/SENSOR", "--value", "pv + tv", "--device", "house")
    assert done.returncode == 0, done.stderr
    assert written(folder)["sources"] == [
        {"preset": "tasmota", "topic": "tele/{part}/SENSOR", "value": "pv + tv", "device": "house", "every_s": 1}
    ]


def test_setup_unattended_adds_up_parts(script: Script, folder: Path, mosquitto: MosquittoBroker) -> None:
    source = ["--topic", "shellies/{part}/relay/0/power", "--value", "plug-a + plug-b + plug-c", "--unit", "W"]
    with sending(mosquitto, PLUGS):
        done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", *source, "--device", "house")
    assert done.returncode == 0, done.stderr
    assert "house: 0.601 kW" in done.stdout or "house: 0.602 kW" in done.stdout
    (written_source,) = written(folder)["sources"]
    assert (written_source["value"], written_source["device"]) == ("plug-a + plug-b + plug-c", "house")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (
            ["--preset", "tasmota", "--device", "house"],
            2,
            "--device house: tasmota on tele/{device}/SENSOR reads 2 meters (pv, tv): give each its own --topic",
        ),
        (
            ["--preset", "tasmota", "--preset", "esphome", "--device", "house"],
            2,
            "--device: 1 names for 2 meters: give one name for each",
        ),
        (
            ["--topic", "a/x", "--topic", "b/x", "--device", "y", "--device", "y"],
            2,
            "'y' is the name of another device",
        ),
        (["--topic", "a/x", "--topic", "b/x", "--preset", "esphome"] * 2, 2, "--preset is given 2 times for 4 meters"),
        (["--preset", "tasmota", "--preset", "tasmota"], 2, "name the same meter twice"),
        (["--topic", "lab/{part}/power"], 2, "--topic: 'lab/{part}/power' needs --value, the sum of its parts"),
        (["--preset", "tasmota", "--preset", "p1-esp"], 1, "no meter was detected for --preset p1-esp"),
    ],
)
def test_setup_unattended_errors_name_the_meter(
    options: list[str], code: int, words: str, script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    with sending(mosquitto, TASMOTA):
        done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", *options, enough=10 * len(TASMOTA))
    assert done.returncode == code, done.stdout
    assert words in done.stderr
    assert not list(folder.iterdir())
