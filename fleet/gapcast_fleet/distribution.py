"""Houses dealt into groups, each a partition of Spark's and a piece of work that is done or not; and how far it is."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf
from tqdm import tqdm

from gapcast.core.errors import SettingsError
from gapcast_fleet.failures import worker_error
from gapcast_fleet.files import write_whole

_LOOK_S = 0.5


class GroupSize(Protocol):
    """A house, as far as dealing goes."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def n_readings(self) -> int:
        """How many readings it has."""
        ...


Dealt = TypeVar("Dealt", bound=GroupSize)


def distribute(houses: Sequence[Dealt], houses_at_once: int, n_least: int) -> list[list[Dealt]]:
    """Return ``houses`` in groups of at most ``houses_at_once``, with about as many readings each.

    There are ``n_least`` groups where there are as many houses.

    >>> from gapcast_fleet.history import House
    >>> [[house.name for house in group] for group in deal([House(n, 9, 0) for n in "abcde"], 2, 2)]
    [['a', 'd'], ['b', 'e'], ['c']]
    """
    n_groups = min(len(houses), max(math.ceil(len(houses) / houses_at_once), n_least))
    groups: list[list[Dealt]] = [[] for _ in range(n_groups)]
    for i, house in enumerate(sorted(houses, key=lambda house: (-house.n_readings, house.name))):
        groups[i % n_groups].append(house)
    return groups


def distributed(
    spark: SparkSession, readings: DataFrame, groups: Sequence[Sequence[GroupSize]], to_do: Sequence[int]
) -> DataFrame:
    """Return the readings of the groups ``to_do``, each in a partition of its own, with a column ``group``."""
    whose = [(house.name, group, at) for at, group in enumerate(to_do) for house in groups[group]]
    of_house = spark.createDataFrame(whose, "device string, group int, at int")
    return readings.join(sf.broadcast(of_house), "device").repartitionById(len(to_do), "at")


def begin_or_resume(path: Path, about: Mapping[str, Any], option: str, what: str) -> None:
    """Note at ``path`` what its folder is of; raise :class:`SettingsError` where it is of something else already.

    ``option`` and ``what`` name the folder and the command's work in the message.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(about).encode())
        return
    kept, now = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(about))
    unlike = [name for name in now if kept.get(name) != now[name]]
    if unlike:
        msg = f"{option} {path.parent}: is of another {what} (its {', '.join(unlike)} differ): name another folder"
        raise SettingsError(msg)


def watch(job: DataFrame, taken: Callable[[], int], n_due: int, *, quiet: bool) -> list[Any]:
    """Run ``job`` and return its rows; show how many of ``n_due`` readings are ``taken`` meanwhile."""
    with ThreadPoolExecutor(1) as pool, tqdm(total=n_due, unit=" readings", disable=quiet or None) as shown:
        running: Future[list[Any]] = pool.submit(job.collect)
        n_done = 0
        while not running.done():
            time.sleep(_LOOK_S)
            n_now = taken()
            shown.update(max(0, n_now - n_done))
            n_done = max(n_done, n_now)
        with worker_error():
            rows = running.result()
        shown.update(n_due - n_done)
    return rows
