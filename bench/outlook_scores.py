"""Scores an outlook model by lead time: ``python -m bench.outlook_scores "UCI 2010=runs/household.parquet"``.

Prints a table per clean file of `gapcast-trainer prepare`, on its windows from ``--since`` on: single minutes and means
of the next minutes, for the model, persistence and the mean of the last window of equal length. Tables and picture are
named after the files, or as stated before ``=``.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gapcast.bundled import models_path
from gapcast.predictors.models_folder.store import load_model
from gapcast.recordings.formats import clean_file
from gapcast_trainer.data.split import minute_at
from gapcast_trainer.report.figure_file import write_figure
from gapcast_trainer.training.outlook.house_windows import HouseWindows
from gapcast_trainer.training.outlook.picture import figure_of
from gapcast_trainer.training.outlook.scores import KindScores, OutlookModelScores, score_outlook

_HEAD = ("| | persistence | mean of last window | outlook | coverage |", "| --- | --- | --- | --- | --- |")


def named_file(argument: str) -> tuple[str, Path]:
    """Return the name and the path of ``NAME=CLEAN``, or of a path alone, which is named after its file.

    >>> named_file("UCI 2010=runs/household.parquet")[0], named_file("runs/household.parquet")[0]
    ('UCI 2010', 'household')
    """
    name, _, path = argument.rpartition("=")
    return name or Path(path).stem, Path(path)


def score_file(path: Path, model: Path, since: datetime | None, every: int) -> OutlookModelScores:
    """Return the scores of the model in ``model`` on every ``every``-th window of the clean file ``path``."""
    predictor = load_model(model)
    series = clean_file.read(path).series
    house = HouseWindows.from_series(series.first_minute, series.gap_kw, predictor.spec, series.outcome_kw)
    first = series.first_minute if since is None else minute_at(since)
    rows = house.whole(np.flatnonzero(house.observed_minute >= first).astype(np.int64))
    return score_outlook(predictor, house, rows[::every], series.zone)


def table(found: OutlookModelScores, leads_min: tuple[int, ...]) -> list[str]:
    """Return the lines of a Markdown table, MSE / MAE in kW^2 and kW."""
    lines = list(_HEAD)
    for name, kind in (("minute {}", found.point), ("mean of the next {}", found.mean)):
        lines += [_line(name.format(lead), kind, found.lead_times_min.index(lead)) for lead in leads_min]
    return lines


def _line(name: str, kind: KindScores, at: int) -> str:
    cells = [
        f"{mse[at]:.4f} / {mae[at]:.4f}"
        for mse, mae in (
            (kind.persistence_mse_kw2, kind.persistence_mae_kw),
            (kind.window_mse_kw2, kind.window_mae_kw),
            (kind.mse_kw2, kind.mae_kw),
        )
    ]
    return f"| {name} | {' | '.join(cells)} | {kind.coverage[at]:.3f} |"


def main() -> None:
    """Score the files of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", nargs="+", type=named_file, metavar="[NAME=]CLEAN")
    parser.add_argument("--model", type=Path, default=models_path() / "outlook", help="Folder of the model.")
    parser.add_argument("--since", type=lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC))
    parser.add_argument("--every", type=int, default=1, help="Score every n-th window.")
    parser.add_argument("--leads", default="5,15,30,60", help="Lead times of the table, minutes.")
    parser.add_argument("--out", type=Path, help="Picture of skill and coverage by lead time to write, .svg or .png.")
    given = parser.parse_args()
    houses = {name: score_file(path, given.model, given.since, given.every) for name, path in given.files}
    for name, found in houses.items():
        print(f"{name}: {int(found.point.n[-1]):,} windows")
        print("\n".join(table(found, tuple(int(lead) for lead in given.leads.split(",")))))
    if given.out is not None:
        write_figure(figure_of(houses), given.out)


if __name__ == "__main__":
    main()
