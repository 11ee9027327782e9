"""Numbers in lists, and numbers with their unit beside them."""

from __future__ import annotations

import json

import pytest

from gapcast.core.errors import SettingsError
from gapcast.setup.messages.number_fields import NumberKind, number_fields
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.preset_recognition import read_by
from gapcast.setup.meters.search_hints import shown_messages
from tests.setup.test_power_fields import only
from tests.setup.test_preset_recognition import found, recording_of
from tests.support.approximate import approx

#: https://github.com/evcc-io/evcc/issues/10373: home, grid, car, relay, solar, battery.
GO_E = ("go-eController/912345/ccp", "[2344.494,2332.254,0,null,12.23985,null,null,null]")
PHASES = [[236.0, 4.4, -1044.0, 10567.91, 1234.03], [231.0, 2.2, 450.0, 3.5, 0.1], [232.0, 3.2, 700.0, 3.5, 0.1]]
IAMMETER = ("device/1EA2B3C4/realtime", json.dumps({"method": "uploadsn", "SN": "1EA2B3C4", "Datas": PHASES}))
ENVOY = (
    "envoy/json",
    '{"production":[{"type":"inverters","activeCount":10,"wNow":1200},{"type":"eim","wNow":1234.5,"whLifetime":1000.0}],'
    '"consumption":[{"measurementType":"total-consumption","wNow":734.5},'
    '{"measurementType":"net-consumption","wNow":-500.0}],"storage":[]}',
)
#: https://github.com/mrWheel/DSMRloggerAPI/issues/28
DSMR = [
    ("DSMR-API/power_delivered", '{"power_delivered":[{"value":1.674,"unit":"kW"}]}'),
    ("DSMR-API/power_returned", '{"power_returned":[{"value":0.000,"unit":"kW"}]}'),
    ("DSMR-API/energy_delivered_tariff1", '{"energy_delivered_tariff1":[{"value":1234.123,"unit":"kWh"}]}'),
]
GLOW = (
    "glow/441793000000/SENSOR/electricitymeter",
    '{"electricitymeter":{"timestamp":"2026-12-01T08:00:00Z","energy":{"export":{"cumulative":0.000,"units":"kWh"},'
    '"import":{"cumulative":6613.405,"day":13.252,"units":"kWh","mpan":"1234"}},"power":{"value":1.085,"units":"kW"}}}',
)

POWER_OF_GLOW = "electricitymeter.power.value"


@pytest.mark.parametrize(
    ("message", "value", "power_kw"),
    [
        (GO_E, "1", 2.332254),
        (IAMMETER, "Datas.0.2", -1.044),
        (ENVOY, "consumption.1.wNow", -0.5),
        (("a/b", '{"phases":[{"power":100},{"power":20}]}'), "phases.1.power", 0.02),
    ],
)
def test_numbers_of_lists_are_offered(message: tuple[str, str], value: str, power_kw: float) -> None:
    offered = candidates(recording_of(message), "Europe/Paris", MeterAnswer(message[0], unit="W"))
    (chosen,) = [one for one in offered if one.number == value]
    assert [*chosen.devices.values()] == [approx(power_kw)]


def test_numbers_of_lists_are_listed_if_none_is_a_power() -> None:
    assert [*shown_messages(recording_of(GO_E))][1] == "    numbers: 0, 1, 2, 4"
    assert found(recording_of(GO_E)) == []


def test_guess_names_a_value_of_a_list_by_its_keys() -> None:
    offered = found(recording_of(*DSMR))
    assert [(one.source["topic"], one.source["value"], one.source["unit"]) for one in offered] == [
        (DSMR[0][0], "power_delivered.0.value", "kW"),
        (DSMR[1][0], "power_returned.0.value", "kW"),
    ]
    assert [one.number for one in found(recording_of(ENVOY))] == [
        f"{name}.{i}.wNow" for name in ("consumption", "production") for i in (0, 1)
    ]


