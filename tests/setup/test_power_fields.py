"""The number of an unknown meter that is its power, found by the names of its keys and its topic."""

from __future__ import annotations

import pytest

from gapcast.core.errors import SettingsError
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.messages.power_role import PowerRole
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.meter_choice import MeterChoice
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.preset_recognition import Candidate
from gapcast.setup.prompts import UnattendedPrompts
from tests.setup.test_preset_recognition import found, recording_of
from tests.support.approximate import approx

ZIGBEE = '{"current":0.42,"energy":12.3,"linkquality":120,"power":96}'
TS011F = (
    '{"child_lock":"UNLOCK","countdown":0,"current":0.42,"energy":12.3,"indicator_mode":"off","linkquality":120,'
    '"power":96,"power_outage_memory":"restore","state":"ON","voltage":231}'
)
OPTICAL_HEAD = '{"Time":"2026-01-01T13:00:00","MT175":{"E_in":12345.6,"E_out":1,"P":420}}'

OF_A_SCRIPT = '{"SML":{"DJ_TPWRIN":4831.6445,"DJ_TPWROUT":9007.7471,"DJ_TPWRCURR":200}}'


def only(recording: MessageRecording, meter: MeterAnswer) -> Candidate:
    """The candidate selected by a script's options."""
    choice = MeterChoice(UnattendedPrompts(), lambda _: None, recording, "Europe/Paris")
    (chosen,) = choice.choose(candidates(recording, "Europe/Paris", meter), meter)
    return chosen


