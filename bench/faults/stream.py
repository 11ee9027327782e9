"""Meters that report, a reader that stores every forecast, and the forecasts of an undisturbed engine."""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bench.faults.stage import FaultError, wait_until
from bench.fleet import device_name
from bench.subject import MODELS
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_label
from gapcast.mqtt.connection.client import disconnect
from gapcast.predictors.models_folder.store import load_model

FIRST_MINUTE = 21_476_160  # 2010-11-01T00:00Z
#: Tolerance between forecasts, kW: kernels for one row and for many differ in the last bits of a float32.
SAME_KW = 5e-6

#: Maximum number of unacknowledged readings, less than the number of devices: after a reconnect the meter then resends
#: at most one reading per device, a duplicate, instead of several minutes, which would look like a replay.
_IN_FLIGHT = 40
#: Maximum number of minutes queued in the meter.
_MINUTES_UNDER_WAY = 20


#: Fields of a forecast besides its mean.
_OTHERS = ("median_kw", "lower_kw", "upper_kw")


class Key(NamedTuple):
    """The key of a forecast: its device and the minute of its newest reading."""

    device: str
    observed_at: str


class PublishedForecast(NamedTuple):
    """Values of a forecast: mean, median and bounds (NaN if missing), and its number of readings."""

    gap_kw: float
    n_observed: int
    others_kw: tuple[float, ...] = ()

    def difference_kw(self, other: PublishedForecast) -> float:
        """Return the largest difference from another forecast, kW; infinite if different values are missing."""
        pairs = zip((self.gap_kw, *self.others_kw), (other.gap_kw, *other.others_kw), strict=True)
        return max(0.0 if math.isnan(a) and math.isnan(b) else abs(a - b) for a, b in pairs)


def power_kw(device: int, minute: int) -> float:
    """Return the power in a device's reading of a minute, kW.

    >>> power_kw(3, 5)
    3.602
    """
    return round(0.2 + (device * 7_919 + minute * 104_729) % 4_000 / 1_000, 3)


@dataclass(slots=True)
class StreamResult:
    """The result of a stream."""

    n_readings: int
    n_missing: int
    n_different: int
    n_duplicates: int
    max_difference_kw: float

    @property
    def is_good(self) -> bool:
        """Whether every forecast was received, with the expected value."""
        return not self.n_missing and not self.n_different


