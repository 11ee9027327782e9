"""The house before generation, storage and charging, which are read only if the user says so."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from gapcast.core.errors import SettingsError
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.meter_choice import MeterChoice
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.prompts import UnattendedPrompts
from tests.setup.test_meters_side_by_side import HEAD, PLUG, ZIGBEE_PLUG
from tests.setup.test_power_fields import only
from tests.setup.test_preset_recognition import found, recording_of

VICTRON = [
    ("N/c0/battery/512/Dc/0/Power", '{"value": -800}'),
    ("N/c0/pvinverter/31/Ac/Power", '{"value": 1800}'),
    *[(f"N/c0/system/0/Ac/Grid/L{i}/Power", '{"value": 345}') for i in (1, 2, 3)],
]
OPENDTU = [("solar/116180000001/0/power", "123.4"), ("solar/ac/power", "123.4")]
DSMR = ("dsmr/json", json.dumps({"electricity_currently_delivered": 0.345, "electricity_currently_returned": 0.0}))
HASS = "homeassistant/sensor"
P1_METER = (f"{HASS}/p1_meter_power/state", "345")
BATTERY = ("homeassistant/sensor/battery_power/state", "-345")
SOLAR_PLUG = ("zigbee2mqtt/balcony_solar", '{"power": -320}')


@dataclass
class Answers(UnattendedPrompts):
    """Answers each question with ``answer``, and records the default."""

    answer: str
    is_interactive: bool = True
    defaults: list[str | None] = field(default_factory=list)

    def text(self, question: str, default: str | None, option: str, choices: object = ()) -> str:
        self.defaults.append(default)
        return self.answer


@pytest.mark.parametrize(
    ("messages", "topic"),
    [
        (VICTRON, "N/c0/system/0/Ac/Grid/L1/Power"),
        ([*OPENDTU, HEAD], HEAD[0]),
        ([PLUG, HEAD], HEAD[0]),
        ([BATTERY, ("homeassistant/sensor/grid_power/state", "345")], "homeassistant/sensor/grid_power/state"),
        ([("meters/x", '{"pv_power": 1, "grid_total_power": 2}')], "meters/x"),
        ([("nut/ups/load", "23"), DSMR], DSMR[0]),
        ([("pi/system/load", "23"), PLUG], PLUG[0]),
        ([PLUG, ("house/grid_power", "345")], "house/grid_power"),
        ([("inverter/load_power", "345"), ("attic/power", "3")], "inverter/load_power"),
        ([(f"{HASS}/p1_meter_total_power_import/state", "12345"), P1_METER], P1_METER[0]),
    ],
)
def test_candidates_begin_with_the_house(messages: list[tuple[str, str]], topic: str) -> None:
    first, *_ = found(recording_of(*messages * 3))
    assert first.topics == {topic}


@pytest.mark.parametrize(
    ("meter", "messages", "topics"),
    [
        (MeterAnswer(unit="W"), OPENDTU[:1], "solar/116180000001/0/power"),
        (MeterAnswer(), [BATTERY], BATTERY[0]),
        (MeterAnswer(preset="home-assistant"), [BATTERY], BATTERY[0]),
        (MeterAnswer("homeassistant/#"), [BATTERY], BATTERY[0]),
        (MeterAnswer(), [ZIGBEE_PLUG, SOLAR_PLUG], SOLAR_PLUG[0]),
    ],
)
def test_choice_unattended_refuses_generation(meter: MeterAnswer, messages: list[tuple[str, str]], topics: str) -> None:
    with pytest.raises(SettingsError, match=f"^{topics} may be generation or storage, not the house"):
        only(recording_of(*messages * 3), meter)


@pytest.mark.parametrize(
    ("meter", "messages"),
    [
        (MeterAnswer(BATTERY[0]), [BATTERY]),
        (MeterAnswer(preset="zigbee2mqtt"), [ZIGBEE_PLUG, SOLAR_PLUG]),
    ],
)
def test_choice_unattended_reads_generation_by_its_name(meter: MeterAnswer, messages: list[tuple[str, str]]) -> None:
    assert only(recording_of(*messages * 3), meter).generation_topics == [messages[-1][0]]


def test_choice_unattended_reads_imported_less_exported_power() -> None:
    parts = [(f"dsmr/reading/electricity_currently_{one}", "0.3") for one in ("delivered", "returned")]
    assert only(recording_of(*parts), MeterAnswer()).source == {"preset": "dsmr-reader-topics"}


def chosen_topics(recording: MessageRecording, answers: Answers, meter: MeterAnswer) -> list[set[str]]:
    choice = MeterChoice(answers, lambda _: None, recording, "Europe/Paris")
    return [{*one.topics} for one in choice.choose(candidates(recording, "Europe/Paris", meter), meter)]


@pytest.mark.parametrize("messages", [[BATTERY], OPENDTU])
def test_choice_of_generation_has_no_default(messages: list[tuple[str, str]]) -> None:
    answers = Answers("1")
    assert chosen_topics(recording_of(*messages), answers, MeterAnswer()) == [{messages[0][0]}]
    assert answers.defaults == [None]


def test_choice_of_a_house_has_a_default() -> None:
    answers = Answers("1")
    assert chosen_topics(recording_of(*OPENDTU, HEAD), answers, MeterAnswer()) == [{HEAD[0]}]
    assert answers.defaults == ["1"]


def test_choice_of_generation_by_its_topic_asks_nothing() -> None:
    answers = Answers("none")
    assert chosen_topics(recording_of(BATTERY), answers, MeterAnswer(BATTERY[0])) == [{BATTERY[0]}]
    assert answers.defaults == []


@pytest.mark.parametrize("name", ["total_power_import", "p1_meter_total_power_export"])
def test_guess_reads_the_total_of_a_direction_as_a_counter(name: str) -> None:
    (counter,) = found(recording_of((f"meters/{name}", "12345")))
    assert counter.is_counter
    (power,) = found(recording_of((f"meters/{name}_w", "345")))
    assert not power.is_counter
