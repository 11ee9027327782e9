"""Small HTTP servers for tests, each in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.support.ports import LOOPBACK
from tests.support.waiting import GUARD_S

#: How often a server checks whether it should end, s: each test waits for that.
_POLL_S = 0.01


class QuietHandler(BaseHTTPRequestHandler):
    """Logs no requests; a subclass answers them by ``answer_get``."""

    def do_GET(self) -> None:
        self.answer_get()

    def answer_get(self) -> None:
        """Answer a GET request."""
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def respond(self, body: bytes, status: int = 200, content_type: str | None = None) -> None:
        """Answer with ``body``."""
        self.send_response(status)
        if content_type is not None:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(handler: Callable[..., Any]) -> Iterator[str]:
    """Answer on a free loopback port by ``handler``; the value is the URL, without a final slash."""
    server = ThreadingHTTPServer((LOOPBACK, 0), handler)
    thread = Thread(target=server.serve_forever, args=(_POLL_S,), name="http-server")
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(GUARD_S)
