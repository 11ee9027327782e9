"""The answer to a forecast request: a forecast, or a problem (RFC 9457) with an HTTP status, also over MQTT."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from gapcast.api.predict_request import KINDS, PredictRequest, request_of, requested_plan, series_of
from gapcast.core.documents.field_problem import problem_and_value
from gapcast.core.errors import ModelError, PayloadError, RequestError, TooLargeError
from gapcast.core.outlook.documents.outlook_document import outlook_document
from gapcast.core.readings.reading import Limits
from gapcast.service.containment import EXIT_EXCEPTIONS, INTERNAL_ERROR, record_internal_error
from gapcast.service.queries.queries import ServiceQueries
from gapcast.text.json_input import JsonError, decode_json

JSON_TYPE, PROBLEM_TYPE = "application/json", "application/problem+json"
#: A detail may quote input of any length.
_MAX_DETAIL = 240
_EXAMPLE = "send the readings as a JSON object"


class Problem(BaseModel):
    """A problem, for people (``detail``) and programs (``status``, ``reason``)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    reason: str | None = Field(default=None, description="Identifier of the kind of problem, if there is one")

    @classmethod
    def from_status(cls, status: HTTPStatus, detail: str, reason: str | None = None) -> Problem:
        """Return a problem with that ``status``; a long detail is truncated."""
        shown = detail if len(detail) <= _MAX_DETAIL else f"{detail[:_MAX_DETAIL]}…"
        return cls(title=status.phrase, status=status, detail=shown, reason=reason)


class PredictAnswer(NamedTuple):
    """A JSON document, its media type and HTTP status."""

    document: bytes
    media_type: str
    status: int = HTTPStatus.OK


class PredictHandler:
    """Answers forecast requests of ``POST /predict`` and of the predict topic."""

    def __init__(self, queries: ServiceQueries, limits: Limits, *, max_body_bytes: int, max_readings: int) -> None:
        self._queries = queries
        self._limits = limits
        self._max_body_bytes = max_body_bytes
        self._max_readings = max_readings

    def forecast(self, request: PredictRequest) -> dict[str, Any]:
        """Return the forecast of the readings in ``request``; the state of devices does not change.

        It contains the ``outlook`` if the request asks for one.

        Raises :class:`RequestError`, :class:`PayloadError` or :class:`ModelError`; see :func:`problem_of`.
        """
        plan = requested_plan(request, self._limits)
        forecast, outlook = self._queries.predict(
            series_of(request, self._limits), request.model, plan, device=request.device, has_outlook=request.outlook
        )
        document = forecast.document()
        return document if outlook is None else document | {"outlook": outlook_document(outlook)}

    def answer(self, body: bytes, n_bytes: int) -> PredictAnswer:
        """Return the answer to a body of ``n_bytes``, which may be truncated."""
        if n_bytes > self._max_body_bytes or n_bytes > len(body):
            return _problem_answer(too_large(min(self._max_body_bytes, len(body))))
        try:
            document = self.forecast(request_of(decode_json(body), self._max_readings))
        except JsonError as error:
            detail = f"{error.problem_of('the body')}; {_EXAMPLE}"
            return _problem_answer(Problem.from_status(HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.reason))
        except ValidationError as error:
            return _problem_answer(validation_problem(error.errors(include_url=False)[0]))
        except (RequestError, PayloadError, ModelError) as error:
            return _problem_answer(problem_of(error))
        except EXIT_EXCEPTIONS:
            raise
        except BaseException as error:
            record_internal_error(self._queries.statistics, "request", error)
            return _problem_answer(internal_error())
        return PredictAnswer(json.dumps(document, separators=(",", ":")).encode(), JSON_TYPE)

    def answer_message(self, body: bytes, n_bytes: int) -> tuple[bytes, str]:
        """Return the document and media type of :meth:`answer`; a problem's document contains the status."""
        answer = self.answer(body, n_bytes)
        return answer.document, answer.media_type


def too_large(max_body_bytes: int) -> Problem:
    """Return the problem with a body over ``max_body_bytes``."""
    return Problem.from_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {max_body_bytes} bytes")


def internal_error() -> Problem:
    """Return the problem with a request that failed because of an internal error."""
    return Problem.from_status(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL_ERROR, "internal_error")


def problem_of(error: RequestError | PayloadError | ModelError) -> Problem:
    """Return the problem for an error that the core, or :class:`PredictHandler`, raised on purpose."""
    if isinstance(error, PayloadError):
        return Problem.from_status(HTTPStatus.UNPROCESSABLE_ENTITY, error.detail, error.reason)
    if isinstance(error, TooLargeError):
        return Problem.from_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
    if isinstance(error, ModelError):
        return Problem.from_status(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    return Problem.from_status(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


def validation_problem(first: Any) -> Problem:
    """Return the problem with a body that is not a request, from pydantic's first error."""
    is_unknown_key = first["type"] == "extra_forbidden" and len(first["loc"]) == 1
    possible = f"; possible are {', '.join(PredictRequest.model_fields)}" if is_unknown_key else ""
    return Problem.from_status(HTTPStatus.UNPROCESSABLE_ENTITY, f"{request_problem(first)}{possible}")


def request_problem(first: Any) -> str:
    """Return what is wrong with a field of a request, from pydantic's first error."""
    return f"{location_path(first['loc'])}: {problem_and_value(first)}"


def location_path(location: tuple[str | int, ...]) -> str:
    """Return a pydantic location as a path in the request's JSON.

    >>> location_path(("readings", 1, "timed", "ts")), location_path(())
    ('readings[1].ts', 'the body')
    """
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in KINDS:
            path += f".{part}" if path else part
    return path or "the body"


def _problem_answer(problem: Problem) -> PredictAnswer:
    return PredictAnswer(problem.model_dump_json(exclude_none=True).encode(), PROBLEM_TYPE, problem.status)
