"""Inputs that several routes share: page parameters and a JSON body."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BeforeValidator

from gapcast.core.documents.message_format import shown_value


def _plain_number(text: object) -> object:
    """Reject a number with underscores, as in Python source, which pydantic accepts."""
    if isinstance(text, str) and "_" in text:
        msg = f"must be a number without underscores, not {shown_value(text)}"
        raise ValueError(msg)
    return text


#: Part of the type of a number in a query.
PLAIN = BeforeValidator(_plain_number)
#: Page size: maximum and default.
MAX_PAGE, N_PER_PAGE = 1_000, 100
PageSize = Annotated[int, PLAIN, Query(ge=1, le=MAX_PAGE, description="Page size")]
After = Annotated[str, Query(description="Start after this device id: `next` of the previous page")]


def json_body(schema: dict[str, Any], example: object) -> dict[str, Any]:
    """Return the part of the OpenAPI document that describes a required JSON body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


async def body_of(request: Request) -> bytes:
    """Return the body of ``request``, which :class:`.BodyLimit` has read; ``request.body()`` would copy it."""
    body: bytes = (await request.receive())["body"]
    return body
