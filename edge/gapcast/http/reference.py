"""``/docs``: the OpenAPI document to read and to try, with swagger-ui's own files, which came with gapcast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

_FILES = Path(__file__).parent / "swagger"
#: Swagger UI draws its icons from data, and styles elements as it goes; it makes markup, which the page never does.
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gapcast: HTTP</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/files/swagger-ui.css">
<div id="docs"></div>
<script src="docs/files/swagger-ui-bundle.js"></script>
<script src="docs/files/start.js"></script>
"""


def install(app: FastAPI) -> None:
    """Serve the page and its files."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(_PAGE, headers=_HEADERS)

    app.mount("/docs/files", _Files(directory=_FILES), name="docs")


class _Files(StaticFiles):
    def file_response(self, *arguments: Any, **named: Any) -> Response:
        """Return a file, which is asked for again each time by its tag: a newer gapcast has newer ones."""
        response = super().file_response(*arguments, **named)
        response.headers["cache-control"] = _HEADERS["cache-control"]
        return response
