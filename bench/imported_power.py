"""How often a window's imported power exceeds its limit if the headroom is used, in a house that exports.

``python -m bench.imported_power HOUSE.csv``

``HOUSE.csv`` is the output of ``gapcast-trainer synthesize --family photovoltaic --days 45 --seed 3``. Three back-tests
with the default configuration: demands of net power, of net power with ``demand.imports_only``, and of a meter that
reads only imported power. The first week is not counted, and there is no nightly refit.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np

from bench.report import markdown_table
from gapcast.core.arrays.array_types import F64
from gapcast.core.time_grid import minute_label

LIMIT_KW, WINDOW_MIN, FIRST_DAY = 2.5, 15, 7
ELAPSED_MIN = (0, 5, 10)
_DAY_MIN = 1_440
_POWER = "synthetic_power_kw"
#: The kinds of the houses' quarter-hours, by the sign of their minutes.
KINDS = ("export all the time", "import and export", "import all the time")


def back_test(house: Path, demands: Path, *changes: str) -> dict[tuple[str, int], float]:
    """Return the headroom, kW, of each window by its start and the elapsed minutes."""
    columns = ("--time-column", "time", "--value-column", _POWER)
    command = [sys.executable, "-m", "gapcast", "backtest", str(house), *columns]
    for change in ("learning.refit=false", f"demand.limit_kw={LIMIT_KW}", *changes):
        command += ["--set", change]
    subprocess.run([*command, "--demand-out", str(demands)], check=True, stdout=sys.stderr)
    with demands.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        return {(row["window_start"], int(row["elapsed_min"])): float(row["headroom_kw"]) for row in rows}


def kind_of(kw: F64) -> int:
    """Return the index in :data:`KINDS` of the kind of a window with the minutes ``kw``."""
    return 0 if (kw < 0).all() else 2 if (kw >= 0).all() else 1


def is_exceeded(kw: F64, elapsed_min: int, headroom_kw: float) -> bool:
    """Return whether the window ``kw`` exceeds the limit if ``headroom_kw`` is added from ``elapsed_min`` on."""
    added = kw.copy()
    added[elapsed_min:] += headroom_kw
    return float(np.maximum(added, 0.0).mean()) > LIMIT_KW


def main() -> None:
    """Back-test a house three ways, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("house", type=Path)
    house = parser.parse_args().house
    with house.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        imports = work / "imports.csv"
        with imports.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("time", _POWER))
            writer.writerows((row["time"], max(float(row[_POWER]), 0.0)) for row in rows)
        ways = {
            "net power": back_test(house, work / "net.csv"),
            "net power with `imports_only`": back_test(house, work / "only.csv", "demand.imports_only=true"),
            "a meter of imported power": back_test(imports, work / "imported.csv"),
        }
    first_minute = int(datetime.fromisoformat(rows[0]["time"]).timestamp()) // 60
    counts = {way: np.zeros((len(KINDS), len(ELAPSED_MIN), 2), dtype=np.int64) for way in ways}
    for first in range(FIRST_DAY * _DAY_MIN, len(rows) - WINDOW_MIN, WINDOW_MIN):
        kw = np.array([float(row[_POWER]) for row in rows[first : first + WINDOW_MIN]])
        start = minute_label(first_minute + first)
        if any((start, minutes) not in found for found in ways.values() for minutes in ELAPSED_MIN):
            continue
        for way, found in ways.items():
            for place, minutes in enumerate(ELAPSED_MIN):
                counts[way][kind_of(kw), place] += 1, is_exceeded(kw, minutes, found[start, minutes])
    lines = [
        [f"{counts['net power'][kind, 0, 0]:,} that {name}"]
        + [" / ".join(f"{100 * n[1] / n[0]:.1f}" for n in counts[way][kind]) + " %" for way in ways]
        for kind, name in enumerate(KINDS)
    ]
    print(markdown_table(["quarter-hours, by the minutes of the house", *ways], lines))


if __name__ == "__main__":
    main()
