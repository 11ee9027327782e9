"""``scripts/faults --state-damage``: restores a checkpoint and a journal with each of their bytes damaged.

A state folder holds two checkpoints of 20 devices, each with a journal after it. Each byte of the newer checkpoint, and
in another such folder each byte of a journal of 200 records after the newer checkpoint, is set to 0, set to 255, and
has one bit flipped at random. Each time a new engine restores the whole folder, as a gateway does at start, takes one
more reading of each device and forecasts it. All forecasts are compared with the forecasts of the intact folder, of
only the previous checkpoint, and of an empty folder. The exit code is 1 if a forecast differs from all of these, or an
exception was raised.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import structlog
from tqdm import tqdm

from bench import machine, report
from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Trend
from gapcast.service.ports.broker_link import NoMeters
from gapcast.storage.generations import checkpoint_path, journal_path
from gapcast.storage.recovery import recover
from gapcast.storage.store import Store

_N_DEVICES, _N_RECORDS = 20, 200
#: Readings before the previous checkpoint, between it and the newest one, and after the newest one if it is damaged.
_N_FIRST, _N_SECOND, _N_AFTER = 60, 20, 20
_PREVIOUS, _NEWEST = 2, 3
_NOON = 21_476_160
#: Number of bytes that one task of a process damages.
_TASK_BYTES = 250
#: A RAM disk, used if it exists: each damage writes a file and renames it.
_RAM = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it

INTACT, BY_PREVIOUS = "as intact", "as intact, from the previous checkpoint and its journals"
PREVIOUS, CLEAN = "of the previous checkpoint alone", "of a clean start"
DIFFERENT, RAISED = "different", "exception"
OUTCOMES = (INTACT, BY_PREVIOUS, PREVIOUS, CLEAN, DIFFERENT, RAISED)


class Restored(NamedTuple):
    """Forecasts of a gateway after restoring a folder: the newest ones, and those after one more reading each."""

    latest: list[Forecast]
    afterwards: list[Forecast]


class Example(NamedTuple):
    """A damage with a forbidden result."""

    file: str
    at: int
    value: int
    outcome: str


def main(arguments: list[str] | None = None) -> int:
    """Run the requested damages."""
    parser = argparse.ArgumentParser(prog="scripts/faults --state-damage", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: the cores)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the flipped bits (default: 1)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="damage every N-th byte only (default: 1)")
    chosen = parser.parse_args(arguments)
    print(report.machine_lines(machine.describe()), flush=True)
    n_broken = 0
    with tempfile.TemporaryDirectory(prefix="gapcast-damage-", dir=_RAM if _RAM.is_dir() else None) as folder:
        for what, path_of, n_records in (
            ("checkpoint", checkpoint_path, _N_AFTER),
            ("journal", journal_path, _N_RECORDS),
        ):
            intact = Path(folder) / what
            write_state(intact, n_records)
            path = path_of(intact, _NEWEST)
            begin_s = time.monotonic()
            n_bytes = path.stat().st_size
            tasks = [range(n_bytes)[at : at + _TASK_BYTES : chosen.every] for at in range(0, n_bytes, _TASK_BYTES)]
            with ProcessPoolExecutor(chosen.jobs) as pool:
                parts = pool.map(partial(damage_file, intact, path.name, n_records, chosen.seed), tasks)
                counts, examples = _summed(tqdm(parts, what, len(tasks)))
            print(f"\n## {what} of {n_bytes:,} bytes ({time.monotonic() - begin_s:.0f} s)\n")
            print(f"- restored: {sum(counts.values()):,}")
            print("\n".join(f"- forecasts {name}: {counts[name]:,}" for name in OUTCOMES), flush=True)
            print("\n".join(f"  - byte {one.at} set to {one.value}: {one.outcome}" for one in examples[:20]))
            n_broken += len(examples)
    return 1 if n_broken else 0


def write_state(folder: Path, n_records: int) -> None:
    """Write a state folder: two checkpoints, and a journal of ``n_records`` after the newer one."""
    silence_log()
    first = 0
    for n_readings, ends_well in ((_N_FIRST, True), (_N_SECOND, True), (n_records, False)):
        engine, store = _new_engine(), Store(folder)
        store.restore(engine)
        for number in range(first, first + n_readings):
            reading = _reading(number)
            engine.forecast(engine.accept([reading]), _issued_at_ms(number))
            store.append_batch([reading], _issued_at_ms(number))
        store.close(capture_snapshot(engine) if ends_well else None)
        first += n_readings


def restore(folder: Path, n_records: int) -> tuple[Restored, str]:
    """Return the forecasts of a gateway that starts with ``folder``, and the damage that it reports."""
    engine = _new_engine()
    damage = recover(folder, engine, NoMeters()).damage
    latest = engine.latest()
    first = _N_FIRST + _N_SECOND + n_records
    readings = [_reading(number) for number in range(first, first + _N_DEVICES)]
    return Restored(latest, list(engine.forecast(engine.accept(readings), 0))), damage


def damage_file(
    intact: Path, name: str, n_records: int, seed: int, places: Iterable[int]
) -> tuple[Counter[str], list[Example]]:
    """Damage one file at ``places``, byte by byte; return the count of each outcome, and examples of forbidden ones."""
    silence_log()
    counts: Counter[str] = Counter()
    examples: list[Example] = []
    with tempfile.TemporaryDirectory(prefix="gapcast-damage-", dir=intact.parent) as parent:
        folder = Path(parent) / "state"
        references = _references(intact, folder, n_records)
        shutil.copytree(intact, folder)
        content = (folder / name).read_bytes()
        for at, value in _mutations(content, places, seed):
            (folder / name).write_bytes(b"%b%c%b" % (content[:at], value, content[at + 1 :]))
            outcome = _outcome(folder, references, n_records)
            counts[outcome] += 1
            if outcome in {DIFFERENT, RAISED}:
                examples.append(Example(name, at, value, outcome))
            for aside in folder.glob("*.damaged-*"):
                aside.unlink()
    return counts, examples


def silence_log() -> None:
    """Disable logging: each damage would be logged."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _references(intact: Path, folder: Path, n_records: int) -> dict[str, Restored]:
    """Return the allowed forecasts, by outcome."""
    found = {}
    for outcome, removed in (
        (INTACT, ()),
        (PREVIOUS, (checkpoint_path(intact, _NEWEST), journal_path(intact, _PREVIOUS), journal_path(intact, _NEWEST))),
    ):
        shutil.copytree(intact, folder, ignore=lambda _, __, names=removed: {path.name for path in names})
        found[outcome], _ = restore(folder, n_records)
        shutil.rmtree(folder)
    folder.mkdir()
    found[CLEAN], _ = restore(folder, n_records)
    folder.rmdir()
    return found


