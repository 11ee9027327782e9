"""The load generator: sends readings on one connection, counts forecasts on another.

Closed loop: at most ``window`` readings are in flight, so that no queue overflows and the throughput of the process
under test is measured. The generator wakes every millisecond and handles all pending data, so that it uses little CPU
time itself. Forecasts are counted over a QoS 0 subscription, which costs broker and counter least; readings and
forecasts travel to and from the process under test at the QoS under test.
"""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Self

from bench import wire
from bench.fleet import Fleet

TICK_S = 0.001
QUIET_S = 1.0
READY_TIMEOUT_S = 30.0
STALL_S = 10.0
_MOST_BYTES = 1 << 20


class StalledError(Exception):
    """No more answers are received."""


def connected(port: int, client_id: str, topic_filter: str | None = None) -> socket.socket:
    """Return a non-blocking socket, connected to the broker and, with a filter, subscribed at QoS 0."""
    link = socket.create_connection(("127.0.0.1", port), timeout=READY_TIMEOUT_S)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    packets = [wire.connect(client_id.encode())]
    packets += [wire.subscribe(topic_filter.encode(), 0)] if topic_filter else []
    for packet in packets:
        link.sendall(packet)
        answer, n_bytes = b"", 0
        while not n_bytes:
            answer += link.recv(1)  # byte by byte: later data stays in the socket
            n_bytes = wire.split(answer)[1]
    link.setblocking(False)
    return link


class Generator:
    """Publishes a fleet's readings and counts the answers."""

    def __init__(self, port: int, fleet: Fleet, answers: str = "gap/+/forecast") -> None:
        """Connect to the broker at ``port``; ``answers`` is the filter of the topics to count."""
        self._fleet = fleet
        self._out = connected(port, "bench-readings")
        self._in = connected(port, "bench-forecasts", answers)
        self._minute = memoryview(b"")
        self._rest = b""
        self._n_bytes_sent = self._n_bytes_acknowledged = 0
        self.n_answered = self.n_answer_bytes = 0
        #: Readings without an answer when the stream went quiet.
        self.n_unanswered = 0

    def __enter__(self) -> Self:
        """Return the generator."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both connections."""
        self._out.close()
        self._in.close()

    @property
    def n_sent(self) -> int:
        """Whole readings handed to the broker."""
        return self._n_bytes_sent // self._fleet.packet_bytes

    @property
    def n_in_flight(self) -> int:
        """Sent readings that may still be answered."""
        return self.n_sent - self.n_answered - self.n_unanswered

    def tick(self, window: int, last: int | None = None) -> None:
        """Receive pending answers; send until ``window`` readings are in flight or ``last`` were sent in total."""
        self._receive()
        room = window - self.n_in_flight
        if self._fleet.qos:
            room = min(room, window - (self.n_sent - self._n_bytes_acknowledged // 4))
        if last is not None:
            room = min(room, last - self.n_sent)
        if room > 0:
            self._send(room)
        time.sleep(TICK_S)

    def run(self, seconds: float, window: int) -> float:
        """Keep ``window`` readings in flight for ``seconds``; return the actual duration, s."""
        begin = progress = time.perf_counter()
        n_answered = self.n_answered
        while (now := time.perf_counter()) < begin + seconds:
            self.tick(window)
            if self.n_answered > n_answered:
                n_answered, progress = self.n_answered, now
            elif now > progress + STALL_S:
                msg = f"no answer for {STALL_S:.0f} s: {self.n_sent} sent, {self.n_answered} answered"
                raise StalledError(msg)
        return time.perf_counter() - begin

    def send_minutes(self, n_minutes: int, window: int) -> int:
        """Send ``n_minutes`` readings per device, wait for the answers, and return their number."""
        before = self.n_answered
        last = self.n_sent + n_minutes * self._fleet.n_devices
        progress, n_answered = time.monotonic(), before
        while self.n_in_flight or self.n_sent < last:
            self.tick(window, last)
            if self.n_answered > n_answered:
                n_answered, progress = self.n_answered, time.monotonic()
            elif time.monotonic() > progress + QUIET_S:
                # Readings unanswered by now never will be: first readings, or ones sent before the subscription.
                self.n_unanswered += self.n_in_flight
                progress = time.monotonic()
        return self.n_answered - before

    def wait_until_answered(self) -> None:
        """Send minute by minute until all devices are answered: a first reading has no forecast."""
        until = time.monotonic() + READY_TIMEOUT_S
        while self.send_minutes(1, window=1_000) < self._fleet.n_devices:
            if time.monotonic() > until:
                msg = f"no full round of answers: {self.n_sent} sent, {self.n_answered} answered"
                raise StalledError(msg)

    def _send(self, n_readings: int) -> None:
        # A packet cut short by a full socket is finished first; n_readings then runs from its end.
        n_bytes = n_readings * self._fleet.packet_bytes - self._n_bytes_sent % self._fleet.packet_bytes
        while n_bytes > 0:
            if not self._minute:
                self._minute = memoryview(self._fleet.next_minute())
            try:
                n = self._out.send(self._minute[:n_bytes])
            except BlockingIOError:
                return
            self._minute = self._minute[n:]
            self._n_bytes_sent += n
            n_bytes -= n

    def _receive(self) -> None:
        chunk = self._rest + received(self._in)
        frames, n_bytes = wire.split(chunk)
        self._rest = chunk[n_bytes:]
        self.n_answered += len(frames)
        self.n_answer_bytes += n_bytes
        if self._fleet.qos:
            self._n_bytes_acknowledged += len(received(self._out))  # only PUBACKs, 4 bytes each


def received(link: socket.socket) -> bytes:
    """Return the pending data of a non-blocking socket; raise StalledError if the broker closed it."""
    chunks: list[bytes] = []
    while True:
        try:
            chunk = link.recv(_MOST_BYTES)
        except BlockingIOError:
            return b"".join(chunks)
        if not chunk:
            msg = "the broker has closed the connection"
            raise StalledError(msg)
        chunks.append(chunk)
        if len(chunk) < _MOST_BYTES:
            return b"".join(chunks)
