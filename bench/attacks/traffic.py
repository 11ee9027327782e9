"""The normal traffic during attacks: twenty meters at QoS 1, and the forecasts of their readings."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bench.faults.stage import FaultError, wait_until
from bench.ports import LOOPBACK
from gapcast.mqtt.connection.client import disconnect

N_DEVICES = 20
READINGS_PER_S = 20.0
_FIRST_S = 1_288_569_600  # 2010-11-01T00:00Z
#: A reading: its device and its minute (``observed_at`` of the forecast).
Key = tuple[str, str]


class Traffic:
    """Publishes ``READINGS_PER_S`` readings a second in a thread, and collects the devices' forecasts."""

    def __init__(self, mqtt_port: int, prefix: str) -> None:
        """Publish as devices ``PREFIX-00``, ``PREFIX-01`` …, which no other traffic uses."""
        self.devices = [f"{prefix}-{index:02d}" for index in range(N_DEVICES)]
        # Each is written by one thread and copied for reading: paho's callbacks hold locks that publish() also needs.
        self._key_of_message: dict[int, Key] = {}
        self._confirmed_messages: set[int] = set()
        #: The power of each reading, kW, as published.
        self.readings_kw: dict[Key, float] = {}
        #: The mean of each forecast, kW, as published.
        self.forecasts_kw: dict[Key, float] = {}
        self._ended, self._subscribed = threading.Event(), threading.Event()
        self._n_published = 0
        self._reader = _client(f"{prefix}-reader")
        self._reader.on_subscribe = lambda *_: self._subscribed.set()
        self._reader.on_message = self._collect
        self._meter = _client(f"{prefix}-meter")
        self._meter.on_publish = self._confirm
        for client in (self._reader, self._meter):
            client.connect(LOOPBACK, mqtt_port)
            client.loop_start()
        self._reader.subscribe("gap/+/forecast", 1)
        wait_until(self._subscribed.is_set, "the reader's subscription")
        self._thread = threading.Thread(target=self._publish, name="normal traffic", daemon=True)

    def start(self) -> None:
        """Start publishing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop publishing and disconnect."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for client in (self._meter, self._reader):
            disconnect(client)

    @property
    def n_confirmed(self) -> int:
        """Readings that the broker has acknowledged."""
        return len(self._confirmed_messages)

    def wait_for_forecasts(self, timeout_s: float) -> int:
        """Wait until each reading acknowledged so far has its forecast; return the number without one in time."""
        confirmed = self._confirmed_messages.copy()
        expected = {key for message, key in self._key_of_message.copy().items() if message in confirmed}

        def missing() -> set[Key]:
            return expected - self.forecasts_kw.copy().keys()

        with contextlib.suppress(FaultError):
            wait_until(lambda: not missing(), "the forecasts of the normal traffic", timeout_s)
        return len(missing())

    def wait_for_more(self, n_rounds: int, timeout_s: float = 30.0) -> None:
        """Wait until ``n_rounds`` more readings of each device are acknowledged and have their forecasts."""
        n_wanted = self.n_confirmed + n_rounds * N_DEVICES
        wait_until(lambda: self.n_confirmed >= n_wanted, "readings to be acknowledged", timeout_s)
        if n_missing := self.wait_for_forecasts(timeout_s):
            msg = f"{n_missing} readings of the normal traffic have no forecast after {timeout_s:g} s"
            raise FaultError(msg)

    def _publish(self) -> None:
        begin_s = time.monotonic()
        while not self._ended.wait(max(0.0, begin_s + self._n_published / READINGS_PER_S - time.monotonic())):
            minute, index = divmod(self._n_published, N_DEVICES)
            device, ts = self.devices[index], _label(minute)
            payload = f'{{"ts": "{ts}", "gap_kw": {power_kw(index, minute)}}}'
            sent = self._meter.publish(f"gap/{device}/reading", payload, 1)
            self.readings_kw[device, ts] = power_kw(index, minute)
            if minute:  # the first reading of a device gets no forecast
                self._key_of_message[sent.mid] = (device, ts)
            self._n_published += 1

    def _confirm(self, _client: object, _data: object, message_id: int, *_: object) -> None:
        self._confirmed_messages.add(message_id)

    def _collect(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        device = message.topic.split("/")[1]
        if device in self.devices:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a forged forecast
                forecast = json.loads(message.payload)
                self.forecasts_kw.setdefault((device, forecast["observed_at"]), forecast["gap_kw"])


def power_kw(device: int, minute: int) -> float:
    """Return the power in a device's reading of a minute.

    >>> power_kw(3, 5)
    3.602
    """
    return round(0.2 + (device * 7_919 + minute * 104_729) % 4_000 / 1_000, 3)


def _label(minute: int) -> str:
    """Return the timestamp of a minute of the traffic.

    >>> _label(61)
    '2010-11-01T01:01:00Z'
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_FIRST_S + minute * 60))


def _client(name: str) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
    client.max_queued_messages_set(0)
    client.reconnect_delay_set(1, 1)
    return client
