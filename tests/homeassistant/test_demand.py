"""A house's demand in a real Home Assistant: its entities, the limit set there, and both blueprints.

Skipped without Home Assistant: scripts/try-home-assistant installs it and runs this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from gapcast.mqtt.discovery.discovery_demand import PEAK_OFF, PEAK_ON
from tests.support.brokers import MosquittoBroker
from tests.support.demand_house import (
    CHANGE_S,
    MAX_KW,
    PAST_MINUTE,
    SHED,
    START,
    DemandHouse,
    home_assistant_with_blueprints,
)
from tests.support.home_assistant import HomeAssistant
from tests.support.optional_tools import home_assistant_command
from tests.support.peers import Peer, peer_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.homeassistant, pytest.mark.mosquitto]
HEATER, DISHWASHER, WAITS = "input_boolean.heater", "input_boolean.dishwasher", "input_boolean.dishwasher_waits"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoBroker]:
    started = MosquittoBroker(tmp_path_factory.mktemp("mosquitto"))
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def home(broker: MosquittoBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    command = home_assistant_command()
    assert command is not None
    started = home_assistant_with_blueprints(command, tmp_path_factory.mktemp("home") / "config", broker.port)
    yield started
    started.stop()


@pytest.fixture
def peer(broker: MosquittoBroker) -> Iterator[Peer]:
    with peer_of(broker.host, broker.port) as connected:
        yield connected


def wait_state(home: HomeAssistant, entity: str, expected: str) -> None:
    wait_until(lambda: home.value(entity) == expected, lambda: f"{expected}: {home.state(entity)}", CHANGE_S)


def switch(home: HomeAssistant, entity: str, to: str) -> None:
    home.call(f"input_boolean.turn_{to}", entity_id=entity)
    wait_state(home, entity, to)


# --- its entities -------------------------------------------------------------------------------------


def test_demand_values_have_entities(home: HomeAssistant, peer: Peer) -> None:
    house = DemandHouse(home, peer, "Heat-pump.1")
    document = house.show(p_exceed=0.1234, headroom_w=-250)
    shown = {kind: house.value(kind) for kind in ("expected_demand", "headroom", "month_peak", "limit")}
    assert shown == {"expected_demand": 1.4, "headroom": -250, "month_peak": 2.1, "limit": 2.5}
    assert (house.value("peak_probability"), house.value("peak_expected", "binary_sensor")) == (12.3, "off")
    attributes = (home.state(house.entity("headroom")) or {})["attributes"]
    assert {key: attributes[key] for key in document} == document
    assert (attributes["unit_of_measurement"], attributes["device_class"]) == ("W", "power")


def test_demand_without_a_limit_or_a_peak_is_unknown(home: HomeAssistant, peer: Peer) -> None:
    house = DemandHouse(home, peer, "unlimited")
    house.show(limit_kw=None, limit_source="none", p_exceed=0.0, month_peak_kw=None)
    assert {house.value(kind) for kind in ("limit", "month_peak")} == {"unknown"}
    assert house.value("set_limit", "number") == "unknown"
    assert house.value("peak_expected", "binary_sensor") == "off"


def test_demand_of_a_late_reading_is_unknown(home: HomeAssistant, peer: Peer) -> None:
    house = DemandHouse(home, peer, "late")
    until = house.show(p_exceed=PEAK_ON)["valid_until"]
    house.wait_value("on", "peak_expected", "binary_sensor")
    house.show(p_exceed=PEAK_ON, valid_until=until, issued_at=until)
    assert {house.value(kind) for kind in ("headroom", "expected_demand", "peak_probability")} == {"unknown"}
    assert house.value("peak_expected", "binary_sensor") == "unknown"
    assert house.value("month_peak") == 2.1


def test_demand_limit_below_the_lowest_one_keeps_the_setting(home: HomeAssistant, peer: Peer) -> None:
    house = DemandHouse(home, peer, "unbilled")
    house.show()
    house.wait_value(2.5, "set_limit", "number")
    house.show(limit_kw=0.0, limit_source="month_peak")
    house.wait_value(0.0, "limit")
    assert house.value("set_limit", "number") == 2.5
    assert home.complaints("Invalid value") == []


def test_peak_expected_has_hysteresis(home: HomeAssistant, peer: Peer) -> None:
    house = DemandHouse(home, peer, "peaky")
    between = (PEAK_ON + PEAK_OFF) / 2
    for p_exceed, expected in ((between, "off"), (PEAK_ON, "on"), (between, "on"), (PEAK_OFF - 0.01, "off")):
        house.show(p_exceed=p_exceed)
        house.wait_value(expected, "peak_expected", "binary_sensor")
    house.show(p_exceed=between)
    assert house.value("peak_expected", "binary_sensor") == "off"


def test_limit_is_set_and_reset_from_home_assistant(home: HomeAssistant, peer: Peer) -> None:
    house = DemandHouse(home, peer, "limited")
    house.show()
    number = house.entity("set_limit", "number")
    attributes = (home.state(number) or {})["attributes"]
    assert (attributes["min"], attributes["max"], attributes["step"]) == (0.1, MAX_KW, 0.1)
    house.wait_value(2.5, "set_limit", "number")
    home.call("number.set_value", entity_id=number, value=4.2)
    assert [message.payload for message in peer.wait_for(house.limit_topic)] == [b"4.2"]
    house.wait_value(4.2, "set_limit", "number")
    house.show(limit_kw=None, limit_source="none")
    house.wait_value(4.2, "set_limit", "number")  # it applies again in the active hours
    home.call("button.press", entity_id=house.entity("configured_limit", "button"))
    assert peer.wait_for(house.limit_topic, 2)[1].payload == b""
    house.show(limit_kw=2.75)
    house.wait_value(2.75, "set_limit", "number")
    assert not any(message.retained for message in peer.on(house.limit_topic))


def test_demand_entities_leave_when_it_is_switched_off(home: HomeAssistant, peer: Peer) -> None:
    house = DemandHouse(home, peer, "leaving")
    house.show()
    house.set_available(available=False)
    house.wait_value("unavailable", "headroom")
    house.wait_value("unavailable", "set_limit", "number")
    house.announce(has_demand=False)
    for kind, domain in (
        ("headroom", "sensor"), ("peak_expected", "binary_sensor"), ("set_limit", "number"),
        ("configured_limit", "button"),
    ):  # fmt: skip
        house.wait_value(None, kind, domain)


# --- a load is shed and restored ----------------------------------------------------------------------


@pytest.fixture
def shedding(home: HomeAssistant, peer: Peer, request: pytest.FixtureRequest) -> Iterator[DemandHouse]:
    """A house whose heater of 1.5 kW is on; the parameter adds inputs to its automation."""
    house = DemandHouse(home, peer, "shedding")
    house.show(headroom_w=100, next_w=100)
    switch(home, HEATER, "on")
    inputs = {"headroom": house.entity("headroom"), "load": HEATER, "load_w": 1_500, "min_off_min": 0}
    home.create_automation("shed", SHED, inputs | getattr(request, "param", {}))
    yield house
    home.delete_automation("shed")


def settled(house: DemandHouse, expected: str, left_min: int = 10, **values: int) -> None:
    """Publish a demand, and require that the heater is ``expected`` once the automation has finished."""
    before = last_triggered(house.home, "shed")
    house.show(left_min=left_min, **values)
    wait_until(lambda: last_triggered(house.home, "shed") != before, "the automation to run", CHANGE_S)
    wait_until(lambda: n_running(house.home, "shed") == 0, "the automation to end", CHANGE_S)
    assert house.home.value(HEATER) == expected


def last_triggered(home: HomeAssistant, name: str) -> str | None:
    found = (home.state(f"automation.{name}") or {"attributes": {}})["attributes"].get("last_triggered")
    return None if found is None else str(found)


def n_running(home: HomeAssistant, name: str) -> int:
    return int((home.state(f"automation.{name}") or {"attributes": {}})["attributes"]["current"])


def test_load_is_shed_and_restored_with_hysteresis(home: HomeAssistant, shedding: DemandHouse) -> None:
    settled(shedding, "on", headroom_w=0, next_w=-500)
    settled(shedding, "off", headroom_w=-1, next_w=5_000)
    settled(shedding, "off", headroom_w=1_699, next_w=5_000)  # its 1,500 W and the margin of 200 W do not fit
    settled(shedding, "on", headroom_w=1_700, next_w=0)
    assert home.complaints("shed") == []


@pytest.mark.parametrize("shedding", [{}, {"shortest_run_min": 8}], indirect=True)
def test_load_is_not_restored_for_a_short_rest_of_the_window(
    home: HomeAssistant, shedding: DemandHouse, request: pytest.FixtureRequest
) -> None:
    shortest_min = request.node.callspec.params["shedding"].get("shortest_run_min", 5)
    settled(shedding, "off", headroom_w=-1)
    settled(shedding, "off", left_min=shortest_min - 1, headroom_w=9_000, next_w=9_000)
    settled(shedding, "on", left_min=shortest_min, headroom_w=9_000, next_w=0)
    assert home.complaints("shed") == []


def test_load_is_not_restored_in_a_window_that_is_over(home: HomeAssistant, shedding: DemandHouse) -> None:
    """The newest minute is the first of a window, but by the clock that window has ended: readings are missing."""
    settled(shedding, "off", headroom_w=-1)
    shedding.observed = PAST_MINUTE
    settled(shedding, "off", headroom_w=9_000, next_w=9_000)
    assert home.complaints("shed") == []


@pytest.mark.parametrize("shedding", [{"next_counts": True}, {"min_on_min": 0.01}], indirect=True)
def test_load_that_must_run_for_a_while_needs_the_next_window(home: HomeAssistant, shedding: DemandHouse) -> None:
    switch(home, HEATER, "off")
    settled(shedding, "off", headroom_w=9_000, next_w=1_699)
    settled(shedding, "on", left_min=1, headroom_w=1_700, next_w=1_700)
    assert home.complaints("shed") == []


@pytest.mark.parametrize("shedding", [{"off_below_w": 500}], indirect=True)
def test_load_that_goes_first_returns_above_its_threshold(home: HomeAssistant, shedding: DemandHouse) -> None:
    """The headroom falls by the load's power when it is on: 2,199 W would become 699 W, too little to stay on."""
    settled(shedding, "on", headroom_w=500, next_w=500)
    settled(shedding, "off", headroom_w=499, next_w=5_000)
    settled(shedding, "off", headroom_w=2_199, next_w=2_199)
    settled(shedding, "on", headroom_w=2_200, next_w=2_200)
    settled(shedding, "on", headroom_w=2_200 - 1_500, next_w=0)
    assert home.complaints("shed") == []


