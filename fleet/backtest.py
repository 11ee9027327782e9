"""``gapcast-fleet backtest``: the history of thousands of houses through the engine, group by group, on all cores.

A group that is done is a file; a back-test that was ended goes on with the others.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf
from tqdm import tqdm

from edge.backtest.houses import Part
from edge.backtest.report import document, table
from edge.backtest.run import Backtest
from edge.backtest.run import House as ScoredHouse
from edge.core.errors import SettingsError
from edge.core.online.scores import Scores
from edge.core.online.summary import EVER
from edge.core.reading import Limits
from edge.loading import load_models
from edge.replay.source import minute_at
from edge.settings import Settings
from fleet.failures import told
from fleet.groups import OUTPUT, Result, group_runner, progress_path, read_result, result_path
from fleet.history import HistoryColumns, House, houses_of, in_turn, read_history
from fleet.identity import identity_of
from fleet.score import fleet_settings
from fleet.worker import Task

_ABOUT, SCORES = "backtest.json", "scores.json"
_LOOK_S = 0.5
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Question:
    """What a back-test is of: a folder of Parquet, which part of it, and how many houses share an engine."""

    folder: Path
    columns: HistoryColumns
    part: Part
    houses_at_once: int = 100


def run_backtest(
    spark: SparkSession, settings: Settings, question: Question, results: Path, *, quiet: bool = False
) -> Backtest:
    """Run what ``results`` has not of the back-test yet, and return what came of all.

    Raises :class:`SettingsError` where ``results`` are of another question, models or history.
    """
    settings = fleet_settings(settings)
    identity = identity_of(settings, load_models(settings))
    part = question.part
    first_minute = None if part.start is None else minute_at("--start", part.start)
    scored_from = None if part.score_from is None else minute_at("--score-from", part.score_from)
    limits = Limits(settings.limits.min_kw, settings.limits.max_kw)
    history = read_history(spark, question.folder, question.columns, limits, first_minute)
    groups = deal(houses_of(history), question.houses_at_once, spark.sparkContext.defaultParallelism)
    begin_or_resume(results, question, identity.text(), groups)
    to_do = [i for i in range(len(groups)) if not result_path(results, i).exists()]
    task = Task(str(results.resolve()), settings.model_dump_json(), identity.text(), 0, 0)
    began_s = time.perf_counter()
    if to_do:
        rows = _dealt(spark, in_turn(history, part.limit), groups, to_do)
        job = rows.mapInPandas(group_runner(task, results.resolve(), scored_from), OUTPUT)
        n_due = sum(min(house.n_readings, part.limit or house.n_readings) for i in to_do for house in groups[i])
        _watch(job, results, to_do, n_due, quiet=quiet)
    took_s = time.perf_counter() - began_s
    found = join([read_result(result_path(results, i)) for i in range(len(groups))], took_s)
    written = document(found) | {
        "refused": {its.name: its.n_refused for group in groups for its in group if its.n_refused}
    }
    (results / SCORES).write_text(json.dumps(written, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return found


def deal(houses: Sequence[House], houses_at_once: int, n_cores: int) -> list[list[House]]:
    """Return ``houses`` in groups of at most ``houses_at_once``, with about as many readings each, one a core at least.

    >>> [[house.name for house in group] for group in deal([House(n, 9, 0) for n in "abcde"], 2, 2)]
    [['a', 'd'], ['b', 'e'], ['c']]
    """
    n_groups = min(len(houses), max(math.ceil(len(houses) / houses_at_once), n_cores))
    groups: list[list[House]] = [[] for _ in range(n_groups)]
    for i, house in enumerate(sorted(houses, key=lambda house: (-house.n_readings, house.name))):
        groups[i % n_groups].append(house)
    return groups


def begin_or_resume(results: Path, question: Question, identity: str, groups: Sequence[Sequence[House]]) -> None:
    """Note in ``results`` what they are of; raise :class:`SettingsError` where they are of something else already."""
    about: dict[str, Any] = {
        "identity": json.loads(identity),
        "columns": asdict(question.columns),
        "part": asdict(question.part),
        "groups": [[asdict(house) for house in group] for group in groups],
    }
    path = results / _ABOUT
    if not path.exists():
        results.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".part").write_text(json.dumps(about), encoding="utf-8")
        path.with_suffix(".part").replace(path)
        return
    kept = json.loads(path.read_text(encoding="utf-8"))
    unlike = [name for name in about if kept.get(name) != json.loads(json.dumps(about[name]))]
    if unlike:
        msg = f"--results {results}: are of another back-test (its {', '.join(unlike)} differ): name another folder"
        raise SettingsError(msg)


def _dealt(
    spark: SparkSession, readings: DataFrame, groups: Sequence[Sequence[House]], to_do: Sequence[int]
) -> DataFrame:
    """Return the readings of the groups ``to_do``, each in a partition of its own, house beside house."""
    whose = [(house.name, group, at) for at, group in enumerate(to_do) for house in groups[group]]
    of_house = spark.createDataFrame(whose, "device string, group int, at int")
    dealt = readings.join(sf.broadcast(of_house), "device").repartitionById(len(to_do), "at")
    return dealt.sortWithinPartitions("nth", "device").select("group", "device", "minute", "gap_kw")


def _watch(job: DataFrame, results: Path, to_do: Sequence[int], n_due: int, *, quiet: bool) -> None:
    """Run ``job``, and show how far the groups are."""
    with ThreadPoolExecutor(1) as pool, tqdm(total=n_due, unit=" readings", disable=quiet or None) as shown:
        running: Future[Any] = pool.submit(job.collect)
        n_done = 0
        while not running.done():
            time.sleep(_LOOK_S)
            n_now = sum(_taken(results, group) for group in to_do)
            shown.update(max(0, n_now - n_done))
            n_done = max(n_done, n_now)
        with told():
            shown.update(sum(row.n for row in running.result()) - n_done)


def _taken(results: Path, group: int) -> int:
    try:
        return int(progress_path(results, group).read_text(encoding="utf-8") or 0)
    except FileNotFoundError:
        path = result_path(results, group)
        return read_result(path).n_readings if path.exists() else 0


def join(results: Sequence[Result], took_s: float) -> Backtest:
    """Return what came of all groups as one back-test, houses by name."""
    names = [name for result in results for name in result.names]
    scored, live = (
        _scores(results[0].experts, len(names), [getattr(result, part) for result in results])
        for part in ("scored", "live")
    )
    weeks = [weeks for result in results for weeks in result.weeks]
    houses = [
        ScoredHouse(name, live.of(row), scored.of(row)[EVER], weeks[row])
        for name, row in sorted((name, row) for row, name in enumerate(names))
    ]
    n_readings = sum(result.n_readings for result in results)
    return Backtest(results[0].speaker, n_readings, took_s, houses, scored.overall()[EVER])


def _scores(experts: Sequence[str], n_houses: int, parts: Sequence[dict[str, Any]]) -> Scores:
    scores = Scores(experts, n_houses)
    scores.take_over({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return scores


def lines(found: Backtest) -> Iterator[str]:
    """Yield what is shown in a terminal: all houses together, and how the skill is spread over them."""
    yield from table(f"all {len(found.houses)} houses", found.speaker, found.scored)
    skills = [house.scored.skill for house in found.houses if house.scored.skill is not None]
    if skills:
        at = np.quantile(np.array(skills), _SHARES).tolist()
        yield "  skill by house: " + ", ".join(
            f"{share:.0%} {its:+.3f}" for share, its in zip(_SHARES, at, strict=True)
        )
    rate = found.n_readings / found.took_s if found.took_s else 0.0
    yield f"{found.n_readings:,} readings in {found.took_s:.1f} s: {rate:,.0f} a second"
