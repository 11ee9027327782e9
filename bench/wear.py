"""SD card wear by persistence: a day of readings through the store, on a simulated clock.

``python -m bench.wear [--hours 24] [--every 10] [--learns]`` prints, for 1 and for 1,000 devices, the bytes that the
store wrote and the bytes that Linux sent to the disk for it (``write_bytes`` of ``/proc/self/io``: whole pages, without
the file system's own journal). Meters report one after the other, so that each message is its own batch: a reading
every minute, or a power sample every ``--every`` seconds. With ``--learns`` the default engine runs, which learns for
each device and persists its learning state; otherwise the persistence baseline, which persists only windows.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.config.loader import load
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import Sample
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.predictors.baselines import Persistence
from gapcast.storage.store import Store

FIRST_MINUTE = 21_476_160
_DAY_H, _HOUR_MIN, _MIN_S = 24, 60, 60


def bytes_to_disk() -> int:
    """Return the number of bytes that this process has caused to be written to disk."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def measure(engine: Engine, n_devices: int, hours: float, every_s: int, folder: Path) -> tuple[int, int]:
    """Return the bytes written and the bytes sent to the disk for ``hours`` of ``n_devices`` meters."""
    now_s = 0.0
    store = Store(folder, lambda: now_s)
    before = bytes_to_disk()
    store.restore(engine)
    for second in range(0, round(hours * _HOUR_MIN * _MIN_S), every_s):
        minute = second // _MIN_S
        for device in range(n_devices):
            now_s = second + every_s * device / n_devices
            name, kw = f"meter-{device:05d}", 0.001 * (second * 7919 % 4_000)
            readings = [Reading(name, FIRST_MINUTE + minute, kw)] if not second % _MIN_S else []
            sample = Sample(f"tele/{name}/SENSOR", round(1e12 + now_s * 1_000), {"ENERGY.Power": kw * 1_000}, {})
            accepted = engine.accept(readings)
            if engine.ensemble is not None:
                engine.forecast(accepted, round(1e12 + now_s * 1_000))
                engine.learn()
            store.append_batch(readings, round(1e12 + now_s * 1_000), [sample] if every_s < _MIN_S else [])
            if store.maintain():
                store.write_snapshot(capture_snapshot(engine))
            if not device % (n_devices // 4 or 1):
                store.catch_up()
    store.close(capture_snapshot(engine))
    return store.n_bytes_written, bytes_to_disk() - before


def _default_engine() -> Engine:
    settings = load(None, {}, {})
    return engine_of(settings, load_models(settings))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.wear", description=__doc__)
    parser.add_argument("--hours", type=float, default=_DAY_H)
    parser.add_argument("--every", type=int, default=_MIN_S, help="seconds between messages of a meter")
    parser.add_argument(
        "--learns", action="store_true", help="use the default engine instead of the persistence baseline"
    )
    parser.add_argument("--folder", type=Path, help="folder on the disk to measure (default: the temporary folder)")
    chosen = parser.parse_args()
    for n_devices, hours in ((1, chosen.hours), (1_000, chosen.hours)):
        with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="gapcast-bench-") as folder:
            engine = _default_engine() if chosen.learns else Engine(Persistence())
            sums = measure(engine, n_devices, hours, chosen.every, Path(folder))
            written, to_disk = (n * _DAY_H / hours / 1e6 for n in sums)
        print(f"{n_devices:>5} devices: {written:8.1f} MB a day written, {to_disk:8.1f} MB a day to the disk")


if __name__ == "__main__":
    main()
