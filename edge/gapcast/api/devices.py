"""The state of devices (last reading, newest forecast, live scores, history) and the bodies of requests about them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from gapcast.core.demand.documents.document import N_MONTH_PEAKS, device_demand_document
from gapcast.core.demand.documents.scores_document import demand_scores_document
from gapcast.core.engine import Engine
from gapcast.core.errors import PayloadError
from gapcast.core.learning.scores.summary import LAST_DAY, named_periods
from gapcast.core.outlook.documents.outlook_document import outlook_document, outlook_scores_document
from gapcast.core.plans.plan import LOAD_EXAMPLE, LoadPlan, plan_of
from gapcast.core.readings.reading import device_id_problem, is_device_id
from gapcast.core.streams.buffer import Buffers
from gapcast.core.streams.history import HistoryColumns
from gapcast.core.time_grid import minute_label
from gapcast.service.queries.name_page import name_page
from gapcast.service.reports.availability import AvailabilityPublisher
from gapcast.service.service import Service
from gapcast.text.json_input import JsonError, decode_json

#: Decimals of a reading's power, kW.
_DECIMALS = 6


def decode_body(device: str, body: bytes, example: str) -> object:
    """Return the JSON value in ``body``.

    Raises :class:`PayloadError` if it is not JSON, or if ``device`` is not a valid name. ``example`` is a valid body,
    for the error message.
    """
    if not is_device_id(device):
        raise PayloadError("bad_device", device_id_problem(device))
    try:
        return decode_json(body)
    except JsonError as error:
        raise PayloadError(error.reason, f"{error.problem_of('the body')}; send {example}") from error


class Devices:
    """Reads the state of the devices of ``service``, blocking the stream for one device at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def page(self, limit: int, after: str = "") -> dict[str, Any]:
        """Return at most ``limit`` devices whose names sort after ``after``, and the start of the next page."""
        names = self._service.queries.read(lambda engine, _availability: engine.buffers.names())
        known = [name for name in names if name]
        page, next_ = name_page(known, limit, after)
        found = [self._service.queries.read(partial(_document, name, self._clock_offset_min(name))) for name in page]
        return {
            "devices": [document for document in found if document is not None],
            "n_devices": len(known),
            "next": next_,
        }

    def one(self, device: str) -> dict[str, Any] | None:
        """Return the state of ``device`` with its outlook and the scores of every period; None if it is unknown."""
        offset_min = self._clock_offset_min(device)
        return self._service.queries.read(partial(_document, device, offset_min, is_whole=True))

    def history(self, device: str, n_minutes: int) -> dict[str, Any] | None:
        """Return the last ``n_minutes`` of ``device``; None if it is unknown."""
        columns = self._service.queries.read(partial(_history, device, n_minutes))
        if columns is None:
            return None
        return {
            "device": device,
            "minutes": n_minutes,
            "readings": columns.readings(),
            "forecasts": columns.forecasts(),
        }

    def plan(self, device: str) -> dict[str, Any] | None:
        """Return the announced loads of ``device``; None if it is unknown and has no plan."""
        return self._service.queries.read(partial(_plan_document, device))

    def replace_plan(self, device: str, body: bytes) -> dict[str, Any]:
        """Replace the announced loads of ``device``, which may be unknown yet, by the loads in ``body``.

        Return the plan as :meth:`plan` does. Raises :class:`PayloadError`.
        """
        document = decode_body(device, body, f"{LOAD_EXAMPLE}, or []")
        limits = self._service.queries.read(lambda engine, _availability: engine.limits)
        self._service.replace_plan(device, plan_of(document, limits, time.time_ns() // 1_000_000))
        return self.plan(device) or {"device": device, "plan": []}

    def clear_plan(self, device: str) -> bool:
        """Remove the announced loads of ``device``; return whether the device is known or had announced loads."""
        is_known = self.plan(device) is not None
        if is_known:
            self._service.replace_plan(device, LoadPlan())
        return is_known

    def _clock_offset_min(self, device: str) -> int | None:
        return self._service.statistics.clock_offsets_min.get(device)


def _plan_document(device: str, engine: Engine, _availability: AvailabilityPublisher) -> dict[str, Any] | None:
    if device not in engine.buffers and device not in engine.plans.trackers:
        return None
    return {"device": device, "plan": engine.plan_of(device).document()}


def _document(
    device: str, offset_min: int | None, engine: Engine, availability: AvailabilityPublisher, *, is_whole: bool = False
) -> dict[str, Any] | None:
    buffers = engine.buffers
    if device not in buffers:
        return None
    row, stream, window = buffers.row(device), buffers.stream(device), buffers.window(device)
    forecaster = engine.forecaster_of(device)
    forecast, scores = engine.latest_of(device), engine.scores_of(device)
    last_kw = round(float(window[-1].flat[0]), _DECIMALS)
    document = {
        "device": device,
        "online": availability.is_online(row),
        "clock_offset_min": offset_min,
        "last_reading": {"ts": minute_label(stream.last_minute), "gap_kw": last_kw},
        "last_reading_filled": bool(stream.filled & 1),
        "submeters": _submeters(device, buffers),
        "n_observed": buffers.count_observed(stream),
        "context": forecaster.published_model.spec.context,
        "tracked": row < forecaster.n_tracked,
        "has_trees": device in forecaster.forests,
        "forecast": None if forecast is None else forecast.document(),
        "plan": engine.plan_of(device).document(),
        "scores": {name: summary.document() for name, summary in named_periods(scores) if is_whole or name == LAST_DAY},
    }
    if is_whole:
        outlook = engine.outlook_of(device)
        document["outlook"] = None if outlook is None else outlook_document(outlook)
        demand = engine.demands.newest(device)
        peaks = engine.demands.month_peaks(device, N_MONTH_PEAKS)
        timezone, infeasible_limit = engine.demands.timezone, engine.demands.infeasible_limit(device)
        document["demand"] = (
            None if demand is None else device_demand_document(demand, peaks, timezone, infeasible_limit)
        )
        document["outlook_scores"] = outlook_scores_document(engine.outlook_scores_of(device)) or None
        demand_scores = engine.demands.scores_of(device)
        document["demand_scores"] = None if demand_scores is None else demand_scores_document(demand_scores)
    return document


def _submeters(device: str, buffers: Buffers) -> list[dict[str, Any]]:
    """Return the submeters of ``device`` with the newest known minute of each in its window."""
    documents = []
    window, last_minute = buffers.window(device), buffers.stream(device).last_minute
    for at, name in enumerate(buffers.submeters.get(device, ()), start=buffers.n_required):
        known = np.flatnonzero(~np.isnan(window[:, at]))
        age_min = len(window) - 1 - int(known[-1]) if known.size else None
        last = (
            None
            if age_min is None
            else {"ts": minute_label(last_minute - age_min), "gap_kw": round(float(window[known[-1], at]), _DECIMALS)}
        )
        documents.append({"name": name, "last_minute": last, "age_min": age_min})
    return documents


def _history(
    device: str, n_minutes: int, engine: Engine, _availability: AvailabilityPublisher
) -> HistoryColumns | None:
    if device not in engine.buffers:
        return None
    return engine.history.columns_of(engine.buffers.row(device), n_minutes, engine.forecaster_of(device).horizon_min)
