"""Runs the engine over files: it accepts, forecasts and learns as in the service, without a broker."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import repeat
from pathlib import Path

from tqdm import tqdm

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.batch_tally import BatchTally, Tally
from gapcast.backtest.forecasts.outcomes_file import OutcomesFile
from gapcast.backtest.forecasts.refits import CHECK_EVERY_MIN, SimulatedRefits
from gapcast.backtest.inputs.engine_settings import require_scored_features, with_outlooks, without_queries
from gapcast.backtest.inputs.houses import (
    FilePart,
    MeasuredAt,
    minutes_of,
    name_houses,
    runs_side_by_side,
    side_by_side,
)
from gapcast.backtest.inputs.training_overlap import training_notes
from gapcast.backtest.request import BacktestRequest
from gapcast.backtest.results.results import Backtest, HouseResult
from gapcast.config.refit_choice import refits_in_backtest
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.errors import SettingsError
from gapcast.core.horizons.horizon_parts import members_of_all
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.time_grid import minute_label
from gapcast.recordings.recording import Minute, Recording, RecordingMinutes, read_recording
from gapcast.recordings.text.layout import FileFormat

#: Readings per batch, and thus per model call.
BATCH_READINGS = 2_048


def run_recordings(  # noqa: PLR0913 - the last ones by keyword
    settings: Settings,
    recordings: Mapping[str, Recording],
    part: FilePart,
    request: BacktestRequest,
    *,
    quiet: bool = True,
    shares: Iterable[int] | None = None,
    advance: Callable[[int], object] | None = None,
) -> Backtest:
    """Run the engine configured by ``settings`` over ``part`` of ``recordings``, which are keyed by house name.

    The engine also learns from readings before the scoring period. See :func:`run_houses`. Raises
    :class:`SettingsError` for a bad option and :class:`ModelError` for a bad model.
    """
    submeters = {name: one.submeters for name, one in recordings.items() if one.submeters}
    is_refitted = refits_in_backtest(settings)
    settings = without_queries(settings, has_path=settings.forecast.path and request.needs_outlooks)
    settings = with_outlooks(settings, len(recordings) if request.needs_outlooks else 0)
    loaded = load_models(settings)
    engine = engine_of(settings, loaded, submeters, refits=is_refitted)
    require_scored_features(engine)
    houses = {name: minutes_of(recording, part) for name, recording in recordings.items()}
    measured = {name: recordings[name].with_newest_submeters().submeters_kw for name in submeters}
    simulated = SimulatedRefits(engine, settings.learning.refit_every_days) if is_refitted else None
    spans = [minutes.bounds for minutes in houses.values()]
    found = run_houses(
        engine, houses, part.first_scored_minute, request, quiet=quiet, submeters=measured, simulated=simulated,
        shares=shares, advance=advance,
    )  # fmt: skip
    scored = {*found.scored.members, settings.outlook.model if request.needs_outlooks else found.published_model}
    return replace(found, notes=training_notes(loaded.cards, scored, spans, part.first_scored_minute))


def read_houses(
    settings: Settings,
    files: Sequence[Path],
    form: FileFormat,
    part: FilePart,
    show: Callable[[str], object] | None = None,
) -> dict[str, Recording]:
    """Return the recording of each of ``files`` by house name; call ``show`` with a description of each file.

    Raises :class:`SourceError` for a bad file, and :class:`SettingsError` for an invalid time, a time after all
    readings of a house, too many files or two files of one name.
    """
    part.require_times()
    names = name_houses(files)
    for key, most in {
        "learning.max_devices": settings.learning.max_devices,
        "devices.max": settings.devices.max,
    }.items():
        if len(files) > most:
            msg = f"{key}: {most} is too few, because each file is a tracked device; set it to at least {len(files)}"
            raise SettingsError(msg)
    limits = settings.reading_limits
    recordings = {}
    for name, file in zip(names, files, strict=True):
        recordings[name] = read_recording(file, form, limits, progress=show is not None and sys.stderr.isatty())
        if show is not None:
            for line in recordings[name].lines(part.zone):
                show(line)
        _, last_minute = minutes_of(recordings[name], part).bounds
        if part.first_scored_minute is not None and part.first_scored_minute > last_minute:
            last = (
                f"the last reading of {file} ({minute_label(last_minute)}{', with --limit' * (part.limit is not None)})"
            )
            msg = f"--score-from {part.score_from}: is after {last}: name an earlier time, or remove the file"
            raise SettingsError(msg)
    return recordings


def run_houses(  # noqa: PLR0913 - what is beside the houses has a default
    engine: Engine,
    houses: Mapping[str, Iterator[Minute]],
    scored_from: int | None = None,
    request: BacktestRequest | None = None,
    *,
    quiet: bool = True,
    submeters: Mapping[str, MeasuredAt] | None = None,
    simulated: SimulatedRefits | None = None,
    shares: Iterable[int] | None = None,
    advance: Callable[[int], object] | None = None,
) -> Backtest:
    """Run ``engine`` over the minutes of ``houses``, by name; score the forecasts made from ``scored_from`` on.

    ``request`` defines the results beside the scores, as far as ``engine`` computes them. ``submeters`` are the powers
    of the houses' submeters. ``simulated`` refits the forests of ``engine`` at the simulated nights (None: no refits).
    ``shares`` are passed to :func:`~gapcast.backtest.inputs.houses.side_by_side`. ``advance`` is called with the number
    of readings of each batch after it was processed; without it there is a progress bar, unless ``quiet``.
    """
    request = request or BacktestRequest()
    n_at_once = BATCH_READINGS
    if simulated is not None:  # equal shares until the last house ends, so that none misses a night
        shares = repeat(min(CHECK_EVERY_MIN, max(1, BATCH_READINGS // len(houses))))
    tally, n_readings, start_s = Tally.from_engine(engine, len(houses), scored_from), 0, time.perf_counter()
    with ExitStack() as stack:
        outcomes_file = None if request.out is None else stack.enter_context(OutcomesFile(request.out))
        outlooks = None if request.outlook is None else request.outlook.tally(scored_from, stack)
        demands = None if request.demand is None else request.demand.tally(scored_from, stack)
        progress = stack.enter_context(tqdm(unit=" readings", disable=quiet or None))
        advance = progress.update if advance is None else advance
        batches = BatchTally(engine, tally, outcomes_file, simulated, outlooks, demands)
        columns = {name: one for name, one in houses.items() if isinstance(one, RecordingMinutes)}
        if len(columns) == len(houses) and not submeters and not batches.takes_readings:
            found = (batches.add_runs(runs) for runs in runs_side_by_side(columns, n_at_once, shares))
        else:
            found = (batches.add(readings) for readings in side_by_side(houses, n_at_once, submeters, shares))
        for n in found:
            n_readings += n
            advance(n)
        lead_scores = None if outlooks is None else outlooks.finish()
        demand_tallies = None if demands is None else demands.finish(engine.demands)
    results = [_house(engine, name, tally) for name in houses]
    return Backtest(
        engine.published_model.name,
        n_readings,
        time.perf_counter() - start_s,
        results,
        tally.scores.overall()[ALL_TIME].select(members_of_all(house.scored.members for house in results)),
        simulated,
        lead_scores,
        demand_tallies,
        tally.scores.columns([engine.buffers.row(name) for name in houses]),
        batches.causes.total(),
        tuple(sorted(batches.failed_models)),
    )


def _house(engine: Engine, name: str, tally: Tally) -> HouseResult:
    row = engine.buffers.row(name)
    scored = tally.scores.for_row(row)[ALL_TIME].select(engine.forecaster_of(name).scores.members)
    return HouseResult(name, engine.scores_of(name), scored, tally.weeks.for_row(row))
