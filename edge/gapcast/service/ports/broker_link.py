"""The interface between the service and the broker: receive, publish, acknowledge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from gapcast.core.demand.demand import Demands
from gapcast.core.errors import PayloadError
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import MeterState, Sample, SampleCount
from gapcast.service.ports.intake import Subscriptions


class IncomingMessage(NamedTuple):
    """A received message: its reading, or the problem with it. ``token`` is the link's own.

    It has neither if it was for the link itself, a sample of an open minute, or irrelevant.
    """

    reading: Reading | None
    problem: PayloadError | None
    received_s: float
    token: Any


class RetainedReading(NamedTuple):
    """A reading in a retained message, which was received at ``received_ms`` (epoch ms), however old it is."""

    device: str
    minute: int
    received_ms: int


class Meters(Protocol):
    """The meters that send samples; their open minutes survive a restart."""

    def take_samples(self) -> Sequence[Sample]:
        """Return the samples since the last call that had an effect, in order."""
        ...

    def capture_state(self) -> Sequence[MeterState]:
        """Return the state of each meter."""
        ...

    def restore_state(self, meters: Sequence[MeterState]) -> None:
        """Restore the state of each meter."""
        ...

    def replay_samples(self, samples: Sequence[Sample], readings: Sequence[Reading], issued_at_ms: int) -> None:
        """Replay the samples of a batch, which closed the minutes of ``readings``."""
        ...

    def forget(self, device: str) -> None:
        """Discard the state of ``device``."""
        ...

    def sends_samples(self, device: str) -> bool:
        """Return whether the readings of ``device`` are means of samples."""
        ...

    def sample_counts(self) -> Sequence[SampleCount]:
        """Return, for each meter that has sent one, the number of messages with a usable value. Thread-safe."""
        ...


class NoMeters:
    """Implements :class:`Meters` for readings that are already minute means."""

    def take_samples(self) -> Sequence[Sample]:
        """Return no samples."""
        return ()

    def capture_state(self) -> Sequence[MeterState]:
        """Return no meters."""
        return ()

    def restore_state(self, meters: Sequence[MeterState]) -> None:
        """Ignore the open minutes of an earlier configuration."""

    def replay_samples(self, samples: Sequence[Sample], readings: Sequence[Reading], issued_at_ms: int) -> None:
        """Ignore the samples of an earlier configuration."""

    def forget(self, device: str) -> None:
        """Do nothing."""

    def sends_samples(self, device: str) -> bool:
        """Return False."""
        return False

    def sample_counts(self) -> Sequence[SampleCount]:
        """Return no counts."""
        return ()


class Link(Protocol):
    """The connection to the broker."""

    @property
    def meters(self) -> Meters:
        """The meters that send samples."""
        ...

    @property
    def subscriptions(self) -> Subscriptions:
        """The topics of readings, described for people."""
        ...

    @property
    def retained(self) -> Sequence[RetainedReading]:
        """The readings in retained messages of the last batch."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the broker is connected and has granted the subscriptions of readings."""
        ...

    @property
    def is_backlogged(self) -> bool:
        """Whether so many messages are unconfirmed that nothing more should be sent."""
        ...

    @property
    def n_queued(self) -> int:
        """Received messages that have not been taken."""
        ...

    @property
    def n_taken(self) -> int:
        """Messages taken since start-up."""
        ...

    @property
    def n_dropped(self) -> int:
        """Messages dropped because they arrived faster than they were taken."""
        ...

    @property
    def problem(self) -> str:
        """Why there is no connection, in a sentence; empty while there is one."""
        ...

    @property
    def n_disconnects(self) -> int:
        """Connections that the broker had accepted and that were lost."""
        ...

    def receive_messages(self, n_at_most: int, timeout_s: float) -> list[IncomingMessage]:
        """Return queued messages, waiting up to ``timeout_s`` for the first; (re)connect as needed."""
        ...

    def publish(self, forecasts: Forecasts) -> list[int]:
        """Send each forecast, without a need for :meth:`flush`; return their ids; id 0 needs no confirmation."""
        ...

    def publish_outlooks(self, outlooks: Outlooks) -> None:
        """Send each outlook, if the broker accepts it; nothing waits for a confirmation."""
        ...

    def publish_demands(self, demands: Demands) -> None:
        """Send each demand and its headroom, if the broker accepts them; nothing waits for a confirmation."""
        ...

    def publish_measured(self, readings: Sequence[Reading]) -> None:
        """Publish measured minutes for clients that show them, if there are any."""
        ...

    @property
    def n_fresh_sessions(self) -> int:
        """Connections without a resumed session, after which the broker may have lost its retained messages."""
        ...

    def publish_availability(self, device: str, *, online: bool) -> None:
        """Publish, retained, whether a device is online."""
        ...

    def forget(self, device: str) -> Sequence[int]:
        """Clear the retained messages about a device; return the ids of the messages that do so."""
        ...

    def reject(self, rejected: IncomingMessage | Reading, problem: PayloadError) -> None:
        """Publish on the rejected topic why a message, or a held-back reading, could not be used."""
        ...

    def publish_scores(self, device: str, document: Mapping[str, object]) -> None:
        """Publish the live scores of a device."""
        ...

    def publish_event(self, document: Mapping[str, object]) -> None:
        """Publish an event once, not retained."""
        ...

    def acknowledge_after(self, message: IncomingMessage, forecast_id: int, batch: int) -> None:
        """Acknowledge ``message`` once ``forecast_id`` is confirmed (0: none) and ``batch`` is persisted."""
        ...

    def has_confirmed(self, message_ids: Sequence[int]) -> bool:
        """Return whether the broker has confirmed all messages with these ``message_ids``."""
        ...

    def mark_persisted(self, batch: int) -> None:
        """Acknowledge the messages that waited for ``batch``, or an earlier one, to be persisted."""
        ...

    def flush(self) -> None:
        """Write all buffered messages to the network."""
        ...

    def close(self, timeout_s: float, on_progress: Callable[[], None]) -> bool:
        """Publish ``offline``, wait for confirmations, disconnect; return whether all messages were confirmed.

        ``on_progress`` is called whenever messages may have been confirmed.
        """
        ...
