"""Resource use of one worker by number of meters: ``python -m bench.scale [--devices 1000,10000,100000]``.

The default configuration: ensemble, online learning, intervals, scores, persistence, outlooks of the first devices.
Each size has its own worker and broker. CPU time is measured over whole rounds between two checkpoints' worth of
readings, after each meter's first outcome. Score reports use wall-clock time, in which an hour is not 60 readings here:
they are disabled unless requested.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench import machine, report
from bench.broker import running_broker
from bench.fleet import Fleet
from bench.load import Generator, StalledError
from bench.process import cpu_s, memory
from bench.subject import Subject, running
from gapcast.storage.checkpoints.checkpoint_rule import MOST_READINGS_EACH

_QOS, _WINDOW = 1, 1_000
#: Minutes before the measurement: the first outcome is observed in the seventh minute.
_WARM_UP_MIN = 8
_LEAST_READINGS = 200_000
_STALL_S = 120.0
_HOUR_MIN = 60


class ScaleCost(NamedTuple):
    """Figures of one size: CPU time and throughput per reading, the worker's memory, and checkpoint size per meter.

    ``stop_s`` is from SIGTERM until the state is persisted, ``restart_s`` from the start until it is served again.
    """

    n_devices: int
    n_readings: int
    cpu_us: float
    broker_cpu_us: float
    per_s: float
    answer_bytes: float
    rss_idle_mb: float
    rss_mb: float
    disk_kb: float
    stop_s: float
    restart_s: float


_HEAD = (
    *("meters", "readings", "CPU us", "broker us", "per s", "answer B"),
    *("idle MB", "full MB", "disk kB", "stop s", "start s"),
)
_DIGITS = (0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1)


def measure(subject: Subject, n_devices: int, *, reports: bool) -> ScaleCost:
    """Return the figures of ``subject`` for ``n_devices``; with ``reports`` the scores of each are published once."""
    with tempfile.TemporaryDirectory(prefix="gapcast-scale-") as folder, running_broker() as (port, broker_pid):
        settings = {
            "GAPCAST_STATE__PATH": folder,
            "GAPCAST_DEVICES__MAX": str(n_devices),
            "GAPCAST_LEARNING__MAX_DEVICES": str(n_devices),
            "GAPCAST_LEARNING__REPORT_EVERY_MIN": str(_HOUR_MIN * reports),
        }
        n_minutes = max(MOST_READINGS_EACH + 1, _LEAST_READINGS // n_devices)
        with running(subject, port, _QOS, settings) as process, Generator(port, Fleet(n_devices, _QOS)) as generator:
            idle_mb = memory(process.pid).rss_mb
            _send(generator, n_devices, _WARM_UP_MIN, n_answered=n_devices * (_WARM_UP_MIN - 1))
            before = (cpu_s(process.pid), cpu_s(broker_pid), time.perf_counter())
            n_readings, n_bytes_before = n_minutes * n_devices, generator.n_answer_bytes
            _send(generator, n_devices, n_minutes, n_answered=n_readings)
            used = [now - then for now, then in zip(
                (cpu_s(process.pid), cpu_s(broker_pid), time.perf_counter()), before, strict=True)]  # fmt: skip
            answer_bytes = (generator.n_answer_bytes - n_bytes_before) / n_readings
            full_mb = memory(process.pid).rss_mb
            stopping_s = time.perf_counter()
        stop_s = time.perf_counter() - stopping_s
        newest = max(Path(folder, "stream").glob("checkpoint-*.npz"))
        disk_kb = newest.stat().st_size / 1e3
        with running(subject, port, _QOS, settings) as process:
            restart_s = process.start_s
    return ScaleCost(
        n_devices, n_readings, 1e6 * used[0] / n_readings, 1e6 * used[1] / n_readings, n_readings / used[2],
        answer_bytes, idle_mb, full_mb, disk_kb / n_devices, stop_s, restart_s,
    )  # fmt: skip


def _send(generator: Generator, n_devices: int, n_minutes: int, n_answered: int) -> None:
    """Send ``n_minutes`` of all devices; return after ``n_answered`` answers. First readings get no answer."""
    last, wanted = generator.n_sent + n_minutes * n_devices, generator.n_answered + n_answered
    first = generator.n_answered == 0
    progress_s, seen = time.monotonic(), generator.n_answered
    while generator.n_answered < wanted:
        generator.tick(_WINDOW + n_devices if first else _WINDOW, last)
        if first and generator.n_answered:
            first, generator.n_unanswered = False, n_devices
        if generator.n_answered > seen:
            progress_s, seen = time.monotonic(), generator.n_answered
        elif time.monotonic() > progress_s + _STALL_S:
            msg = f"no answer for {_STALL_S:.0f} s: {generator.n_answered} of {wanted} received"
            raise StalledError(msg)


def main() -> int:
    """Measure each requested size."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--devices", default="1000,10000,100000", help="comma-separated numbers of devices")
    parser.add_argument("--alone", metavar="MODEL", help="only this model, without online learning")
    parser.add_argument("--reports", action="store_true", help="also publish score reports")
    chosen = parser.parse_args()
    print(report.machine_lines(machine.describe()), flush=True)
    subject = Subject("gapcast", chosen.alone)
    print("\n" + " ".join(f"{name:>10}" for name in _HEAD))
    for n_devices in map(int, chosen.devices.split(",")):
        cost = measure(subject, n_devices, reports=chosen.reports)
        print(" ".join(f"{figure:>10,.{digits}f}" for figure, digits in zip(cost, _DIGITS, strict=True)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
