"""Changes of limits and month's peaks over REST: request bodies and answers."""

from __future__ import annotations

from typing import Any

from gapcast.api.devices import decode_body
from gapcast.core.billing.changes import LIMIT_EXAMPLE, PEAK_EXAMPLE, limit_kw_of, month_peak_of
from gapcast.core.billing.infeasible_limit import LIMIT_WARNING, text_of
from gapcast.core.readings.reading import Limits
from gapcast.core.time_grid import minute_label
from gapcast.service.service import Service


class DemandChangeHandler:
    """Changes limits and month's peaks in ``service``. An invalid body changes nothing."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def _limits(self) -> Limits:
        return self._service.queries.read(lambda engine, _availability: engine.limits)

    def set_limit(self, device: str, body: bytes) -> dict[str, Any]:
        """Set the limit of ``device``; return it, with a warning if it is too low. Raises :class:`PayloadError`."""
        document = decode_body(device, body, LIMIT_EXAMPLE)
        limit_kw = limit_kw_of(document, self._limits)
        self._service.demand_changes.set_demand_limit(device, limit_kw)
        infeasible_limit = self._service.queries.demands.infeasible_limit(device)
        return {"device": device, "kw": limit_kw, LIMIT_WARNING: text_of(infeasible_limit)}

    def correct_month_peak(self, device: str, body: bytes) -> dict[str, Any]:
        """Correct the month's peak of ``device``; return it. Raises :class:`PayloadError`."""
        document = decode_body(device, body, PEAK_EXAMPLE)
        peak = month_peak_of(document, self._limits)
        self._service.demand_changes.correct_month_peak(device, peak)
        return {"device": device, "kw": peak.kw, "at": None if peak.minute is None else minute_label(peak.minute)}