@pytest.mark.parametrize(
    ("topic", "pattern", "payload", "value"),
    [
        ("garage/plug", "garage/{device}", ZIGBEE, "power"),
        ("garage/plug", "garage/plug", TS011F, "power"),
        ("tele/reader/SENSOR", "tele/reader/SENSOR", OPTICAL_HEAD, "MT175.P"),
        ("tele/head/SENSOR", "tele/head/SENSOR", OF_A_SCRIPT, "SML.DJ_TPWRCURR"),
        ("a/b", "a/b", '{"x": 3, "total_power": 7, "energy": 12}', "total_power"),
        ("a/b", "a/b", '{"actual_power": "00.345", "voltage": "231"}', "actual_power"),
    ],
)
def test_choice_selects_the_number_with_the_name_of_a_power(topic: str, pattern: str, payload: str, value: str) -> None:
    chosen = only(recording_of((topic, payload)), MeterAnswer(pattern, unit="W"))
    assert (chosen.source["topic"], chosen.source["value"]) == (pattern, value)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ('{"a": 1, "b": {"c": 2}}', "no number of x/y has the name of a power: name it with --value, one of a, b.c"),
        ('{"RSSI": 12, "timestamp": 1, "x": 2}', "name it with --value, one of x, RSSI, timestamp"),
        (
            '{"v": 3, "solar_power": 1, "grid_power": 2}',
            "several numbers of x/y may be its power: name it with --value, one of grid_power, solar_power",
        ),
    ],
)
def test_choice_without_a_single_power_asks_for_value(payload: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        only(recording_of(("x/y", payload)), MeterAnswer("x/y", unit="W"))


def test_guess_offers_every_power_of_a_message() -> None:
    others = ",".join(f'"x{i}":{i}' for i in range(20))
    powers = ",".join(f'"power{i}":{i}' for i in range(20))
    offered = [one.source["value"] for one in found(recording_of(("a/b", f"{{{others},{powers}}}")), topic="a/b")]
    assert offered[:20] == [f"power{i}" for i in range(20)]
    assert len(offered) == 28


def test_guess_merges_all_messages_of_a_topic() -> None:
    recording = recording_of(*[("a/b", '{"power_w":450}'), ("a/b", '{"temperature":21}')] * 2)
    (only_one,) = found(recording)
    assert (only_one.source["value"], only_one.devices) == ("power_w", {"b": approx(0.45)})


@pytest.mark.parametrize(
    "topic",
    [
        "house/grid/voltage", "house/grid/frequency", "evcc/site/grid/energy", "house/load/temperature",
        "house/grid/current/state", "N/x/system/0/Ac/Grid/NumberOfPhases",
    ],
)  # fmt: skip
@pytest.mark.parametrize("payload", ["231", '{"value": 231}'])
def test_guess_ignores_other_quantities_below_a_power(topic: str, payload: str) -> None:
    assert [one for one in found(recording_of((topic, payload))) if not one.is_counter] == []


def test_choice_of_a_filter_ignores_other_quantities() -> None:
    recording = recording_of(("house/grid/voltage", "231"))
    with pytest.raises(SettingsError, match="if it is one, pass --topic house/grid/voltage"):
        only(recording, MeterAnswer("house/#", unit="W"))


@pytest.mark.parametrize(
    ("topic", "payload", "source"),
    [
        ("N/c0/system/0/Ac/Grid/L1/Power", '{"value": 443}', {"device": "L1", "value": "value"}),
        (
            "zwave/attic/50/0/Electric_W_Consumed",
            '{"time": 1767268800000, "value": 443}',
            {"device": "Electric_W_Consumed", "value": "value", "unit": "W"},
        ),
        (
            "zwave/attic/meter/endpoint_0/value/66049",  # Z-Wave JS UI 11.22, valueTopic in api/lib/Gateway.ts
            '{"time": 1735906853203, "value": 3.395}',
            {"device": "attic", "value": "value", "unit": "W"},
        ),
        ("zwave/nodeID_5/50/0/value/66049", "3.395", {"device": "nodeID_5", "format": "number", "unit": "W"}),
        ("meters/power/kitchen", "443", {"device": "kitchen", "format": "number"}),
        ("shed/power/total", "443", {"device": "total", "format": "number"}),
    ],
)
def test_guess_names_a_value_by_its_topic(topic: str, payload: str, source: dict[str, str]) -> None:
    (only_one,) = found(recording_of((topic, payload)))
    assert only_one.source == {"topic": topic} | source


SHRDZM = (
    '{"timestamp":"2026-01-01T13:00:00","1.8.0":"11241092","2.8.0":"333163","3.8.0":"106565","4.8.0":"7282188",'
    '"1.7.0":"0","2.7.0":"403","3.7.0":"0","4.7.0":"275","16.7.0":"-403","uptime":"0008:06:36:16"}'
)
AMIS = (
    '{"time":"1767268800","1.8.0":"3826289","2.8.0":"0","3.8.1":"1234","4.8.1":"12","1.7.0":"256","2.7.0":"0",'
    '"3.7.0":"0","4.7.0":"12","1.128.0":"0","saldo":"256"}'
)
P1IB = "p1ib_momentary_active_import"


@pytest.mark.parametrize(
    ("messages", "powers"),
    [
        ([(f"emon/emonTx4/{name}", "345") for name in ("P1", "P2", "E1", "Vrms", "rssi")], ["P1", "P2"]),
        ([("emon/emonTx4", '{"MSG": 1, "Vrms": 231.2, "P1": 345, "P2": -1200, "E1": 1234}')], ["P1", "P2"]),
        ([("gplug/tele/SENSOR", '{"z": {"Pi": 0.345, "Po": 0, "I1": 1.2, "Ei": 123.4}}')], ["z.Pi", "z.Po"]),
        ([("p1ib/x", f'{{"{P1IB}": 0.3, "p1ib_hourly_active_import_q1_q4": 1}}')], [P1IB]),
        ([(f"smartmeter/0/1-0:{code}_0/value", "345") for code in ("16_7", "1_8", "2_8")], ["1-0:16_7_0"]),
        ([(f"vzlogger/meter/1-0:{code}.0*255", "345") for code in ("16.7", "1.8")], ["1-0:16.7.0*255"]),
        ([("a/b", '{"16_7_0": 0.345, "1_8_0": 1234}')], ["16_7_0"]),
        ([("SHRDZM/E8DB84A1B2C3/E8DB84A1B2C3/sensor", SHRDZM)], ["16.7.0"]),
        ([("amis/out", AMIS)], ["1.7.0", "2.7.0"]),
        ([("a/b", '{"data": {"1-0:16.7.0*255": {"value": 345, "scale": -1}}}')], ["data.1-0:16.7.0*255.value"]),
    ],
)
def test_guess_of_symbols_of_power(messages: list[tuple[str, str]], powers: list[str]) -> None:
    offered = [one.number or next(iter(one.topics)).split("/")[2] for one in found(recording_of(*messages))]
    assert offered == powers


@pytest.mark.parametrize(
    ("topic", "payload", "value", "kw"),
    [("SHRDZM/x/x/sensor", SHRDZM, None, -0.403), ("amis/out", AMIS, "1.7.0 - 2.7.0", 0.256)],
)
def test_choice_reads_keys_with_dots(topic: str, payload: str, value: str | None, kw: float) -> None:
    chosen = only(recording_of((topic, payload)), MeterAnswer(topic, value=value, unit="W"))
    assert (chosen.source["value"], list(chosen.devices.values())) == (value or "16.7.0", [approx(kw)])


@pytest.mark.parametrize("message", [("dust/x", '{"SDS_P1": 12.3, "p1": 3}'), ("home/P1/gas", "3"), ("home/p1", "3")])
def test_guess_ignores_what_is_no_symbol_of_power(message: tuple[str, str]) -> None:
    assert found(recording_of(message)) == []


KAIFA = [
    ("Smartmeter/WirkenergieP", "12345.6"),
    ("Smartmeter/WirkenergieN", "0"),
    ("Smartmeter/MomentanleistungP", "345"),
    ("Smartmeter/MomentanleistungN", "0"),
    ("Smartmeter/Momentanleistung", "345"),
    ("Smartmeter/SpannungL1", "230.1"),
    ("Smartmeter/StromL1", "1.23"),
]


def test_guess_of_german_compounds_offers_the_import_first() -> None:
    offered = found(recording_of(*KAIFA))
    assert [next(iter(one.topics)).rpartition("/")[2] for one in offered] == [
        "MomentanleistungP",
        "Momentanleistung",
        "MomentanleistungN",
    ]
    assert [one.role for one in offered] == [PowerRole.HOUSE, PowerRole.UNKNOWN, PowerRole.GENERATION]


@pytest.mark.parametrize(
    ("name", "is_power"),
    [
        ("wirkleistung", True),
        ("Gesamtleistung", True),
        ("NetzleistungP", True),
        ("Leistung_L1", True),
        ("leistungW", True),
        ("Blindleistung", False),
        ("ScheinleistungP", False),
        ("Nennleistung", False),
        ("Maximalleistung", False),
        ("Heizleistung", False),
        ("Leistungsfaktor", False),
    ],
)
def test_guess_of_german_compounds(name: str, is_power: bool) -> None:
    assert bool(found(recording_of(("haus/zaehler", f'{{"{name}": 345}}')))) is is_power


EVENTS = "shellyplugsg3-1/events/rpc"
EVENT = '{"src":"x","method":"NotifyEvent","params":{"ts":1767268800.0,"events":[{"component":"sys","event":"x"}]}}'


def test_recording_keeps_a_power_among_many_other_messages() -> None:
    power = '{"method":"NotifyStatus","params":{"ts":1767268800.0,"switch:0":{"id":0,"apower":412.0}}}'
    recording = recording_of((EVENTS, power), *[(EVENTS, EVENT)] * 100)
    (only_one,) = found(recording)
    assert (only_one.source, only_one.devices) == ({"preset": "shelly-gen2"}, {"shellyplugsg3-1": approx(0.412)})
    assert recording.of_topic[EVENTS].newest.publication.payload == EVENT.encode()


def test_recording_of_a_topic_is_bounded() -> None:
    plug = ("tele/x/SENSOR", '{"Time":"2026-01-01T13:00:00","ENERGY":{"Power":230}}')
    others = [(plug[0], f'{{"power{i % 40}": {i}}}') for i in range(2_000)]
    recording = recording_of(plug, *others)
    assert len(recording.of_topic[plug[0]]) <= 16 * 16
    assert [one.source for one in found(recording)] == [{"preset": "tasmota"}]


@pytest.mark.parametrize(
    ("payload", "keys"),
    [
        ('{"value": 100}', {"part_value": "value"}),
        ('{"voltage": 231, "power_w": 100}', {"part_value": "power_w"}),
        ("100", {"format": "number"}),
    ],
)
def test_sum_of_parts_reads_json_messages(payload: str, keys: dict[str, str]) -> None:
    topic, value = "N/c0/system/0/Ac/Grid/{part}/Power", "L1 + L2 + L3"
    phases = recording_of(*[(topic.replace("{part}", f"L{i}"), payload) for i in (1, 2, 3)])
    chosen = only(phases, MeterAnswer(topic, value=value, unit="W"))
    assert chosen.source == {"topic": topic, "device": "home", "value": value, "unit": "W"} | keys
    assert chosen.devices == {"home": approx(0.3)}


def test_sum_of_parts_without_a_single_power_is_an_error() -> None:
    parts = recording_of(*[(f"x/{part}/y", '{"a": 1, "b": 2}') for part in ("p", "q")])
    with pytest.raises(SettingsError, match=r"write its part_value by hand \(docs/meters.md\), one of a, b"):
        only(parts, MeterAnswer("x/{part}/y", value="p + q", unit="W"))


@pytest.mark.parametrize(
    ("messages", "source"),
    [
        ([("a/b", '{"average_power_w": 345, "energy_kwh": 12.3}')], {"value": "average_power_w", "unit": "W"}),
        ([("a/b", '{"active_power_w": 410, "active_power_average_w": 1}')], {"value": "active_power_w"}),
        ([("a/b", '{"power_average": 345, "power": 410}')], {"value": "power"}),
        ([("a/b", '{"power_1min_avg": 345, "total_power": 410}')], {"value": "total_power"}),
    ],
)
@pytest.mark.parametrize("meter", [MeterAnswer(), MeterAnswer("a/b"), MeterAnswer("a/b", unit="W")])
def test_choice_of_an_average_only_without_another_power(
    messages: list[tuple[str, str]], source: dict[str, str], meter: MeterAnswer
) -> None:
    chosen = only(recording_of(*messages), meter).source
    assert source.items() <= ({"value": "power"} | chosen).items()


def test_choice_of_a_power_beside_its_average_of_another_topic() -> None:
    below = "esphome/sensor"
    recording = recording_of((f"{below}/power_1min_avg/state", "345"), (f"{below}/power/state", "410"))
    assert only(recording, MeterAnswer()).topics == {f"{below}/power/state"}
    assert only(recording_of((f"{below}/power_average/state", "345")), MeterAnswer()).number is None