def test_parts_with_lists_are_read_by_a_part_value_each() -> None:
    source = {"topic": "DSMR-API/{part}", "device": "home", "value": "power_delivered - power_returned", "unit": "kW"}
    of_parts = {"part_value": ["power_delivered.0.value", "power_returned.0.value"]}
    candidate = read_by(source | of_parts, recording_of(*DSMR), "Europe/Paris")
    assert candidate is not None
    assert candidate.devices == {"home": approx(1.674)}


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ('{"total_power": 700, "phases": [{"power": 500}, {"power": 200}]}', "total_power"),
        ('{"power": 700, "powers": [500, 200]}', "power"),
        ('{"meters": [{"power": 700}]}', "meters.0.power"),
        (json.dumps({"power": 700, "forecast_power": [*range(17)]}), "power"),
    ],
)
def test_choice_prefers_a_power_to_the_items_of_a_list(payload: str, value: str) -> None:
    assert only(recording_of(("a/b", payload)), MeterAnswer("a/b", unit="W")).number == value


def test_choice_among_the_items_of_a_list_asks_for_value() -> None:
    with pytest.raises(SettingsError, match=r"name it with --value, one of phases.0.power, phases.1.power"):
        only(recording_of(("a/b", '{"phases": [{"power": 1}, {"power": 2}]}')), MeterAnswer("a/b", unit="W"))


def test_long_lists_are_no_numbers_of_a_meter() -> None:
    assert number_fields("a/b", [json.dumps({"power": [*range(17)]}).encode()]) == []
    assert len(number_fields("a/b", [json.dumps({"power": [*range(16)]}).encode()])) == 16
    assert number_fields("a/power", [json.dumps([*range(17)]).encode()]) == []
    assert len(number_fields("a/power", [json.dumps([*range(16)]).encode()])) == 16


@pytest.mark.parametrize("meter", [MeterAnswer(), MeterAnswer(GLOW[0]), MeterAnswer(GLOW[0], value=POWER_OF_GLOW)])
def test_unit_beside_a_value_is_used(meter: MeterAnswer) -> None:
    chosen = only(recording_of(GLOW), meter)
    assert chosen.source == {"topic": GLOW[0], "device": "electricitymeter", "value": POWER_OF_GLOW, "unit": "kW"}
    assert [*chosen.devices.values()] == [approx(1.085)]


@pytest.mark.parametrize(
    ("payload", "kind", "unit"),
    [
        ('{"consumption": {"value": 5012.3, "unit": "kWh"}}', NumberKind.ENERGY, "kWh"),
        ('{"load": {"value": 30, "unit": "%"}}', NumberKind.OTHER, None),
        ('{"power": {"value": 403, "unit": "Watt"}}', NumberKind.POWER, "W"),
        ('{"load": {"value": 403, "unit": "watts"}}', NumberKind.POWER, "W"),
        ('{"power": {"value": 0.4, "unit": "Kilowatt"}}', NumberKind.POWER, "kW"),
        ('{"power": {"value": 403, "unit": "вт"}}', NumberKind.WEAK_POWER, None),
        ('{"load": {"value": 403, "unit": "вт"}}', NumberKind.OTHER, None),
        ('{"power": {"value": 403, "unit": "VA"}}', NumberKind.OTHER, None),
        ('{"total_power_import": {"value": 403, "unit": "MJ"}}', NumberKind.OTHER, None),
        ('{"power": {"value": 30, "unit": ""}}', NumberKind.POWER, None),
        ('{"power": {"value": 30, "unit": null}}', NumberKind.POWER, None),
        ('{"power": {"Value": 30, "units": " w"}}', NumberKind.POWER, "W"),
        ('{"power": 30, "unit": "kW"}', NumberKind.POWER, None),
        ('{"saldo": {"value": 30, "unit": "W"}}', NumberKind.OTHER, "W"),
    ],
)
def test_unit_beside_a_value_precedes_its_name(payload: str, kind: NumberKind, unit: str | None) -> None:
    (field,) = number_fields("a/b", [payload.encode()])
    assert (field.kind, field.unit) == (kind, unit)


def test_units_of_a_sum_that_differ_are_asked_for() -> None:
    payload = '{"a": {"value": 1, "unit": "kW"}, "b": {"value": 20, "unit": "W"}}'
    chosen = only(recording_of(("x/y", payload)), MeterAnswer("x/y", value="a.value - b.value"))
    assert not chosen.unit_known
