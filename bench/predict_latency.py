"""Latency of ``GET /predict`` at an even 2,000 requests a second, during 1,000 readings a second."""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from bench import latency
from bench.broker import running_broker
from bench.fleet import Fleet, device_name
from bench.load import Generator
from bench.subject import Subject, running

PER_S = 2_000
_N_CONNECTIONS = 16
_END_OF_HEAD, _LENGTH, _OK = b"\r\n\r\n", b"content-length: ", b"HTTP/1.1 200"


@dataclass(frozen=True, slots=True)
class PredictLatency:
    """Latencies of the requests, in ms from their due times, and of the concurrent readings."""

    name: str
    wanted_per_s: int
    answered_per_s: float
    n_failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    reading_p50_ms: float
    reading_p99_ms: float


class _Connection:
    """One connection, with at most one request in flight."""

    def __init__(self, port: int) -> None:
        self.link = socket.create_connection(("127.0.0.1", port))
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due_s = 0.0
        self._received = b""

    def send(self, request: bytes, due_s: float) -> None:
        self.due_s = due_s
        self.link.sendall(request)

    def receive(self) -> bool | None:
        """Receive; return whether the response is a 200, or None while it is incomplete."""
        chunk = self.link.recv(1 << 16)
        if not chunk:
            msg = "the service closed a connection, as it does after 5 s without a request"
            raise ConnectionError(msg)
        self._received += chunk
        head, found, body = self._received.partition(_END_OF_HEAD)
        if not found or len(body) < int(head[head.lower().index(_LENGTH) + len(_LENGTH) :].split(b"\r\n")[0]):
            return None
        self._received = b""
        return head.startswith(_OK)


def request_evenly(port: int, n_devices: int, per_s: int, measured_s: float) -> tuple[list[float], int, float]:
    """Request one device after another; return each latency in ms, the number of failures, and the duration in s."""
    requests = [
        f"GET /predict?device={device_name(i)} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode() for i in range(n_devices)
    ]
    free = deque(_Connection(port) for _ in range(_N_CONNECTIONS))  # round robin, so that none stays idle for long
    n_wanted, n_sent, n_failed = round(per_s * measured_s), 0, 0
    took_ms: list[float] = []
    with selectors.DefaultSelector() as waiting:
        for connection in free:
            waiting.register(connection.link, selectors.EVENT_READ, connection)
        start_s = time.perf_counter()
        while len(took_ms) < n_wanted:
            now_s = time.perf_counter()
            while free and n_sent < n_wanted and start_s + n_sent / per_s <= now_s:
                free.popleft().send(requests[n_sent % n_devices], start_s + n_sent / per_s)
                n_sent += 1
            for key, _ in waiting.select(max(start_s + n_sent / per_s - now_s, 0) if free else 1.0):
                connection = key.data
                is_good = connection.receive()
                if is_good is not None:
                    took_ms.append((time.perf_counter() - connection.due_s) * 1e3)
                    n_failed += not is_good
                    free.append(connection)
        whole_s = time.perf_counter() - start_s
    for connection in free:
        connection.link.close()
    return took_ms, n_failed, whole_s


def measure(subject: Subject, measured_s: int, per_s: int = PER_S) -> PredictLatency:
    """Measure one subject on its own broker, which runs with TCP_NODELAY."""
    with running_broker(nodelay=True) as (port, _), running(subject, port, 1) as gateway:
        fleet = Fleet(latency.N_DEVICES, 1)
        with Generator(port, fleet) as generator:
            generator.wait_until_answered()
            generator.wait_until_answered()  # a device's first forecast comes with its second reading
        n_readings = (latency.WARM_UP_S + measured_s) * latency.PER_S
        with ProcessPoolExecutor(1, get_context("spawn")) as other:
            requests = other.submit(request_evenly, gateway.http_port, latency.N_DEVICES, per_s, measured_s)
            _, took_ns = latency.send_evenly(port, fleet, n_readings)
            took_ms, n_failed, whole_s = requests.result()
    readings_ms = took_ns[took_ns >= 0] / 1e6
    p50, p99, most = np.percentile(took_ms, (50, 99, 100))
    reading_p50, reading_p99 = np.percentile(readings_ms, (50, 99))
    return PredictLatency(
        subject.name,
        per_s,
        answered_per_s=len(took_ms) / whole_s,
        n_failed=n_failed,
        p50_ms=float(p50),
        p99_ms=float(p99),
        max_ms=float(most),
        reading_p50_ms=float(reading_p50),
        reading_p99_ms=float(reading_p99),
    )
