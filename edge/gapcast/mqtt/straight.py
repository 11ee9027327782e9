"""The straight path under paho: a socket that keeps PUBLISH and PUBACK for us, and gives paho the rest.

paho asks its socket for ``recv`` and ``send``; websockets and TLS already come to it as objects that
look like sockets (``pending``, ``fileno``, ``setblocking``, ``close``). This is one more of them, laid
over whichever paho made. One system call reads, and one writes, as many packets as there are.
"""

from __future__ import annotations

import select
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

from gapcast.mqtt.frames import Acknowledgement, Other, ProtocolError, Publication, Splitter

_READ_BYTES = 262_144
#: Full reads at a time: a peer that sends faster than they are cut must not keep them from being taken.
_MAX_READS = 4
_CLOSE_TIMEOUT_S = 2.0
_GOODBYE_TIMEOUT_S = 2.0
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class StraightSocket:
    """Owns the connection's bytes. One thread uses it: the one that runs the session."""

    def __init__(
        self,
        sock: Any,
        *,
        mqtt5: bool,
        on_publication: Callable[[Publication], None],
        on_acknowledgement: Callable[[Acknowledgement], None],
    ) -> None:
        self._sock = sock
        # A short read has emptied a plain socket. Over TLS or WebSocket it is a record or a frame, often one message.
        self._is_plain = not hasattr(sock, "pending")
        self._splitter = Splitter(mqtt5=mqtt5)
        self._on_publication = on_publication
        self._on_acknowledgement = on_acknowledgement
        self._for_paho = bytearray()
        self._out = bytearray()
        self._lost: OSError | None = None
        self._ended = False
        #: Whether more was there than :meth:`pump` took; polling need not tell of it.
        self.has_more = False
        #: Whether the last words are a DISCONNECT, which the peer is to read before the connection ends.
        self.says_goodbye = False

    def pump(self) -> None:
        """Read what has come, without waiting; hand on publications and acknowledgements."""
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
                continue  # it was a WebSocket's ping, say, and TLS has decrypted more, of which no poll will tell
            except OSError as error:
                self._lost, self._ended = error, True
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

    def _dispatch(self, packets: Iterable[Publication | Acknowledgement | Other]) -> None:
        try:
            for packet in packets:
                if isinstance(packet, Publication):
                    self._on_publication(packet)
                elif isinstance(packet, Acknowledgement):
                    self._on_acknowledgement(packet)
                else:
                    self._for_paho += packet.raw
        except ProtocolError as error:
            self._lost, self._ended = OSError(str(error)), True

    def write(self, packet: bytes) -> None:
        """Add a packet to what :meth:`flush` will send."""
        self._out += packet

    def flush(self) -> None:
        """Send as much as the network takes now, without waiting."""
        while self._out:
            try:
                n_sent = self._sock.send(self._out)
            except _WOULD_BLOCK:
                return
            except OSError as error:
                self._lost, self._ended = error, True
                return
            del self._out[:n_sent]

    @property
    def failure(self) -> OSError | None:
        """What ended the connection, where that was an error."""
        return self._lost

    @property
    def n_unsent(self) -> int:
        """Bytes that wait for the network."""
        return len(self._out)

    @property
    def wants_paho(self) -> bool:
        """Whether paho has something to read: packets of its own, or the end of the connection."""
        return bool(self._for_paho) or self._ended

    # --- what paho asks of a socket -----------------------------------------------------------

    def recv(self, n_bytes: int) -> bytes:
        """Give paho its own packets; b"" at the end of the connection, as a socket does."""
        if self._for_paho:
            taken = bytes(self._for_paho[:n_bytes])
            del self._for_paho[:n_bytes]
            return taken
        if self._lost is not None:
            raise self._lost
        if self._ended:
            return b""
        raise BlockingIOError

    def send(self, packet: bytes | bytearray) -> int:
        """Take a packet of paho's; it leaves in order with our own."""
        self._out += packet
        return len(packet)

    def pending(self) -> int:
        """Bytes that wait for paho."""
        return len(self._for_paho)

    def fileno(self) -> int:
        """File descriptor of the connection, to wait on."""
        return int(self._sock.fileno())

    def setblocking(self, flag: bool) -> None:
        """Set the connection's blocking mode."""
        self._sock.setblocking(flag)

    def cut(self) -> None:
        """End the connection without sending what is left."""
        self._out.clear()
        self._ended = True
        self._sock.close()

    def close(self) -> None:
        """Send what is left within two seconds, let the peer end the connection after a goodbye, then close."""
        poll = select.poll()
        try:
            poll.register(self.fileno(), select.POLLOUT)
            while self._out and not self._ended and poll.poll(_CLOSE_TIMEOUT_S * 1_000):
                self.flush()
            if self.says_goodbye:
                self._await_end()
        except (OSError, ValueError):  # the connection is gone already: nothing is left to send it on
            self._ended = True
        finally:
            self._sock.close()

    def _await_end(self) -> None:
        """Drop what still comes until the peer ends the connection, as it must after a DISCONNECT.

        A socket that is closed with something unread resets the connection: a broker in the middle of
        sending would find it gone before it read the DISCONNECT, and publish the last will
        (MQTT 5.0, 3.14.4; RFC 1122, 4.2.2.13).
        """
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        deadline_s = time.monotonic() + _GOODBYE_TIMEOUT_S
        while not self._ended and (left_s := deadline_s - time.monotonic()) > 0:
            try:
                self._ended = not self._sock.recv(_READ_BYTES)
            except _WOULD_BLOCK:
                poll.poll(left_s * 1_000)
