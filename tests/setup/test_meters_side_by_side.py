"""Meters that one preset reads beside meters on topics of the same form."""

from __future__ import annotations

import pytest

from gapcast.check.sample_listener import SampleListener
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.meter_search import ChosenMeter, with_own_topics
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.source_questions import SourceQuestions
from gapcast.setup.prompts import UnattendedPrompts
from tests.setup.test_power_fields import only
from tests.setup.test_preset_recognition import found, recording_of

TIME = '"Time":"2026-01-01T13:00:00"'
PLUG = ("tele/dryer/SENSOR", f'{{{TIME},"ENERGY":{{"Total":1.2,"Power":230}}}}')
HEAD = ("tele/haus/SENSOR", f'{{{TIME},"E320":{{"E_in":12345.6,"E_out":2.2,"Power":410}}}}')
SML_HEAD = ("tele/hichi/SENSOR", f'{{{TIME},"SML":{{"Total_in":12345.6,"Power_curr":410}}}}')
RELAY = ("zigbee2mqtt/BoilerRelay", '{"power_l1": 1450.2, "power_l2": 3.1, "linkquality": 100}')
ZIGBEE_PLUG = ("zigbee2mqtt/plug", '{"power": 96, "linkquality": 100}')


@pytest.mark.parametrize(
    ("messages", "topics"),
    [
        ((PLUG, HEAD), {PLUG[0], HEAD[0]}),
        ((PLUG, SML_HEAD), {PLUG[0], SML_HEAD[0]}),
        ((PLUG, ("meters/attic", '{"total_power": 700}')), {PLUG[0], "meters/attic"}),
        ((ZIGBEE_PLUG, RELAY), {ZIGBEE_PLUG[0], RELAY[0]}),
    ],
)
def test_choice_beside_a_plug_of_the_same_form_is_of_several(
    messages: tuple[tuple[str, str], ...], topics: set[str]
) -> None:
    recording = recording_of(*messages * 3)
    assert {topic for one in found(recording) for topic in one.topics} == topics
    with pytest.raises(SettingsError, match="several meters were found: select one with --preset or --topic"):
        only(recording, MeterAnswer())


@pytest.mark.parametrize(
    ("meter", "payload", "value"),
    [
        (MeterAnswer(), '{"power_l1": 96}', "power_l1"),
        (MeterAnswer(value="power_l1 + power_l2"), RELAY[1], "power_l1 + power_l2"),
        (MeterAnswer("zigbee2mqtt/kitchen/plug", value="power_l2"), RELAY[1], "power_l2"),
    ],
)
def test_guess_of_a_zigbee_device_has_its_preset(meter: MeterAnswer, payload: str, value: str) -> None:
    topic = "zigbee2mqtt/kitchen/plug"
    chosen = only(recording_of((topic, payload)), meter)
    assert chosen.source == {"preset": "zigbee2mqtt", "topic": topic, "device": "plug", "value": value}
    assert chosen.unit_known


@pytest.mark.parametrize(
    ("meter", "source"),
    [
        (MeterAnswer(unit="kWh", value="energy"), {"unit": "kWh"}),
        (MeterAnswer(), {}),
    ],
)
def test_guess_of_a_zigbee_counter_has_no_preset(meter: MeterAnswer, source: dict[str, str]) -> None:
    topic = "zigbee2mqtt/boiler"
    chosen = only(recording_of((topic, '{"energy": 12.3}')), meter)
    assert chosen.source == {"topic": topic, "device": "boiler", "value": "energy"} | source


def test_choice_among_the_powers_of_a_zigbee_device_asks_for_value() -> None:
    with pytest.raises(SettingsError, match="may be its power: name it with --value, one of power_l1, power_l2"):
        only(recording_of(RELAY), MeterAnswer())


def test_guess_of_other_numbers_of_a_zigbee_device_has_no_preset() -> None:
    other = [one for one in found(recording_of(RELAY), RELAY[0]) if one.source["value"] == "linkquality"]
    assert [(one.source.get("preset"), one.unit_known) for one in other] == [(None, False)]


def test_guess_in_a_given_unit_of_power_leaves_counters_out() -> None:
    head = candidates(recording_of(HEAD), "Europe/Paris", MeterAnswer(HEAD[0], unit="W"))
    assert [one.source["value"] for one in head] == ["E320.Power"]
    counter = candidates(recording_of(("a/b", '{"E_in": 12.3}')), "Europe/Paris", MeterAnswer("a/b", unit="W"))
    assert [one.source["value"] for one in counter] == ["E_in"]


