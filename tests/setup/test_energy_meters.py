"""Meters that send only an energy counter: offered if there is no power, or asked for by ``--unit kWh``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gapcast.core.errors import SettingsError
from gapcast.setup.meters.meter_sum import SumTerm, sum_of
from gapcast.setup.meters.preset_answers import MeterAnswer, PresetAnswers
from tests.setup.conftest import Script, Setup, sending, stop_when_received, written
from tests.setup.test_power_fields import OPTICAL_HEAD, only
from tests.setup.test_preset_recognition import found, recording_of
from tests.support.approximate import approx
from tests.support.brokers import MosquittoBroker
from tests.support.ports import LOOPBACK

COUNTER = ("meters/cellar", '{"energy_kwh": 12345.678, "voltage": 231}')


def test_counter_is_offered_without_a_power() -> None:
    (only_one,) = found(recording_of(COUNTER))
    assert only_one.source == {"topic": COUNTER[0], "device": "cellar", "value": "energy_kwh", "unit": "kWh"}
    assert (only_one.is_counter, only_one.devices) == (True, {"cellar": approx(12345.678)})


@pytest.mark.parametrize("power", [("attic/power", "412"), ("meters/attic", '{"power": 412}')])
def test_counter_beside_a_power_is_not_offered(power: tuple[str, str]) -> None:
    assert not any(one.is_counter for one in found(recording_of(COUNTER, power)))


@pytest.mark.parametrize(
    ("message", "meter", "source"),
    [
        (("a/b", '{"power": 412, "energy": 12.5}'), MeterAnswer("a/b", unit="kWh"), {"value": "energy", "unit": "kWh"}),
        (("a/b", '{"E_in": 20123456}'), MeterAnswer(unit="Wh"), {"value": "E_in", "unit": "Wh"}),
        (
            ("tele/reader/SENSOR", OPTICAL_HEAD),
            MeterAnswer("tele/reader/SENSOR", value="MT175.E_in - MT175.E_out", unit="kWh"),
            {"value": "MT175.E_in - MT175.E_out", "unit": "kWh"},
        ),
        (("shed/energy", "5.25"), MeterAnswer("shed/energy", unit="kWh"), {"format": "number", "unit": "kWh"}),
    ],
)
def test_counter_is_read_by_its_unit(message: tuple[str, str], meter: MeterAnswer, source: dict[str, str]) -> None:
    chosen = only(recording_of(message, message), meter)
    assert {key: chosen.source.get(key) for key in source} == source
    assert chosen.is_counter


def test_several_counters_ask_for_value() -> None:
    head = ("tele/reader/SENSOR", '{"MT175":{"E_in":12345.6,"E_out":1}}')
    with pytest.raises(SettingsError, match=r"may be its energy counter: name it with --value, one of MT175\.E_in, MT"):
        only(recording_of(head), MeterAnswer(head[0], unit="kWh"))


def test_counters_of_several_topics_are_not_added_up() -> None:
    counters = recording_of(("m/l1/energy", "12.5"), ("m/l2/energy", "12.5"))
    assert sum_of([SumTerm(1, one) for one in found(counters)], counters, "Europe/Paris") is None


@pytest.mark.parametrize(
    ("meter", "words"),
    [
        (MeterAnswer(preset="tasmota", unit="kWh"), "--unit kWh: the preset tasmota reads a power: name the energy"),
        (MeterAnswer("m/{part}/e", value="a + b", unit="Wh"), "--unit Wh: energy counters on several topics cannot"),
    ],
)
def test_counter_that_cannot_be_read_is_an_error(meter: MeterAnswer, words: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=words):
        PresetAnswers(tmp_path / "gapcast.toml", meters=(meter,))


@pytest.mark.mosquitto
@pytest.mark.e2e
def test_setup_writes_an_energy_counter(setup: Setup, folder: Path, mosquitto: MosquittoBroker) -> None:
    with (
        sending(mosquitto, [("lab/meter", '{"E_in": 20123456}')]),
        setup("--broker", f"{LOOPBACK}:{mosquitto.port}", "--no-home-assistant") as person,
    ):
        stop_when_received(person, 1)
        person.wait_for("20123456")
        person.answer("Time zone")
        person.answer("is that in kWh or Wh? (kWh, Wh) [Wh]")
        for question in ("Name of this device [lab]", "single plug"):
            person.answer(question)
        person.wait_for("lab: no power yet (")
        person.answer("Are these power values correct?")
        person.answer("Write this")
        assert person.wait_end() == 0
    source: dict[str, Any] = {"topic": "lab/meter", "device": "lab", "value": "E_in", "unit": "Wh", "every_s": 1}
    assert written(folder)["sources"] == [source]


@pytest.mark.mosquitto
@pytest.mark.e2e
def test_setup_unattended_writes_an_energy_counter(script: Script, folder: Path, mosquitto: MosquittoBroker) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", "--topic", "lab/meter"]
    with sending(mosquitto, [("lab/meter", '{"E_in": 12345.6, "x": 1}')]):
        unknown = script(*arguments, enough=10)
        assert unknown.returncode == 2
        assert "is that in kWh or Wh?: pass --unit" in unknown.stderr
        done = script(*arguments, "--unit", "kWh", enough=10)
    assert done.returncode == 0, done.stderr
    source = {"topic": "lab/meter", "device": "lab", "value": "E_in", "unit": "kWh", "every_s": 1}
    assert written(folder)["sources"] == [source]
