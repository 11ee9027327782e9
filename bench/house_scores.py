"""Skill of published forecasts by period, as Markdown rows, from the CSV of ``gapcast backtest --out``.

``python -m bench.house_scores CSV...`` prints, for each file, MSE and MAE skill against persistence over the whole
recording, in its first calendar week (UTC, from Thursday), its first seven days, from the eighth day on, in its last
four weeks, and in its worst week after the first (by each error separately); then coverage, overall and by week. Except
for the calendar week, weeks are seven days counted from the first forecast. Used in docs/accuracy-by-house.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.intervals import MIN_WEEK, read
from gapcast.core.arrays.array_types import F64, I64

#: Fewest forecasts of a week whose skill counts; its coverage counts from :data:`bench.intervals.MIN_WEEK` on.
MIN_SCORED = 1_000
_WEEK_MIN = 7 * 24 * 60
_COLUMNS = ("whole recording", "first calendar week", "first seven days", "from the eighth day", "last four weeks")


def skills(columns: dict[str, F64], which: NDArray[np.bool_]) -> tuple[float, float]:
    """Return MSE and MAE skill, percent, of the forecasts ``which``.

    >>> names = ("gap_kw", "median_kw", "last_kw", "actual_kw")
    >>> columns = dict(zip(names, np.array([[1, 2], [1, 3], [2, 2], [1, 4.0]]), strict=True))
    >>> mse, mae = skills(columns, np.array([True, True]))  # errors 0 and 2, 0 and 1; of persistence 1 and 2
    >>> f"{mse:.1f} {mae:.1f}"
    '20.0 66.7'
    """
    actual_kw, last_kw = columns["actual_kw"][which], columns["last_kw"][which]
    squared = np.square(columns["gap_kw"][which] - actual_kw).mean() / np.square(last_kw - actual_kw).mean()
    absolute = np.abs(columns["median_kw"][which] - actual_kw).mean() / np.abs(last_kw - actual_kw).mean()
    return 100 * (1 - float(squared)), 100 * (1 - float(absolute))


def row_of(columns: dict[str, F64], targets: NDArray[np.datetime64]) -> list[str]:
    """Return the cells of a recording's row."""
    minutes: I64 = (targets - targets[0]).astype(np.int64)
    weeks = minutes // _WEEK_MIN
    calendar = targets.astype("datetime64[W]")
    periods = [minutes >= 0, calendar == calendar[0], weeks == 0, weeks > 0, minutes > minutes[-1] - 4 * _WEEK_MIN]
    cells = [_pair(*skills(columns, which)) if which.any() else "-" for which in periods]
    n_each = np.bincount(weeks)
    later = [skills(columns, weeks == week) for week in range(1, len(n_each)) if n_each[week] >= MIN_SCORED]
    inside = (columns["lower_kw"] <= columns["actual_kw"]) & (columns["actual_kw"] <= columns["upper_kw"])
    by_week = 100 * np.bincount(weeks, inside)[n_each >= MIN_WEEK] / n_each[n_each >= MIN_WEEK]
    return [
        *cells,
        _pair(*np.min(later, axis=0)) if later else "-",
        f"{100 * inside.mean():.1f} %",
        f"{by_week.min():.1f} to {by_week.max():.1f} %" if by_week.size else "-",
    ]


def _pair(mse: float, mae: float) -> str:
    return f"{mse:.1f} / {mae:.1f}".replace("-", "−")


def main() -> None:
    """Print a row for each file."""
    parser = argparse.ArgumentParser(prog="python -m bench.house_scores", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="CSV")
    print(f"| skill, MSE / MAE, % | {' | '.join(_COLUMNS)} | worst week after the first | coverage | of single weeks |")
    print("| --- " * (len(_COLUMNS) + 4) + "|")
    for file in parser.parse_args().files:
        columns, targets = read(file, "")
        print(f"| {file.stem} | {' | '.join(row_of(columns, targets))} |")


if __name__ == "__main__":
    main()
