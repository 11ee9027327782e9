"""Time from sending a reading to receiving its forecast, at an even 1,000 readings a second."""

from __future__ import annotations

import re
import select
import socket
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench import wire
from bench.broker import running_broker
from bench.fleet import Fleet, index_of
from bench.load import Generator, connected, received
from bench.process import cpu_s
from bench.subject import Subject, running

N_DEVICES = 1_000
PER_S = 1_000
WARM_UP_S = 1
_PERIOD_NS = 1_000_000_000 // PER_S
_LAST_ANSWER_NS = 2_000_000_000
_STAMP = re.compile(rb'"(?:observed_at|ts)":\s*"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds over all readings of one run. ``n_missing`` had no answer within two seconds of the end.

    ``nodelay`` is the broker's ``set_tcp_nodelay``: without it (the default) the broker delays a small packet until the
    previous one is acknowledged. ``cpu_us`` is the CPU time per reading, user and system of all threads.
    ``sent_late_p99_ms`` shows how evenly the generator was able to send.
    """

    name: str
    qos: int
    nodelay: bool
    n_readings: int
    n_missing: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    cpu_us: float
    sent_late_p99_ms: float


def measure(subject: Subject, qos: int, measured_s: int, *, nodelay: bool) -> Latency:
    """Measure one subject on its own broker; ``nodelay`` is that broker's ``set_tcp_nodelay``."""
    with running_broker(nodelay=nodelay) as (port, _), running(subject, port, qos) as process:
        fleet = Fleet(N_DEVICES, qos)
        with Generator(port, fleet) as generator:
            generator.wait_until_answered()
        before_s, n_readings = cpu_s(process.pid), (WARM_UP_S + measured_s) * PER_S
        late_ns, took_ns = send_evenly(port, fleet, n_readings)
        used_s = cpu_s(process.pid) - before_s
    late_ns, took_ns = late_ns[WARM_UP_S * PER_S :], took_ns[WARM_UP_S * PER_S :]
    answered_ns = took_ns[took_ns >= 0]
    p50, p90, p99, most = np.percentile(answered_ns, (50, 90, 99, 100)) / 1e6
    return Latency(
        subject.name,
        qos,
        nodelay,
        n_readings=len(took_ns),
        n_missing=len(took_ns) - len(answered_ns),
        p50_ms=float(p50),
        p90_ms=float(p90),
        p99_ms=float(p99),
        max_ms=float(most),
        cpu_us=1e6 * used_s / n_readings,
        sent_late_p99_ms=float(np.percentile(late_ns, 99) / 1e6),
    )


def send_evenly(port: int, fleet: Fleet, n_readings: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Send ``n_readings``, one a millisecond; return for each how late it was sent and how long its answer took, ns.

    A reading without an answer has -1.
    """
    first = fleet.n_minutes * fleet.n_devices
    sent_ns = np.zeros(n_readings, np.int64)
    took_ns = np.full(n_readings, -1, np.int64)
    minute, rest, n_sent, n_answered = memoryview(b""), b"", 0, 0
    with connected(port, "bench-readings") as out, connected(port, "bench-forecasts", "gap/+/forecast") as back:
        start_ns = due_ns = time.perf_counter_ns()
        while n_answered < n_readings:
            now_ns = time.perf_counter_ns()
            if n_sent < n_readings and now_ns >= due_ns:
                minute = minute or memoryview(fleet.next_minute())
                sent_ns[n_sent] = time.perf_counter_ns()
                out.send(minute[: fleet.packet_bytes])
                minute = minute[fleet.packet_bytes :]
                n_sent += 1
                due_ns = start_ns + n_sent * _PERIOD_NS
                continue
            if n_sent == n_readings and now_ns > due_ns + _LAST_ANSWER_NS:
                break
            ready, _, _ = select.select(
                (back, out), (), (), max(due_ns - now_ns, 0) / 1e9 if n_sent < n_readings else 0.1
            )
            if out in ready:
                received(out)
            if back not in ready:
                continue
            chunk = rest + received(back)
            arrived_ns = time.perf_counter_ns()
            if hasattr(socket, "TCP_QUICKACK"):  # otherwise the broker may wait for the acknowledgement
                back.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            frames, n_bytes = wire.split(chunk)
            rest = chunk[n_bytes:]
            for frame in frames:
                topic, payload = wire.topic_and_payload(chunk, frame)
                stamp = _STAMP.search(payload)
                reading = index_of(topic, stamp[1], fleet.n_devices) - first if stamp else -1
                if 0 <= reading < n_sent and took_ns[reading] < 0:
                    took_ns[reading] = arrived_ns - sent_ns[reading]
                    n_answered += 1
    return sent_ns - start_ns - _PERIOD_NS * np.arange(n_readings), took_ns
