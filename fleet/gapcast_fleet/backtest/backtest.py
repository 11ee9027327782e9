"""``gapcast-fleet backtest``: runs the engine over the history of thousands of houses, group by group, on all cores.

Each finished group is a file; an interrupted back-test resumes with the remaining groups.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

from gapcast.app.models.models import load_models
from gapcast.backtest.forecasts.whole_file import remove_parts
from gapcast.backtest.inputs.engine_settings import with_outlooks
from gapcast.backtest.inputs.houses import FilePart
from gapcast.backtest.inputs.training_overlap import training_notes
from gapcast.backtest.outlooks.lead_scores import LeadScores, LeadSums
from gapcast.backtest.results.report import document, outlook_table, table, warnings
from gapcast.backtest.results.results import Backtest
from gapcast.backtest.results.results import HouseResult as ScoredHouse
from gapcast.config.settings import Settings
from gapcast.core.documents.message_format import counted
from gapcast.core.errors import SettingsError
from gapcast.core.horizons.horizon_parts import members_of_all
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.readings.reading import Limits
from gapcast.core.time_grid import minute_label
from gapcast.text.terminal_text import printable
from gapcast_fleet.backtest.groups import (
    OUTPUT,
    GroupOutlook,
    GroupResult,
    group_runner,
    outlook_path,
    progress_path,
    read_result,
    result_path,
)
from gapcast_fleet.engine.identity import Identity, identity_of
from gapcast_fleet.engine.worker import WorkerTask
from gapcast_fleet.files import write_atomically
from gapcast_fleet.histories.distribution import begin_or_resume, distribute, group_readings, run_with_progress
from gapcast_fleet.histories.history import FleetHistory, ParquetFormat, read_history
from gapcast_fleet.histories.survey import HouseSurvey
from gapcast_fleet.scoring.score import fleet_settings

_ABOUT, SCORES = "backtest.json", "scores.json"
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """The input of a back-test: a folder of Parquet, the part to read, and the number of houses per engine.

    ``outlook`` are the outlooks to score (None: no outlooks).
    """

    folder: Path
    form: ParquetFormat
    part: FilePart
    houses_at_once: int = 100
    outlook: GroupOutlook | None = None


def run_backtest(
    spark: SparkSession,
    settings: Settings,
    options: BacktestOptions,
    results: Path,
    *,
    show: Callable[[str], object] = lambda _: None,
) -> Backtest:
    """Run the groups without a result in ``results``, and return the whole back-test.

    ``show`` is called with a summary of the history. Raises :class:`~gapcast.core.errors.SettingsError` if
    ``results`` has other options, models or history, if a group has more houses than ``devices.max``, or if all
    readings are before those to score.
    """
    settings, scored_from, outlook = fleet_settings(settings), options.part.first_scored_minute, options.outlook
    if outlook is not None:
        settings = with_outlooks(settings, options.houses_at_once)
    loaded = load_models(settings)
    identity = identity_of(settings, loaded)
    limits = settings.reading_limits
    with read_history(spark, options.folder, options.form, limits, part=options.part, show=show) as history:
        _check_scored(options.part, history)
        n_least = spark.sparkContext.defaultParallelism
        groups = engine_groups(history.houses, options.houses_at_once, n_least, settings.devices.max)
        _begin(results, options, history, groups, identity)
        task = WorkerTask(str(results.resolve()), settings.model_dump_json(), identity.text(), 0, 0)
        began_s = time.perf_counter()
        run = group_runner(task, results.resolve(), scored_from, outlook)
        _run_groups(spark, history, groups, run, results)
    leads = None if outlook is None else outlook.lead_times_min
    parts = [read_result(result_path(results, i)) for i in range(len(groups))]
    found = join(parts, time.perf_counter() - began_s, leads)
    scored = {*found.scored.members, found.published_model if outlook is None else settings.outlook.model}
    spans = [(house.first_minute, house.last_reading_minute) for house in history.houses]
    found = replace(found, notes=training_notes(loaded.cards, scored, spans, scored_from))
    written = document(found) | {"refused": {its.name: its.n_refused for its in history.surveys if its.n_refused}}
    write_atomically(results / SCORES, (json.dumps(written, indent=1, allow_nan=False) + "\n").encode())
    return found


def engine_groups(
    houses: Sequence[HouseSurvey], houses_at_once: int, n_least: int, max_devices: int
) -> list[list[HouseSurvey]]:
    """Return ``houses`` in groups for one engine each, from :func:`~gapcast_fleet.histories.distribution.distribute`.

    Raises :class:`~gapcast.core.errors.SettingsError` if a group has more than ``max_devices`` houses, because an
    engine drops the others.
    """
    groups = distribute(houses, houses_at_once, n_least)
    n_houses = max(map(len, groups))
    if n_houses > max_devices:
        msg = (
            f"devices.max: {max_devices} is less than the {n_houses} houses of a group: raise it, "
            f"or lower --houses-at-once to {max_devices}"
        )
        raise SettingsError(msg)
    return groups


def _check_scored(part: FilePart, history: FleetHistory) -> None:
    """Raise :class:`~gapcast.core.errors.SettingsError` if no house has readings from ``score_from`` on."""
    last_minute = max(house.last_reading_minute for house in history.houses)
    if part.first_scored_minute is not None and part.first_scored_minute > last_minute:
        last = f"the last reading of all houses ({minute_label(last_minute)}{', with --limit' * bool(part.limit)})"
        msg = f"--score-from {part.score_from}: is after {last}: name an earlier time"
        raise SettingsError(msg)


def _begin(
    results: Path,
    options: BacktestOptions,
    history: FleetHistory,
    groups: Sequence[Sequence[HouseSurvey]],
    identity: Identity,
) -> None:
    """Record the identity of the results, or compare it with the record."""
    part, outlook = options.part, options.outlook
    stored = json.loads(identity.text())
    if stored["learning"]["max_kw"] == Limits().max_kw:  # so that results of earlier versions can be continued
        del stored["learning"]["max_kw"]
    about = {
        "identity": stored,
        "columns": history.form.document(),
        "part": {"start": part.start, "limit": part.limit, "score_from": part.score_from},
        "groups": [[(its.name, its.n_readings, its.n_refused, its.digest) for its in group] for group in groups],
        # Omitted without outlooks, so that results of earlier versions can be continued.
        **({} if outlook is None else {"outlook": [list(outlook.lead_times_min), outlook.is_written]}),
    }
    begin_or_resume(results / _ABOUT, about, "--results")


def _run_groups(
    spark: SparkSession,
    history: FleetHistory,
    groups: Sequence[Sequence[HouseSurvey]],
    run: Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]],
    results: Path,
) -> None:
    """Run the groups that have no result yet."""
    to_do = [i for i in range(len(groups)) if not result_path(results, i).exists()]
    if to_do:
        for i in to_do:
            remove_parts(outlook_path(results, i))
        rows = group_readings(spark, history.minutes, groups, to_do).sortWithinPartitions("nth", "device")
        job = rows.select("group", "device", "minute", "gap_kw", "is_filled").mapInPandas(run, OUTPUT)
        n_due = sum(house.n_readings for i in to_do for house in groups[i])
        run_with_progress(job, lambda: sum(_n_readings_done(results, i) for i in to_do), n_due)


def _n_readings_done(results: Path, group: int) -> int:
    try:
        return int(progress_path(results, group).read_text(encoding="utf-8") or 0)
    except FileNotFoundError:
        path = result_path(results, group)
        return read_result(path).n_readings if path.exists() else 0


def join(results: Sequence[GroupResult], took_s: float, lead_times_min: tuple[int, ...] | None = None) -> Backtest:
    """Return the results of all groups as one back-test, houses by name; outlooks are at ``lead_times_min``."""
    names = [name for result in results for name in result.names]
    scored, live = (
        _scores(results[0].members, len(names), [getattr(result, part) for result in results])
        for part in ("scored", "live")
    )
    weeks = [weeks for result in results for weeks in result.weeks]
    members = [members for result in results for members in result.house_members]
    houses = [
        ScoredHouse(
            name,
            {period: summary.select(members[row]) for period, summary in live.for_row(row).items()},
            scored.for_row(row)[ALL_TIME].select(members[row]),
            weeks[row],
        )
        for name, row in sorted((name, row) for row, name in enumerate(names))
    ]
    overall = scored.overall()[ALL_TIME].select(members_of_all(house.scored.members for house in houses))
    n_readings = sum(result.n_readings for result in results)
    outlooks = None
    if lead_times_min is not None:
        sums = {name: LeadSums(lead_times_min, its) for result in results for name, its in result.outlook.items()}
        outlooks = LeadScores(lead_times_min, sums)
    return Backtest(
        results[0].published_model,
        n_readings,
        took_s,
        houses,
        overall,
        outlooks=outlooks,
        n_replaced=sum(result.n_replaced for result in results),
        failed_models=tuple(sorted({model for result in results for model in result.failed_models})),
    )


def _scores(members: Sequence[str], n_houses: int, parts: Sequence[dict[str, Any]]) -> Scores:
    scores = Scores(members, n_houses)
    scores.restore_columns({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return scores


def lines(found: Backtest) -> Iterator[str]:
    """Yield the lines for a terminal: all houses together, and the distribution of their skill if there are several."""
    is_one = len(found.houses) == 1
    title = printable(found.houses[0].name) if is_one else f"all {len(found.houses):,} houses"
    yield from table(title, found.published_model, found.scored)
    skills = [house.scored.skill for house in found.houses if house.scored.skill is not None]
    if skills and not is_one:
        at = np.quantile(np.array(skills), _SHARES).tolist()
        yield "  skill by house: " + ", ".join(
            f"{share:.0%} {its:+.3f}" for share, its in zip(_SHARES, at, strict=True)
        )
    if found.outlooks is not None:
        yield from outlook_table(title, found.outlooks.overall())
    yield from found.notes
    yield from warnings(found)
    rate = found.n_readings / found.took_s if found.took_s else 0.0
    yield f"{counted(found.n_readings, 'reading')} in {found.took_s:.1f} s: {rate:,.0f} per second"
