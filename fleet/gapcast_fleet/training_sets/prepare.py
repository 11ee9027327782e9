"""``gapcast-fleet prepare``: samples training windows from a fleet's readings, balanced over houses.

Two passes over the readings: the first counts windows, so that each house can contribute the same number, and the
second draws them. The result is chunks and a manifest. Finished groups of houses are recorded in the folder; an
interrupted preparation continues with the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from gapcast.core.documents import message_format
from gapcast.core.errors import SettingsError
from gapcast.core.readings.reading import Limits
from gapcast.core.time_grid import minute_label
from gapcast.core.windows.training_set import (
    FORMAT,
    MANIFEST_FILE,
    PARTS,
    TEST,
    Chunk,
    Contract,
    Draw,
    Manifest,
    TrainingSetHouse,
    row_type,
    source_sha256,
)  # fmt: skip
from gapcast.recordings.recording import minute_at
from gapcast.text.terminal_text import printable
from gapcast_fleet.files import REMOVE_IT, read_json, write_atomically
from gapcast_fleet.histories.distribution import begin_or_resume, distribute, group_readings, run_with_progress
from gapcast_fleet.histories.history import FleetHistory, ParquetFormat, read_history
from gapcast_fleet.histories.survey import HouseSurvey
from gapcast_fleet.training_sets.balance import balance
from gapcast_fleet.training_sets.window_draw import (
    COUNTED,
    DRAWN,
    DrawJob,
    chunk_list_path,
    progress_path,
    window_counter,
    window_drawer,
)

_ABOUT, _COUNTED = "prepare.json", "counted.json"
#: Size of drawn windows in a worker (at most twice this), bytes, and minimum number of groups, to keep all cores busy.
_GROUP_BYTES, _N_GROUPS = 64 << 20, 8


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """The input of a preparation: a folder of Parquet, the window contract, the draw, and houses left out."""

    folder: Path
    form: ParquetFormat
    contract: Contract
    draw: Draw
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """The windows of a house by part, and its power in the training part: number, sum, sum of squares."""

    found: list[int]
    n_training: int
    sum_kw: float
    sum_kw2: float


def prepare(
    spark: SparkSession,
    limits: Limits,
    options: PrepareOptions,
    out: Path,
    *,
    show: Callable[[str], object] = lambda _: None,
) -> Manifest:
    """Draw the windows of ``options`` that are missing in ``out``, and return the manifest of all windows.

    ``show`` is called with progress messages. Raises :class:`SettingsError` if ``out`` belongs to another preparation
    or other readings, or if houses cannot be left out (also because another one has the same readings) or balanced.
    """
    share = options.draw.validate_share
    with read_history(spark, options.folder, options.form, limits, validate_share=share, show=show) as history:
        manifest = _draw(spark, options, history, out, show=show)
    write_atomically(out / MANIFEST_FILE, manifest.text().encode())
    return manifest


def _draw(
    spark: SparkSession,
    options: PrepareOptions,
    history: FleetHistory,
    out: Path,
    *,
    show: Callable[[str], object],
) -> Manifest:
    draw, houses, columns = options.draw, history.houses, history.form.document()
    sha256 = source_sha256([(house.name, house.n_readings, house.digest) for house in houses])
    begins = _validation_begins(houses, options)
    about = {"format": FORMAT, "source_sha256": sha256, "columns": columns}
    about |= {"contract": asdict(options.contract), "draw": asdict(draw), "leave_out": sorted(options.leave_out)}
    begin_or_resume(out / _ABOUT, about, "--to")
    fleet = _Fleet(spark, history.minutes, houses, out.resolve(), show)
    job = DrawJob(str(fleet.folder), options.contract, draw.seed, begins)
    counted = fleet.count(job)
    found = {name: its.found for name, its in counted.items()}
    try:
        taken = balance(found, begins, draw)
    except SettingsError:  # nothing is drawn yet: the folder can be used with other options
        for note in (_COUNTED, _ABOUT):  # in this order: no counts remain that other options would use
            (out / note).unlink()
        raise
    chunks = fleet.draw(replace(job, n_found=found, n_taken=taken))
    return Manifest(
        FORMAT,
        str(options.folder),
        sha256,
        columns,
        options.contract,
        options.contract.embargo_min,
        draw,
        tuple(_in_set(house, begins[house.name], counted[house.name], taken[house.name]) for house in houses),
        tuple(chunks),
    )


def lines(manifest: Manifest) -> Iterator[str]:
    """Yield the lines for a terminal: windows and houses by part, and the house with the fewest windows."""
    for part in PARTS:
        houses = [house for house in manifest.houses if house.left_out is (part == TEST)]
        if houses:
            fewest, most = (choose(houses, key=lambda house: house.n_taken[part]) for choose in (min, max))
            each = f"{most.n_taken[part]:,} each"
            if fewest.n_taken[part] < most.n_taken[part]:
                each = f"{fewest.n_taken[part]:,} ({printable(fewest.name)}) to {most.n_taken[part]:,} each"
            yield f"{part}: {manifest.n_rows(part):,} windows of {message_format.counted(len(houses), 'house')}, {each}"
    if not manifest.names(left_out=True):
        yield "no house is left out: `gapcast-trainer export` will have no house to score the model on (--leave-out)"


def _validation_begins(houses: Sequence[HouseSurvey], options: PrepareOptions) -> dict[str, int | None]:
    """Return the first minute of each house's validation part, None if the house is left out."""
    names = {house.name for house in houses}
    unknown = sorted(set(options.leave_out) - names)
    if unknown:
        shown = ", ".join(sorted(names)[:10]) + (", …" if len(names) > 10 else "")  # noqa: PLR2004 - names shown
        msg = f"--leave-out {unknown[0]}: unknown house; there are {len(names)}: {shown}"
        raise SettingsError(msg)
    if names <= set(options.leave_out):
        msg = f"--leave-out: all {len(names)} houses are left out, none remains to train on"
        raise SettingsError(msg)
    left_out = {house.digest: house.name for house in houses if house.name in options.leave_out}
    for house in houses:
        if house.name not in options.leave_out and house.digest in left_out:
            problem = f"house {house.name} has the same readings as {left_out[house.digest]}, which is left out"
            msg = (
                f"{problem}: the test would not be out of sample: remove one of them from the folder, or leave out both"
            )
            raise SettingsError(msg)
    from_on = options.draw.validate_from
    given = None if from_on is None else minute_at("--validate-from", from_on, options.form.zone)
    return {
        house.name: None if house.name in options.leave_out else house.validate_minute if given is None else given
        for house in houses
    }


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The readings of houses, one per minute, and the folder for their windows."""

    spark: SparkSession
    readings: DataFrame
    houses: Sequence[HouseSurvey]
    folder: Path
    show: Callable[[str], object]

    def count(self, job: DrawJob) -> dict[str, WindowCounts]:
        """Return the windows of each house, from the folder if they are already counted."""
        path = self.folder / _COUNTED
        if not path.exists():
            self.show(f"counting the windows of {len(self.houses):,} houses")
            groups = distribute(self.houses, len(self.houses), _N_GROUPS)
            rows = self._watched(groups, range(len(groups)), window_counter(job), COUNTED)
            its = {row.device: [list(row.found), row.n_training, row.sum_kw, row.sum_kw2] for row in rows}
            write_atomically(path, json.dumps(its).encode())
            for group in range(len(groups)):
                progress_path(self.folder, group).unlink(missing_ok=True)
        return {name: WindowCounts(*its) for name, its in read_json(path, REMOVE_IT).items()}

    def draw(self, job: DrawJob) -> list[Chunk]:
        """Draw the windows of the remaining groups, and return all chunks."""
        row_bytes = row_type(job.contract.context, len(job.contract.lead_times_min)).itemsize
        most = max(sum(its) for its in job.n_taken.values())
        groups = distribute(self.houses, max(1, _GROUP_BYTES // (most * row_bytes)), _N_GROUPS)
        to_do = [group for group in range(len(groups)) if not chunk_list_path(self.folder, group).exists()]
        if to_do:
            self.show(f"drawing {sum(map(sum, job.n_taken.values())):,} windows of {len(self.houses):,} houses")
            self._watched(groups, to_do, window_drawer(job, [house.name for house in self.houses]), DRAWN)
        paths = [chunk_list_path(self.folder, group) for group in range(len(groups))]
        lists = [read_json(path, REMOVE_IT) for path in paths]
        return [Chunk(**chunk) for chunks in lists for chunk in chunks]

    def _watched(
        self, groups: Sequence[Sequence[HouseSurvey]], to_do: Sequence[int], work: Any, columns: str
    ) -> list[Any]:
        """Run ``work`` over the groups ``to_do``, each house's readings in order of time; return its rows."""
        rows = group_readings(self.spark, self.readings, groups, to_do).sortWithinPartitions("device", "minute")
        job = rows.select("group", "device", "minute", "gap_kw", "is_filled").mapInPandas(work, columns)
        n_readings = {group: sum(house.n_readings for house in groups[group]) for group in to_do}

        def n_done() -> int:
            return sum(_n_readings_done(self.folder, group, n) for group, n in n_readings.items())

        return run_with_progress(job, n_done, sum(n_readings.values()))


def _n_readings_done(folder: Path, group: int, n_readings: int) -> int:
    with suppress(FileNotFoundError):  # the worker has not begun, or is done and has removed it
        return int(progress_path(folder, group).read_text(encoding="utf-8") or 0)
    return n_readings if chunk_list_path(folder, group).exists() else 0


def _in_set(house: HouseSurvey, begins: int | None, counted: WindowCounts, taken: Sequence[int]) -> TrainingSetHouse:
    n_training = max(counted.n_training, 1)
    return TrainingSetHouse(
        house.name,
        begins is None,
        house.n_readings,
        house.n_duplicates,
        house.n_refused,
        minute_label(house.first_minute),
        minute_label(house.last_minute),
        None if begins is None else minute_label(begins),
        dict(zip(PARTS, counted.found, strict=True)),
        dict(zip(PARTS, taken, strict=True)),
        counted.sum_kw / n_training,
        counted.sum_kw2 / n_training,
    )
