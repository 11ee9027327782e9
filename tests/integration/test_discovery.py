"""Home Assistant discovery: each device is published once, again when Home Assistant starts, and removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from gapcast.app.broker.topics import discovery_topics_of
from gapcast.config.loader import load
from gapcast.config.sections.forecast import LearningSettings
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.core.time_grid import minute_label
from gapcast.mqtt.discovery.discovery_demand import DemandEntityTopics, demand_components
from gapcast.mqtt.discovery.discovery_message import discovery_payload
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import Broker, MosquittoBroker
from tests.support.gateways import ALONE, STATUS
from tests.support.models import every_feature_model, models_with_outlook
from tests.support.outlook_model import OutlookModel
from tests.support.waiting import wait_until

CONFIG = "homeassistant/device/gapcast_home/config"
BIRTH = "homeassistant/status"
ON = {"enabled": True}


def test_discovery_of_a_device_is_retained(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    start_gateway(broker, homeassistant=ON)
    peer = connect(broker)
    peer.subscribe("homeassistant/#")
    for i in range(3):
        peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
    config = peer.wait_for(CONFIG)[0].document
    assert config["dev"]["ids"] == ["gapcast_home"]
    assert config["o"]["name"] == "gapcast"
    assert config["avty"] == [{"t": STATUS}, {"t": "gap/home/availability"}]
    assert (config["avty_mode"], config["stat_t"]) == ("all", "gap/home/forecast")
    forecast = config["cmps"]["forecast"]
    assert {key: forecast[key] for key in ("p", "unique_id", "default_entity_id", "unit_of_meas", "exp_aft")} == {
        "p": "sensor", "unique_id": "gapcast_home_forecast", "default_entity_id": "sensor.gapcast_home_forecast",
        "unit_of_meas": "kW", "exp_aft": 360,
    }  # fmt: skip
    assert "stat_cla" not in forecast, "a forecast is no measurement"
    later = connect(broker)
    later.subscribe("homeassistant/#")
    assert later.wait_for(CONFIG)[0].retained
    assert len(peer.on(CONFIG)) == 1, "published once"


@pytest.mark.parametrize(("report_every_min", "expected_s"), [(15, 86_400), (1_440, 172_800), (10_080, 1_209_600)])
def test_discovery_scores_do_not_expire_before_the_next(report_every_min: float, expected_s: int) -> None:
    settings = Settings(learning=LearningSettings(report_every_min=report_every_min))
    topics = discovery_topics_of(settings, "gw-test")
    components = json.loads(discovery_payload("home", topics, OutlookModel()))["cmps"]
    assert {components[name]["exp_aft"] for name in ("skill", "coverage")} == {expected_s}


def test_discovery_sensors_follow_the_models_quantiles(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    model = every_feature_model()
    peer = connect(mosquitto)
    peer.subscribe("homeassistant/#")
    start_gateway(
        mosquitto, homeassistant=ON, models={"path": model.parent}, forecast={"model": model.name},
        outlook={"model": "with-history"},
    )  # fmt: skip
    start_gateway(
        mosquitto, homeassistant=ON | {"discovery_prefix": "other/ha"}, gateway={"id": "another"},
        forecast=ALONE | {"model": "lstm-5-3"}, outlook={"enabled": False},
    )  # fmt: skip
    peer.subscribe("other/ha/#")
    measured = ', "reactive_kvar": 0.1, "voltage_v": 240.0, "current_a": 4.2}'
    peer.publish("gap/home/reading", reading(FIRST, 1.0)[:-1] + measured)
    components = peer.wait_for(CONFIG)[0].document["cmps"]
    keys = {"forecast": "gap_kw", "median": "median_kw", "lower": "lower_kw", "upper": "upper_kw"}
    assert {name: components[name]["val_tpl"] for name in keys} == {
        name: f"{{{{ value_json.{key} }}}}" for name, key in keys.items()
    }
    outlook = [f"next_{minutes}" for minutes in (15, 30, 60)]
    without_demand = dict(demand_components("gapcast_home", None))
    assert set(components) == {*keys, "power", "skill", "coverage", *outlook, *without_demand}
    assert {name: components.pop(name) for name in without_demand} == without_demand
    assert len({value["unique_id"] for value in components.values()}) == 10
    for name in outlook:
        sensor = components[name]
        assert (sensor["stat_t"], sensor["dev_cla"], sensor["unit_of_meas"]) == ("gap/home/outlook", "power", "kW")
        assert "stat_cla" not in sensor
    assert [components[name].get("json_attr_t") for name in outlook] == [None, None, "gap/home/outlook"]
    assert "'path'" in components["forecast"]["json_attr_tpl"]
    without = peer.wait_for("other/ha/device/gapcast_home/config")[0].document["cmps"]
    assert [without[name] for name in ("median", "lower", "upper", *outlook)] == [{"p": "sensor"}] * 6
    assert "'path'" not in without["forecast"]["json_attr_tpl"], "a model with one lead time has none"


def test_discovery_demand_follows_the_limit(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, tmp_path: Path
) -> None:
    outlook, limited = models_with_outlook(tmp_path / "models"), {"demand": {"limit_kw": 2.5}, "limits": {"max_kw": 20}}
    peer = connect(mosquitto)
    peer.subscribe(CONFIG)
    peer.subscribe("gap/home/demand")
    gateway = start_gateway(mosquitto, homeassistant=ON, **outlook, **limited)
    for i in range(2):
        peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
    assert peer.wait_for("gap/home/demand")[0].document["limit_kw"] == 2.5
    components = peer.wait_for(CONFIG)[0].document["cmps"]
    topics = DemandEntityTopics("gap/home/demand", "gap/home/demand/limit", 20)
    expected = dict(demand_components("gapcast_home", topics))
    assert {name: components[name] for name in expected} == expected
    gateway.stop()
    start_gateway(mosquitto, homeassistant=ON, **outlook)
    peer.publish("gap/home/reading", reading(FIRST + 2, 1.0))
    components = peer.wait_for(CONFIG, 2)[1].document["cmps"]
    removed = dict(demand_components("gapcast_home", None))
    assert {name: components[name] for name in removed} == removed


def test_discovery_power_is_each_reading(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    start_gateway(broker, homeassistant=ON)
    peer = connect(broker)
    peer.subscribe(CONFIG)
    peer.subscribe("gap/+/measured")
    peer.publish("gap/home/reading", reading(FIRST, 0.5))
    power = peer.wait_for(CONFIG)[0].document["cmps"]["power"]
    assert {key: power[key] for key in ("unique_id", "dev_cla", "stat_cla", "unit_of_meas", "stat_t", "val_tpl")} == {
        "unique_id": "gapcast_home_power", "dev_cla": "power", "stat_cla": "measurement", "unit_of_meas": "kW",
        "stat_t": "gap/home/measured", "val_tpl": "{{ value_json.gap_kw }}",
    }  # fmt: skip
    for i, power_kw in enumerate((1.5, -2.5, 3.5)):
        minute = FIRST + 1 + 2 * i
        peer.publish("gap/home/reading", reading(minute, power_kw))
        peer.publish("gap/home/reading", reading(minute, 9.9))  # a duplicate
        peer.publish("gap/home/reading", reading(minute + 1, 9.9)[:-1] + ', "filled": true}')
    measured = peer.wait_for("gap/home/measured", 3)
    assert [message.document for message in measured] == [
        {"ts": minute_label(FIRST + 1 + 2 * i), "gap_kw": power_kw} for i, power_kw in enumerate((1.5, -2.5, 3.5))
    ]
    assert not any(message.retained for message in measured)


def test_discovery_power_is_each_minute_of_samples(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    source = {"topic": "tele/{device}/SENSOR", "value": "W", "unit": "W", "time": "ts"}
    start_gateway(broker, homeassistant=ON, sources=[source])
    peer = connect(broker)
    peer.subscribe(CONFIG)
    peer.subscribe("gap/+/measured")

    def sample(minute: int, watts: int) -> None:
        peer.publish("tele/home/SENSOR", json.dumps({"ts": minute_label(minute), "W": watts}))

    for minute in (0, 1):  # each completes the minute before
        sample(FIRST + minute, 100)
    peer.wait_for(CONFIG)
    for minute, watts in ((2, 200), (3, 300), (4, 400)):
        sample(FIRST + minute, watts)
    powers_kw = [message.document["gap_kw"] for message in peer.wait_for("gap/home/measured", 3)]
    assert powers_kw == [0.1, 0.2, 0.3]


def test_measured_minutes_are_published_with_discovery_only(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(broker)
    peer = connect(broker)
    peer.subscribe("gap/+/measured")
    for i in range(3):
        peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
    gateway.wait_taken(3)
    gateway.stop()
    assert peer.messages == []


def test_discovery_of_live_scores_follows_the_setting(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    peer = connect(broker)
    peer.subscribe("+/device/+/config")
    start_gateway(broker, homeassistant=ON)
    silent = ON | {"discovery_prefix": "silent"}
    start_gateway(broker, homeassistant=silent, gateway={"id": "another"}, learning={"report_every_min": 0})
    peer.publish("gap/home/reading", reading(FIRST, 1.0))
    config = peer.wait_for(CONFIG)[0].document["cmps"]
    for name in ("skill", "coverage"):
        assert config[name]["stat_t"] == "gap/home/scores"
        assert (config[name]["unit_of_meas"], config[name]["ent_cat"]) == ("%", "diagnostic")
    another = "silent/device/gapcast_home/config"
    without = peer.wait_for(another)[0].document["cmps"]
    assert [without[name] for name in ("skill", "coverage")] == [{"p": "sensor"}] * 2
    for n, birth in enumerate((BIRTH, "silent/status"), start=2):  # Home Assistant's does not follow its prefix
        peer.publish(birth, "online")
        assert len(peer.wait_for(another, n)) == n


def test_discovery_is_repeated_at_home_assistants_start(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    start_gateway(broker, homeassistant=ON)
    peer = connect(broker)
    peer.subscribe("homeassistant/device/#")
    devices = [f"meter-{i}.x" for i in range(100)]
    for device in devices:
        peer.send(f"gap/{device}/reading", reading(FIRST, 1.0))

    def counts_by_device() -> dict[str, int]:
        counts: dict[str, int] = {}
        for message in list(peer.messages):
            counts[message.document["dev"]["name"]] = counts.get(message.document["dev"]["name"], 0) + 1
        return counts

    wait_until(lambda: counts_by_device() == dict.fromkeys(devices, 1), "each to be announced")
    peer.publish(BIRTH, "offline")
    peer.publish(BIRTH, "online")
    wait_until(lambda: counts_by_device() == dict.fromkeys(devices, 2), "each to be announced again")


def test_discovery_is_limited_to_the_first_devices(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(broker, homeassistant=ON | {"max_devices": 2})
    peer = connect(broker)
    peer.subscribe("homeassistant/#")
    peer.subscribe("gap/+/availability")
    for i in range(4):
        peer.publish(f"gap/meter-{i}/reading", reading(FIRST, 1.0))
        peer.wait_for(f"gap/meter-{i}/availability")
    gateway.stop()
    first = [f"homeassistant/device/gapcast_meter--{i}/config" for i in range(2)]
    assert [m.topic for m in peer.messages if m.topic.startswith("homeassistant/")] == first

    gateway = start_gateway(broker, homeassistant=ON | {"max_devices": 2})
    for i in (3, 2, 1, 0):  # after a restart in another order
        peer.publish(f"gap/meter-{i}/reading", reading(FIRST + 1, 1.0))
        peer.wait_for(f"gap/meter-{i}/availability", 2)
    gateway.stop()
    assert {m.topic for m in peer.messages if m.topic.startswith("homeassistant/")} == {*first}


@pytest.mark.parametrize("retain", [True, False])
def test_discovery_of_a_forgotten_device_is_removed(
    broker: Broker, start_gateway: StartGateway, connect: Connect, retain: bool
) -> None:
    gateway = start_gateway(broker, homeassistant=ON, mqtt={"retain_forecasts": retain})
    peer = connect(broker)
    for topic in ("homeassistant/#", "gap/+/availability", "gap/+/forecast"):
        peer.subscribe(topic)
    for device in ("home", "cellar"):
        for i in range(2):
            peer.publish(f"gap/{device}/reading", reading(FIRST + i, 1.0))
        peer.wait_for(f"gap/{device}/forecast")
    assert httpx.delete(f"{gateway.url}/devices/home").status_code == 204
    assert httpx.delete(f"{gateway.url}/devices/home").status_code == 404
    assert peer.wait_for(CONFIG, 2)[1].payload == b""
    assert httpx.get(f"{gateway.url}/predict?device=home").status_code == 404
    assert [f["device"] for f in httpx.get(f"{gateway.url}/predict").json()["forecasts"]] == ["cellar"]
    later = connect(broker)
    for topic in ("homeassistant/#", "gap/+/availability", "gap/+/forecast"):
        later.subscribe(topic)
    later.wait_for("gap/cellar/availability")
    assert not [message for message in later.messages if "home/" in message.topic]

    peer.publish("gap/home/reading", reading(FIRST + 2, 1.0))  # it comes again, and has no past
    assert peer.wait_for(CONFIG, 3)[2].document["dev"]["name"] == "home"
    assert peer.wait_for("gap/home/availability", 3)[2].payload == b"online"


def test_discovery_is_off_by_default(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    gateway = start_gateway(broker)
    peer = connect(broker)
    peer.subscribe("homeassistant/#")
    for i in range(2):
        peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
    gateway.wait_taken(2)
    gateway.stop()
    assert peer.messages == []


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (
            {"homeassistant": ON, "devices": {"stale_after_min": 0}},
            "homeassistant.enabled needs devices.stale_after_min",
        ),
        ({"homeassistant": {"discovery_prefix": "a/#"}}, "homeassistant.discovery_prefix"),
    ],
)
def test_discovery_invalid_settings_are_rejected(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load(None, {}, keys)