@pytest.mark.parametrize("shedding", [{"min_on_min": 240, "min_off_min": 240}], indirect=True)
def test_load_stays_for_its_minimum_time(home: HomeAssistant, shedding: DemandHouse) -> None:
    settled(shedding, "on", headroom_w=-3_000, next_w=-3_000)
    switch(home, HEATER, "off")
    settled(shedding, "off", headroom_w=9_000, next_w=9_000)


@pytest.mark.parametrize(
    ("shedding", "before", "after"),
    [
        ({"silent_min": 0}, "on", "off"),
        ({"silent_min": 0, "when_silent": "on"}, "off", "on"),
        ({"silent_min": 0, "when_silent": "keep"}, "on", "on"),
        ({"silent_min": 240}, "on", "on"),
    ],
    indirect=["shedding"],
)
def test_load_without_a_headroom_is_as_chosen(
    home: HomeAssistant, shedding: DemandHouse, before: str, after: str
) -> None:
    settled(shedding, "on", headroom_w=100, next_w=100)
    switch(home, HEATER, before)
    triggered = last_triggered(home, "shed")
    shedding.set_available(available=False)
    shedding.wait_value("unavailable", "headroom")
    wait_until(lambda: last_triggered(home, "shed") != triggered, "the automation to run", CHANGE_S)
    wait_until(lambda: n_running(home, "shed") == 0, "the automation to end", CHANGE_S)
    wait_state(home, HEATER, after)


