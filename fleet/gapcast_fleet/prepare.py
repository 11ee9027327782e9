"""``gapcast-fleet prepare``: a fleet's readings as windows to train on, balanced over houses, in chunks and a manifest.

Readings go by twice: windows are counted, so that each house can give as many, and then drawn. A group of houses that
is done is noted in the folder; a preparation that was ended goes on with the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.grid import minute_label
from gapcast.core.reading import Limits
from gapcast.core.training_set import (
    FORMAT,
    MANIFEST_FILE,
    PARTS,
    TEST,
    Chunk,
    Contract,
    Draw,
    Manifest,
    SetHouse,
    row_type,
    source_sha256,
)  # fmt: skip
from gapcast.replay.source import minute_at
from gapcast_fleet.balance import balance
from gapcast_fleet.distribution import begin_or_resume, distribute, distributed, watch
from gapcast_fleet.files import write_whole
from gapcast_fleet.history import ParquetColumns, read_history
from gapcast_fleet.survey import HouseSurvey, one_a_minute, survey
from gapcast_fleet.window_draw import COUNTED, DRAWN, DrawJob, counter, drawer, note_path, progress_path

_ABOUT, _COUNTED = "prepare.json", "counted.json"
#: What a worker holds of drawn windows, twice at most, and the groups that there are at least: as many cores find work.
_GROUP_BYTES, _N_GROUPS = 64 << 20, 8


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """What is to be prepared: a folder of Parquet, the windows' contract, how they are drawn, and who is left out."""

    folder: Path
    columns: ParquetColumns
    contract: Contract
    draw: Draw
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """How many windows a house has of each part, and its power where it is learnt from: number, sum, sum of squares."""

    found: list[int]
    n_learnt: int
    sum_kw: float
    sum_kw2: float


