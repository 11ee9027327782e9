"""Answers to headroom requests, for REST and the headroom topic."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from gapcast.api.predict_answer import JSON_TYPE, PROBLEM_TYPE, Problem, internal_error, problem_of, too_large
from gapcast.core.demand.documents.headroom_document import headroom_document
from gapcast.core.demand.headroom.headroom_request import LEAST_KW, MAX_MINUTES
from gapcast.core.documents.message_format import unknown_key
from gapcast.core.errors import NoDemandError, RequestError
from gapcast.service.containment import EXIT_EXCEPTIONS, record_internal_error
from gapcast.service.queries.queries import ServiceQueries
from gapcast.text.json_input import JsonError, decode_json

_KEYS = ("device", "kw", "minutes")
#: The JSON schemas of a load's power and duration, and of a request.
LOAD_SCHEMA: dict[str, Any] = {
    "type": "number",
    "minimum": LEAST_KW,
    "description": "Power of the load, kW; at most limits.max_kw",
}
DURATION_SCHEMA: dict[str, Any] = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_MINUTES,
    "description": "Duration of the load from now on, minutes",
}
HEADROOM_REQUEST_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [*_KEYS],
    "properties": {"device": {"type": "string"}, "kw": LOAD_SCHEMA, "minutes": DURATION_SCHEMA},
}
_EXAMPLE = '{"device": "home", "kw": 2.0, "minutes": 45}'


class HeadroomHandler:
    """Answers headroom requests from the newest demands."""

    def __init__(self, queries: ServiceQueries) -> None:
        self._queries = queries

    def answer(self, device: str, kw: object, minutes: object) -> dict[str, Any] | Problem:
        """Return the document of the answer, or the problem with the request."""
        try:
            return headroom_document(self._queries.demands.headroom(device, kw, minutes))
        except RequestError as error:
            return problem_of(error)
        except NoDemandError as error:
            return no_demand(error)

    def answer_message(self, body: bytes, n_bytes: int) -> tuple[bytes, str]:
        """Return the document and media type for a message of ``n_bytes``, which may be truncated.

        A problem's document contains the status.
        """
        try:
            answer = too_large(len(body)) if n_bytes > len(body) else self._of_body(body)
        except EXIT_EXCEPTIONS:
            raise
        except BaseException as error:
            record_internal_error(self._queries.statistics, "request", error)
            answer = internal_error()
        if isinstance(answer, Problem):
            return answer.model_dump_json(exclude_none=True).encode(), PROBLEM_TYPE
        return json.dumps(answer, separators=(",", ":")).encode(), JSON_TYPE

    def _of_body(self, body: bytes) -> dict[str, Any] | Problem:
        try:
            document = decode_json(body)
        except JsonError as error:
            return _unusable(f"the request is not JSON ({error}): send {_EXAMPLE}")
        if not isinstance(document, dict):
            return _unusable(f"the request is not an object: send {_EXAMPLE}")
        for key in _KEYS:
            if key not in document:
                return _unusable(f'the request has no "{key}": send {_EXAMPLE}')
        if (unknown := unknown_key(document, _KEYS)) is not None:
            return _unusable(f"the request has the unknown key {unknown[:40]!r}: send {_EXAMPLE}")
        if not isinstance(document["device"], str):
            return _unusable("device: must be text")
        return self.answer(document["device"], document["kw"], document["minutes"])


def no_demand(error: NoDemandError) -> Problem:
    """Return the problem with a device that has no demand, or no valid demand."""
    return Problem.from_status(HTTPStatus.SERVICE_UNAVAILABLE if error.is_stale else HTTPStatus.NOT_FOUND, str(error))


def _unusable(detail: str) -> Problem:
    return Problem.from_status(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
