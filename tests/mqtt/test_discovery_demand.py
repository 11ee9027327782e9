"""The entities of a demand in Home Assistant's discovery message, and when they are removed."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from gapcast.app.broker.link import demand_check_of
from gapcast.app.broker.topics import discovery_topics_of
from gapcast.config.settings import LimitSettings, Settings
from gapcast.core.demand.demand import VALID_MIN
from gapcast.core.models.predictor import ModelIdentity
from gapcast.mqtt.discovery.discovery import Discovery
from gapcast.mqtt.discovery.discovery_demand import PEAK_OFF, PEAK_ON, DemandEntityTopics, demand_components
from gapcast.mqtt.discovery.discovery_message import discovery_payload
from gapcast.mqtt.session.session import Session
from tests.support.outlook_model import OutlookModel

TOPICS = DemandEntityTopics("gap/home/demand", "gap/home/demand/limit", 17.25)
MODEL: ModelIdentity = OutlookModel()
SENSORS = ("expected_demand", "headroom", "peak_probability", "month_peak", "limit")
PLATFORMS = {
    **dict.fromkeys(SENSORS, "sensor"),
    "peak_expected": "binary_sensor",
    "set_limit": "number",
    "configured_limit": "button",
}


HOME_ASSISTANT_TOPICS = discovery_topics_of(Settings(limits=LimitSettings(max_kw=17.25)), "gw")


def components(*, has_demand: bool) -> dict[str, Any]:
    document = json.loads(discovery_payload("home", HOME_ASSISTANT_TOPICS, MODEL, has_demand=has_demand))
    return {name: document["cmps"][name] for name in PLATFORMS}


def test_demand_entities_have_platforms_ids_and_topics() -> None:
    found = dict(demand_components("gapcast_Meter-d1", TOPICS))
    assert {name: one["p"] for name, one in found.items()} == PLATFORMS
    assert {one["unique_id"] for one in found.values()} == {f"gapcast_Meter-d1_{name}" for name in PLATFORMS}
    assert {name: one["default_entity_id"] for name, one in found.items()} == {
        name: f"{platform}.gapcast_meter_d1_{name}" for name, platform in PLATFORMS.items()
    }
    assert {one.get("stat_t", TOPICS.demand) for one in found.values()} == {TOPICS.demand}


def test_demand_sensors_expire_when_the_demand_is_no_longer_valid() -> None:
    found = dict(demand_components("gapcast_home", TOPICS))
    expiring = [name for name, one in found.items() if one.get("exp_aft") == (VALID_MIN - 1) * 60]
    assert expiring == [*SENSORS, "peak_expected"], "a number and a button cannot expire"


def test_demand_units_are_kilowatts_watts_and_percent() -> None:
    found = dict(demand_components("gapcast_home", TOPICS))
    units = {name: found[name]["unit_of_meas"] for name in (*SENSORS, "set_limit")}
    assert units == dict.fromkeys((*SENSORS, "set_limit"), "kW") | {"headroom": "W", "peak_probability": "%"}
    assert found["headroom"]["json_attr_t"] == TOPICS.demand, "blueprints read the next window there"
    assert [name for name, one in found.items() if "stat_cla" in one] == ["month_peak"], "the others are forecasts"


def test_demand_limit_can_be_set_up_to_the_plausible_power() -> None:
    found = dict(demand_components("gapcast_home", TOPICS))
    number, button = found["set_limit"], found["configured_limit"]
    assert (number["cmd_t"], button["cmd_t"], button["pl_prs"]) == (TOPICS.limit, TOPICS.limit, "")
    assert (number["min"], number["max"], number["step"]) == (0.1, 17.25, 0.1)


def test_demand_limit_below_the_lowest_one_keeps_the_state() -> None:
    """Home Assistant logs an error for each number below ``min``, for example for 0 kW of a month's first window."""
    number = dict(demand_components("gapcast_home", TOPICS))["set_limit"]
    assert f"(value_json.limit_kw or 0) >= {number['min']} else this.state" in number["val_tpl"]


@pytest.mark.parametrize("name", ["expected_demand", "headroom", "peak_probability", "peak_expected"])
def test_demand_of_a_late_reading_is_unknown(name: str) -> None:
    """Its numbers are not published either; a real Home Assistant evaluates the template in its own tests."""
    template = dict(demand_components("gapcast_home", TOPICS))[name]["val_tpl"]
    is_late = "as_timestamp(value_json.issued_at) >= as_timestamp(value_json.valid_until)"
    assert template.startswith(f"{{{{ none if {is_late} else (")
    assert template.endswith(") }}")


def test_peak_expected_turns_off_below_a_lower_probability() -> None:
    template = dict(demand_components("gapcast_home", TOPICS))["peak_expected"]["val_tpl"]
    assert PEAK_OFF < PEAK_ON
    assert f"({PEAK_OFF} if this.state == 'on' else {PEAK_ON})" in template


def test_demand_entities_are_removed_without_a_demand() -> None:
    found = components(has_demand=False)
    assert found == {name: {"p": platform} for name, platform in PLATFORMS.items()}


def test_demand_entities_belong_to_the_device() -> None:
    assert components(has_demand=True) == dict(demand_components("gapcast_home", TOPICS))


class Sent:
    """A session that records what is published."""

    n_fresh_sessions = 1

    def __init__(self) -> None:
        self.messages: dict[bytes, bytes] = {}

    def publish(self, topic: bytes, payload: bytes, **_options: object) -> int:
        self.messages[topic] = payload
        return 1


def test_discovery_announces_the_demand_of_devices_that_have_one() -> None:
    sent = Sent()
    discovery = Discovery(
        cast("Session", sent), HOME_ASSISTANT_TOPICS, lambda _device: MODEL, has_demand=lambda device: device == "home"
    )
    for device in ("home", "cellar"):
        discovery.publish_device(device)
    published = {
        device: json.loads(sent.messages[HOME_ASSISTANT_TOPICS.config_topic(device).encode()])["cmps"]["headroom"]
        for device in ("home", "cellar")
    }
    assert published["home"]["stat_t"] == "gap/home/demand"
    assert published["cellar"] == {"p": "sensor"}


def test_demand_needs_a_limit_and_an_outlook() -> None:
    devices = ({"device": "cellar", "limit_kw": "none"}, {"device": "attic", "fuse_kw": 3})
    limited = Settings.model_validate({"demand": {"limit_kw": 2.5, "devices": devices[:1]}})
    by_device = Settings.model_validate({"demand": {"devices": devices}})
    for settings, expected in ((limited, {"home", "attic"}), (by_device, {"attic"}), (Settings(), set())):
        has_demand = demand_check_of(settings, lambda device: None if device == "garage" else MODEL)
        assert {device for device in ("home", "cellar", "attic", "garage") if has_demand(device)} == expected
