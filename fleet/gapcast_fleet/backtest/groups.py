"""Runs one engine over a group of houses in a Spark worker; the result is a file in the results folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gapcast.backtest.batch_tally import BatchTally, Tally
from gapcast.backtest.forecasts.weeks import Week
from gapcast.backtest.outlooks.lead_scores import LeadScores
from gapcast.backtest.outlooks.outlook_tally import OutlookFile, OutlookTally
from gapcast.backtest.run import BATCH_READINGS
from gapcast.core.readings.reading import Reading
from gapcast_fleet.engine.worker import WorkerTask, new_engine
from gapcast_fleet.files import REMOVE_IT, damage_reported, write_atomically

#: Output columns of a worker: the finished group and its number of readings.
OUTPUT = "group int, n long"
_PROGRESS_S = 1.0
_SCORED, _LIVE, _OUTLOOK = "scored/", "live/", "outlook/"


@dataclass(frozen=True, slots=True)
class GroupOutlook:
    """The outlooks to score, at ``lead_times_min``; ``is_written``: a CSV file of each group has all of them."""

    lead_times_min: tuple[int, ...]
    is_written: bool = False


@dataclass(frozen=True, slots=True)
class GroupResult:
    """Columns of two :class:`~gapcast.core.learning.scores.scores.Scores` of a group, and each house by week.

    ``members`` are the ensemble members of all horizons, ``house_members`` the members at each house's horizon.
    ``outlook`` holds the sums of :class:`~gapcast.backtest.outlooks.lead_scores.LeadSums` by house; empty without
    outlooks. ``n_replaced`` forecasts are persistence, in place of unusable values; ``failed_models`` returned such
    values.
    """

    names: list[str]
    members: list[str]
    house_members: list[list[str]]
    published_model: str
    n_readings: int
    n_replaced: int
    failed_models: list[str]
    weeks: list[list[Week]]
    scored: dict[str, NDArray[Any]]
    live: dict[str, NDArray[Any]]
    outlook: dict[str, NDArray[Any]]


def result_path(folder: Path, group: int) -> Path:
    """Return the path of the result of ``group``; the file exists once the group is done."""
    return folder / f"group-{group:05d}.npz"


def progress_path(folder: Path, group: int) -> Path:
    """Return the path at which a worker records the number of processed readings of ``group``."""
    return folder / f"group-{group:05d}.progress"


def outlook_path(folder: Path, group: int) -> Path:
    """Return the path of the outlooks of ``group``, in the format of ``gapcast backtest --outlook-out``."""
    return folder / f"group-{group:05d}.outlook.csv"


def group_runner(
    task: WorkerTask, folder: Path, scored_from: int | None, outlook: GroupOutlook | None = None
) -> Callable[..., Iterator[pd.DataFrame]]:
    """Return the function that Spark runs on a partition, which holds the readings of one group, houses interleaved.

    It takes frames with the columns ``group``, ``device``, ``minute``, ``gap_kw`` and ``is_filled``. ``outlook`` are
    the outlooks to score (None: no outlooks).
    """

    def run(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        engine = new_engine(task)
        tally = Tally.from_engine(engine, engine.buffers.max_devices, scored_from)
        batches, outlooks = BatchTally(engine, tally), None
        n_readings, group, written_s = 0, None, 0.0
        with ExitStack() as stack:
            for frame in frames:
                columns = (frame[name].tolist() for name in ("device", "minute", "gap_kw", "is_filled"))
                readings = [Reading(*row) for row in zip(*columns, strict=True)]
                if group is None:
                    group = int(frame["group"].iloc[0])
                    outlooks = _outlook_tally(outlook, outlook_path(folder, group), scored_from, stack)
                    batches = BatchTally(engine, tally, outlooks=outlooks)
                for first in range(0, len(readings), BATCH_READINGS):
                    some = readings[first : first + BATCH_READINGS]
                    batches.add(some)
                    n_readings += len(some)
                    if time.monotonic() - written_s > _PROGRESS_S:
                        progress_path(folder, group).write_text(str(n_readings), encoding="utf-8")
                        written_s = time.monotonic()
        if group is not None:
            lead_scores = None if outlooks is None else outlooks.finish()
            write_result(result_path(folder, group), batches, n_readings, lead_scores)
            progress_path(folder, group).unlink(missing_ok=True)
            yield pd.DataFrame({"group": [group], "n": [n_readings]})

    return run


def _outlook_tally(
    outlook: GroupOutlook | None, path: Path, scored_from: int | None, stack: ExitStack
) -> OutlookTally | None:
    """Return the tally of the group's outlooks; ``stack`` closes its file, at ``path``."""
    if outlook is None:
        return None
    leads = outlook.lead_times_min
    file = stack.enter_context(OutlookFile(path, leads)) if outlook.is_written else None
    return OutlookTally(leads, scored_from, file)


def write_result(path: Path, batches: BatchTally, n_readings: int, lead_scores: LeadScores | None = None) -> None:
    """Write the result of a group atomically."""
    engine, tally = batches.engine, batches.tally
    names = list(engine.buffers)
    rows = [engine.buffers.row(name) for name in names]
    about = {
        "names": names,
        "experts": engine.horizons.members,
        "experts_of_houses": [engine.forecaster_of(name).scores.members for name in names],
        "speaker": engine.published_model.name,
        "n_readings": n_readings,
        "n_replaced": batches.causes.total(),
        "failed_models": sorted(batches.failed_models),
        "weeks": [tally.weeks.for_row(row) for row in rows],
    }
    columns: dict[str, Any] = {_SCORED + name: column for name, column in tally.scores.columns(rows).items()}
    columns |= {_LIVE + name: column for name, column in engine.horizons.score_columns(engine.buffers, rows).items()}
    if lead_scores is not None:
        columns |= {_OUTLOOK + name: sums.sums for name, sums in lead_scores.houses.items()}
    out = BytesIO()
    np.savez_compressed(out, about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8), **columns)
    write_atomically(path, out.getvalue())


def read_result(path: Path) -> GroupResult:
    """Return the result written by :func:`write_result`; raise :class:`~gapcast.core.errors.StateError` if damaged."""
    with damage_reported(path, REMOVE_IT), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        about = json.loads(archive["about"].tobytes())
        parts = {
            prefix: {name.removeprefix(prefix): archive[name] for name in archive.files if name.startswith(prefix)}
            for prefix in (_SCORED, _LIVE, _OUTLOOK)
        }
    about["weeks"] = [[Week(*week) for week in weeks] for weeks in about["weeks"]]
    # Files keep these keys.
    about["members"], about["published_model"] = about.pop("experts"), about.pop("speaker")
    about["house_members"] = about.pop("experts_of_houses", [about["members"]] * len(about["names"]))
    about = {"n_replaced": 0, "failed_models": []} | about  # absent in files of earlier versions
    return GroupResult(**about, scored=parts[_SCORED], live=parts[_LIVE], outlook=parts[_OUTLOOK])
