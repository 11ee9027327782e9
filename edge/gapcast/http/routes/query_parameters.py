"""Rejects query parameters that a route does not have, or that are sent more than once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Depends, Request

from gapcast.core.documents.message_format import SHOWN_CHARS, did_you_mean, shown_value
from gapcast.core.errors import RequestError


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
