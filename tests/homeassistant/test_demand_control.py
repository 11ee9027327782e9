"""A house with a water heater, a real gateway and a real Home Assistant that keeps the house below its limit.

Skipped without Home Assistant: scripts/try-home-assistant installs it and runs this file.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.controlled_house import (
    LIMIT_KW,
    N_CONTROLLED,
    N_WARM,
    OVEN_FROM,
    OVEN_TO,
    WINDOW_MIN,
    HeatedHouse,
    Site,
)
from tests.support.demand_house import CHANGE_S
from tests.support.optional_tools import home_assistant_command
from tests.support.peers import peer_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.homeassistant, pytest.mark.mosquitto]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    command = home_assistant_command()
    assert command is not None
    made = Site(tmp_path_factory.mktemp("site"), command)
    yield made
    made.close()


@pytest.fixture(scope="module")
def house(site: Site) -> Iterator[HeatedHouse]:
    """The house after its first hours, in which nothing is controlled."""
    with peer_of(site.broker.host, site.broker.port) as peer:
        made = HeatedHouse(site.home, peer)
        made.warm_up()
        yield made


def test_home_assistant_keeps_the_house_below_its_limit(site: Site, house: HeatedHouse) -> None:
    house.control_hours()
    windows = range(N_WARM, N_WARM + N_CONTROLLED, WINDOW_MIN)
    always_on = [True] * len(house.powers_kw)
    assert max(house.window_kw(first, always_on) for first in windows) > LIMIT_KW + 0.5, "it would have exceeded it"
    assert max(house.window_kw(first) for first in windows) <= LIMIT_KW
    oven_from, oven_to = N_WARM + OVEN_FROM, N_WARM + OVEN_TO
    assert all(house.heater[N_WARM:oven_from]), "nothing is shed without need"
    shed = house.heater.index(False)
    assert oven_from < shed < oven_from // WINDOW_MIN * WINDOW_MIN + WINDOW_MIN, "before the end of its window"
    restored = house.heater.index(True, oven_to)
    assert oven_to < restored <= oven_to + 2 * WINDOW_MIN, "when the rest of a window has room without the oven"
    assert site.home.complaints("shed") == []


def test_limit_set_in_home_assistant_is_kept(site: Site, house: HeatedHouse) -> None:
    number, topic = "number.gapcast_home_set_limit", "gap/home/demand/limit"
    house.peer.subscribe(topic)
    assert site.home.value(number) == LIMIT_KW
    site.home.call("number.set_value", entity_id=number, value=4.2)
    house.peer.wait_for(topic)
    document = house.send_until_shown()
    assert (document["limit_kw"], document["limit_source"]) == (4.2, "set")
    site.gateway.stop()
    site.start_gateway(limit_kw=LIMIT_KW)
    assert house.send_until_shown()["limit_kw"] == 4.2
    site.home.stop()
    site.home.start()
    assert house.send_until_shown()["limit_kw"] == 4.2
    assert site.home.value(number) == 4.2
    site.home.call("button.press", entity_id="button.gapcast_home_configured_limit")
    house.peer.wait_for(topic, 2)
    document = house.send_until_shown()
    assert (document["limit_kw"], document["limit_source"]) == (LIMIT_KW, "fixed")
    wait_until(lambda: site.home.value(number) == LIMIT_KW, lambda: f"{site.home.state(number)}", CHANGE_S)


def test_demand_switched_off_removes_its_entities(site: Site, house: HeatedHouse) -> None:
    site.gateway.stop()
    site.start_gateway()
    house.send(is_on=False)
    entities = ("sensor.gapcast_home_headroom", "number.gapcast_home_set_limit")
    wait_until(lambda: {site.home.value(one) for one in entities} == {None}, "the entities to be gone", CHANGE_S)
    assert site.home.complaints("gapcast") == []
