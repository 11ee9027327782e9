"""Loss of the published forecasts relative to the best ensemble member in hindsight, on files of readings.

``python -m bench.ensemble_targets FILE... [--time-column NAME --value-column NAME --unit W]`` runs the service's engine
over each file, one house each, and compares the published forecasts with the ensemble's members, by the squared error
of the mean and the absolute error of the median. Per house: the skill from the eighth day on of the best single member
in hindsight and of the published forecasts, how much worse their error is (negative: better), the worst week against
persistence after the first, and the first week. Weeks are counted from a house's first forecast; weeks with fewer than
5,000 outcomes do not count. The exit status is 1 if a house misses a target of ``docs/accuracy.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC
from pathlib import Path

import numpy as np

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.inputs.houses import FilePart, minutes_of, side_by_side
from gapcast.backtest.run import BATCH_READINGS, read_houses
from gapcast.config.loader import load
from gapcast.core.arrays.array_types import F64
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.time_grid import WEEK_MIN
from gapcast.recordings.text.layout import FileFormat, Layout

#: Minimum number of outcomes for a week to count.
MIN_WEEK = 5_000
#: The targets: maximum relative excess of the error from the eighth day on over the best member's, and maximum loss
#: against persistence in the first week and in the worst later week, as shares.
MAX_EXCESS, MAX_FIRST_LOSS, MAX_WEEK_LOSS = 0.01, 0.02, 0.0


class HouseLosses:
    """Sums of losses by week, ``[2, E + 1]``: squared and absolute errors of the members and the published forecast."""

    def __init__(self) -> None:
        """Start empty."""
        self.first_minute: int | None = None
        self.sums: dict[int, F64] = {}
        self.n: dict[int, int] = {}

    def add(self, outcomes: Outcomes) -> None:
        """Add the outcomes of the house."""
        if self.first_minute is None:
            self.first_minute = int(outcomes.minutes[0])
        kw = np.concatenate((outcomes.members_kw, outcomes.published_kw[:, :2, np.newaxis]), axis=-1)
        error = kw - outcomes.actual_kw[:, np.newaxis, np.newaxis]
        loss = np.stack((error[:, 0] ** 2, np.abs(error[:, 1])), axis=1)
        weeks = (outcomes.minutes - self.first_minute) // WEEK_MIN
        for week in np.unique(weeks).tolist():
            which = weeks == week
            self.sums[week] = self.sums.get(week, 0.0) + loss[which].sum(0)
            self.n[week] = self.n.get(week, 0) + int(which.sum())

    def late(self) -> tuple[F64, F64]:
        """Return skill of the best member and published skill ``[2]`` each, from the eighth day on."""
        total = np.sum([sums for week, sums in self.sums.items() if week], axis=0)
        persistence = total[:, -2]
        return 1 - total[:, :-1].min(-1) / persistence, 1 - total[:, -1] / persistence

    def weekly(self) -> dict[int, F64]:
        """Return the published skill ``[2]`` of each week that counts."""
        return {
            week: 1 - sums[:, -1] / sums[:, -2] for week, sums in sorted(self.sums.items()) if self.n[week] >= MIN_WEEK
        }


def run(files: list[Path], form: FileFormat, part: FilePart) -> dict[str, HouseLosses]:
    """Run the default engine over ``files``; return the losses by house."""
    settings = load(None, {}, {})
    engine = engine_of(settings, load_models(settings))
    houses = {name: minutes_of(recording, part) for name, recording in read_houses(settings, files, form, part).items()}
    losses = {name: HouseLosses() for name in houses}
    for readings in side_by_side(houses, BATCH_READINGS):
        accepted = engine.accept(readings)
        accepted.raise_failure()
        engine.forecast(accepted, time.time_ns() // 1_000_000)
        outcomes, _ = engine.learn()
        if outcomes is not None:
            for name, of_house in losses.items():
                own = outcomes.select(outcomes.rows == engine.buffers.row(name))
                if len(own):
                    of_house.add(own)
    return losses


def main() -> None:
    """Run, print a table, and exit with 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.ensemble_targets", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--time-column", default="")
    parser.add_argument("--value-column", default="")
    parser.add_argument("--unit", default="")
    parser.add_argument("--start", metavar="ISO", help="first reading of each file")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N readings of each file")
    chosen = parser.parse_args()
    columns = (
        Layout(chosen.time_column, chosen.value_column, unit=chosen.unit, zone=UTC) if chosen.time_column else None
    )
    losses = run(chosen.files, FileFormat(columns), FilePart(chosen.start, chosen.limit))
    print("| house | best member | published | published is worse by | worst week | first week |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    kept = True
    for name, of_house in losses.items():
        best, published = of_house.late()
        excess = (1 - published) / (1 - best) - 1
        weekly = of_house.weekly()
        first = weekly.pop(0, np.full(2, np.nan))
        worst = np.min([*weekly.values()], axis=0) if weekly else np.full(2, np.nan)
        figures = (f"{100 * mse:.1f} / {100 * mae:.1f} %" for mse, mae in (best, published, excess, worst, first))
        print(f"| {name} | {' | '.join(figures)} |")
        broken = (excess > MAX_EXCESS) | (worst < -MAX_WEEK_LOSS) | (first < -MAX_FIRST_LOSS)
        kept = kept and not broken.any()
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
