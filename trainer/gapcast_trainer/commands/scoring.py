"""The command for scores of models: evaluate."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from gapcast.bundled import models_path
from gapcast.recordings.options import file_options
from gapcast.recordings.text.layout import FileOptions, file_format
from gapcast.recordings.written_files import check_apart
from gapcast_trainer.commands.options import (
    FILE,
    OUT,
    IsoTime,
    models_option,
    own_models_to_score,
    run_clean_option,
)
from gapcast_trainer.commands.scored_tables import score_file, score_houses
from gapcast_trainer.errors import RunError
from gapcast_trainer.files import write_atomically
from gapcast_trainer.scores.options import EvaluationOptions, PeerOptions

if TYPE_CHECKING:
    from gapcast_trainer.evaluation_report.any_page import AnyEvaluation


#: Endings of a house's file. Names of models may contain dots too.
_SUFFIXES = {".csv", ".txt", ".parquet", ".gz", ".zip", ".bz2", ".xz"}


@click.command(short_help="Score models, persistence and, with --peers, LightGBM.")
@click.argument("names", nargs=-1)
@run_clean_option
@models_option
@click.option(
    "--from",
    "first",
    type=IsoTime(),
    metavar="ISO",
    help="First minute to score, UTC without an offset.  [default: the test part, or the whole file]",
)
@click.option(
    "--until",
    type=IsoTime(),
    metavar="ISO",
    help="End of the minutes to score, itself excluded, UTC without an offset.  [default: the end of the same part]",
)
@click.option("--json", "json_path", type=OUT, help="Write all scores to this file as well.")
@click.option("--report", "report_path", type=OUT, help="Write a page with pictures (HTML) to this file as well.")
@click.option(
    "--houses",
    "first_house",
    type=FILE,
    metavar="FILE...",
    help="Score each of these houses instead, in a table by house: Parquet of `prepare`, CSV of `synthesize`, "
    "or what the options of `prepare` describe.",
)
@file_options("none: such timestamps are an error")
@click.option(
    "--fit-days",
    type=click.IntRange(min=1),
    metavar="DAYS",
    help="With --houses: skip the first days of each house.  [default: with --peers the first 60 %, else none]",
)
@click.option(
    "--scored-rows",
    type=click.IntRange(min=100),
    metavar="N",
    help="With --houses: maximum number of scored windows of each, evenly spread.  [default: all]",
)
@click.option("--peers", is_flag=True, help="Also fit and score LightGBM and statsforecast models.")
@click.option(
    "--peers-rows",
    type=click.IntRange(min=100),
    metavar="N",
    help="Maximum number of training windows for LightGBM, evenly spread.  [default: all]",
)
@click.option(
    "--peers-sample",
    "n_sampled",
    type=click.IntRange(min=1),
    default=300,
    show_default=True,
    metavar="N",
    help="Number of statsforecast forecasts; the other models are scored on the same ones.",
)
@click.option("--brief", is_flag=True, help="Print the summary only; skip scores by number of readings, and timings.")
@click.option(
    "--horizons",
    metavar="MINUTES",
    help="Score these lead times instead, such as 5,15,30,60: single minutes, and means of all minutes until then.",
)
def evaluate(
    names: tuple[str, ...],
    path: Path | None,
    models: Path | None,
    first: datetime | None,
    until: datetime | None,
    json_path: Path | None,
    report_path: Path | None,
    first_house: Path | None,
    fit_days: int | None,
    scored_rows: int | None,
    peers: bool,
    peers_rows: int | None,
    n_sampled: int,
    brief: bool,
    horizons: str | None,
    **of_file: Any,
) -> None:
    """Score models (NAMES, default: yours and the shipped ones) and the persistence and trend baselines.

    On the data set that a model was trained on, only the test part on its card is scored; on other data, every minute.

    With --houses FILE FILE ... the table has one row per house. --peers then fits LightGBM to the first part of the
    house, and to the other houses.
    """
    written = {"--json": json_path, "--report": report_path}
    found: AnyEvaluation
    if not peers:
        _reject("--peers", "peers_rows", "n_sampled")
    if first_house is None:
        _reject("--houses", "fit_days", "scored_rows")
        if any(value is not None and name != "decimal" for name, value in of_file.items()):
            msg = "options of a file's format are for --houses; other files are read by `gapcast-trainer prepare`"
            raise click.UsageError(msg)
        lead_times_min = None if horizons is None else _lead_times(horizons)
        options = EvaluationOptions(first, until, PeerOptions(peers_rows, n_sampled) if peers else None, brief=brief)
        found = score_file(names, own_models_to_score(models), path, lead_times_min, options, written)
    else:
        if path or first or until or brief:
            msg = "--houses scores whole files: leave out --clean, --from, --until and --brief"
            raise click.UsageError(msg)
        files = [word for word in names if Path(word).is_file()]
        _reject_missing(word for word in names if word not in files)
        houses = [first_house, *map(Path, files)]
        own = own_models_to_score(models)
        check_apart(houses, written, (own, models_path()))
        found = score_houses(
            [word for word in names if word not in files],
            own,
            houses,
            file_format(cast("FileOptions", of_file)),
            None if horizons is None else _lead_times(horizons),
            peers=peers,
            fit_days=fit_days,
            peers_rows=peers_rows,
            scored_rows=scored_rows,
        )
    _write(found, json_path, report_path)


def _reject(needed: str, *names: str) -> None:
    """Raise :class:`click.UsageError` if one of the parameters ``names``, which need ``needed``, is given."""
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            msg = f"{parameter.opts[0]} has no effect without {needed}: add {needed}, or leave it out"
            raise click.UsageError(msg)


def _reject_missing(words: Iterable[str]) -> None:
    """Raise :class:`RunError` for a word that is a path rather than the name of a model."""
    for word in words:
        if "/" in word or Path(word).suffix in _SUFFIXES:
            msg = f"--houses: {word}: no such file"
            raise RunError(msg)


def _lead_times(text: str) -> tuple[int, ...]:
    """Return the lead times in ``text``; raise :class:`RunError` if one is not a number of minutes."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not (word.isascii() and word.isdigit()) or words.count(word) > 1:
            problem = "is listed twice" if words.count(word) > 1 else "is not a number of minutes"
            msg = f"--horizons: {word!r} {problem}: use whole minutes, each once, such as --horizons 5,15,30,60"
            raise RunError(msg)
    return tuple(map(int, words))


def _write(found: AnyEvaluation, json_path: Path | None, report_path: Path | None) -> None:
    if json_path is not None:
        write_atomically(json_path, json.dumps(found.as_json(), indent=2) + "\n")
        click.echo(f"\nwrote {json_path}")
    if report_path is not None:
        from gapcast_trainer.evaluation_report.any_page import page_of

        write_atomically(report_path, page_of(found))
        click.echo(f"\nwrote {report_path}")
