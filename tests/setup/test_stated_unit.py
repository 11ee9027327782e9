"""The unit that Home Assistant's statestream sends beside a state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gapcast.core.errors import SettingsError
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.setup.messages import message_recording
from gapcast.setup.messages.message_recording import listen
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.meter_search import ChosenMeter, awaits_states
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.source_questions import SourceQuestions
from gapcast.setup.prompts import UnattendedPrompts
from tests.setup.conftest import Script, sending, written
from tests.setup.test_power_fields import only
from tests.setup.test_preset_recognition import found, recording_of
from tests.support.approximate import approx
from tests.support.brokers import MosquittoBroker
from tests.support.ports import LOOPBACK
from tests.support.waiting import GUARD_S


def entity(name: str, state: str, unit: str, base: str = "homeassistant") -> list[tuple[str, str]]:
    """The messages of an entity, with its attributes."""
    below = f"{base}/sensor/{name}"
    return [(f"{below}/unit_of_measurement", f'"{unit}"'), (f"{below}/state", state)]


@pytest.mark.parametrize(
    ("messages", "unit", "power_kw"),
    [
        (entity("grid_power", "12.3", "kW"), "kW", 12.3),
        (entity("grid_power", "345", "W"), "W", 0.345),
        (entity("stromzaehler", "345", "W"), "W", 0.345),
        (entity("grid_power", "5.3", "kW", base="hass"), "kW", 5.3),
    ],
)
def test_recognition_uses_the_stated_unit(messages: list[tuple[str, str]], unit: str, power_kw: float) -> None:
    chosen = only(recording_of(*messages * 3), MeterAnswer())
    topic = messages[-1][0]
    assert chosen.source == {"preset": "home-assistant", "topic": topic, "device": topic.split("/")[2], "unit": unit}
    assert [*chosen.devices.values()] == [approx(power_kw)]


@pytest.mark.parametrize("preset", [None, "home-assistant"])
def test_recognition_on_a_given_topic_uses_the_stated_unit(preset: str | None) -> None:
    messages = [*entity("grid_power", "5.3", "kW"), *entity("solar_power", "2.1", "kW")]
    chosen = only(recording_of(*messages * 3), MeterAnswer(messages[1][0], preset))
    assert (chosen.source["topic"], chosen.source["unit"]) == (messages[1][0], "kW")
    assert [*chosen.devices.values()] == [approx(5.3)]


@pytest.mark.parametrize(("state", "unit"), [("540", "W"), ("12345.6", "kWh")])
def test_pattern_reads_no_states_in_other_units(state: str, unit: str) -> None:
    messages = [*entity("attic", "21", "°C"), *entity("verbrauch_haus", state, unit), *entity("bath", "55", "%")]
    chosen = only(recording_of(*messages * 3), MeterAnswer("homeassistant/sensor/{device}/state"))
    assert (chosen.source["topic"], chosen.source["unit"]) == (messages[3][0], unit)


def test_pattern_of_powers_in_two_units_has_a_candidate_of_each() -> None:
    recording = recording_of(*(*entity("verbrauch_haus", "540", "W"), *entity("speicher", "0.8", "kW")) * 3)
    both = found(recording, "homeassistant/sensor/{device}/state")
    assert {one.source["device"]: one.source["unit"] for one in both} == {"verbrauch_haus": "W", "speicher": "kW"}
    with pytest.raises(SettingsError, match=r"^several meters match --topic"):
        only(recording, MeterAnswer("homeassistant/sensor/{device}/state"))


@pytest.mark.parametrize("preset", [None, "home-assistant"])
def test_recognition_of_a_sum_uses_the_stated_unit(preset: str | None) -> None:
    messages = [*entity("grid", "5.3", "kW"), *entity("solar", "2.1", "kW"), *entity("attic", "21", "°C")]
    meter = MeterAnswer("homeassistant/sensor/{part}/state", preset, "grid - solar")
    chosen = only(recording_of(*messages * 3), meter)
    assert chosen.source == {
        "preset": "home-assistant", "topic": meter.topic, "device": "home", "value": meter.value, "unit": "kW",
    }  # fmt: skip
    assert [*chosen.devices.values()] == [approx(3.2)]
    assert only(recording_of(*messages * 3), replace(meter, unit="W")).source["unit"] == "W"


@pytest.mark.parametrize("preset", [None, "home-assistant"])
def test_recognition_of_a_sum_in_two_units_is_rejected(preset: str | None) -> None:
    messages = [*entity("grid", "5.3", "kW"), *entity("solar", "2100", "W")]
    meter = MeterAnswer("homeassistant/sensor/{part}/state", preset, "grid - solar")
    with pytest.raises(SettingsError, match=r"^--value grid - solar: in W and kW, but gapcast adds up only values in"):
        only(recording_of(*messages * 3), meter)


GRID = "homeassistant/sensor/grid_power/state"


@pytest.mark.parametrize("is_retained", [False, True])
@pytest.mark.parametrize(
    ("meter", "messages", "is_expected"),
    [
        (MeterAnswer(GRID), entity("grid_power", "5.3", "kW")[1:], True),
        (MeterAnswer(GRID), entity("grid_power", "5.3", "kW"), False),
        (MeterAnswer(GRID, unit="W"), entity("grid_power", "5.3", "kW")[1:], False),
        (MeterAnswer("homeassistant/sensor/{device}/state"), entity("grid_power", "5.3", "kW"), True),
        (MeterAnswer(preset="home-assistant", unit="W"), entity("grid_power", "5.3", "kW"), True),
        (MeterAnswer("tele/plug/SENSOR"), [("tele/plug/SENSOR", '{"ENERGY":{"Power":230}}')], False),
    ],
)
def test_search_awaits_units_and_other_states_for_a_few_seconds(
    meter: MeterAnswer, messages: list[tuple[str, str]], is_expected: bool, is_retained: bool
) -> None:
    recording = recording_of(*messages, every_s=0.1, retained=is_retained)
    (candidate,) = candidates(recording, "Europe/Paris", meter)
    assert awaits_states(candidate, meter, recording, 2.9) is is_expected
    assert not awaits_states(candidate, meter, recording, 3.2)


class QuietSession:
    """A session that receives one message."""

    def __init__(self, received: ReceivedMessage) -> None:
        self._messages = iter([[received], [], []])

    def receive_messages(self, _n_at_most: int, _timeout_s: float) -> list[ReceivedMessage]:
        return next(self._messages)

    def acknowledge_after(self, publication: Publication, revision: int) -> None:
        """Accept an acknowledgement."""

    def flush(self) -> None:
        """Send nothing."""


def test_listening_checks_again_without_new_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_recording, "_PROGRESS_EVERY_S", -1.0)
    (received,) = recording_of((GRID, "543")).in_order()
    answers = iter([False, True])
    session: Any = QuietSession(received)
    recording = listen(session, GUARD_S, UnattendedPrompts(), lambda _: None, lambda *_: next(answers))
    assert (recording.n_messages, [*answers]) == (1, [])


def test_options_of_a_candidate_have_its_unit() -> None:
    messages = entity("solar_power", "2.1", "kW")
    with pytest.raises(SettingsError, match=f"--preset home-assistant --topic {messages[1][0]} --unit kW$"):
        only(recording_of(*messages * 3), MeterAnswer())


def test_recognition_prefers_a_given_unit_to_the_stated_one() -> None:
    recording = recording_of(*entity("grid_power", "345", "kW") * 3)
    assert only(recording, MeterAnswer(preset="home-assistant", unit="W")).source["unit"] == "W"


@pytest.mark.parametrize("preset", [None, "home-assistant"])
@pytest.mark.parametrize("name", ["house_power", "stromzaehler"])
@pytest.mark.parametrize(("stated", "unit"), [("VA", "W"), ("kWh", "kW"), ("°C", "W"), ("W", "kW")])
def test_recognition_on_a_given_topic_uses_the_given_unit(
    preset: str | None, name: str, stated: str, unit: str
) -> None:
    messages = entity(name, "12.5", stated)
    chosen = only(recording_of(*messages * 3), MeterAnswer(messages[-1][0], preset, unit=unit))
    assert (chosen.source["preset"], chosen.source["unit"]) == ("home-assistant", unit)
    assert [*chosen.devices.values()] == [approx(12.5 if unit == "kW" else 0.0125)]


@pytest.mark.parametrize("stated", ["VA", "W"])
def test_counter_on_a_given_topic_uses_the_given_unit(stated: str) -> None:
    messages = entity("house_power", "12.5", stated)
    chosen = only(recording_of(*messages * 3), MeterAnswer(messages[-1][0], unit="kWh"))
    assert (chosen.source["unit"], chosen.is_counter) == ("kWh", True)


@pytest.mark.parametrize("preset", [None, "home-assistant"])
@pytest.mark.parametrize(
    ("topic", "value", "name"),
    [("homeassistant/sensor/a/state", None, "a"), ("homeassistant/sensor/{part}/state", "a + b", "home")],
)
def test_question_names_a_stated_unit_that_is_no_power(
    preset: str | None, topic: str, value: str | None, name: str
) -> None:
    recording = recording_of(*(*entity("a", "500", "VA"), *entity("b", "43", "VA")) * 3)
    meter = MeterAnswer(topic, preset, value)
    questions = SourceQuestions(UnattendedPrompts(), lambda _: None, ())
    words = rf"^{name} sends {543 if value else 500} \(Home Assistant states VA\): is that in W or kW\?: pass --unit$"
    with pytest.raises(SettingsError, match=words):
        questions.sources([ChosenMeter(meter, only(recording, meter))], recording, "Europe/Paris")


@pytest.mark.parametrize("topic", [None, "homeassistant/#", "homeassistant/sensor/{device}/state"])
@pytest.mark.parametrize(("given", "unit"), [(None, "kW"), ("W", "W")])
def test_preset_reads_an_entity_in_kw_whatever_its_name(topic: str | None, given: str | None, unit: str) -> None:
    messages = [*entity("attic", "21", "°C"), *entity("verbrauch_haus", "0.54", "kW"), *entity("zaehler", "12", "kWh")]
    chosen = only(recording_of(*messages * 3), MeterAnswer(topic, "home-assistant", unit=given))
    assert (chosen.source["topic"], chosen.source["unit"]) == (messages[3][0], unit)
    assert [*chosen.devices.values()] == [approx(0.54 if unit == "kW" else 0.00054)]


def test_preset_reads_an_entity_by_its_name_beside_another() -> None:
    recording = recording_of(*(*entity("grid_power", "540", "W"), *entity("heat", "0.8", "kW")) * 3)
    names = [one.source["device"] for one in found(recording, preset="home-assistant")]
    assert names == ["grid_power", "heat"]


def test_recognition_ignores_states_in_other_units() -> None:
    others = [*entity("phone_power", "31", "%"), *entity("attic_power", "21.5", "°C", base="hass")]
    assert found(recording_of(*others * 3)) == []


@pytest.mark.parametrize(
    "other",
    [
        "p1_meter_peak_demand_current_month", "energy_production_today_power_highest_peak", "inverter_power_limit",
        "p1_meter_power_average",
    ],
)  # fmt: skip
def test_choice_of_a_power_beside_its_peak_or_limit(other: str) -> None:
    power = entity("p1_meter_power", "345", "W")
    recording = recording_of(*(*power, *entity(other, "2450", "W")) * 3)
    assert only(recording, MeterAnswer()).source["topic"] == power[-1][0]


def test_recognition_of_a_peak_or_an_average_that_is_selected() -> None:
    average, peak = (entity(name, "2450", "W") for name in ("meter_power_average", "month_peak"))
    assert only(recording_of(*average * 3), MeterAnswer()).source["topic"] == average[-1][0]
    assert only(recording_of(*peak * 3), MeterAnswer("homeassistant/sensor/month_peak/+")).source["unit"] == "W"


@pytest.mark.parametrize("meter", [MeterAnswer(), MeterAnswer(unit="kWh")])
def test_guess_of_a_counter_uses_the_stated_unit(meter: MeterAnswer) -> None:
    messages = entity("stromzaehler", "12345.6", "kWh")
    chosen = only(recording_of(*messages, *entity("heat", "31", "W") * (meter.unit is not None)), meter)
    assert (chosen.source["topic"], chosen.source["unit"]) == (messages[-1][0], "kWh")


@pytest.mark.mosquitto
@pytest.mark.e2e
@pytest.mark.parametrize(("state", "unit"), [("12.3", "kW"), ("0.458", "W")])
@pytest.mark.parametrize("options", [[], ["--topic", "homeassistant/sensor/grid_power/state"]])
def test_setup_unattended_writes_the_stated_unit(
    options: list[str], state: str, unit: str, script: Script, folder: Path, mosquitto: MosquittoBroker
) -> None:
    with sending(mosquitto, entity("grid_power", state, unit)):
        done = script("setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}", *options, enough=6)
    assert done.returncode == 0, done.stderr
    source: dict[str, Any] = written(folder)["sources"][0]
    assert (source["preset"], source["unit"]) == ("home-assistant", unit)
