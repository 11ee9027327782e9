"""Home Assistant's MQTT discovery: one retained message per device, published again when Home Assistant starts."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.models.predictor import ModelIdentity
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_label
from gapcast.mqtt.discovery.discovery_message import MEASURED_EXPIRE_S, HomeAssistantTopics, discovery_payload
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.session import Session

log = structlog.get_logger(__name__)

#: Discovery messages sent per iteration of the service when Home Assistant starts.
_MAX_PER_ITERATION = 64


class Discovery:
    """Publishes the discovery messages. Implements :class:`RequestTopic` for Home Assistant's birth message."""

    def __init__(
        self,
        session: Session,
        topics: HomeAssistantTopics,
        model_of: Callable[[str], ModelIdentity],
        outlook_model_of: Callable[[str], ModelIdentity | None] = lambda _device: None,
        has_demand: Callable[[str], bool] = lambda _device: False,
        *,
        is_beyond_limit: Callable[[str], bool] = lambda _device: False,
    ) -> None:
        """Publish the sensors of a device's model and of its outlook model, if it has one.

        ``has_demand`` returns whether a device has a demand, ``is_beyond_limit`` whether it is not one of the first
        ``max_devices`` of ``topics``.
        """
        self._session = session
        self._topics = topics
        self._model_of = model_of
        self._outlook_model_of = outlook_model_of
        self._has_demand = has_demand
        self._has_new_models = False
        self._is_beyond_limit = is_beyond_limit
        self._published: dict[str, None] = {}
        self._to_republish: deque[str] = deque()
        self._n_fresh_sessions = 0
        self._full = False

    def republish(self) -> None:
        """Publish all devices again, because their models have changed. Thread-safe."""
        self._has_new_models = True

    def publish_device(self, device: str) -> None:
        """Publish ``device``, unless it was published since the broker last lost its retained messages."""
        if self._n_fresh_sessions != self._session.n_fresh_sessions:
            self._n_fresh_sessions = self._session.n_fresh_sessions
            self._published.clear()
        if device in self._published:
            return
        if self._is_beyond_limit(device):
            if not self._full:
                fix = "raise homeassistant.max_devices if Home Assistant can handle more"
                log.warning("homeassistant.too_many_devices", max_devices=self._topics.max_devices, fix=fix)
            self._full = True
            return
        self._published[device] = None
        self._publish(device)

    def publish_measured(self, readings: Sequence[Reading]) -> None:
        """Publish the power of each measured (not filled) minute of the devices announced to Home Assistant."""
        topic = self._topics.measured
        for reading in readings:
            if reading.device in self._published and not reading.is_filled:
                document = {"ts": minute_label(reading.minute), "gap_kw": round(reading.gap_kw, DECIMALS)}
                payload = json.dumps(document).encode()
                self._session.publish(topic.for_device(reading.device).encode(), payload, expiry_s=MEASURED_EXPIRE_S)

    def forget(self, device: str) -> int:
        """Remove the device and its entities from Home Assistant; return the id of the message."""
        self._published.pop(device, None)
        return self._session.publish(self._topics.config_topic(device).encode(), b"", retain=True)

    def receive(self, publication: Publication) -> None:
        """Queue all devices again when Home Assistant has started."""
        if publication.payload == b"online":
            self._to_republish = deque(self._published)

    def process_pending(self) -> bool:
        """Publish some of the queued devices again; return whether more are left."""
        if self._has_new_models:
            self._has_new_models, self._to_republish = False, deque(self._published)
        for _ in range(min(_MAX_PER_ITERATION, len(self._to_republish))):
            device = self._to_republish.popleft()
            if device in self._published:
                self._publish(device)
        return bool(self._to_republish)

    def _publish(self, device: str) -> None:
        model, outlook_model = self._model_of(device), self._outlook_model_of(device)
        payload = discovery_payload(device, self._topics, model, outlook_model, has_demand=self._has_demand(device))
        self._session.publish(self._topics.config_topic(device).encode(), payload, retain=True)
