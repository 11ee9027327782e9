"""A gateway with default settings in this process: the whole path of a reading except the network and the disk.

The bytes of a PUBLISH packet are parsed, decoded, accepted, forecast and learned from; the forecast is encoded and
framed. The broker is replaced by a list of bytes, so that a measurement contains neither system calls nor other
processes, and two runs execute the same instructions. QoS 0; score reports, which follow the wall clock, are off, and
state is not persisted.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.fleet import Fleet
from gapcast.app.broker.broker import session_options
from gapcast.app.broker.topics import topics_of
from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.config.loader import load
from gapcast.core.monitoring.online_tracker import OnlineTracker
from gapcast.core.monitoring.statistics import Statistics
from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.connection.connection import Connection
from gapcast.mqtt.connection.connection_callbacks import ConnectionCallbacks
from gapcast.mqtt.link import MqttLink
from gapcast.mqtt.message_reader import IntakeOptions
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.packets.splitter import Splitter
from gapcast.mqtt.session.session import Session
from gapcast.service.reports.availability import ReportOptions
from gapcast.service.service import Service

#: Minutes of all devices before a measurement: the first outcome is observed in the seventh minute.
WARM_UP_MIN = 8
_WARM_UP_BATCH = 256
_NOON = (43_200.0, 1_288_612_800_000)
#: As in a running gateway.
_GC_THRESHOLD = 20_000


class MemoryConnection(Connection):
    """A connection whose received bytes are set by the caller, and whose sent bytes are counted."""

    def __init__(self, options: SessionOptions, callbacks: ConnectionCallbacks) -> None:
        super().__init__(options, callbacks)
        self._on_publications = callbacks.publications
        self._splitter = Splitter(mqtt5=False)
        self.mqtt5, self.connected, self.is_open, self.now = False, True, True, _NOON
        self.received = b""
        self.n_bytes_written = 0

    def serve(self, timeout_s: float) -> None:
        """Split the received bytes into packets, and pass them on."""
        if self.received:
            self._splitter.feed(self.received)
            self.received = b""
            self._on_publications([one for one in self._splitter.packets() if isinstance(one, Publication)])

    def write(self, packet: bytes | memoryview) -> None:
        """Count the bytes of a packet."""
        self.n_bytes_written += len(packet)

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""


class InProcessGateway:
    """The default gateway, to which ``n_devices`` devices each send a reading, one after the other, minute by minute.

    >>> gateway = InProcessGateway(2)
    >>> gateway.process(gateway.batches(4, n_per_batch=2))
    4
    >>> gateway.service.statistics.readings["accepted"], sum(gateway.service.statistics.forecasts.values())
    (4, 2)
    """

    def __init__(self, n_devices: int, overrides: Mapping[str, Any] | None = None) -> None:
        """``overrides`` change the default settings; they are nested like the configuration file."""
        settings = load(None, {}, {"mqtt": {"qos": 0}, "gateway": {"id": "bench"}, **(overrides or {})})
        models = load_models(settings)
        self.fleet = Fleet(n_devices, qos=0)
        statistics = Statistics()
        link = MqttLink(
            Session(session_options(settings, {}), self._connect),
            topics_of(settings, settings.gateway.id or ""),
            settings.reading_limits,
            retain_forecasts=settings.mqtt.retain_forecasts,
            intake=IntakeOptions(statistics=statistics),
        )
        stale_s = settings.devices.stale_after_min * 60
        self.service = Service(
            link,
            engine_of(settings, models),
            models.by_name,
            statistics=statistics,
            reports=ReportOptions(OnlineTracker(stale_s) if stale_s else None),
        )
        self._minute = memoryview(b"")
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)

    def _connect(self, options: SessionOptions, callbacks: ConnectionCallbacks) -> MemoryConnection:
        self._connection = MemoryConnection(options, callbacks)
        return self._connection

    def warm_up(self, n_minutes: int = WARM_UP_MIN) -> None:
        """Process ``n_minutes`` readings of every device."""
        n_devices = self.fleet.n_devices
        for _ in range(n_minutes):  # minute by minute: the packets of 100,000 devices take 7 MB
            self.process(self.batches(n_devices, min(n_devices, _WARM_UP_BATCH)))

    def batches(self, n_readings: int, n_per_batch: int) -> list[bytes]:
        """Return the packets of the next ``n_readings``, batch by batch."""
        return [b"".join(self._packets(n_per_batch)) for _ in range(n_readings // n_per_batch)]

    def process(self, batches: Sequence[bytes]) -> int:
        """Run one iteration of the service for each of ``batches``; return the number of readings."""
        connection, run_once = self._connection, self.service.run_once
        n_readings = 0
        for batch in batches:
            connection.received = batch
            n_readings += run_once(0)
        return n_readings

    def _packets(self, n: int) -> Iterator[memoryview]:
        """Yield the packets of the next ``n`` readings."""
        n_bytes = n * self.fleet.packet_bytes
        while n_bytes:
            self._minute = self._minute or memoryview(self.fleet.next_minute())
            packets, self._minute = self._minute[:n_bytes], self._minute[n_bytes:]
            n_bytes -= len(packets)
            yield packets