def prepare(
    spark: SparkSession,
    limits: Limits,
    wanted: PrepareOptions,
    out: Path,
    *,
    quiet: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> Manifest:
    """Draw what ``out`` has not of the windows that are ``wanted`` yet, and return the manifest of all.

    ``say`` is told what is being done. Raises :class:`SettingsError` where ``out`` is of another preparation or of
    other readings, or houses cannot be left out or balanced.
    """
    say("looking at the readings")
    draw = wanted.draw
    history = read_history(spark, wanted.folder, wanted.columns, limits, None)
    readings = one_a_minute(history)
    houses = survey(history, readings, draw.validate_share)
    if not houses:
        raise SourceError(wanted.folder, None, "holds no reading")
    sha256 = source_sha256([(house.name, house.n_readings, house.digest) for house in houses])
    begins = _begins(houses, wanted)
    about = {"format": FORMAT, "source_sha256": sha256, "columns": asdict(wanted.columns)}
    about |= {"contract": asdict(wanted.contract), "draw": asdict(draw), "leave_out": sorted(wanted.leave_out)}
    begin_or_resume(out / _ABOUT, about, "--to", "preparation")
    fleet = _Fleet(spark, readings, houses, out.resolve(), quiet, say)
    job = DrawJob(str(fleet.folder), wanted.contract, draw.seed, begins)
    counted = fleet.count(job)
    found = {name: its.found for name, its in counted.items()}
    try:
        taken = balance(found, begins, draw)
    except SettingsError:  # nothing is drawn yet: the folder is free for what the message says
        for note in (_ABOUT, _COUNTED):
            (out / note).unlink()
        raise
    chunks = fleet.draw(replace(job, n_found=found, n_taken=taken))
    manifest = Manifest(
        FORMAT,
        str(wanted.folder),
        sha256,
        asdict(wanted.columns),
        wanted.contract,
        wanted.contract.embargo_min,
        draw,
        tuple(_in_set(house, begins[house.name], counted[house.name], taken[house.name]) for house in houses),
        tuple(chunks),
    )
    write_whole(out / MANIFEST_FILE, manifest.text().encode())
    return manifest


def lines(manifest: Manifest) -> Iterator[str]:
    """Yield what is shown in a terminal: how many windows of how many houses, and which give the fewest."""
    for part in PARTS:
        whose = [house for house in manifest.houses if house.left_out is (part == TEST)]
        if whose:
            fewest, most = (choose(whose, key=lambda house: house.n_taken[part]) for choose in (min, max))
            each = f"{most.n_taken[part]:,} each"
            if fewest.n_taken[part] < most.n_taken[part]:
                each = f"{fewest.n_taken[part]:,} ({fewest.name}) to {most.n_taken[part]:,} each"
            yield f"{part}: {manifest.n_rows(part):,} windows of {len(whose):,} houses, {each}"
    if not manifest.names(left_out=True):
        yield "no house is left out: `gapcast-trainer export` will have none to score the model on (--leave-out)"


def _begins(houses: Sequence[HouseSurvey], wanted: PrepareOptions) -> dict[str, int | None]:
    """Return the minute that each house's validation part begins with, None where it is left out."""
    names = {house.name for house in houses}
    unknown = sorted(set(wanted.leave_out) - names)
    if unknown:
        shown = ", ".join(sorted(names)[:10]) + (", …" if len(names) > 10 else "")  # noqa: PLR2004 - fits one line
        msg = f"--leave-out {unknown[0]}: there is no such house among {len(names)}: {shown}"
        raise SettingsError(msg)
    if names <= set(wanted.leave_out):
        msg = f"--leave-out: all {len(names)} houses are left out, and there is none to learn from"
        raise SettingsError(msg)
    from_on = wanted.draw.validate_from
    given = None if from_on is None else minute_at("--validate-from", from_on)
    return {
        house.name: None if house.name in wanted.leave_out else house.validate_minute if given is None else given
        for house in houses
    }


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The readings of houses, one a minute, and the folder that their windows are left in."""

    spark: SparkSession
    readings: DataFrame
    houses: Sequence[HouseSurvey]
    folder: Path
    quiet: bool
    say: Callable[[str], object]

    def count(self, job: DrawJob) -> dict[str, WindowCounts]:
        """Return what each house has, from the folder where that was counted before."""
        path = self.folder / _COUNTED
        if not path.exists():
            self.say(f"counting the windows of {len(self.houses):,} houses")
            groups = distribute(self.houses, len(self.houses), _N_GROUPS)
            rows = self._watched(groups, range(len(groups)), counter(job), COUNTED)
            its = {row.device: [list(row.found), row.n_learnt, row.sum_kw, row.sum_kw2] for row in rows}
            write_whole(path, json.dumps(its).encode())
            for group in range(len(groups)):
                progress_path(self.folder, group).unlink(missing_ok=True)
        return {name: WindowCounts(*its) for name, its in json.loads(path.read_text(encoding="utf-8")).items()}

    def draw(self, job: DrawJob) -> list[Chunk]:
        """Draw the windows of the groups that are not done, and return all chunks."""
        row_bytes = row_type(job.contract.context, len(job.contract.lead_times_min)).itemsize
        most = max(sum(its) for its in job.n_taken.values())
        groups = distribute(self.houses, max(1, _GROUP_BYTES // (most * row_bytes)), _N_GROUPS)
        to_do = [group for group in range(len(groups)) if not note_path(self.folder, group).exists()]
        if to_do:
            self.say(f"drawing {sum(map(sum, job.n_taken.values())):,} windows of {len(self.houses):,} houses")
            self._watched(groups, to_do, drawer(job, [house.name for house in self.houses]), DRAWN)
        notes = [json.loads(note_path(self.folder, group).read_text(encoding="utf-8")) for group in range(len(groups))]
        return [Chunk(**chunk) for note in notes for chunk in note]

    def _watched(
        self, groups: Sequence[Sequence[HouseSurvey]], to_do: Sequence[int], work: Any, columns: str
    ) -> list[Any]:
        """Run ``work`` over the groups ``to_do``, each house's readings in order of time; return its rows."""
        rows = distributed(self.spark, self.readings, groups, to_do).sortWithinPartitions("device", "minute")
        job = rows.select("group", "device", "minute", "gap_kw").mapInPandas(work, columns)
        due = {group: sum(house.n_readings for house in groups[group]) for group in to_do}

        def taken() -> int:
            return sum(_taken(self.folder, group, n) for group, n in due.items())

        return watch(job, taken, sum(due.values()), quiet=self.quiet)


def _taken(folder: Path, group: int, n_readings: int) -> int:
    if note_path(folder, group).exists():
        return n_readings
    path = progress_path(folder, group)
    return int(path.read_text(encoding="utf-8") or 0) if path.exists() else 0


def _in_set(house: HouseSurvey, begins: int | None, counted: WindowCounts, taken: Sequence[int]) -> SetHouse:
    n_learnt = max(counted.n_learnt, 1)
    return SetHouse(
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
        counted.sum_kw / n_learnt,
        counted.sum_kw2 / n_learnt,
    )
