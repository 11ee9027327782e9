"""Changes of limits and month's peaks over REST: request bodies, which are the messages of MQTT too, and answers."""

from __future__ import annotations

from typing import Any

from gapcast.api.devices import decode_body
from gapcast.core.billing.changes import (
    LEAST_LIMIT_KW,
    LEAST_PEAK_KW,
    LIMIT_EXAMPLE,
    PEAK_EXAMPLE,
    limit_kw_of,
    month_peak_of,
)
from gapcast.core.billing.infeasible_limit import LIMIT_WARNING, text_of
from gapcast.core.readings.reading import Limits
from gapcast.core.time_grid import minute_label
from gapcast.service.service import Service

_KW = "kW; at most limits.max_kw"
_AT = "A minute of the window, RFC 3339 with offset, or epoch s or ms"
_LIMIT_KW = {"type": "number", "minimum": LEAST_LIMIT_KW, "description": _KW}
_PEAK_KW = {"type": "number", "minimum": LEAST_PEAK_KW, "description": _KW}


def _number_or_object(description: str, forms: list[dict[str, Any]], properties: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of a value that has one of ``forms``, or is an object with ``properties``."""
    as_object = {"type": "object", "additionalProperties": False, "required": ["kw"], "properties": properties}
    return {"description": description, "oneOf": [*forms, as_object]}


#: The JSON schemas of a limit and of a month's peak.
LIMIT_SCHEMA = _number_or_object(
    "The limit in kW, or null for the configured one",
    [_LIMIT_KW, {"type": "null"}],
    {"kw": _LIMIT_KW | {"type": ["number", "null"]}},
)
PEAK_SCHEMA = _number_or_object(
    "The mean of the month's highest window in kW, with a minute of it if it is known",
    [_PEAK_KW],
    {"kw": _PEAK_KW, "at": {"type": ["string", "number", "null"], "description": _AT}},
)


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
