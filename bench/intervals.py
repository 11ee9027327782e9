"""Interval width compared with the narrowest constant interval, from the CSV of ``gapcast backtest --out``.

``python -m bench.intervals CSV [--from ISO]`` prints coverage, mean width, the lowest and the highest coverage of a
week with 5,000 forecasts or more, and the width of the narrowest interval ``[forecast + a, forecast + b]`` of the same
coverage, where the constants ``a`` and ``b`` are chosen in hindsight, around the mean and around the median.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64

#: Minimum number of forecasts for a week to count.
MIN_WEEK = 5_000
_NUMBERS = ("gap_kw", "median_kw", "lower_kw", "upper_kw", "last_kw", "actual_kw")


def read(path: Path, first: str) -> tuple[dict[str, F64], NDArray[np.datetime64]]:
    """Return the columns of the forecasts with an outcome, from the target time ``first`` on, and their targets."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            (row["target_at"], *(float(row[name]) for name in _NUMBERS))
            for row in csv.DictReader(file)
            if row["actual_kw"] and row["target_at"] >= first
        ]
    columns = list(zip(*rows, strict=True))
    numbers = {name: np.array(column) for name, column in zip(_NUMBERS, columns[1:], strict=True)}
    return numbers, np.array([stamp.removesuffix("Z") for stamp in columns[0]], dtype="datetime64[m]")


def narrowest_kw(errors_kw: F64, coverage: float) -> float:
    """Return the width of the narrowest interval that contains the share ``coverage`` of ``errors_kw``."""
    ordered = np.sort(errors_kw)
    n_within = int(np.ceil(coverage * len(ordered)))
    return float((ordered[n_within - 1 :] - ordered[: len(ordered) - n_within + 1]).min())


def main() -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.intervals", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--from", dest="first", default="", metavar="ISO", help="first target time")
    chosen = parser.parse_args()
    numbers, targets = read(chosen.file, chosen.first)
    actual_kw = numbers["actual_kw"]
    inside = (numbers["lower_kw"] <= actual_kw) & (actual_kw <= numbers["upper_kw"])
    coverage, width_kw = float(inside.mean()), float((numbers["upper_kw"] - numbers["lower_kw"]).mean())
    weeks, at = np.unique(targets.astype("datetime64[W]"), return_inverse=True)
    n_each = np.bincount(at)
    by_week = (np.bincount(at, inside) / n_each)[n_each >= MIN_WEEK]
    constant_kw = {name: narrowest_kw(actual_kw - numbers[name], coverage) for name in ("gap_kw", "median_kw")}
    print(f"{len(actual_kw)} forecasts, {len(weeks)} weeks: coverage {coverage:.4f}, by week", end=" ")
    print(f"{by_week.min():.3f} to {by_week.max():.3f}" if by_week.size else "-", end="; ")
    print(f"mean width {width_kw:.3f} kW", end="")
    for name, kw in constant_kw.items():
        print(f"; {width_kw / kw:.3f} of the narrowest constant around {name} ({kw:.3f} kW)", end="")
    print()


if __name__ == "__main__":
    main()
