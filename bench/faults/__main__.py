"""``scripts/faults``: injects every fault and prints the outcomes; exit code 1 if a guarantee was violated.

Half of the available minutes go to the long stream, which replays as many hours as fit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import machine, report
from bench.faults import floods, power, trials, workers
from bench.faults.cut import Cable
from bench.faults.disk import Disk
from bench.faults.learning import LearningStream
from bench.faults.samples import SampledStream
from bench.faults.stage import FaultError
from bench.faults.trials import Rows

_WEEK_H = 168
#: Minimum throughput of the long stream, readings per second, on the slowest supported machine.
_PACE_PER_S = 10_000
_SHORT_MIN = 3.0


def main() -> int:
    """Run the requested faults."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="approximate duration (default: 10)")
    parser.add_argument("--only", action="append", metavar="NAME", help="run this fault only (may be repeated)")
    chosen = parser.parse_args()
    whole = chosen.minutes >= 2 * _SHORT_MIN
    planned = _plan(chosen.minutes, whole=whole)
    unknown = set(chosen.only or ()) - planned.keys()
    if unknown:
        parser.error(f"unknown fault {', '.join(sorted(unknown))}; choose from {', '.join(planned)}")
    print(report.machine_lines(machine.describe()), flush=True)
    n_broken = 0
    for name, trial in planned.items():
        if chosen.only and name not in chosen.only:
            continue
        begin_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="gapcast-faults-") as folder:
            try:
                rows: Rows = trial(Path(folder))
            except FaultError as error:
                n_broken += 1
                rows = {"BROKEN": error}
        print(f"\n## {name} ({time.monotonic() - begin_s:.0f} s)\n", flush=True)
        print("\n".join(f"- {what}: {value}" for what, value in rows.items()), flush=True)
    return 1 if n_broken else 0


def _plan(minutes: float, *, whole: bool) -> dict[str, Callable[[Path], Rows]]:
    n_hours = max(floods.WARM_HOURS + 1, min(_WEEK_H, int(minutes / 2 * 60 * _PACE_PER_S / 60_000)))
    planned: dict[str, Callable[[Path], Rows]] = {
        "kills": lambda folder: trials.kills(folder, 50 if whole else 10),
        "kills among samples": lambda folder: trials.kills(folder, 50 if whole else 10, kind=SampledStream),
        "kills while learning": lambda folder: trials.kills(folder, 50 if whole else 10, kind=LearningStream),
        "workers killed": lambda folder: workers.take_overs(folder, 20 if whole else 4),
        "broker restarts": lambda folder: trials.restarts(folder, 10 if whole else 3),
        "frozen broker": lambda folder: trials.freezes(folder, 60 if whole else 8),
        "silent proxy": lambda folder: trials.silences(folder, 10),
        "crowd": lambda folder: floods.crowd(folder, 100_000 if whole else 20_000, 80_000 if whole else 10_000),
        "backlog": lambda folder: floods.backlog(folder, 1_000_000 if whole else 100_000),
        "long stream": lambda folder: floods.long_stream(folder, n_hours),
    }
    if Cable.is_supported():
        planned["cable pulled"] = lambda folder: trials.cuts(folder, [2, 8, 20, 60] if whole else [2, 12])
    if Disk.is_supported():
        planned["power cut"] = lambda folder: power.power_cuts(folder, 10 if whole else 3)
    return planned


if __name__ == "__main__":
    sys.exit(main())