def _outcome(folder: Path, references: dict[str, Restored], n_records: int) -> str:
    try:
        found, damage = restore(folder, n_records)
    except Exception:  # any exception is a finding
        return RAISED
    if found == references[INTACT]:
        return BY_PREVIOUS if f"Used instead: {checkpoint_path(folder, _PREVIOUS).name}" in damage else INTACT
    return next((name for name, expected in references.items() if found == expected), DIFFERENT)


def _mutations(content: bytes, places: Iterable[int], seed: int) -> Iterator[tuple[int, int]]:
    """Yield the damaged values of each of ``places``: 0, 255, and the original with one bit flipped."""
    for at in places:
        before = content[at]
        flipped = before ^ (1 << Random(f"{seed} {at}").randrange(8))
        yield from ((at, value) for value in sorted({0, 255, flipped} - {before}))


def _summed(parts: Iterable[tuple[Counter[str], list[Example]]]) -> tuple[Counter[str], list[Example]]:
    counts: Counter[str] = Counter()
    examples: list[Example] = []
    for some, found in parts:
        counts += some
        examples += found
    return counts, examples


def _new_engine() -> Engine:
    return Engine(Trend(WindowSpec(4)))


def _reading(number: int) -> Reading:
    device, minute = number % _N_DEVICES, number // _N_DEVICES
    return Reading(f"d{device}", _NOON + minute, round(0.2 * (number % 17) + device, 3))


def _issued_at_ms(number: int) -> int:
    return (_NOON + number // _N_DEVICES) * 60_000 + number


if __name__ == "__main__":
    sys.exit(main())
