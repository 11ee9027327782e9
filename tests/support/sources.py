"""Sources of the configuration, fed with messages by hand."""

from __future__ import annotations

import itertools
from typing import Any

from gapcast.app.broker.broker import sources_of
from gapcast.config.settings import Settings
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Limits, Reading
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.sources.sources import SourceReader
from gapcast.service.ports.broker_link import IncomingMessage

EXTRAS = ("reactive_kvar", "voltage_v", "current_a")
LONG_AGO_MS = 1_672_531_200_000  # 2023-01-01T00:00:00Z


class SourceFeed:
    """A source reader, with the readings and problems of the messages that it was sent."""

    def __init__(
        self,
        *sources: dict[str, Any],
        site: str = "UTC",
        extras: tuple[str, ...] = (),
        max_devices: int = 100,
        limits: Limits = Limits(),
    ) -> None:
        settings = Settings.model_validate({"sources": sources, "site": {"timezone": site}})
        self.statistics = Statistics()
        self.now_ms = 0
        self.reader = SourceReader(
            sources_of(settings), limits, extras, max_devices, self.statistics, lambda: self.now_ms
        )
        self.incoming: list[IncomingMessage] = []
        self._ids = itertools.count(1)

    def send(
        self, topic: str, payload: str | bytes, at_ms: int = LONG_AGO_MS, *, retained: bool = False, again: bool = False
    ) -> list[IncomingMessage]:
        """Send a message that arrives at ``at_ms``; return what it and the clock give by then."""
        self.now_ms = at_ms
        body = payload.encode() if isinstance(payload, str) else payload
        publication = Publication(topic, body, next(self._ids), again, retained, b"", len(body))
        return self._kept(self.reader.read(ReceivedMessage(publication, at_ms / 1_000, at_ms)))

    def wait(self, for_s: float = 3_600.0) -> list[IncomingMessage]:
        """Let ``for_s`` pass, so that the clock closes minutes."""
        self.now_ms += round(for_s * 1_000)
        return self._kept([])

    def _kept(self, brought: list[IncomingMessage]) -> list[IncomingMessage]:
        incoming = [*brought, *self.reader.close_due(256)]
        self.incoming += incoming
        return incoming

    @property
    def readings(self) -> list[Reading]:
        return [message.reading for message in self.incoming if message.reading is not None]

    @property
    def reasons(self) -> list[str]:
        return [message.problem.reason for message in self.incoming if message.problem is not None]

    @property
    def details(self) -> list[str]:
        return [message.problem.detail for message in self.incoming if message.problem is not None]
