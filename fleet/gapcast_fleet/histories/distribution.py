"""Distributes houses to groups, each a Spark partition and a resumable unit of work; shows the progress."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf
from tqdm import tqdm

from gapcast.core.errors import SettingsError
from gapcast.private_files import make_private_folder
from gapcast_fleet.failures import worker_error
from gapcast_fleet.files import read_json, remove_leftovers, write_atomically

_POLL_S = 0.5
#: Parts of a folder's record, for error messages.
_DESCRIBED = {
    "format": "format",
    "identity.version": "version of gapcast-fleet",
    "identity.speaking": "primary model",
    "identity.models": "models",
    "identity.learning": "forecast or learning options or limits",
    "identity.timezone": "zone of the time of day (site.timezone or --timezone; earlier versions: site.timezone only)",
    "outlook": "--horizons or --outlook",
    "columns.device": "--device-column",
    "columns.time": "--time-column",
    "columns.value": "--value-column",
    "columns.unit": "unit",
    "columns.zone": "--timezone or site.timezone",
    "columns.time_format": "--time-format",
    "columns.hold_min": "--hold",
    "part.start": "--start",
    "part.limit": "--limit",
    "part.score_from": "--score-from",
    "source_sha256": "readings",
    "groups.houses": "readings",
    "groups.division": "--houses-at-once or number of cores",
    "contract.context": "--context",
    "contract.padding": "--padding",
    "contract.lead_times_min": "--lead-times",
    "draw.windows_a_house": "--windows-a-house",
    "draw.validate_share": "--validate-share",
    "draw.validate_from": "--validate-from",
    "draw.seed": "--seed",
    "leave_out": "--leave-out",
}
#: Parts, or sections of parts, that change others too: the others are then not named.
_CAUSES = {
    "identity.models": {"outlook"},
    "identity.timezone": {"columns.zone"},
    "source_sha256": {"columns"},
    "groups.houses": {"columns", "part"},
    "groups.division": {"columns", "part", "groups.houses"},
}


class GroupSize(Protocol):
    """A house with its number of readings."""

    @property
    def name(self) -> str:
        """The house's name."""
        ...

    @property
    def n_readings(self) -> int:
        """The number of readings of the house."""
        ...


House = TypeVar("House", bound=GroupSize)


def distribute(houses: Sequence[House], houses_at_once: int, n_least: int) -> list[list[House]]:
    """Return ``houses`` in groups of at most ``houses_at_once``, with about equal numbers of readings.

    There are at least ``n_least`` groups, if there are enough houses.

    >>> from gapcast_fleet.histories.survey import HouseSurvey
    >>> [[house.name for house in group] for group in distribute([HouseSurvey(n, 9, 0) for n in "abcde"], 2, 2)]
    [['a', 'd'], ['b', 'e'], ['c']]
    """
    n_groups = min(len(houses), max(math.ceil(len(houses) / houses_at_once), n_least))
    groups: list[list[House]] = [[] for _ in range(n_groups)]
    for i, house in enumerate(sorted(houses, key=lambda house: (-house.n_readings, house.name))):
        groups[i % n_groups].append(house)
    return groups


def group_readings(
    spark: SparkSession, readings: DataFrame, groups: Sequence[Sequence[GroupSize]], to_do: Sequence[int]
) -> DataFrame:
    """Return the readings of the groups ``to_do``, one partition per group, with a column ``group``."""
    group_of_house = [(house.name, group, at) for at, group in enumerate(to_do) for house in groups[group]]
    of_house = spark.createDataFrame(group_of_house, "device string, group int, at int")
    return readings.join(sf.broadcast(of_house), "device").repartitionById(len(to_do), "at")


def begin_or_resume(path: Path, about: Mapping[str, Any], option: str) -> None:
    """Record ``about`` at ``path``; raise :class:`SettingsError` if the folder was made from something else.

    A new folder is private. What a killed run left in the folder is removed. ``option`` names the folder in the error
    message.
    """
    if not path.exists():
        make_private_folder(path.parent)
        write_atomically(path, json.dumps(about).encode())
        return
    stored, now = read_json(path, "use another folder"), json.loads(json.dumps(about))
    if unlike := _differences(stored, now):
        msg = f"{option} {path.parent}: was created with other {', '.join(unlike)}: use another folder"
        raise SettingsError(msg)
    remove_leftovers(path.parent)


def _differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the descriptions of the parts that differ, without those that only follow from another one.

    >>> _differences({"part": {"start": None, "limit": 9}, "seed": 1}, {"part": {"start": None, "limit": 8}})
    ['--limit', 'seed']
    """
    ones, others = dict(_parts(stored)), dict(_parts(now))
    unlike = {name for name in ones | others if ones.get(name) != others.get(name)}
    causes = unlike | {name.partition(".")[0] for name in unlike}
    named = {name for name in unlike if not causes & _CAUSES.get(name, set())}
    order = [*_DESCRIBED, *sorted(named - _DESCRIBED.keys())]
    return list(dict.fromkeys(_DESCRIBED.get(name, name) for name in order if name in named))


def _parts(about: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a record by name."""
    for name, value in about.items():
        if name == "groups":
            yield "groups.houses", sorted(house for group in value for house in group)
            yield "groups.division", [[house[0] for house in group] for group in value]
        elif isinstance(value, dict):
            yield from ((f"{name}.{key}", its) for key, its in value.items())
        else:
            yield name, value


def run_with_progress(job: DataFrame, n_done_now: Callable[[], int], n_total: int) -> list[Any]:
    """Run ``job`` and return its rows; meanwhile show the progress out of ``n_total`` readings."""
    with ThreadPoolExecutor(1) as pool, tqdm(total=n_total, unit=" readings", disable=None) as shown:
        running: Future[list[Any]] = pool.submit(job.collect)
        n_done = 0
        while not running.done():
            time.sleep(_POLL_S)
            n_now = n_done_now()
            shown.update(max(0, n_now - n_done))
            n_done = max(n_done, n_now)
        with worker_error():
            rows = running.result()
        shown.update(n_total - n_done)
    return rows
