"""Intake: the subscribed topics, and the messages received before the first forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from gapcast.core.documents.message_format import counted
from gapcast.core.engine import Engine
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.samples import SampleCount
from gapcast.core.time_grid import MINUTE_MS
from gapcast.core.windows.window import MAX_FILL_MIN

#: Maximum number of devices that are checked, and that a status lists.
_MAX_SCANNED, _MAX_LISTED = 1_000, 20
#: Maximum number of devices that a sentence names.
_MAX_NAMED = 3
#: A forecast follows the second reading of a device.
_N_READINGS = 2


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """The topics of readings, at the broker at ``address`` (host:port).

    ``sources`` are the names of the configured sources; without any, the readings are native. ``command`` shows the
    messages of these sources, or publishes a native reading; empty if there is no such command for the transport.
    ``submeters`` are device, name and topic of each configured submeter. ``samples_fix`` is how to read messages that
    are minutes as samples.
    """

    address: str = ""
    topics: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    command: str = ""
    submeters: tuple[tuple[str, str, str], ...] = ()
    samples_fix: str = ""


@dataclass(frozen=True, slots=True)
class WaitingDevice:
    """A device without a forecast: its samples (0 without a source), readings, and when a forecast is expected.

    ``noun`` is what a message of its source holds.
    """

    device: str
    n_samples: int
    n_readings: int
    forecast_at_ms: int | None
    noun: str = "sample"

    @property
    def received(self) -> str:
        """What the device has sent, in words."""
        if self.n_samples:
            return f"{counted(self.n_samples, self.noun)} from {self.device}"
        return f"{counted(self.n_readings, 'reading')} from {self.device}"


@dataclass(frozen=True, slots=True)
class IntakeStatus:
    """The subscriptions, and the messages received since the start.

    ``problem`` is why there is no connection, empty while there is one. ``n_ignored`` counts messages without a power,
    ``n_rejected`` unusable messages, the newest because of ``last_rejection``, ``n_commands_rejected`` unusable
    commands, and ``n_usable`` readings and samples. ``waiting`` are devices without a forecast, at most 20, and
    ``n_forecast_devices`` counts devices with a forecast, both among the first 1,000.
    """

    subscriptions: Subscriptions
    problem: str
    n_ignored: int
    n_rejected: int
    n_forecast_devices: int
    waiting: tuple[WaitingDevice, ...]
    n_commands_rejected: int = 0
    last_rejection: str = ""
    n_usable: int = 0

    @property
    def has_messages(self) -> bool:
        """Whether any message has been received since the start; restored readings do not count."""
        return bool(self.n_usable or self.n_ignored or self.n_rejected)

    @property
    def forecast_at_ms(self) -> int | None:
        """When the first forecast is expected, by the gateway's clock; None if it is unknown or has been made."""
        times = [one.forecast_at_ms for one in self.waiting if one.forecast_at_ms is not None]
        return None if self.n_forecast_devices else min(times, default=None)

    def sentence(self) -> str:
        """Return the status in words, with the newest rejection, without the time of the first forecast."""
        subscriptions = self.subscriptions
        if self.problem:
            return self.problem
        has_reason = self.n_rejected and self.last_rejection and not self.n_forecast_devices
        reason = f"; the last one rejected: {self.last_rejection}" if has_reason else ""
        return f"Listening to {', '.join(subscriptions.topics)} at {subscriptions.address}: {self.received}{reason}"

    @property
    def received(self) -> str:
        """The received messages, in words."""
        waiting = self.waiting if self.has_messages else ()  # restored devices have sent nothing
        received = [one.received for one in waiting[:_MAX_NAMED]]
        if len(waiting) > _MAX_NAMED:
            received.append("further devices")
        if self.n_forecast_devices:
            received.append(f"forecasts of {counted(self.n_forecast_devices, 'device')}")
        if self.n_ignored and not self.n_forecast_devices:
            received.append(f"{counted(self.n_ignored, 'message')} without a power")
        if self.n_rejected and not self.n_forecast_devices:
            received.append(f"{self.n_rejected:,} rejected")
        if self.n_commands_rejected and not self.n_forecast_devices:
            received.append(f"{counted(self.n_commands_rejected, 'command')} rejected")
        return ", ".join(received) or "no message yet"


def intake_status(
    subscriptions: Subscriptions,
    problem: str,
    statistics: Statistics,
    samples: Sequence[SampleCount],
    engine: Engine,
    now_ms: int,
) -> IntakeStatus:
    """Return the status of the intake at ``now_ms``; the caller holds the lock of ``engine``."""
    counts = {one.device: one for one in islice(samples, _MAX_SCANNED)}
    names = dict.fromkeys([*counts, *islice(engine.buffers, _MAX_SCANNED)])
    waiting: list[WaitingDevice] = []
    n_forecasts = 0
    for name in names:
        if name in engine.buffers and engine.latest_of(name) is not None:
            n_forecasts += 1
        elif len(waiting) < _MAX_LISTED:
            waiting.append(_waiting(name, counts.get(name), engine, now_ms))
    n_commands = statistics.n_commands_rejected
    n_rejected = max(0, statistics.readings["rejected"] - n_commands)  # commands are counted first
    n_readings = sum(statistics.readings.values()) - statistics.readings["rejected"]
    n_usable = n_readings + sum(one.n_samples for one in samples)
    return IntakeStatus(
        subscriptions, problem, statistics.n_not_readings, n_rejected, n_forecasts, tuple(waiting), n_commands,
        statistics.last_rejection, n_usable,
    )  # fmt: skip


def _waiting(name: str, count: SampleCount | None, engine: Engine, now_ms: int) -> WaitingDevice:
    buffers = engine.buffers
    n_readings, n_missing, next_ms = 0, 0, None
    if name in buffers:
        stream = buffers.stream(name)
        n_readings = buffers.count_observed(stream)
        next_ms = (stream.last_minute + 2) * MINUTE_MS  # a reading follows the end of its minute
    if count is not None and count.next_mean_ms is not None:
        n_missing = 0 if next_ms is None else (count.next_mean_ms - next_ms) // MINUTE_MS
        next_ms = count.next_mean_ms
    elif next_ms is not None and not now_ms - MINUTE_MS <= next_ms <= now_ms + 2 * MINUTE_MS:
        next_ms = None  # readings from another time, as in a replay
    if next_ms is not None:
        n_usable = 0 if n_missing > MAX_FILL_MIN else n_readings  # the window restarts after such a gap
        next_ms = max(now_ms, next_ms + MINUTE_MS * max(0, _N_READINGS - 1 - n_usable))
    if count is None:
        return WaitingDevice(name, 0, n_readings, next_ms)
    return WaitingDevice(name, count.n_samples, n_readings, next_ms, count.noun)
