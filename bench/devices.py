"""CPU time per reading by number of devices, from 1 to 100,000: ``python -m bench.devices``.

The whole path of a reading in one process, without network and disk (:mod:`bench.in_process`), in batches of 1 and of
256, which are the smallest and the largest. Of fewer than 256 devices, a batch of 256 has several minutes each. Blocks
of two sizes take turns, and the ratio is that of one size to 1,000 devices in the same turn.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.in_process import InProcessGateway
from bench.report import markdown_table
from gapcast.config.loader import nested

SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
BATCHES = (1, 256)
REFERENCE = 1_000
_N_BATCHES = {1: 300, 256: 12}


class DeviceCost(NamedTuple):
    """CPU time per reading, in µs, of ``n_devices``, and its ratio to that of :data:`REFERENCE` devices."""

    n_devices: int
    n_per_batch: int
    cpu_us: float
    ratio: float
    ratio_min: float
    ratio_max: float


def cpu_us_of(gateway: InProcessGateway, n_per_batch: int, n_batches: int) -> float:
    """Process ``n_batches``; return the CPU time per reading, in µs."""
    batches = gateway.batches(n_per_batch * n_batches, n_per_batch)
    began_s = time.process_time()
    n_readings = gateway.process(batches)
    return 1e6 * (time.process_time() - began_s) / n_readings


def measure(n_devices: int, n_turns: int, overrides: dict[str, Any]) -> list[DeviceCost]:
    """Return the costs of ``n_devices`` for each batch size: medians of ``n_turns``."""
    size, reference = InProcessGateway(n_devices, overrides), InProcessGateway(REFERENCE, overrides)
    for gateway in (size, reference):
        gateway.warm_up()
    costs = []
    for n_per_batch in BATCHES:
        n_batches = _N_BATCHES[n_per_batch]
        turns = [
            (cpu_us_of(size, n_per_batch, n_batches), cpu_us_of(reference, n_per_batch, n_batches))
            for _ in range(n_turns + 1)
        ][1:]
        ratios = [us / reference_us for us, reference_us in turns]
        cpu_us = statistics.median(us for us, _ in turns)
        costs.append(DeviceCost(n_devices, n_per_batch, cpu_us, statistics.median(ratios), min(ratios), max(ratios)))
    return costs


def table(costs: Sequence[DeviceCost]) -> str:
    """Return the costs as a table, one row per number of devices.

    >>> print(table([DeviceCost(10, 1, 612.0, 0.98, 0.96, 1.01), DeviceCost(10, 256, 24.06, 1.02, 1.0, 1.1)]))
    | devices | batch of 1, CPU µs |     ratio to 1,000 | batch of 256, CPU µs |     ratio to 1,000 |
    | :------ | -----------------: | -----------------: | -------------------: | -----------------: |
    | 10      |              612.0 | 0.98 (0.96 - 1.01) |                 24.1 | 1.02 (1.00 - 1.10) |
    """
    head = ["devices"]
    for n_per_batch in BATCHES:
        head += [f"batch of {n_per_batch}, CPU µs", f"ratio to {REFERENCE:,}"]
    rows: dict[int, list[str]] = {}
    for cost in costs:
        row = rows.setdefault(cost.n_devices, [f"{cost.n_devices:,}"])
        row += [f"{cost.cpu_us:.1f}", f"{cost.ratio:.2f} ({cost.ratio_min:.2f} - {cost.ratio_max:.2f})"]
    return markdown_table(head, list(rows.values()))


def main() -> int:
    """Measure each size in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.devices", description=__doc__)
    parser.add_argument("--devices", default=",".join(map(str, SIZES)), help="comma-separated numbers of devices")
    parser.add_argument("--turns", type=int, default=7, help="turns, whose median counts")
    parser.add_argument("--raised", action="store_true", help="track every device, beyond learning.max_devices")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another setting, such as outlook.enabled=false"
    )
    chosen = parser.parse_args()
    costs: list[DeviceCost] = []
    for n_devices in map(int, chosen.devices.split(",")):
        overrides: dict[str, Any] = {}
        for one in chosen.set:
            key, _, value = one.partition("=")
            for section, keys in nested(key, value).items():
                overrides[section] = overrides.get(section, {}) | keys
        if chosen.raised:
            n_tracked = max(n_devices, REFERENCE)
            overrides["learning"] = overrides.get("learning", {}) | {"max_devices": n_tracked}
        with multiprocessing.get_context("spawn").Pool(1) as other:
            costs += other.apply(measure, (n_devices, chosen.turns, overrides))
        last = " ".join(f"{cost.n_per_batch}: {cost.cpu_us:.1f} us, {cost.ratio:.2f};" for cost in costs[-2:])
        print(f"{n_devices:,} devices, batch of {last}", file=sys.stderr, flush=True)
    print(table(costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
