"""A fleet that reports, a reader that keeps every forecast, and what an undisturbed engine would have said."""

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
from gapcast.core.grid import minute_label
from gapcast.core.reading import Reading
from gapcast.predictors.store import load_model

FIRST_MINUTE = 21_476_160  # 2010-11-01T00:00Z
#: Kernels for one row and for many differ in the last bits of a float32: so far may a forecast be from another, kW.
SAME_KW = 5e-6

#: Unconfirmed readings of the meter, fewer than there are devices: what it sends again when the broker is back is then
#: at most one reading a device, a duplicate, and not several minutes, which would look like a replay of the past.
_IN_FLIGHT = 40
#: Minutes that wait in the meter before it takes up another.
_MINUTES_UNDER_WAY = 20


#: What a forecast says beside its mean.
_OTHERS = ("median_kw", "lower_kw", "upper_kw")


class Key(NamedTuple):
    """Which forecast: its device and the minute of its newest reading."""

    device: str
    observed_at: str


class Said(NamedTuple):
    """What a forecast says: mean, median and bounds (NaN where there are none), and of how many readings."""

    gap_kw: float
    n_observed: int
    others_kw: tuple[float, ...] = ()

    def off_kw(self, other: Said) -> float:
        """Return how far it is from another at most, kW; infinite where it does not say the same things."""
        pairs = zip((self.gap_kw, *self.others_kw), (other.gap_kw, *other.others_kw), strict=True)
        return max(0.0 if math.isnan(a) and math.isnan(b) else abs(a - b) for a, b in pairs)


def power_kw(device: int, minute: int) -> float:
    """Return what a device's reading of a minute says.

    >>> power_kw(3, 5)
    3.602
    """
    return round(0.2 + (device * 7_919 + minute * 104_729) % 4_000 / 1_000, 3)


@dataclass(slots=True)
class Verdict:
    """What came of a stream."""

    n_readings: int
    n_expected: int
    n_missing: int
    n_different: int
    n_again: int
    most_off_kw: float

    @property
    def is_good(self) -> bool:
        """Whether every forecast came, with the value that it should have."""
        return not self.n_missing and not self.n_different


