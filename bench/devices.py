"""CPU time per reading by number of devices, from 1 to 100,000, and by batch size: ``python -m bench.devices``.

The whole path of a reading in one process, without network and disk (:mod:`bench.in_process`). Batches grow with the
load; 1 and 256 are the minimum and maximum batch size. With fewer than 256 devices, a batch of 256 holds several
minutes of each, as in a replay. Blocks of two sizes alternate, and the ratio is relative to 1,000 devices in the same
turn. There are two configurations: the default, which tracks 1,500 devices and makes outlooks for 100, and one that
treats all devices the same: all are tracked, and none has an outlook.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bench import machine
from bench.in_process import InProcessGateway
from bench.report import markdown_table
from bench.results import Results

SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
SMALLEST_AND_LARGEST = (1, 256)
BATCHES = (1, 4, 16, 64, 256)
REFERENCE = 1_000
#: Readings per block: whole rounds of 1,000 devices, or nearly, because a tenth of them also have an outlook.
_N_READINGS = {1: 1_000, 4: 1_000, 16: 2_000, 64: 4_032, 256: 3_072}


class ReadingCpuTime(NamedTuple):
    """CPU time per reading, in µs, of ``n_devices``, and its ratio to that of :data:`REFERENCE` devices."""

    n_devices: int
    n_per_batch: int
    cpu_us: float
    ratio: float
    ratio_min: float
    ratio_max: float


def cpu_us_of(gateway: InProcessGateway, n_per_batch: int) -> float:
    """Process a block of readings; return the CPU time per reading, in µs."""
    batches = gateway.batches(_N_READINGS[n_per_batch], n_per_batch)
    began_s = time.process_time()
    n_readings = gateway.process(batches)
    return 1e6 * (time.process_time() - began_s) / n_readings


def measure(n_devices: int, batches: Sequence[int], n_turns: int, overrides: Mapping[str, Any]) -> list[ReadingCpuTime]:
    """Return the costs of ``n_devices`` for each batch size: medians of ``n_turns``, after one uncounted turn."""
    size, reference = InProcessGateway(n_devices, overrides), InProcessGateway(REFERENCE, overrides)
    for gateway in (size, reference):
        gateway.warm_up()
    costs = []
    for n_per_batch in batches:
        turns = [(cpu_us_of(size, n_per_batch), cpu_us_of(reference, n_per_batch)) for _ in range(n_turns + 1)][1:]
        ratios = [us / reference_us for us, reference_us in turns]
        cpu_us = statistics.median(us for us, _ in turns)
        costs.append(
            ReadingCpuTime(n_devices, n_per_batch, cpu_us, statistics.median(ratios), min(ratios), max(ratios))
        )
    return costs


def size_table(costs: Sequence[ReadingCpuTime], title: str) -> str:
    """Return the costs as a table, one row per number of devices.

    >>> alone, many = ReadingCpuTime(10, 1, 612.0, 0.98, 0.96, 1.01), ReadingCpuTime(10, 256, 24.06, 1.02, 1.0, 1.1)
    >>> print(size_table([alone, many], "n"))
    | n  | batch of 1, CPU µs |   ratio to 1,000 | batch of 256, CPU µs |   ratio to 1,000 |
    | :- | -----------------: | ---------------: | -------------------: | ---------------: |
    | 10 |                612 | 0.98 (0.96–1.01) |                 24.1 | 1.02 (1.00–1.10) |
    """
    head = [title]
    for n_per_batch in SMALLEST_AND_LARGEST:
        head += [f"batch of {n_per_batch}, CPU µs", f"ratio to {REFERENCE:,}"]
    rows: dict[int, list[str]] = {}
    for cost in costs:
        row = rows.setdefault(cost.n_devices, [f"{cost.n_devices:,}"])
        row += [_shown(cost.cpu_us), f"{cost.ratio:.2f} ({cost.ratio_min:.2f}–{cost.ratio_max:.2f})"]
    return markdown_table(head, list(rows.values()))


def batch_table(costs: Sequence[ReadingCpuTime]) -> str:
    """Return the costs of :data:`REFERENCE` devices, one row per batch size."""
    head = ("readings per batch", "CPU µs per reading", "CPU ms per batch")
    rows = [
        (f"{cost.n_per_batch}", _shown(cost.cpu_us), f"{cost.cpu_us * cost.n_per_batch / 1e3:.1f}") for cost in costs
    ]
    return markdown_table(head, rows)


def _shown(us: float) -> str:
    return f"{us:.0f}" if us >= 100 else f"{us:.1f}"


def _in_own_process(
    n_devices: int, batches: Sequence[int], n_turns: int, overrides: Mapping[str, Any]
) -> list[ReadingCpuTime]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        costs = other.submit(measure, n_devices, batches, n_turns, overrides).result()
    for cost in costs:
        figures = f"batch of {cost.n_per_batch}: {cost.cpu_us:.1f} us, {cost.ratio:.2f}"
        print(f"{n_devices:,} devices, {figures}", file=sys.stderr, flush=True)
    return costs


def main() -> int:
    """Measure each size in a separate process, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.devices", description=__doc__)
    parser.add_argument("--devices", default=",".join(map(str, SIZES)), help="comma-separated numbers of devices")
    parser.add_argument("--turns", type=int, default=7, help="turns, whose median counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE as well")
    chosen = parser.parse_args()
    where = machine.describe()
    print("\n".join(f"{name:22}{value}" for name, value in where.items()), flush=True)
    results = Results({"machine": where, "turns": chosen.turns})
    costs = _in_own_process(REFERENCE, BATCHES, chosen.turns, {})
    results.add("batches", [cost._asdict() for cost in costs], batch_table(costs))
    for name, is_even, title in (
        ("devices", False, "devices, default configuration"),
        ("devices-even", True, "devices, all tracked, no outlooks"),
    ):
        costs = []
        for n_devices in map(int, chosen.devices.split(",")):
            even = {"learning": {"max_devices": max(n_devices, REFERENCE)}, "outlook": {"enabled": False}}
            costs += _in_own_process(n_devices, SMALLEST_AND_LARGEST, chosen.turns, even if is_even else {})
        results.add(name, [cost._asdict() for cost in costs], size_table(costs, title))
    results.write(chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
