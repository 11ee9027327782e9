"""Requests to the REST application of a service, in this process."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from gapcast.api.predict_answer import PredictHandler
from gapcast.core.readings.reading import Limits
from gapcast.http.app import create_app
from gapcast.http.options import HttpOptions
from gapcast.service.service import Service

MAX_BODY_BYTES = 10_000
OPTIONS = HttpOptions(max_body_bytes=MAX_BODY_BYTES)
LOCAL = ("127.0.0.1", 1)


@functools.lru_cache(maxsize=1)  # of the test that runs: creating it takes longer than most requests
def _app_of(service: Service, http: HttpOptions) -> FastAPI:
    handler = PredictHandler(service.queries, Limits(), max_body_bytes=MAX_BODY_BYTES, max_readings=100)
    return create_app(service, list, CollectorRegistry(), handler, http)


def ask(
    service: Service,
    method: str,
    path: str,
    *,
    http: HttpOptions = OPTIONS,
    client: tuple[str, int] = LOCAL,
    **options: Any,
) -> httpx.Response:
    """Return the answer to one request of ``client``; ``options`` are those of httpx, such as ``json``."""

    async def sent() -> httpx.Response:
        transport = httpx.ASGITransport(_app_of(service, http), client=client)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
            return await asking.request(method, path, **options)

    return asyncio.run(sent())
