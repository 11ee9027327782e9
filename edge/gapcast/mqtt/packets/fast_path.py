"""The fast path beside paho: a socket wrapper that handles PUBLISH and PUBACK itself and passes the rest to paho.

paho calls ``recv`` and ``send`` on its socket; websockets and TLS are already objects with the interface of a socket
(``pending``, ``fileno``, ``setblocking``, ``close``). This class wraps the socket that paho created. One system call
reads all available packets, and one writes all buffered packets.
"""

from __future__ import annotations

import select
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

from gapcast.mqtt.packets.frames import Acknowledgement, OtherPacket, Publication
from gapcast.mqtt.packets.splitter import ProtocolError, Splitter

_READ_BYTES = 262_144
#: Maximum number of full reads per round, so that a peer that sends faster than packets are parsed cannot block the
#: stream.
_MAX_READS = 4
_CLOSE_TIMEOUT_S = 2.0
_DISCONNECT_TIMEOUT_S = 2.0
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class FastPathSocket:
    """Owns the connection's bytes. Used only by the thread that runs the session."""

    def __init__(
        self,
        sock: Any,
        on_publications: Callable[[list[Publication]], None],
        on_acknowledgements: Callable[[list[Acknowledgement]], None],
        *,
        mqtt5: bool,
    ) -> None:
        self._sock = sock
        # A short read means that a plain socket is empty. Over TLS or WebSocket a read is one record or frame.
        self._is_plain = not hasattr(sock, "pending")
        self._splitter = Splitter(mqtt5=mqtt5)
        self._on_publications = on_publications
        self._on_acknowledgements = on_acknowledgements
        self._poll, self._polled_events = select.poll(), 0
        self._for_paho = bytearray()
        self._out = bytearray()
        self._ended = False
        #: The error that ended the connection, if any.
        self.failure: OSError | None = None
        #: Whether :meth:`pump` left data unread, which polling may not report.
        self.has_more = False
        #: Whether the last packet is a DISCONNECT, which the peer must read before the connection ends.
        self.sends_disconnect = False

    def wait(self, timeout_s: float) -> None:
        """Wait until there are data to read, or buffered bytes can be sent, but at most ``timeout_s``."""
        events = select.POLLIN | (select.POLLOUT if self._out else 0)
        if events != self._polled_events:
            self._poll.register(self.fileno(), events)
            self._polled_events = events
        self._poll.poll(timeout_s * 1_000)

    def pump(self) -> None:
        """Read available data without waiting; pass on publications and acknowledgements."""
        self.has_more = False
        n_bytes = 0
        while n_bytes < _MAX_READS * _READ_BYTES:
            if self._ended:
                return
            try:
                received = self._sock.recv(_READ_BYTES)
            except _WOULD_BLOCK:
                if self._is_plain or not self._sock.pending():
                    return
                continue  # for example a WebSocket ping, while TLS holds decrypted data that no poll reports
            except OSError as error:
                self.fail(error)
                return
            if not received:
                self._ended = True
                return
            n_bytes += len(received)
            self._splitter.feed(received)
            self._dispatch(self._splitter.packets())
            if self._is_plain and len(received) < _READ_BYTES:
                return
        self.has_more = True

    def _dispatch(self, packets: Iterable[Publication | Acknowledgement | OtherPacket]) -> None:
        publications: list[Publication] = []
        acknowledgements: list[Acknowledgement] = []
        try:
            for packet in packets:
                if isinstance(packet, Publication):
                    publications.append(packet)
                elif isinstance(packet, Acknowledgement):
                    acknowledgements.append(packet)
                else:
                    self._for_paho += packet.raw
        except ProtocolError as error:
            self.fail(error)
        finally:
            try:
                if acknowledgements:
                    self._on_acknowledgements(acknowledgements)
            finally:
                if publications:
                    self._on_publications(publications)

    def write(self, packet: bytes | memoryview) -> None:
        """Buffer a packet for :meth:`flush`."""
        self._out += packet

    def flush(self) -> None:
        """Send as much as the network accepts, without waiting."""
        while self._out:
            try:
                n_sent = self._sock.send(self._out)
            except _WOULD_BLOCK:
                return
            except OSError as error:
                self.fail(error)
                return
            del self._out[:n_sent]

    @property
    def n_unsent(self) -> int:
        """Bytes waiting to be sent."""
        return len(self._out)

    @property
    def has_paho_input(self) -> bool:
        """Whether paho has something to read: its own packets, or the end of the connection."""
        return bool(self._for_paho) or self._ended

    # --- the socket interface that paho uses --------------------------------------------------

    def recv(self, n_bytes: int) -> bytes:
        """Return paho's packets; b"" at the end of the connection, as a socket does."""
        if self._for_paho:
            packets = bytes(self._for_paho[:n_bytes])
            del self._for_paho[:n_bytes]
            return packets
        if self.failure is not None:
            raise self.failure
        if self._ended:
            return b""
        raise BlockingIOError

    def send(self, packet: bytes | bytearray) -> int:
        """Buffer a packet of paho's, in order with gapcast's own."""
        self._out += packet
        return len(packet)

    def fileno(self) -> int:
        """Return the connection's file descriptor, for polling."""
        return int(self._sock.fileno())

    def setblocking(self, flag: bool) -> None:
        """Set the connection's blocking mode."""
        self._sock.setblocking(flag)

    def fail(self, error: OSError) -> None:
        """End the connection because of ``error``."""
        self.failure, self._ended = error, True

    def cut(self) -> None:
        """End the connection without sending the buffered bytes."""
        self._out.clear()
        self._ended = True
        self._sock.close()

    def close(self) -> None:
        """Send the buffered bytes within two seconds; after a DISCONNECT, wait for the peer to close; then close."""
        poll, deadline_s = select.poll(), time.monotonic() + _CLOSE_TIMEOUT_S
        try:
            poll.register(self.fileno(), select.POLLOUT)
            while self._out and not self._ended and (left_s := deadline_s - time.monotonic()) > 0:
                poll.poll(left_s * 1_000)
                self.flush()
            if self.sends_disconnect:
                self._await_end()
        except (OSError, ValueError):  # the connection is gone already
            self._ended = True
        finally:
            self._sock.close()

    def _await_end(self) -> None:
        """Discard incoming data until the peer closes the connection, as it must after a DISCONNECT.

        Closing a socket with unread data resets the connection: a broker in the middle of sending would lose it before
        reading the DISCONNECT, and publish the last will (MQTT 5.0, 3.14.4; RFC 1122, 4.2.2.13).
        """
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        deadline_s = time.monotonic() + _DISCONNECT_TIMEOUT_S
        while not self._ended and (left_s := deadline_s - time.monotonic()) > 0:
            try:
                self._ended = not self._sock.recv(_READ_BYTES)
            except _WOULD_BLOCK:
                poll.poll(left_s * 1_000)
