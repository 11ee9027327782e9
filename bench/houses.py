"""Skill over many houses, with one or several configurations: ``python -m bench.houses FILE...``.

Runs ``gapcast backtest`` over each FILE (one house each: Parquet of ``gapcast-trainer prepare``, CSV of
``gapcast-trainer synthesize``, UCI's set) for each ``--variant`` of the settings, such as ``forecast.learn=false`` or
``site.timezone=UTC,forecast.experts=lstm``. Prints one table per variant: quartiles of the skill over the houses, from
the first reading, in the first calendar week (of ``weeks`` in ``--json``) and in the last four; coverage; houses below
persistence; and how far the published forecast is behind the best single member. The scores of each run are kept in
``--out``, by variant and ``--limit``: what is there is not run again, and ``gapcast-trainer weeks`` draws it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Weeks with fewer forecasts are left out.
MIN_WEEK = 1_000
_LAST_WEEKS = 4
_ERRORS = ("mse_kw2", "mae_kw")
_SYNTHETIC = ("--time-column", "time", "--value-column", "synthetic_power_kw")
PERIODS = ("from the first reading", "first calendar week", "last four weeks")


@dataclass(frozen=True, slots=True)
class PeriodSkill:
    """Skill of one house in one period, as shares: of the mean by MSE, of the median by MAE; and coverage."""

    mse: float
    mae: float
    coverage: float


@dataclass(frozen=True, slots=True)
class HouseSkill:
    """The periods of one house, and the greatest loss against its best single member, relative, by MSE and by MAE."""

    periods: Mapping[str, PeriodSkill]
    mse_loss: float
    mae_loss: float


def house_skill(house: Mapping[str, Any]) -> HouseSkill:
    """Return the skills of a house from the output of ``gapcast backtest --json``."""
    scored, weeks = house["scored"], [week for week in house["weeks"] if week["n"] >= MIN_WEEK]
    periods = {PERIODS[0]: PeriodSkill(scored["skill"], scored["mae_skill"], scored["coverage"])}
    for period, some in zip(PERIODS[1:], (weeks[:1], weeks[-_LAST_WEEKS:]), strict=True):
        if some:
            periods[period] = _over_weeks(some)
    members = scored.get("experts", {}).values()
    losses = [
        scored[error] / min((member[error] for member in members), default=scored[error]) - 1 for error in _ERRORS
    ]
    return HouseSkill(periods, *losses)


def _over_weeks(weeks: Sequence[Mapping[str, Any]]) -> PeriodSkill:
    def total(name: str) -> float:
        return float(sum(week["n"] * week[name] for week in weeks))

    mse, mae = (1 - total(error) / total(f"persistence_{error}") for error in _ERRORS)
    return PeriodSkill(mse, mae, total("coverage") / sum(week["n"] for week in weeks))


def table(houses: Mapping[str, HouseSkill]) -> list[str]:
    """Return the table of one configuration as Markdown."""
    lines = [
        "| % | worst | lower quartile | median | upper quartile | best | houses below 0 |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for period in PERIODS:
        found = [house.periods[period] for house in houses.values() if period in house.periods]
        if not found:
            continue
        for name, skills in (("MSE", [of.mse for of in found]), ("MAE", [of.mae for of in found])):
            below = f"{sum(skill < 0 for skill in skills)} of {len(skills)}"
            lines.append(_row(f"{period}, {name}", quartiles(skills), below))
        coverage = [of.coverage for of in found]
        lines.append(_row(f"{period}, coverage", quartiles(coverage), sign=""))
    for name, losses in (
        ("MSE", [house.mse_loss for house in houses.values()]),
        ("MAE", [house.mae_loss for house in houses.values()]),
    ):
        lines.append(_row(f"{name} above the best single member", quartiles(losses)[::-1]))
    return lines


def _row(head: str, figures: Sequence[float], below: str = "", sign: str = "+") -> str:
    return f"| {head} | {' | '.join(f'{100 * figure:{sign}.1f}' for figure in figures)} | {below} |"


def quartiles(values: Sequence[float]) -> tuple[float, ...]:
    """Return minimum, lower quartile, median, upper quartile and maximum."""
    if len(values) == 1:
        return (values[0],) * 5
    return (min(values), *statistics.quantiles(values, n=4, method="inclusive"), max(values))


def backtest(path: Path, variant: str, folder: Path, limit: int | None) -> HouseSkill:
    """Back-test the house of ``path`` with the settings of ``variant``, unless already done, and return its skill."""
    where = folder / ((variant.replace("/", "_") or "default") + ("" if limit is None else f"-limit-{limit}"))
    where.mkdir(parents=True, exist_ok=True)
    out = where / f"{path.name.split('.')[0]}.json"
    if not out.exists():
        with path.open("rb") as stream:
            is_synthetic = stream.read(40).startswith(b"time,synthetic_power_kw")
        settings = [word for setting in variant.split(",") if setting for word in ("--set", setting)]
        limited = [] if limit is None else ["--limit", str(limit)]
        temporary = out.with_suffix(".part")
        command = [
            sys.executable,
            "-m",
            "gapcast",
            "backtest",
            str(path),
            "--json",
            str(temporary),
            *settings,
            *limited,
        ]
        subprocess.run([*command, *(_SYNTHETIC if is_synthetic else ())], check=True, stdout=subprocess.DEVNULL)
        temporary.replace(out)
    (house,) = json.loads(out.read_text(encoding="utf-8"))["houses"].values()
    return house_skill(house)


def main() -> None:
    """Back-test and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.houses", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--variant", action="append", metavar="KEY=VALUE,...", help="settings (default: none)")
    parser.add_argument("--out", type=Path, default=Path("runs/backtests"), help="folder of the scores")
    parser.add_argument("--limit", type=int, help="readings of each house")
    chosen = parser.parse_args()
    for variant in chosen.variant or [""]:
        houses = {path.name: backtest(path, variant, chosen.out, chosen.limit) for path in chosen.files}
        print(f"\n{variant or 'default configuration'}, {len(houses)} houses\n")
        for name, house in houses.items():
            skills = (f"{100 * of.mse:+.1f} / {100 * of.mae:+.1f}" for of in house.periods.values())
            print(f"{name}: {', '.join(skills)}")
        print("\n" + "\n".join(table(houses)), flush=True)


if __name__ == "__main__":
    main()
