"""A batch of messages on its way through the steps of the service."""

from __future__ import annotations

from dataclasses import dataclass, field

from gapcast.core.demand.demand import Demands
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.service.ports.broker_link import IncomingMessage


@dataclass(slots=True)
class ServedBatch:
    """The ``messages`` of a batch and their ``readings``, in order; each step adds its results.

    ``inference_s`` is the duration of forecasting, ``published_s`` when the forecasts were published
    (``time.perf_counter``), ``forecast_ids`` those of the published forecasts (0: not waited for), ``number`` that of
    the batch among the persisted ones (0: it could not be tracked).
    """

    messages: list[IncomingMessage]
    readings: list[Reading]
    accepted: AcceptedBatch = field(init=False)
    forecasts: Forecasts = field(init=False)
    inference_s: float = 0.0
    published_s: float = 0.0
    forecast_ids: list[int] = field(init=False)
    outlooks: Outlooks | None = None
    demands: Demands | None = None
    number: int = 0
