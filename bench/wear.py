"""What keeping costs an SD card: a day of readings through the store, on a clock of its own.

``python -m bench.wear [--hours 24]`` prints, for 1 and for 1,000 devices, the bytes that the store wrote and
those that Linux sent to the disk for it (``write_bytes`` of ``/proc/self/io``: whole pages, without the file
system's own journal). Meters report one after the other, so that each reading is a batch of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from edge.core.engine import Engine
from edge.core.reading import Reading
from edge.core.snapshot import take
from edge.predictors.baselines import Persistence
from edge.storage.store import Store

FIRST_MINUTE = 21_476_160
_DAY_H, _HOUR_MIN = 24, 60


def bytes_to_disk() -> int:
    """Return how many bytes this process has caused to be written to disks."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def measure(n_devices: int, hours: float, folder: Path) -> tuple[int, int]:
    """Return the bytes written and the bytes sent to the disk for ``hours`` of ``n_devices`` meters."""
    now_s = 0.0
    engine, store = Engine(Persistence()), Store(folder, lambda: now_s)
    before = bytes_to_disk()
    store.restore(engine)
    for minute in range(round(hours * _HOUR_MIN)):
        for device in range(n_devices):
            now_s = 60 * (minute + device / n_devices)
            readings = [Reading(f"meter-{device:05d}", FIRST_MINUTE + minute, 0.001 * (minute * 7919 % 4_000))]
            engine.accept(readings)
            store.keep(readings, round(1e12 + now_s * 1_000))
            if store.tend():
                store.renew(take(engine))
            if not device % (n_devices // 4 or 1):
                store.catch_up()
    store.close(take(engine))
    return store.n_bytes_written, bytes_to_disk() - before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.wear", description=__doc__)
    parser.add_argument("--hours", type=float, default=_DAY_H)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured (default: the temporary folder's)")
    chosen = parser.parse_args()
    for n_devices, hours in ((1, chosen.hours), (1_000, chosen.hours)):
        with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="gapcast-bench-") as folder:
            written, to_disk = (n * _DAY_H / hours / 1e6 for n in measure(n_devices, hours, Path(folder)))
        print(f"{n_devices:>5} devices: {written:8.1f} MB a day written, {to_disk:8.1f} MB a day to the disk")


if __name__ == "__main__":
    main()
