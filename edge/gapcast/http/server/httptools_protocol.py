"""uvicorn's protocol on httptools with limits, which that parser lacks."""

from __future__ import annotations

from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gapcast.http.server.bounded_protocol import HEADER_OVERHEAD, BoundedProtocol, Parsing

_TOO_MANY = "more than {} requests were sent ahead of their responses"


class _LimitError(Exception):
    """A limit was reached in a callback of the parser; stops it."""


class BoundedHttpToolsProtocol(BoundedProtocol, HttpToolsProtocol):
    """uvicorn's protocol on httptools, with limits on heads and pipelining."""

    _n_unparsed_bytes = _n_head_bytes = 0
    _reason: tuple[HTTPStatus, str] | None = None

    def data_received(self, data: bytes) -> None:
        """Parse received data, and reject an oversized head or body framing."""
        self._n_unparsed_bytes += len(data)
        super().data_received(data)
        if self._n_unparsed_bytes > self.pool.limits.max_head_bytes and not self._ignores_input:
            self.refuse(*self.too_large())

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._n_head_bytes = 0
        self.enter(Parsing.HEAD)

    def on_url(self, url: bytes) -> None:
        """Process a part of the target."""
        self._n_head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Process a header; trailers are ignored."""
        if self._parsing is Parsing.BODY:
            return
        self._n_head_bytes += len(name) + len(value) + HEADER_OVERHEAD
        if len(self.headers) >= self.pool.limits.max_headers:
            self._stop(self.too_large())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to handle a request, or queue it behind earlier ones."""
        limits = self.pool.limits
        if self._n_head_bytes > limits.max_head_bytes:
            self._stop(self.too_large())
        if self._n_waiting >= limits.max_pipelined:
            self._stop((HTTPStatus.BAD_REQUEST, _TOO_MANY.format(limits.max_pipelined)))
        super().on_headers_complete()
        self._n_unparsed_bytes = 0
        self.enter(Parsing.BODY)

    def on_body(self, body: bytes) -> None:
        """Process a part of the body."""
        self._n_unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Record that the request is complete."""
        super().on_message_complete()
        self._n_unparsed_bytes = 0
        self.enter(Parsing.NOTHING)

    def on_response_complete(self) -> None:
        """Continue with the next request."""
        super().on_response_complete()
        self.since_s = self.loop.time()

    @property
    def _n_waiting(self) -> int:
        return len(self.pipeline)

    def _stop(self, reason: tuple[HTTPStatus, str]) -> None:
        self._reason = reason
        raise _LimitError(reason[1])

    def _reason_for_error(self) -> tuple[HTTPStatus, str]:
        return self._reason or super()._reason_for_error()
