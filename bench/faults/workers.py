"""Workers that share the meters by shards: one is killed, and another takes over its shards."""

from __future__ import annotations

import math
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.faults.learning import KEYS, LearningStream
from bench.faults.stage import FaultError, PersistentBroker, RestartableGateway, wait_until
from bench.faults.stream import StreamResult, running
from bench.ports import free_ports

#: Maximum duration of a takeover, s.
TAKEN_OVER_WITHIN_S = 10.0
_SEED = 20_101_101
_N_WORKERS, _N_SHARDS = 3, 6


class ShardedStream(LearningStream):
    """The stream on ``gap/{shard}/{device}/reading``; a device's shard is its number modulo the number of shards."""

    n_shards = _N_SHARDS

    def _topic(self, device: int) -> str:
        return f"gap/{device % self.n_shards}/{super()._topic(device).partition('/')[2]}"


class Worker(RestartableGateway):
    """``gapcast run`` with several shards, whose states are under ``state``, and its own folder for everything else."""

    def __init__(self, folder: Path, broker_port: int, state: Path, shards: Sequence[int]) -> None:
        self.shards = tuple(shards)
        self.first_port = free_ports(len(self.shards))
        settings: dict[str, object] = {
            "shards": ",".join(map(str, self.shards)),
            "gateway__id": "fleet",
            "state__path": state,
            "http__port": self.first_port,
            **KEYS,
        }
        super().__init__(folder, broker_port, "127.0.0.1", **settings)

    def kill(self) -> None:
        """SIGKILL the worker and the processes of its shards together."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        super().kill()

    def has_taken_over(self) -> bool:
        """Return whether each of the worker's shards has accepted readings."""
        return all(self._n_accepted(self.first_port + i) for i in range(len(self.shards)))

    def wait_ready(self) -> float:
        """Wait until each of the worker's shards is ready; return how long that took, s."""
        return wait_until(self._is_whole, f"shards {self.shards} to be ready")

    def _is_whole(self) -> bool:
        _ = self.pid
        ready = []
        for i in range(len(self.shards)):
            self.port = self.first_port + i
            ready.append(self.is_ready())
        return all(ready)

    def _n_accepted(self, port: int) -> float:
        self.port = port
        return self.metrics().get('gapcast_readings_total{result="accepted"}', 0.0)


def take_overs(
    folder: Path,
    n_kills: int,
    n_devices: int = 120,
    per_s: float = 2_000,
    within_s: float = TAKEN_OVER_WITHIN_S,
) -> dict[str, Any]:
    """SIGKILL one of three workers in mid-stream and start another for its shards, repeatedly.

    Raises FaultError if a forecast is missing or differs, or a takeover takes longer than ``within_s``.
    """
    draw = random.Random(_SEED)
    broker = PersistentBroker(folder / "broker")
    broker.start()
    shards = [tuple(range(_N_SHARDS))[i::_N_WORKERS] for i in range(_N_WORKERS)]
    workers = [Worker(folder / f"worker-{i}", broker.port, folder / "state", its) for i, its in enumerate(shards)]
    took_s = []
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.wait_ready()
        with running(ShardedStream(broker.host, broker.port, n_devices, per_s)) as stream:
            for n in range(n_kills):
                time.sleep(draw.uniform(0.0, 2.0))
                i = draw.randrange(_N_WORKERS)
                workers[i].kill()
                began_s = time.monotonic()
                workers[i] = Worker(
                    folder / f"worker-{_N_WORKERS + n}", broker.port, folder / "state", workers[i].shards
                )
                workers[i].start()
                wait_until(workers[i].has_taken_over, f"shards {workers[i].shards} to be taken over")
                took_s.append(time.monotonic() - began_s)
            for worker in workers:
                worker.wait_ready()
            result = stream.finish()
            n_with_interval = sum(not math.isnan(sum(received[0].others_kw)) for received in stream.found.values())
    finally:
        for worker in workers:
            worker.stop()
        broker.stop()
    if max(took_s) > within_s:
        msg = f"taken over only after {max(took_s):.1f} s"
        raise FaultError(msg)
    return _rows(result, took_s, n_devices) | {"with median and interval": n_with_interval}


def _rows(result: StreamResult, took_s: Sequence[float], n_devices: int) -> dict[str, Any]:
    if not result.is_good:
        msg = f"{result.n_missing} forecasts are missing and {result.n_different} differ: {result}"
        raise FaultError(msg)
    return {
        "kills": len(took_s),
        "workers, shards, devices": f"{_N_WORKERS}, {_N_SHARDS}, {n_devices}",
        "readings": result.n_readings,
        "forecasts missing": result.n_missing,
        "with another value": result.n_different,
        "duplicates": result.n_duplicates,
        "largest difference, kW": f"{result.max_difference_kw:.1g}",
        "taken over after s, median": round(sorted(took_s)[len(took_s) // 2], 2),
        "taken over after s, at most": round(max(took_s), 2),
    }
