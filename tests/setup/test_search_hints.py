"""What setup says if it detects no meter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.meter_search import ChosenMeter
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.search_hints import advice, field_hint, shown_messages, tasmota_hint
from gapcast.setup.meters.source_questions import SourceQuestions
from gapcast.setup.prompts import UnattendedPrompts
from tests.setup.conftest import TEMPERATURE, Script, Setup, sending
from tests.setup.test_preset_recognition import recording_of
from tests.support.approximate import approx
from tests.support.brokers import MosquittoBroker
from tests.support.ports import LOOPBACK

READER = ("attic/reader", '{"timestamp": 1796113803703, "value": 361.2, "rssi": -60}')
SELECT_VALUE = "select the number that is the power: --topic attic/reader --value PATH --unit W"
LWT = ("tele/dryer/LWT", "Online")
SENTENCE = "Tasmota device dryer sends every 300 s by default: enter `TelePeriod 10` on its console, or pass --wait 310"


@pytest.mark.parametrize("messages", [[LWT], [LWT, ("stat/dryer/POWER", "ON")], [("tele/dryer/STATE", "{}")]])
def test_hint_names_tasmota_and_its_period(messages: list[tuple[str, str]]) -> None:
    assert tasmota_hint(recording_of(*messages), MeterAnswer()) == SENTENCE
    assert advice(recording_of(*messages, TEMPERATURE), MeterAnswer()) == SENTENCE


@pytest.mark.parametrize("meter", [MeterAnswer(preset="tasmota"), MeterAnswer("tele/+/SENSOR", "tasmota")])
def test_hint_for_tasmota_without_any_message(meter: MeterAnswer) -> None:
    hint = tasmota_hint(MessageRecording(), meter)
    assert hint == SENTENCE.replace("device dryer sends", "devices send")


def test_hint_for_tasmota_is_only_of_devices_that_sent_nothing() -> None:
    temperature = ("tele/attic/SENSOR", '{"Time":"2026-01-01T13:00:00","DS18B20":{"Temperature":21.5}}')
    attic = [temperature, ("tele/attic/LWT", "Online")]
    for meter in (MeterAnswer(), MeterAnswer(preset="tasmota"), MeterAnswer("tele/{device}/SENSOR", "tasmota")):
        assert tasmota_hint(recording_of(*attic), meter) is None
        assert tasmota_hint(recording_of(*attic, LWT), meter) == SENTENCE
        assert advice(recording_of(*attic), meter).endswith(("or listen longer (--wait)", "sends every 5 minutes"))


@pytest.mark.parametrize("topic", [None, "tele/{device}/SENSOR", "tele/head/SENSOR"])
def test_hint_for_a_preset_names_other_powers(topic: str | None) -> None:
    head = ("tele/head/SENSOR", '{"Time":"2026-01-01T13:00:00","SML":{"Power_curr":230,"E_in":12.3}}')
    hint = advice(recording_of(("lab/power", '{"power": 1}'), head), MeterAnswer(topic, "tasmota"))
    chosen = "--preset tasmota --topic tele/head/SENSOR --value SML.Power_curr"
    assert (
        hint
        == f"the powers on tele/head/SENSOR are SML.Power_curr: select one, such as {chosen}; or listen longer (--wait)"
    )
    assert advice(recording_of(head), MeterAnswer(topic, "tasmota", "SML.Power_curr")).startswith("listen longer")


def test_hint_names_no_number_if_none_has_the_name_of_a_power() -> None:
    recording = recording_of(READER)
    assert tasmota_hint(recording, MeterAnswer()) is None
    assert advice(recording, MeterAnswer()) == f"{SELECT_VALUE}; or listen longer (--wait)"
    assert [*shown_messages(recording)][1] == "    numbers: value, timestamp, rssi"
    assert field_hint(recording_of(("a/b", "on"))) is None
    assert field_hint(recording_of(TEMPERATURE)) is None


def test_hint_for_bare_numbers_names_a_topic_without_a_value() -> None:
    recording = recording_of(("a/b", "on"), ("emon/emonTx 4/x", "412"))
    assert field_hint(recording) == "select the number that is the power: --topic 'emon/emonTx 4/x' --unit W"


IMPORTS = ("tibber/house", '{"power": 500, "powerProduction": null}')
NET = MeterAnswer(IMPORTS[0], value="power - powerProduction", unit="W")


@pytest.mark.parametrize("meter", [NET, replace(NET, unit=None)])
def test_null_of_the_other_direction_counts_as_zero(meter: MeterAnswer) -> None:
    (chosen,) = candidates(recording_of(IMPORTS, IMPORTS), "Europe/Paris", meter)
    assert (chosen.source["value"], chosen.source["null_is_zero"]) == (meter.value, True)
    shown: list[str] = []
    (source,) = SourceQuestions(UnattendedPrompts(), shown.append, ()).sources(
        [ChosenMeter(NET, chosen)], MessageRecording(), "Europe/Paris"
    )
    assert source == {"topic": IMPORTS[0], "device": "house", "value": NET.value, "unit": "W", "null_is_zero": True}
    assert shown[0] == "  power - powerProduction: null counts as 0, as no power in this direction (null_is_zero)"


def test_numbers_for_both_directions_need_no_null_is_zero() -> None:
    recording = recording_of(IMPORTS, (IMPORTS[0], '{"power": 500, "powerProduction": 0}'))
    (chosen,) = candidates(recording, "Europe/Paris", NET)
    assert "null_is_zero" not in chosen.source


def test_advice_on_null_for_a_term_of_a_sum_names_null_is_zero() -> None:
    recording = recording_of(("a/b", '{"l1": 500}'), ("a/b", '{"l1": 500, "l2": null}'))
    meter = MeterAnswer("a/b", value="l1 + l2", unit="W")
    assert candidates(recording, "Europe/Paris", meter) == []
    assert advice(recording, meter).startswith("l2 is null: if that means no power, set null_is_zero = true")
    assert "null" not in advice(recording_of(("a/b", '{"l1": null, "l2": null}')), meter)


AMS_RAW = [("ams/meter/import/active", "1007"), ("ams/meter/export/active", "0"), ("ams/meter/l1/voltage", "240.7")]
DOMOTICZ = '{"Battery":255,"RSSI":12,"hwid":"3","id":"1","idx":1,"nvalue":0,"svalue1":"9127432","svalue5":"439"}'
VZLOGGER = [(f"vzlogger/data/chn{i}/raw", '{ "timestamp": 1796113803703, "value": 361.2 }') for i in (0, 1)]


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ([("a/b", '{"version": "1", "data": [[1, 2]]}')], ": --topic a/b --value PATH --unit W"),
        ([("a/b", '{"code": "021", "x": 812}')], ": --topic a/b --value PATH --unit W"),
        ([("a/b", '{"code": "021"}'), ("c/d", "412")], ": --topic TOPIC --unit W, and --value PATH in JSON"),
        ([("a/humidity", "55"), ("b/house_power", "543")], ", such as --topic b/house_power --unit W"),
        ([("a/b", '{"x": 3, "power": "412"}')], ", such as --topic a/b --value power --unit W"),
        (
            [("a/b", '{"p": {"power": {"value": 0.4, "units": "kW"}}}')],
            ", such as --topic a/b --value p.power.value --unit kW",
        ),
        (AMS_RAW, ": --topic TOPIC --unit W"),
        ([("domoticz/out", DOMOTICZ)], ": --topic domoticz/out --value PATH --unit W"),
        (VZLOGGER, ": --topic TOPIC --value PATH --unit W"),
    ],
)
def test_hint_names_only_a_power_by_its_name(messages: list[tuple[str, str]], options: str) -> None:
    assert field_hint(recording_of(*messages)) == f"select the number that is the power{options}"


@pytest.mark.parametrize(
    ("message", "meter"),
    [
        (("a/power", "543000"), MeterAnswer("a/power", unit="W")),
        (("a/b", '{"power": 543000}'), MeterAnswer("a/b", value="power", unit="W")),
        (READER, MeterAnswer("attic/reader", value="timestamp", unit="W")),
    ],
)
def test_advice_is_not_the_command_that_failed(message: tuple[str, str], meter: MeterAnswer) -> None:
    recording = recording_of(message)
    assert candidates(recording, "Europe/Paris", meter) == []
    assert advice(recording, meter) == "its numbers are out of the range of a power in W"
    assert advice(recording, replace(meter, unit="kW")).endswith("of a power in kW: if they are in W, pass --unit W")
    assert meter.value is None or advice(recording, replace(meter, unit=None)).endswith("of a power in W or kW")


@pytest.mark.parametrize(
    ("message", "meter"),
    [
        (("a/b", '{"power": {"value": 403, "unit": "kW"}}'), MeterAnswer("a/b", value="power.value")),
        (("a/b", '{"power_kw": 403}'), MeterAnswer("a/b")),
        (("a/b", '{"in_kw": 403, "out_kw": 0}'), MeterAnswer("a/b", value="in_kw - out_kw")),
    ],
)
def test_watts_that_are_named_kw_are_offered_without_a_unit(message: tuple[str, str], meter: MeterAnswer) -> None:
    recording = recording_of(message)
    chosen = candidates(recording, "Europe/Paris", meter)[0]
    assert (chosen.unit_known, "unit" in chosen.source, [*chosen.devices.values()]) == (False, False, [approx(403.0)])
    in_kw = replace(meter, value=chosen.number, unit="kW")
    assert candidates(recording, "Europe/Paris", in_kw) == []
    assert advice(recording, in_kw).endswith("if they are in W, pass --unit W")
    in_watts = candidates(recording, "Europe/Paris", replace(in_kw, unit="W"))[0]
    assert (in_watts.source["unit"], [*in_watts.devices.values()]) == ("W", [approx(0.403)])


def test_given_unit_in_which_a_number_is_out_of_range_is_no_candidate() -> None:
    recording = recording_of(("a/power", "403"))
    assert candidates(recording, "Europe/Paris", MeterAnswer("a/power", unit="kW")) == []
    counter = MeterAnswer("a/b", value="n", unit="Wh")
    assert advice(recording_of(("a/b", '{"n": 1e30}')), counter).endswith("of the range of an energy counter in Wh")


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (("openhab/GridPower/state", "1234.5 W"), "openhab/GridPower/state is the text '1234.5 W'"),
        (
            ("stromleser/one", '{"timestamp":"1776178480","1.8.0":"12345.000 Wh","16.7.0":"8.160 W","rssi":"-51"}'),
            "16.7.0 on stromleser/one is the text '8.160 W'",
        ),
    ],
)
def test_advice_on_a_power_that_is_a_text_with_its_unit(message: tuple[str, str], what: str) -> None:
    hint = advice(recording_of(("a/b", "12 km"), message), MeterAnswer())
    assert hint == f"{what}: let the meter send the number without its unit; or listen longer (--wait)"


def test_hint_without_numbers_is_to_listen_longer() -> None:
    assert advice(MessageRecording(), MeterAnswer()).startswith("listen longer, such as --wait 700")
    assert advice(recording_of(TEMPERATURE), MeterAnswer(preset="p1-esp")).startswith("listen longer, such as --wait")


@pytest.mark.mosquitto
@pytest.mark.e2e
def test_setup_unattended_advises_on_what_it_received(script: Script, folder: Path, mosquitto: MosquittoBroker) -> None:
    arguments = ["setup", "--yes", "--broker", f"{LOOPBACK}:{mosquitto.port}"]
    with sending(mosquitto, [READER]):
        done = script(*arguments, enough=5)
    assert done.returncode == 1
    assert SELECT_VALUE in done.stderr
    assert "numbers: value, timestamp, rssi" in done.stdout
    with sending(mosquitto, [LWT]):
        slow = script(*arguments, enough=5)
    assert SENTENCE in slow.stderr
    assert not list(folder.iterdir())


@pytest.mark.mosquitto
@pytest.mark.e2e
def test_setup_advises_before_it_listens_again(setup: Setup, mosquitto: MosquittoBroker) -> None:
    with sending(mosquitto, [LWT]), setup("--broker", f"{LOOPBACK}:{mosquitto.port}") as person:
        person.wait_for(" on 1 topic; ")
        person.press_enter()
        person.wait_for(SENTENCE)
        person.wait_for("Listen again?")


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (("garage/meter/power", "1,5"), "garage/meter/power is the text '1,5'"),
        (("garage/meter", '{"power": "-0,44", "rssi": -51}'), "power on garage/meter is the text '-0,44'"),
    ],
)
def test_advice_on_a_number_with_a_decimal_comma(message: tuple[str, str], what: str) -> None:
    hint = advice(recording_of(message), MeterAnswer())
    assert hint == f"{what}: let the meter send it with a decimal point, as in 1.5; or listen longer (--wait)"
