"""Start time (seconds to the first 200 at ``/readyz``) and memory of gapcast."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.broker import running_broker
from bench.fleet import Fleet
from bench.load import Generator
from bench.process import cpu_s, memory
from bench.subject import NotReadyError, Subject, running

QOS = 1
N_MINUTES = 30
SETTLE_S = 2.0
_WINDOW = 1_000


@dataclass(frozen=True, slots=True)
class Footprint:
    """Start and memory of one model. MB are 10^6 bytes; ``rss_grown_mb`` is the growth by the fleet's devices.

    ``restart_s`` is the duration of a start with the devices' state.
    """

    name: str
    n_starts: int
    start_s: float
    start_min_s: float
    start_max_s: float
    start_cpu_s: float
    rss_idle_mb: float
    pss_idle_mb: float
    n_devices: int
    n_minutes: int
    n_forecasts: int
    rss_grown_mb: float
    pss_grown_mb: float
    restart_s: float


def measure(subject: Subject, n_starts: int, n_devices: int) -> Footprint:
    """Start ``subject`` ``n_starts`` times; then let ``n_devices`` devices each send 30 readings to the last.

    An earlier start compiles the modules to bytecode, which an installed gateway already has.
    """
    with tempfile.TemporaryDirectory(prefix="gapcast-bench-") as folder:
        return _measure(subject, n_starts, n_devices, Path(folder))


def _measure(subject: Subject, n_starts: int, n_devices: int, folder: Path) -> Footprint:
    bytecode = {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    starts_s: list[float] = []
    cpus_s: list[float] = []
    for _ in range(n_starts):
        with running_broker() as (port, _), running(subject, port, QOS, bytecode) as process:
            starts_s.append(process.start_s)
            cpus_s.append(cpu_s(process.pid))
    del starts_s[0], cpus_s[0]
    with running_broker() as (port, _):
        state = {"GAPCAST_STATE__PATH": str(folder / "state"), **bytecode}
        with running(subject, port, QOS, state) as process:
            starts_s.append(process.start_s)
            cpus_s.append(cpu_s(process.pid))
            time.sleep(SETTLE_S)
            idle = memory(process.pid)
            with Generator(port, Fleet(n_devices, QOS)) as generator:
                n_forecasts = generator.send_minutes(N_MINUTES, _WINDOW)
            wanted = n_devices * (N_MINUTES - 1)
            if n_forecasts != wanted:
                msg = f"{n_forecasts} forecasts instead of {wanted}: the memory figure is invalid"
                raise NotReadyError(msg)
            time.sleep(SETTLE_S)
            full = memory(process.pid)
        with running(subject, port, QOS, state) as process:
            restart_s = process.start_s
    return Footprint(
        subject.name,
        n_starts,
        start_s=statistics.median(starts_s),
        start_min_s=min(starts_s),
        start_max_s=max(starts_s),
        start_cpu_s=statistics.median(cpus_s),
        rss_idle_mb=idle.rss_mb,
        pss_idle_mb=idle.pss_mb,
        n_devices=n_devices,
        n_minutes=N_MINUTES,
        n_forecasts=n_forecasts,
        rss_grown_mb=full.rss_mb - idle.rss_mb,
        pss_grown_mb=full.pss_mb - idle.pss_mb,
        restart_s=restart_s,
    )
