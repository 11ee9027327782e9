"""Back-tests the probabilities of demands on three houses, and prints them beside models that know the house.

``python -m bench.demand_numbers DATA``

``DATA`` is a folder with the files of :data:`HOUSES`. Four back-tests with the default configuration, and what
``--set`` changes of it, run one after the other, in about three minutes, and write their results to ``--work``. Those
that are there already, with the same changes, are not run again.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.demand_scores import LEAST_N, headroom_shares, is_within
from gapcast.backtest.results.report import score_text

_WITH_COLUMNS = ("--time-column", "datetime", "--value-column", "aggregate_w")
_UCI = "household_power_consumption.zip"
_UCI_FROM = ("--start", "2009-12-01", "--score-from", "2010-01-01")


class ComparedHouse(NamedTuple):
    """A recording and a limit, and the models to compare with: Brier scores after 0, 5 and 10 minutes.

    Both models were fitted to the house's own first 60 %: a logistic regression on five features, and LightGBM.
    ``at_most`` is the highest score that meets the target of gapcast.
    """

    name: str
    file: str
    limit_kw: float
    options: tuple[str, ...]
    logistic: tuple[float, float, float]
    lightgbm: tuple[float, float, float]
    at_most: tuple[float, float, float]


#: Scored over the last 40 % of the rows; UCI over 2010, after a month of learning.
HOUSES = (
    ComparedHouse(
        "REFIT 2", "refit_house2_minutes.csv.gz", 2.5, (*_WITH_COLUMNS, "--score-from", "2014-09-03T00:32:00Z"),
        (0.0249, 0.0151, 0.0053), (0.0211, 0.0150, 0.0065), (0.0220, 0.0150, 0.0054),
    ),
    ComparedHouse(
        "IDEAL 65", "ideal_house65_minutes.csv.gz", 2.5, (*_WITH_COLUMNS, "--score-from", "2018-02-24T19:06:00Z"),
        (0.0167, 0.0097, 0.0056), (0.0167, 0.0102, 0.0058), (0.0165, 0.0097, 0.0052),
    ),
    ComparedHouse(
        "UCI 2010", _UCI, 2.5, _UCI_FROM,
        (0.0370, 0.0214, 0.0081), (0.0325, 0.0187, 0.0069), (0.0325, 0.0187, 0.0069),
    ),
    ComparedHouse(
        "UCI 2010", _UCI, 4.0, _UCI_FROM,
        (0.0065, 0.0039, 0.0017), (0.0066, 0.0040, 0.0019), (0.0064, 0.0038, 0.0017),
    ),
)  # fmt: skip


def run(house: ComparedHouse, data: Path, work: Path, changes: Sequence[str] = ()) -> tuple[Path, Path]:
    """Back-test ``house``, unless its results are in ``work``; return the files of its scores and demands."""
    words = (house.name.lower(), str(house.limit_kw), *changes)
    stem = "-".join(re.sub(r"[^\w.=]", "-", word) for word in words)
    scores, demands = work / f"{stem}.json", work / f"{stem}.csv"
    if not scores.exists():
        command = [sys.executable, "-m", "gapcast", "backtest", str(data / house.file), *house.options]
        for change in (f"demand.limit_kw={house.limit_kw}", *changes):
            command += ["--set", change]
        # The report goes to stderr: the table is the only output.
        subprocess.run([*command, "--demand-out", str(demands), "--json", str(scores)], check=True, stdout=sys.stderr)
    return scores, demands


def lines(found: list[tuple[ComparedHouse, dict[str, Any], dict[int, tuple[int, int]]]]) -> Iterator[str]:
    """Yield the table of houses with their scores, and their windows above the limit with the headroom added."""
    yield (
        "| house, limit | windows, above the limit | persistence | logistic | LightGBM "
        "| target (highest allowed score) | **gapcast** | above it with the headroom added | calibrated bins |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for house, scores, headrooms in found:
        elapsed = scores["elapsed"]
        bins = [one for each in elapsed for one in each["reliability"] if one["n"] >= LEAST_N]
        columns = (
            f"{house.name}, {house.limit_kw:g} kW",
            f"{scores['n_windows']:,}, {scores['n_events']:,}",
            _joined(each["persistence_brier"] for each in elapsed),
            *map(_joined, (house.logistic, house.lightgbm, house.at_most)),
            f"**{_joined(each['brier'] for each in elapsed)}**",
            " / ".join(f"{100 * above / n:.1f}" for n, above in headrooms.values()) + " %",
            f"{sum(map(is_within, bins))} of {len(bins)}",
        )
        yield f"| {' | '.join(columns)} |"


def _joined(scores: Iterable[float | None]) -> str:
    return " / ".join(map(score_text, scores))


def main() -> None:
    """Run the back-tests of the command line, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, metavar="DATA", help="Folder with the recordings.")
    parser.add_argument("--work", type=Path, default=Path("demand-numbers"), help="Folder for results.")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="Change a setting.")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    found = []
    for house in HOUSES:
        scores, demands = run(house, given.data, given.work, given.set)
        document = json.loads(scores.read_text(encoding="utf-8"))["demand"]
        found.append((house, document, headroom_shares(demands)))
    print("\n".join(lines(found)))


if __name__ == "__main__":
    main()
