"""Draws outlooks of a real evening: ``python -m bench.outlook_picture household_power_consumption.zip --out fan.svg``.

Runs ``gapcast backtest --outlook-out`` from two weeks before the evening on, with the default configuration but without
the nightly refit, and draws the measured power with the outlook of several minutes: the mean of single minutes and its
90 % interval. The picture needs matplotlib.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure

from gapcast.recordings.recording import minute_at, read_recording
from gapcast_trainer.report.figure import BLUE, GREY, new_figure
from gapcast_trainer.report.figure_file import write_figure

_LEARNED, _SHOWN = timedelta(days=14), timedelta(hours=5)
#: From the beginning of the picture to the first outlook, and between two outlooks.
_BEFORE, _BETWEEN = timedelta(minutes=30), timedelta(minutes=70)
_LEADS = "1,2,3,4,5,10,15,20,30,45,60"
_WIDTH_IN, _HEIGHT_IN = 9.0, 3.6

Fan = Sequence[tuple[datetime, float, float, float]]


def outlooks(path: Path, begin: datetime, work: Path) -> Path:
    """Run the back-test from two weeks before ``begin``; return the file with its outlooks."""
    out = work / "outlooks.csv"
    n_readings = int((_LEARNED + _SHOWN) / timedelta(minutes=1))
    command = [sys.executable, "-m", "gapcast", "backtest", str(path), "--horizons", _LEADS, "--outlook-out", str(out)]
    command += ["--start", f"{begin - _LEARNED:%Y-%m-%dT%H:%M}", "--limit", str(n_readings)]
    subprocess.run([*command, "--set", "learning.refit=false"], check=True)
    return out


def fans_of(path: Path, begin: datetime) -> dict[datetime, Fan]:
    """Return the drawn outlooks by the minute in which they were made: time, mean, lower and upper bound, rising."""
    made_at = set(_times(begin))
    fans: dict[datetime, list[tuple[datetime, float, float, float]]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            observed_at = datetime.fromisoformat(row["observed_at"]).replace(tzinfo=None)
            if row["kind"] == "point" and observed_at in made_at:
                at = observed_at + timedelta(minutes=int(row["lead_min"]))
                mean_kw, lower_kw, upper_kw = (float(row[name]) for name in ("mean_kw", "lower_kw", "upper_kw"))
                fans.setdefault(observed_at, []).append((at, mean_kw, lower_kw, upper_kw))
    return {at: sorted(fan) for at, fan in fans.items()}


def _times(begin: datetime) -> Iterator[datetime]:
    at = begin + _BEFORE
    while at + timedelta(hours=1) <= begin + _SHOWN:
        yield at
        at += _BETWEEN


def measured(path: Path, begin: datetime) -> list[tuple[datetime, float]]:
    """Return the measured minutes of the picture."""
    first = minute_at("--begin", begin.isoformat())
    minutes = read_recording(path).minutes(first)
    times = ((begin + timedelta(minutes=one.minute - first), one.gap_kw) for one in minutes)
    return [(at, kw) for at, kw in times if at <= begin + _SHOWN]


def figure_of(actual: Sequence[tuple[datetime, float]], fans: Mapping[datetime, Fan]) -> Figure:
    """Return the figure: measured power, and each outlook from the power of its minute on."""
    power_kw = dict(actual)
    with new_figure(width_in=_WIDTH_IN, height_in=_HEIGHT_IN) as (figure, axis):
        axis.plot(*zip(*actual, strict=True), color=GREY, linewidth=1.2, label="measured")
        for nth, (at, fan) in enumerate(fans.items()):
            start = (at, *[power_kw[at]] * 3)
            times, mean, lower, upper = zip(start, *fan, strict=True)
            names = ("90 % interval", "mean") if nth == 0 else (None, None)
            axis.fill_between(times, lower, upper, color=BLUE, alpha=0.2, linewidth=0, label=names[0])
            axis.plot(times, mean, color=BLUE, label=names[1])
            axis.plot(at, power_kw[at], color=BLUE, marker="o", markersize=5, linestyle="")
        axis.xaxis.set_major_formatter(DateFormatter("%H:%M"))
        axis.set(ylabel="power (kW)", xlim=(actual[0][0], actual[-1][0]), ylim=(0, None))
        figure.legend(loc="outside lower center", ncols=3)
        return figure


def main() -> None:
    """Draw the evening of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recording", type=Path, help="UCI's set.")
    parser.add_argument("--begin", type=datetime.fromisoformat, default="2010-11-17T17:30")
    parser.add_argument("--out", type=Path, required=True, help="Picture to write, .svg or .png.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        fans = fans_of(outlooks(given.recording, given.begin, Path(work)), given.begin)
    write_figure(figure_of(measured(given.recording, given.begin), fans), given.out)


if __name__ == "__main__":
    main()