class MeterStream:
    """Publishes one reading per minute of each of ``n_devices`` at QoS 1, and stores all forecasts."""

    same_kw = SAME_KW

    def __init__(
        self, host: str, port: int, n_devices: int, per_s: float, *, first: int = 0, n_at_most: int | None = None
    ) -> None:
        """Publish about ``per_s`` messages a second, from minute ``first`` on, at most ``n_at_most`` minutes."""
        self.n_devices, self._per_s = n_devices, per_s
        self.n_minutes = first
        self._last = math.inf if n_at_most is None else first + n_at_most
        self.found: dict[Key, list[PublishedForecast]] = defaultdict(list)
        #: When each forecast was first received (``time.monotonic``).
        self.first_received_s: dict[Key, float] = {}
        self._ended = threading.Event()
        self._subscribed = threading.Event()
        self._reader = _client("faults-reader")
        self._reader.on_message = self._store
        self._reader.on_connect = self._subscribe
        self._reader.on_subscribe = lambda *_: self._subscribed.set()
        self._meter = _client("faults-meter")
        self._meter.on_publish = self._count
        self._n_confirmed = 0
        # After a lost connection paho sends new messages before queued ones: a meter's readings must stay in order.
        self._behind = threading.Event()
        self._meter.on_disconnect = lambda *_: self._behind.set()
        for client in (self._reader, self._meter):
            client.connect(host, port)
            client.loop_start()
        wait_until(self._subscribed.is_set, "the reader's subscription")
        self._publishing = threading.Thread(target=self._publish, name="meter")

    def _subscribe(self, client: paho.Client, *_: object) -> None:
        client.subscribe("gap/+/forecast", 1)

    def _store(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        forecast = json.loads(message.payload)
        key = Key(forecast["device"], forecast["observed_at"])
        self.first_received_s.setdefault(key, time.monotonic())
        others = (forecast[name] for name in _OTHERS)
        others_kw = tuple(math.nan if value is None else value for value in others)
        self.found[key].append(PublishedForecast(forecast["gap_kw"], forecast["n_observed"], others_kw))

    def _count(self, *_: object) -> None:
        self._n_confirmed += 1

    def _publish(self) -> None:
        begin_s, n_sent = time.monotonic(), 0
        while not self._ended.is_set() and self.n_minutes < self._last:
            if self._behind.is_set() and self._meter.is_connected() and self._n_confirmed >= n_sent:
                self._behind.clear()
            if self._behind.is_set() or n_sent - self._n_confirmed > _MINUTES_UNDER_WAY * self.n_devices:
                self._ended.wait(0.001)
                continue
            n_sent += self._publish_minute(self.n_minutes)
            self.n_minutes += 1
            self._ended.wait(max(0.0, begin_s + n_sent / self._per_s - time.monotonic()))
        self._publish_end(self.n_minutes)

    def _publish_minute(self, minute: int) -> int:
        """Publish one minute of each device; return the number of messages."""
        ts = minute_label(FIRST_MINUTE + minute)
        for device in range(self.n_devices):
            payload = f'{{"ts": "{ts}", "gap_kw": {power_kw(device, minute)}}}'
            self._meter.publish(self._topic(device), payload, 1)
        return self.n_devices

    def _topic(self, device: int) -> str:
        return f"gap/{device_name(device)}/reading"

    def _publish_end(self, minute: int) -> None:
        """Publish the messages that must follow the last minute, the one before ``minute``."""

    def start(self) -> None:
        """Start publishing."""
        self._publishing.start()

    def wait_for(self, expected: AbstractSet[Key]) -> None:
        """Wait until all of ``expected`` are received; raise FaultError after the timeout."""
        wait_until(lambda: self.found.keys() >= expected, f"{len(expected)} forecasts")

    def finish(self) -> StreamResult:
        """Stop publishing, wait for the forecasts, and compare them with the expected ones."""
        self._ended.set()
        self._publishing.join()
        expected = self.expected_forecasts()
        with contextlib.suppress(FaultError):  # the result counts the missing ones
            wait_until(lambda: len(self.found) >= len(expected), "all forecasts")
        n_missing = len(expected.keys() - self.found.keys())
        n_different, n_duplicates, max_difference_kw = len(self.found.keys() - expected.keys()), 0, 0.0
        for key, received in list(self.found.items()):
            right = expected.get(key)
            if right is None:
                continue
            n_duplicates += len(received) - 1
            difference_kw = max(one.difference_kw(right) for one in received)
            max_difference_kw = max(max_difference_kw, difference_kw)
            n_different += difference_kw > self.same_kw or any(one.n_observed != right.n_observed for one in received)
        n_readings = self.n_minutes * self.n_devices
        return StreamResult(n_readings, n_missing, n_different, n_duplicates, max_difference_kw)

    def expected_forecasts(self) -> dict[Key, PublishedForecast]:
        """Return the forecasts of an engine that receives all published readings, in order and without interruption."""
        engine, expected = self._engine(), {}
        for minute in range(self.n_minutes):
            readings = [
                Reading(device_name(device), FIRST_MINUTE + minute, power_kw(device, minute))
                for device in range(self.n_devices)
            ]
            for forecast in engine.forecast(engine.accept(readings), 0):
                key = Key(str(forecast.device), minute_label(forecast.observed_minute))
                others = (getattr(forecast, name) for name in _OTHERS)
                others_kw = tuple(math.nan if value is None else value for value in others)
                expected[key] = PublishedForecast(forecast.gap_kw, forecast.n_observed, others_kw)
            engine.learn()
        return expected

    def _engine(self) -> Engine:
        return Engine(load_model(MODELS / "lstm-5-3"))

    def close(self) -> None:
        """Disconnect the clients."""
        self._ended.set()
        if self._publishing.is_alive():
            self._publishing.join()
        for client in (self._meter, self._reader):
            disconnect(client)


def _client(name: str) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
    client.max_inflight_messages_set(_IN_FLIGHT)
    client.max_queued_messages_set(0)
    client.reconnect_delay_set(1, 1)
    return client


@contextmanager
def running(stream: MeterStream) -> Iterator[MeterStream]:
    """Start a stream, and close it afterwards."""
    try:
        stream.start()
        yield stream
    finally:
        stream.close()


def streaming(host: str, port: int, n_devices: int, per_s: float) -> AbstractContextManager[MeterStream]:
    """Yield a running stream of readings, and close it afterwards."""
    return running(MeterStream(host, port, n_devices, per_s))
