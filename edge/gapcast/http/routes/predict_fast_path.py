"""A fast path for ``GET /predict?device=``, which may be requested thousands of times a second."""

from __future__ import annotations

import json

from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.api.predict_answer import JSON_TYPE
from gapcast.core.readings.reading import is_device_id
from gapcast.service.queries.queries import ServiceQueries

_DEVICE_QUERY = b"device="


class PredictFastPath:
    """Answers with a device's newest forecast if there is one; passes all other requests on to the routes.

    The route ``/predict`` returns the same, and adds the OpenAPI document and the problems.
    """

    def __init__(self, app: ASGIApp, queries: ServiceQueries) -> None:
        self._app = app
        self._queries = queries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on the request."""
        if scope["path"] == "/predict" and scope["method"] == "GET":
            query: bytes = scope["query_string"]
            device = query[len(_DEVICE_QUERY) :].decode("latin-1")
            if query.startswith(_DEVICE_QUERY) and is_device_id(device):
                forecast = self._queries.latest_of(device)
                if forecast is not None:
                    body = json.dumps(forecast.document(), ensure_ascii=False, separators=(",", ":")).encode()
                    length = str(len(body)).encode()
                    headers = [(b"content-length", length), (b"content-type", JSON_TYPE.encode())]
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": body})
                    return
        await self._app(scope, receive, send)