@pytest.mark.parametrize(
    "shedding",
    [{"only_if": [{"condition": "state", "entity_id": WAITS, "state": "on"}]}],
    indirect=True,
)
def test_load_is_restored_only_if_its_conditions_hold(home: HomeAssistant, shedding: DemandHouse) -> None:
    switch(home, WAITS, "off")
    settled(shedding, "off", headroom_w=-1)
    settled(shedding, "off", headroom_w=9_000, next_w=9_000)
    switch(home, WAITS, "on")
    settled(shedding, "on", headroom_w=9_000, next_w=9_000)


# --- an appliance is started --------------------------------------------------------------------------


def appliance(house: DemandHouse, latest: datetime, **inputs: object) -> dict[str, object]:
    """Inputs of the automation that starts the dishwasher: 2 kW, 45 minutes."""
    start = [{"action": "input_boolean.turn_on", "target": {"entity_id": DISHWASHER}}]
    return {
        "headroom": house.entity("headroom"), "waiting": WAITS, "start": start, "power_w": 2_000,
        "latest": f"{latest:%H:%M:%S}", **inputs,
    }  # fmt: skip


def waiting_since(home: HomeAssistant) -> datetime:
    """Turn the dishwasher off and let it wait; return the start of the wait, in Home Assistant's zone."""
    switch(home, DISHWASHER, "off")
    switch(home, WAITS, "off")
    switch(home, WAITS, "on")
    return datetime.fromisoformat((home.state(WAITS) or {})["last_changed"])


