"""The broker's side of the service in memory: tests add readings, and find the forecasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from gapcast.core.demand.demand import Demand, Demands
from gapcast.core.errors import PayloadError
from gapcast.core.forecasts.forecast import Forecast, Forecasts
from gapcast.core.outlook.outlook import Outlook, Outlooks
from gapcast.core.readings.reading import Reading
from gapcast.service.ports.broker_link import IncomingMessage, Meters, NoMeters, RetainedReading
from gapcast.service.ports.intake import Subscriptions


class MemoryLink:
    """Implements :class:`gapcast.service.ports.broker_link.Link`."""

    def __init__(self) -> None:
        self.meters: Meters = NoMeters()
        self.subscriptions = Subscriptions("broker:1883", ("gap/+/reading",), samples_fix="read its samples")
        self.retained: list[RetainedReading] = []
        self.connected = True
        self.is_backlogged = False
        self.problem = ""
        self.n_dropped = 0
        self.n_taken = 0
        self.n_fresh_sessions = 1
        self.n_disconnects = 0
        self.forgotten: list[str] = []
        self.announced: list[tuple[str, bool]] = []
        self.scores: dict[str, dict[str, object]] = {}
        self.events: list[dict[str, object]] = []
        self.queued: list[IncomingMessage] = []
        self.published: list[Forecast] = []
        self.measured: list[Reading] = []
        self.outlooks: list[Outlook] = []
        self.demands: list[Demand] = []

    def put(self, *readings: Reading) -> None:
        self.queued += [IncomingMessage(reading, None, time.perf_counter(), None) for reading in readings]

    def put_problem(self) -> None:
        self.queued.append(IncomingMessage(None, PayloadError("not_json", "it is not"), time.perf_counter(), None))

    @property
    def n_queued(self) -> int:
        return len(self.queued)

    def receive_messages(self, n_at_most: int, timeout_s: float) -> list[IncomingMessage]:
        taken, self.queued = self.queued[:n_at_most], self.queued[n_at_most:]
        self.n_taken += len(taken)
        return taken

    def publish(self, forecasts: Forecasts) -> list[int]:
        self.published += list(forecasts)
        return [0] * len(forecasts)

    def publish_outlooks(self, outlooks: Outlooks) -> None:
        self.outlooks += list(outlooks)

    def publish_demands(self, demands: Demands) -> None:
        self.demands += list(demands)

    def publish_measured(self, readings: Sequence[Reading]) -> None:
        self.measured += readings

    def publish_availability(self, device: str, *, online: bool) -> None:
        self.announced.append((device, online))

    def publish_scores(self, device: str, document: Mapping[str, object]) -> None:
        self.scores[device] = dict(document)

    def publish_event(self, document: Mapping[str, object]) -> None:
        self.events.append(dict(document))

    def forget(self, device: str) -> list[int]:
        self.forgotten.append(device)
        return [0]

    def reject(self, rejected: IncomingMessage | Reading, problem: PayloadError) -> None:
        pass

    def acknowledge_after(self, message: IncomingMessage, forecast_id: int, batch: int) -> None:
        pass

    def has_confirmed(self, message_ids: Sequence[int]) -> bool:
        return True

    def mark_persisted(self, batch: int) -> None:
        pass

    def flush(self) -> None:
        pass

    def close(self, timeout_s: float, on_progress: Callable[[], None]) -> bool:
        on_progress()
        return True
