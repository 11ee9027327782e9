"""When devices are published to Home Assistant, published again, and no longer published."""

from __future__ import annotations

import json
from typing import cast

import pytest
from structlog.testing import capture_logs

from gapcast.app.broker.topics import discovery_topics_of
from gapcast.config.settings import HomeAssistantSettings, Settings
from gapcast.core.models.predictor import ModelIdentity
from gapcast.core.readings.reading import Reading
from gapcast.mqtt.discovery.discovery import Discovery
from gapcast.mqtt.discovery.discovery_message import MEASURED_EXPIRE_S
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.session import Session
from tests.support.outlook_model import OutlookModel

HOME_ASSISTANT = HomeAssistantSettings(enabled=True, discovery_prefix="ha", max_devices=2)
TOPICS = discovery_topics_of(Settings(homeassistant=HOME_ASSISTANT), "gw")


class Broker:
    """Replaces a session; records what is published."""

    def __init__(self) -> None:
        self.n_fresh_sessions = 1
        self.published: list[tuple[str, bytes, bool, int | None]] = []

    def publish(self, topic: bytes, payload: bytes, *, retain: bool = False, expiry_s: int | None = None) -> int:
        self.published.append((topic.decode(), payload, retain, expiry_s))
        return 0

    def take_devices(self) -> list[str]:
        """Return the devices published since the last call; checks that they are retained."""
        taken, self.published = self.published, []
        assert all(retain and json.loads(payload)["cmps"] for _, payload, retain, _ in taken)
        return [topic.removeprefix("ha/device/gapcast_").removesuffix("/config") for topic, *_ in taken]


def discovery_of(broker: Broker, *, n_devices: int = 1_000) -> Discovery:
    def is_beyond_limit(device: str) -> bool:
        return int(device[1:]) >= n_devices

    model: ModelIdentity = OutlookModel()
    return Discovery(cast("Session", broker), TOPICS, lambda _device: model, is_beyond_limit=is_beyond_limit)


def birth(payload: bytes = b"online") -> Publication:
    return Publication("homeassistant/status", payload, 0, False, False, b"", len(payload))


def test_device_is_published_once_until_the_broker_forgets_it() -> None:
    broker = Broker()
    discovery = discovery_of(broker)
    for device in ("d0", "d1", "d0"):
        discovery.publish_device(device)
    assert broker.take_devices() == ["d0", "d1"]
    broker.n_fresh_sessions += 1
    for device in ("d0", "d0", "d1"):
        discovery.publish_device(device)
    assert broker.take_devices() == ["d0", "d1"]


def test_devices_beyond_the_limit_are_not_published_and_logged_once() -> None:
    broker = Broker()
    discovery = discovery_of(broker, n_devices=2)
    with capture_logs() as logs:
        for device in ("d2", "d0", "d3", "d1", "d2"):
            discovery.publish_device(device)
    assert broker.take_devices() == ["d0", "d1"]
    assert [(line["event"], line["max_devices"]) for line in logs] == [("homeassistant.too_many_devices", 2)]


@pytest.mark.parametrize("cause", ["birth", "model"])
def test_all_devices_are_published_again_some_with_each_batch(cause: str) -> None:
    broker = Broker()
    discovery = discovery_of(broker)
    devices = [f"d{i}" for i in range(130)]
    for device in devices:
        discovery.publish_device(device)
    assert broker.take_devices() == devices
    discovery.receive(birth(b"offline"))
    assert (discovery.process_pending(), broker.published) == (False, [])
    if cause == "birth":
        discovery.receive(birth())
    else:
        discovery.republish()
    assert (discovery.process_pending(), broker.take_devices()) == (True, devices[:64])
    discovery.forget("d100")
    assert broker.published.pop() == ("ha/device/gapcast_d100/config", b"", True, None)
    assert (discovery.process_pending(), discovery.process_pending()) == (True, False)
    assert broker.take_devices() == [device for device in devices[64:] if device != "d100"]


def test_measured_minutes_cover_published_devices_only() -> None:
    broker = Broker()
    discovery = discovery_of(broker)
    discovery.publish_device("d0")
    broker.published.clear()
    minute = 27_875_520
    discovery.publish_measured(
        [Reading("d0", minute, 1.23456), Reading("d1", minute, 2.0), Reading("d0", minute + 1, 3.0, is_filled=True)]
    )
    ((topic, payload, retain, expiry_s),) = broker.published
    assert (topic, retain, expiry_s) == ("gap/d0/measured", False, MEASURED_EXPIRE_S)
    assert json.loads(payload)["ts"] == "2023-01-01T00:00:00Z"
    assert json.loads(payload)["gap_kw"] == pytest.approx(1.2346, abs=1e-4)
