"""uvicorn's protocol on h11 with limits, used where httptools has no wheel, such as on armv7."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from gapcast.http.server.bounded_protocol import HEADER_OVERHEAD, BoundedProtocol, Parsing


class _BoundedH11(h11.Connection):
    """h11's parser, which limits incomplete heads; this class also limits complete ones."""

    def __init__(self, max_head_bytes: int, max_headers: int) -> None:
        super().__init__(h11.SERVER, max_head_bytes)
        self._max_head_bytes, self._max_headers = max_head_bytes, max_headers
        self.is_too_large = False

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event; raise :class:`h11.RemoteProtocolError` if it is invalid or too large."""
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.is_too_large = error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise
        if isinstance(event, h11.Request):
            headers = event.headers.raw_items()
            n_bytes = len(event.target) + sum(len(name) + len(value) + HEADER_OVERHEAD for name, value in headers)
            if len(headers) > self._max_headers or n_bytes > self._max_head_bytes:
                self.is_too_large = True
                msg = "the head is too large"
                raise h11.RemoteProtocolError(msg, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return event


class BoundedH11Protocol(BoundedProtocol, H11Protocol):
    """uvicorn's protocol on h11, which does not read while a response is in progress."""

    conn: _BoundedH11

    def connection_made(self, transport: Any) -> None:
        """Accept a connection."""
        self.conn = _BoundedH11(self.pool.limits.max_head_bytes, self.pool.limits.max_headers)
        super().connection_made(transport)

    def handle_events(self) -> None:
        """Handle the parsed events."""
        super().handle_events()
        if not self._ignores_input:
            self._update_parsing()

    def on_response_complete(self) -> None:
        """Continue with the next request."""
        super().on_response_complete()
        if not self._ignores_input:
            self._update_parsing()

    def _update_parsing(self) -> None:
        state = self.conn.their_state
        if state is h11.IDLE:
            parsing = Parsing.HEAD if self.conn.trailing_data[0] else Parsing.NOTHING
        else:
            parsing = Parsing.BODY if state is h11.SEND_BODY else Parsing.NOTHING
        if parsing is not self._parsing:
            self.enter(parsing)

    def _reason_for_error(self) -> tuple[HTTPStatus, str]:
        return self.too_large() if self.conn.is_too_large else super()._reason_for_error()
