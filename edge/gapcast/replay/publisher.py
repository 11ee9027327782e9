"""Publishes readings like a live meter, at any speed, on the topics of readings and of submeters."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Event, Semaphore

from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from gapcast.config.settings import Settings
from gapcast.core.errors import BrokerError, SettingsError
from gapcast.core.time_grid import minute_label
from gapcast.mqtt.connection.client import disconnect
from gapcast.mqtt.connection.transport import Transport, TransportClient, connection_error
from gapcast.mqtt.topics import DeviceTopic
from gapcast.recordings.recording import Minute
from gapcast.replay.forecast_pace import MOST_AHEAD, ForecastPace

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,48}")
#: Maximum number of unconfirmed readings at full speed.
_WINDOW = 512
_CONNECT_S = 10.0
_POLL_S = 0.25


def submeter_topics(settings: Settings, device: str, names: Sequence[str]) -> dict[str, str]:
    """Return the topic of each submeter in ``names`` of ``device``: as configured, else below the reading's topic.

    The default is the topic of the device's readings and the name, ``gap/home/reading/kettle``. Raises
    :class:`SettingsError` for a name that no configured submeter can have.
    """
    configured = {one.name: one.topic for one in settings.submeters if one.of == device}
    topic = DeviceTopic.parse("topics.reading", settings.topics.reading).for_device(device)
    for name in names:
        if _NAME.fullmatch(name) is None:
            msg = f"--submeter-column {name!r} cannot name a submeter: use 1 to 48 of A-Z a-z 0-9 _ - . in the column"
            raise SettingsError(msg)
    return {name: configured.get(name, f"{topic}/{name}") for name in names}


class MeterPublisher:
    """Publishes the readings of one device at QoS 1. A context manager."""

    def __init__(  # noqa: PLR0913, PLR0917 - all but three have a default
        self,
        host: str,
        port: int,
        topic: str,
        account: tuple[str, str | None] | None = None,
        stopping: Event | None = None,
        transport: Transport | None = None,
        submeter_topics: Mapping[str, str] | None = None,
    ) -> None:
        """Publish on ``topic``, with ``account`` (name, password).

        Waiting for an unreachable broker ends when ``stopping`` is set. ``submeter_topics`` are the topics of the
        device's submeters, by their keys in :meth:`~gapcast.recordings.recording.Recording.submeters_kw`.
        """
        self._stopping = stopping or Event()
        self._address = f"{host} port {port}"
        self._topic = topic
        self._submeter_topics = dict(submeter_topics or {})
        self._connected = Event()
        self._refused = ""
        self._free = Semaphore(_WINDOW)
        self._pace: ForecastPace | None = None
        self._transport = transport or Transport()
        self._client = TransportClient(self._transport, CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(_WINDOW)
        self._client.on_connect = self._on_connect
        self._client.on_publish = lambda *_: self._free.release()
        if account is not None:
            self._client.username_pw_set(*account)
        self._host, self._port = host, port

    def __enter__(self) -> MeterPublisher:
        """Connect; raise :class:`BrokerError` if that fails."""
        try:
            self._client.connect(self._host, self._port)
        except (OSError, ValueError) as error:
            why = connection_error(error, self._host, self._transport)
            msg = f"the broker at {self._address} cannot be reached ({why}): is it running, and is that its address?"
            raise BrokerError(msg) from error
        self._client.loop_start()
        answered = self._connected.wait(_CONNECT_S)
        if not answered or self._refused:
            self._client.loop_stop()
            msg = f"the broker at {self._address} refuses the connection: {self._refused or 'no answer'}"
            raise BrokerError(msg)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for unconfirmed readings, and disconnect; raise :class:`BrokerError` if some remain unconfirmed.

        Does not raise after another error, or if ``stopping`` is set.
        """
        n_free = 0
        while n_free < _WINDOW and self._free.acquire(timeout=_CONNECT_S):
            n_free += 1
        disconnect(self._client)
        del self._client  # the last reference: paho then closes the sockets that wake its loop
        if n_free < _WINDOW and kind is None and not self._stopping.is_set():
            n = _WINDOW - n_free
            unconfirmed = "1 reading was" if n == 1 else f"{n} readings were"
            fix = "is it still running? Replay again: the gateway ignores what it has received already"
            msg = f"{unconfirmed} not confirmed by the broker at {self._address}: {fix}"
            raise BrokerError(msg)

    def follow(self, topic: str) -> None:
        """Publish no faster than the gateway whose forecasts of this device arrive on ``topic``, if there is one."""
        pace = self._pace = ForecastPace(self._stopping, MOST_AHEAD // (1 + len(self._submeter_topics)))

        def record_forecast(_client: object, _data: object, message: MQTTMessage) -> None:
            if not message.retain:
                pace.record_forecast(bytes(message.payload))

        self._client.on_message = record_forecast
        self._client.subscribe(topic)

    def publish(self, minute: Minute, submeters_kw: Mapping[str, float] | None = None) -> None:
        """Publish one reading; wait while too many are unconfirmed, or without a forecast.

        The powers of submeters in the same minute, by key, are published first, so that the gateway has them in time.
        """
        if self._pace is not None:
            self._pace.wait(minute.minute)
        for key, kw in (submeters_kw or {}).items():
            self._send(self._submeter_topics[key], Minute(minute.minute, kw))
        self._send(self._topic, minute)

    def _send(self, topic: str, minute: Minute) -> None:
        while not self._free.acquire(timeout=_POLL_S):
            if self._stopping.is_set():
                return
        self._client.publish(topic, payload_of(minute), qos=1)

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: ReasonCode, _props: object) -> None:
        self._refused = str(reason) if reason.is_failure else ""
        self._connected.set()


def payload_of(minute: Minute) -> bytes:
    """Return the native reading of ``minute``."""
    reading: dict[str, object] = {"ts": minute_label(minute.minute), "gap_kw": minute.gap_kw}
    if minute.is_filled:
        reading["filled"] = True
    return json.dumps(reading).encode()


def replay(
    minutes: Iterable[Minute],
    publish: Callable[[Minute], None],
    speed: float | None,
    stopping: Event,
) -> int:
    """Publish ``minutes`` at ``speed`` times real time (None: as fast as the broker confirms); return their number.

    Missing minutes take their time too. Ends early, between two readings, when ``stopping`` is set.
    """
    n_published = 0
    first_minute: int | None = None
    began_s = time.monotonic()
    for minute in minutes:
        if first_minute is None:
            first_minute = minute.minute
        if speed is not None:
            due_s = began_s + (minute.minute - first_minute) * 60 / speed
            stopping.wait(max(0.0, due_s - time.monotonic()))
        if stopping.is_set():
            break
        publish(minute)
        n_published += 1
    return n_published
