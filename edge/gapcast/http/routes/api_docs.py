"""``/docs``: the OpenAPI document in Swagger UI, whose files are included in gapcast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

_FILES = Path(__file__).parents[1] / "swagger"
#: Swagger UI uses data: icons, inline styles and generated markup, unlike gapcast's own page.
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
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a file that clients revalidate by its ETag, so that an update is effective immediately."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = _HEADERS["cache-control"]
        return response