@pytest.fixture
def dishwashing(home: HomeAssistant, peer: Peer) -> Iterator[DemandHouse]:
    house = DemandHouse(home, peer, "washing")
    house.show(headroom_w=100, next_w=100)
    yield house
    home.delete_automation("wash")


def test_appliance_starts_when_both_windows_have_room(home: HomeAssistant, dishwashing: DemandHouse) -> None:
    since = waiting_since(home)
    home.create_automation("wash", START, appliance(dishwashing, since - timedelta(minutes=30)))
    before = last_triggered(home, "wash")
    for headroom_w, next_w in ((2_099, 9_000), (9_000, 2_099)):
        dishwashing.show(headroom_w=headroom_w, next_w=next_w)
        assert last_triggered(home, "wash") == before, "its conditions do not hold"
    dishwashing.show(headroom_w=2_100, next_w=2_100)
    wait_state(home, DISHWASHER, "on")
    wait_state(home, WAITS, "off")
    assert home.complaints("wash") == []


def test_appliance_that_ends_in_this_window_ignores_the_next(home: HomeAssistant, dishwashing: DemandHouse) -> None:
    since = waiting_since(home)
    inputs = appliance(dishwashing, since - timedelta(minutes=30), duration_min=3)
    home.create_automation("wash", START, inputs)
    dishwashing.observed = dishwashing.observed // 15 * 15  # the first minute of a window is over
    dishwashing.show(headroom_w=2_100, next_w=0)
    wait_state(home, DISHWASHER, "on")


def test_appliance_that_ends_after_this_window_by_the_clock_needs_the_next(
    home: HomeAssistant, dishwashing: DemandHouse
) -> None:
    """The newest minute is the first of a window, but that window has ended: readings are missing."""
    since = waiting_since(home)
    inputs = appliance(dishwashing, since - timedelta(minutes=30), duration_min=3)
    home.create_automation("wash", START, inputs)
    before = last_triggered(home, "wash")
    dishwashing.observed = PAST_MINUTE
    dishwashing.show(headroom_w=2_100, next_w=0)
    assert last_triggered(home, "wash") == before
    dishwashing.show(headroom_w=2_100, next_w=2_100)
    wait_state(home, DISHWASHER, "on")


def test_appliance_starts_at_the_latest_time_without_room(home: HomeAssistant, dishwashing: DemandHouse) -> None:
    since = waiting_since(home)
    home.create_automation("wash", START, appliance(dishwashing, since + timedelta(seconds=2)))
    dishwashing.show(headroom_w=-500, next_w=-500)
    dishwashing.set_available(available=False)
    wait_until(lambda: home.value(DISHWASHER) == "on", "the dishwasher to start", 2 * CHANGE_S + 300)
    wait_state(home, WAITS, "off")


def test_appliance_waits_for_a_low_probability(home: HomeAssistant, dishwashing: DemandHouse) -> None:
    since = waiting_since(home)
    probability = dishwashing.entity("peak_probability")
    inputs = appliance(dishwashing, since - timedelta(minutes=30), probability=probability)
    home.create_automation("wash", START, inputs)
    before = last_triggered(home, "wash")
    dishwashing.show(headroom_w=100, next_w=100, p_exceed=0.06)
    dishwashing.wait_value(6, "peak_probability")
    dishwashing.show(headroom_w=9_000, next_w=9_000, p_exceed=0.06)
    assert last_triggered(home, "wash") == before
    dishwashing.show(headroom_w=9_000, next_w=9_000, p_exceed=0.05)
    dishwashing.wait_value(5, "peak_probability")
    dishwashing.show(headroom_w=9_000, next_w=9_000, p_exceed=0.05)
    wait_state(home, DISHWASHER, "on")