def test_recognition_without_a_power_leaves_the_topic_out() -> None:
    climate = ("tele/attic/SENSOR", f'{{{TIME},"AM2301":{{"Temperature":21.1}}}}')
    (plug,) = found(recording_of(*(PLUG, climate) * 3))
    assert (plug.source, {*plug.topics}) == ({"preset": "tasmota"}, {PLUG[0]})


@pytest.mark.parametrize("n_rounds", [1, 3])
def test_recognition_of_parts_has_the_topic_of_each(n_rounds: int) -> None:
    below = "sensors/power/p1meter"
    parts = [(f"{below}/actual_consumption", "345"), (f"{below}/actual_returndelivery", "0")]
    (p1,) = found(recording_of(*parts * n_rounds))
    assert p1.topics == {topic for topic, _ in parts}


def test_with_own_topics_fixes_patterns_that_match_both_meters() -> None:
    recording = recording_of(*(PLUG, SML_HEAD) * 3)
    answer = MeterAnswer()
    meters = [ChosenMeter(answer, one) for one in found(recording)]
    sources = [one.candidate and one.candidate.source for one in with_own_topics(meters, recording, "Europe/Paris")]
    assert sources == [
        {"preset": "tasmota", "topic": PLUG[0], "device": "dryer"},
        {"preset": "tasmota-sml", "topic": SML_HEAD[0], "device": "hichi"},
    ]


def test_sources_of_a_pattern_and_a_topic_read_later_meters_too() -> None:
    recording = recording_of(*(ZIGBEE_PLUG, RELAY) * 3)
    plugs, relay, *_ = found(recording)
    chosen = with_own_topics([ChosenMeter(MeterAnswer(), one) for one in (plugs, relay)], recording, "Europe/Paris")
    sources = SourceQuestions(UnattendedPrompts(), lambda _: None, ["plug", "boiler"]).sources(
        chosen, recording, "Europe/Paris"
    )
    assert [one.get("device") for one in sources] == ["boiler", None]
    later = recording_of(RELAY, ZIGBEE_PLUG, ("zigbee2mqtt/attic", ZIGBEE_PLUG[1]))
    listener = SampleListener(Settings.model_validate({"sources": sources}))
    assert all(listener.receive(received) for received in later.in_order())
    assert {*listener.devices} == {"boiler", "plug", "attic"}


def test_with_own_topics_leaves_other_meters_as_they_are() -> None:
    recording = recording_of(*(PLUG, ZIGBEE_PLUG) * 3)
    meters = [*(ChosenMeter(MeterAnswer(), one) for one in found(recording)), ChosenMeter(MeterAnswer("a/b"), None)]
    assert with_own_topics(meters, recording, "Europe/Paris") == meters


@pytest.mark.parametrize(
    "other",
    [
        '{"pi_heating_demand": 23}',
        '{"load_estimate": 120, "load_room_mean": 130}',
        '{"available_power": 9}',
        '{"consumption": 1234}',
    ],
)
def test_choice_of_a_zigbee_plug_beside_another_device(other: str) -> None:
    recording = recording_of(*(ZIGBEE_PLUG, ("zigbee2mqtt/other", other)) * 3)
    assert only(recording, MeterAnswer()).source == {"preset": "zigbee2mqtt"}


@pytest.mark.parametrize("payload", ['{"pi_heating_demand": 23}', '{"load_estimate": 120}', '{"available_power": 9}'])
def test_guess_of_a_zigbee_device_ignores_other_quantities(payload: str) -> None:
    assert found(recording_of(("zigbee2mqtt/other", payload))) == []


def test_guess_of_a_zigbee_consumption_leaves_the_unit_open() -> None:
    (only_one,) = found(recording_of(("zigbee2mqtt/sink", '{"consumption": 1234}')))
    assert ("preset" in only_one.source, only_one.unit_known) == (False, False)


@pytest.mark.parametrize(
    "other",
    [
        ("weather/bme280", '{"T": 21.3, "H": 45, "P": 1013.2}'),
        ("garden/valve", '{"P1": 1, "P2": 0}'),
        ("garden/valve/P1", "1"),
    ],
)
def test_choice_of_a_preset_beside_an_ambiguous_letter(other: tuple[str, str]) -> None:
    assert only(recording_of(*(PLUG, other) * 3), MeterAnswer()).source == {"preset": "tasmota"}


def test_choice_of_a_preset_beside_a_letter_with_its_counter_is_of_several() -> None:
    reader = ("tele/haus/SENSOR", f'{{{TIME},"MT175":{{"E_in":12345.6,"P":420}}}}')
    with pytest.raises(SettingsError, match="several meters were found"):
        only(recording_of(*(PLUG, reader) * 3), MeterAnswer())