class Stream:
    """Publishes a reading a minute of each of ``n_devices`` at QoS 1, and keeps all forecasts; its sessions last."""

    same_kw = SAME_KW

    def __init__(
        self, host: str, port: int, n_devices: int, per_s: float, *, first: int = 0, n_at_most: int | None = None
    ) -> None:
        """Publish about ``per_s`` messages a second, from minute ``first`` on, of ``n_at_most`` minutes."""
        self.n_devices, self._per_s = n_devices, per_s
        self.n_minutes = first
        self._last = math.inf if n_at_most is None else first + n_at_most
        self.found: dict[Key, list[Said]] = defaultdict(list)
        #: When each forecast came first (``time.monotonic``).
        self.came_s: dict[Key, float] = {}
        self._ended = threading.Event()
        self._subscribed = threading.Event()
        self._reader = _client("faults-reader")
        self._reader.on_message = self._keep
        self._reader.on_connect = self._subscribe
        self._reader.on_subscribe = lambda *_: self._subscribed.set()
        self._meter = _client("faults-meter")
        self._meter.on_publish = self._count
        self._n_confirmed = 0
        # After a lost connection paho lets new messages pass those that wait: a meter's readings must stay in order.
        self._behind = threading.Event()
        self._meter.on_disconnect = lambda *_: self._behind.set()
        for client in (self._reader, self._meter):
            client.connect(host, port)
            client.loop_start()
        wait_until(self._subscribed.is_set, "the reader's subscription")
        self._publishing = threading.Thread(target=self._publish, name="meter")

    def _subscribe(self, client: paho.Client, *_: object) -> None:
        client.subscribe("gap/+/forecast", 1)

    def _keep(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        forecast = json.loads(message.payload)
        key = Key(forecast["device"], forecast["observed_at"])
        self.came_s.setdefault(key, time.monotonic())
        others = (forecast[name] for name in _OTHERS)
        said = tuple(math.nan if value is None else value for value in others)
        self.found[key].append(Said(forecast["gap_kw"], forecast["n_observed"], said))

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
            n_sent += self._tell(self.n_minutes)
            self.n_minutes += 1
            self._ended.wait(max(0.0, begin_s + n_sent / self._per_s - time.monotonic()))
        self._tell_end(self.n_minutes)

    def _tell(self, minute: int) -> int:
        """Publish a minute of each device; return how many messages that are."""
        ts = minute_label(FIRST_MINUTE + minute)
        for device in range(self.n_devices):
            payload = f'{{"ts": "{ts}", "gap_kw": {power_kw(device, minute)}}}'
            self._meter.publish(self._topic(device), payload, 1)
        return self.n_devices

    def _topic(self, device: int) -> str:
        return f"gap/{device_name(device)}/reading"

    def _tell_end(self, minute: int) -> None:
        """Publish what must follow the last minute, which is that before ``minute``."""

    def start(self) -> None:
        """Begin to publish."""
        self._publishing.start()

    def wait_for(self, expected: AbstractSet[Key]) -> None:
        """Wait until all of ``expected`` have come; raise FaultError where they do not."""
        wait_until(lambda: self.found.keys() >= expected, f"{len(expected)} forecasts")

    def finish(self) -> Verdict:
        """Publish no more, wait for the forecasts, and judge them."""
        self._ended.set()
        self._publishing.join()
        expected = self.undisturbed()
        with contextlib.suppress(FaultError):  # the verdict tells how many are missing
            wait_until(lambda: len(self.found) >= len(expected), "all forecasts")
        n_missing = len(expected.keys() - self.found.keys())
        n_different, n_again, most_off_kw = len(self.found.keys() - expected.keys()), 0, 0.0
        for key, all_said in list(self.found.items()):
            right = expected.get(key)
            if right is None:
                continue
            n_again += len(all_said) - 1
            off_kw = max(said.off_kw(right) for said in all_said)
            most_off_kw = max(most_off_kw, off_kw)
            n_different += off_kw > self.same_kw or any(said.n_observed != right.n_observed for said in all_said)
        n_readings = self.n_minutes * self.n_devices
        return Verdict(n_readings, len(expected), n_missing, n_different, n_again, most_off_kw)

    def undisturbed(self) -> dict[Key, Said]:
        """Return what an engine says of all that was published, in order and without a break."""
        engine, expected = self._engine(), {}
        for minute in range(self.n_minutes):
            readings = [
                Reading(device_name(device), FIRST_MINUTE + minute, power_kw(device, minute))
                for device in range(self.n_devices)
            ]
            for forecast in engine.forecast(engine.accept(readings), 0):
                key = Key(str(forecast.device), minute_label(forecast.observed_minute))
                others = (getattr(forecast, name) for name in _OTHERS)
                said = tuple(math.nan if value is None else value for value in others)
                expected[key] = Said(forecast.gap_kw, forecast.n_observed, said)
            engine.learn()
        return expected

    def _engine(self) -> Engine:
        return Engine(load_model(MODELS / "lstm-5-3"))

    def close(self) -> None:
        """End the clients, whatever has come."""
        self._ended.set()
        if self._publishing.is_alive():
            self._publishing.join()
        for client in (self._meter, self._reader):
            client.disconnect()
            client.loop_stop()


def _client(name: str) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
    client.max_inflight_messages_set(_IN_FLIGHT)
    client.max_queued_messages_set(0)
    client.reconnect_delay_set(1, 1)
    return client


@contextmanager
def running(stream: Stream) -> Iterator[Stream]:
    """Start a stream, and end it afterwards."""
    try:
        stream.start()
        yield stream
    finally:
        stream.close()


def streaming(host: str, port: int, n_devices: int, per_s: float) -> AbstractContextManager[Stream]:
    """Give a stream of readings that runs, and end it afterwards."""
    return running(Stream(host, port, n_devices, per_s))
