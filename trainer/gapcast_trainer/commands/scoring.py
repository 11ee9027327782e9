"""The command for scores of models: evaluate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from gapcast.recordings import clean_file
from gapcast.recordings.layout import FileFormat, FileOptions, file_format
from gapcast.recordings.options import file_options
from gapcast.recordings.written_files import check_apart
from gapcast_trainer.commands.options import (
    CLEAN,
    FILE,
    OUT,
    TIME,
    models_option,
    own_models,
    run_clean_option,
    shows_progress,
)
from gapcast_trainer.errors import RunError
from gapcast_trainer.files import write_atomically

if TYPE_CHECKING:
    from gapcast_trainer.evaluation_report.any_page import AnyEvaluation
    from gapcast_trainer.houses.lead_result import HousesLeadEvaluation
    from gapcast_trainer.houses.result import HousesEvaluation


@click.command(short_help="Score models, persistence and, with --peers, LightGBM.")
@click.argument("names", nargs=-1)
@run_clean_option
@models_option
@click.option(
    "--from",
    "first",
    type=TIME,
    metavar="ISO",
    help="First minute to score, UTC.  [default: the test part, or the whole file]",
)
@click.option(
    "--until",
    type=TIME,
    metavar="ISO",
    help="Last minute to score, exclusive, UTC.  [default: the end of the same part]",
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
@click.option("--brief", is_flag=True, help="Skip the scores by number of readings, and the timings.")
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
    if first_house is not None:
        if path or first or until or brief:
            msg = "--houses scores whole files: leave out --clean, --from, --until and --brief"
            raise click.UsageError(msg)
        files = [word for word in names if Path(word).is_file()]
        check_apart([first_house, *map(Path, files)], {"--json": json_path, "--report": report_path})
        by_house = _score_houses(
            [word for word in names if word not in files],
            own_models(models),
            [first_house, *map(Path, files)],
            file_format(cast("FileOptions", of_file)),
            None if horizons is None else _lead_times(horizons),
            peers=peers,
            fit_days=fit_days,
            peers_rows=peers_rows,
            scored_rows=scored_rows,
        )
        _write(by_house, json_path, report_path)
        return
    if any(value is not None and name != "decimal" for name, value in of_file.items()):
        msg = "options of a file's format are for --houses; other files are read by `gapcast-trainer prepare`"
        raise click.UsageError(msg)
    lead_times_min = None if horizons is None else _lead_times(horizons)
    from gapcast_trainer.evaluation.evaluate import evaluate as score_models
    from gapcast_trainer.evaluation.lead_evaluation import evaluate_leads
    from gapcast_trainer.evaluation.scored_models import load_scored
    from gapcast_trainer.scores.lead_table import lead_lines
    from gapcast_trainer.scores.options import EvaluationOptions, PeerOptions
    from gapcast_trainer.scores.table import lines
    from gapcast_trainer.training.run_readings import clean_path_of

    own, shipped = load_scored(names, own_models(models), _show, lead_times_min=lead_times_min or ())
    path = path or clean_path_of([model.card for model in own], CLEAN.parent) or CLEAN
    check_apart([path], {"--json": json_path, "--report": report_path})
    scored, readings = [*own, *shipped], clean_file.read(path)
    options = EvaluationOptions(
        _utc(first), _utc(until), PeerOptions(peers_rows, n_sampled) if peers else None, brief=brief
    )
    found: AnyEvaluation
    if lead_times_min is None:
        found = evaluation = score_models(scored, readings, options, progress=shows_progress(), show=_show)
        click.echo("\n".join(lines(evaluation)))
    else:
        found = by_lead = evaluate_leads(
            scored, readings, lead_times_min, options, progress=shows_progress(), show=_show
        )
        click.echo("\n".join(lead_lines(by_lead)))
    click.echo(f"\nscored on {_shown(path)}")
    _write(found, json_path, report_path)


def _score_houses(
    names: Sequence[str],
    models: Path,
    files: Sequence[Path],
    form: FileFormat,
    lead_times_min: Sequence[int] | None,
    *,
    peers: bool,
    fit_days: int | None,
    peers_rows: int | None,
    scored_rows: int | None,
) -> HousesEvaluation | HousesLeadEvaluation:
    from gapcast_trainer.evaluation.scored_models import load_scored
    from gapcast_trainer.houses.evaluation import HousesOptions, evaluate_houses
    from gapcast_trainer.houses.files import read_houses
    from gapcast_trainer.houses.lead_evaluation import evaluate_house_leads
    from gapcast_trainer.houses.lead_table import house_lead_lines
    from gapcast_trainer.houses.table import lines

    own, shipped = load_scored(names, models, _show, lead_times_min=lead_times_min or ())
    options = HousesOptions(peers, fit_days, scored_rows=scored_rows)
    options = options if peers_rows is None else replace(options, fit_rows=peers_rows)
    if lead_times_min is not None:
        by_lead = evaluate_house_leads([*own, *shipped], read_houses(files, form), lead_times_min, options, _show)
        click.echo("\n".join(house_lead_lines(by_lead)))
        return by_lead
    found = evaluate_houses([*own, *shipped], read_houses(files, form), options, _show)
    click.echo("\n".join(lines(found)))
    return found


def _lead_times(text: str) -> tuple[int, ...]:
    """Return the lead times in ``text``; raise :class:`RunError` if one is not a number of minutes."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not (word.isascii() and word.isdigit()) or words.count(word) > 1:
            problem = "is listed twice" if words.count(word) > 1 else "is not a number of minutes"
            msg = f"--horizons: {word!r} {problem}: use whole minutes, each once, such as --horizons 5,15,30,60"
            raise RunError(msg)
    return tuple(map(int, words))


def _show(message: str) -> None:
    click.echo(message, err=True)


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _write(found: AnyEvaluation, json_path: Path | None, report_path: Path | None) -> None:
    if json_path is not None:
        write_atomically(json_path, json.dumps(found.as_json(), indent=2) + "\n")
        click.echo(f"\nwrote {json_path}")
    if report_path is not None:
        from gapcast_trainer.evaluation_report.any_page import page_of

        write_atomically(report_path, page_of(found))
        click.echo(f"\nwrote {report_path}")


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)
