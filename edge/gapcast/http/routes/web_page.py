"""``/``: the household's web page, static files that use the REST API."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gapcast.http.routes.route_inputs import accepts_gzip

_FILES = Path(__file__).parents[1] / "page"
#: Fixed here, because the mime.types of systems differ.
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".json": "application/json"}
_TYPES |= {".svg": "image/svg+xml", "": "text/plain"}
#: Content is loaded only from and sent only to this origin, and text never becomes markup.
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # revalidated by its ETag, so that an update is effective immediately
    "vary": "accept-encoding",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file; its ETag is a hash of the content, because the times of installed files are meaningless."""

    content: bytes
    compressed: bytes
    media_type: str
    tag: str

    @classmethod
    def read(cls, path: Path) -> PageFile:
        """Return the file at ``path``."""
        content = path.read_bytes()
        tag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'  # weak: the same for both encodings
        return cls(content, gzip.compress(content, mtime=0), _TYPES[path.suffix], tag)

    def answer(self, request: Request) -> Response:
        """Return the file, or 304 if the client has it."""
        headers = {**PAGE_HEADERS, "etag": self.tag}
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        if accepts_gzip(request.headers):
            headers["content-encoding"] = "gzip"
            return Response(self.compressed, media_type=self.media_type, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def install(app: FastAPI) -> None:
    """Serve the page and its files from memory: 170 kB, and 70 kB compressed."""
    files = {path.relative_to(_FILES).as_posix(): PageFile.read(path) for path in _FILES.rglob("*") if path.is_file()}

    async def page(request: Request) -> Response:
        return files["index.html"].answer(request)

    async def part(request: Request) -> Response:
        file = files.get(request.path_params["name"])
        if file is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "the page has no such file: reload it")
        return file.answer(request)

    app.add_route("/", page, methods=["GET"], include_in_schema=False)
    app.add_route("/page/{name:path}", part, methods=["GET"], include_in_schema=False)
