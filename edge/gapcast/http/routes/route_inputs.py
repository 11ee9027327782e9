"""Inputs that several routes share: page parameters, a JSON body, the accepted encoding, and known parameters only."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator
from starlette.datastructures import Headers

from gapcast.core.documents.message_format import SHOWN_CHARS, did_you_mean, shown_value
from gapcast.core.errors import RequestError
from gapcast.http.errors import problems


def _plain_number(text: object) -> object:
    """Reject a number with underscores, as in Python source, which pydantic accepts."""
    if isinstance(text, str) and "_" in text:
        msg = f"must be a number without underscores, not {shown_value(text)}"
        raise ValueError(msg)
    return text


#: Part of the type of a number in a query, after the bounds: the OpenAPI document would lack bounds that follow it.
PLAIN = BeforeValidator(_plain_number)
#: Page size: maximum and default.
MAX_PAGE, N_PER_PAGE = 1_000, 100
#: OpenAPI entries of the problems with a request whose body changes something.
CHANGE_PROBLEMS = problems.answers(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
#: Names of the encoding; the second is deprecated.
_GZIP = frozenset({"gzip", "x-gzip"})
PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Page size"), PLAIN]
After = Annotated[str, Query(description="Start after this device id: `next` of the previous page")]


def json_body(schema: dict[str, Any], example: object) -> dict[str, Any]:
    """Return the part of the OpenAPI document that describes a required JSON body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


async def body_of(request: Request) -> bytes:
    """Return the body of ``request``, which :class:`.BodyLimit` has read; ``request.body()`` would copy it."""
    body: bytes = (await request.receive())["body"]
    return body


def accepts_gzip(headers: Headers) -> bool:
    """Return whether the ``accept-encoding`` of a request names gzip with a weight above 0 (RFC 9110, section 12.5.3).

    >>> [accepts_gzip(Headers({"accept-encoding": text})) for text in ("br, gzip;q=0.5", "br, GZIP ; Q=0.0", "*")]
    [True, False, False]
    """
    for accepted in ",".join(headers.getlist("accept-encoding")).lower().split(","):
        coding, _, parameter = accepted.partition(";")
        if coding.strip() in _GZIP:
            weight = parameter.strip().removeprefix("q=")
            return not weight or bool(weight.strip("0."))
    return False


async def check_parameters(request: Request) -> None:
    """Raise :class:`RequestError` for the first query parameter that is unknown, or is sent more than once.

    FastAPI ignores the former, and all but the last of the latter: a request with a misspelt parameter would be
    answered for its default.
    """
    if not request.scope["query_string"]:
        return
    route: Any = request.scope["route"]
    names = [field.alias for field in route.dependant.query_params]
    sent: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in names:
            raise RequestError(unknown_parameter(name, names))
        if name in sent:
            msg = f"{name}: is in the query more than once: send it once"
            raise RequestError(msg)
        sent.add(name)


def unknown_parameter(name: str, names: Sequence[str]) -> str:
    """Return the error that no query parameter of the route, of ``names``, has this ``name``.

    >>> unknown_parameter("devcie", ["device", "limit"])
    "there is no query parameter 'devcie'; did you mean device?"
    >>> unknown_parameter("start", ["kw", "minutes"]), unknown_parameter("x", [])
    ("there is no query parameter 'start'; possible are kw, minutes", "there is no query parameter 'x'; send none")
    """
    possible = f"; possible are {', '.join(names)}" if names else "; send none"
    return f"there is no query parameter {shown_value(name)}{did_you_mean(name[:SHOWN_CHARS], names) or possible}"


#: The dependency of routers whose routes check their parameters.
CHECKED = (Depends(check_parameters),)
