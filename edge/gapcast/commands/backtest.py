"""``gapcast backtest``: scores the service's forecasts, or each model alone, on files of readings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from gapcast.commands.options import (
    read_format,
    read_settings,
    readings_options,
    settings_options,
    show_file,
    with_zone,
)


@click.command(short_help="Score the forecasts that the service would have made.")
@settings_options
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--start",
    metavar="ISO",
    help="Start with the first reading from this time on (in --timezone without an offset).",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read at most N readings of each file.")
@click.option(
    "--score-from",
    metavar="ISO",
    help="Score only forecasts made from this time on; the readings before it are used to learn.",
)
@readings_options("Learn from")
@click.option(
    "--all-models",
    is_flag=True,
    help="Score each available model alone on the same readings, instead of what the service would publish.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all scores to this file."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="CSV", help="Write each forecast and its outcome to this file."
)
@click.option(
    "--horizons",
    metavar="MINUTES",
    help="Score the outlook too: at these lead times, 1 to 60 minutes, such as 5,15,30,60.",
)
@click.option(
    "--outlook-out",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="Write each outlook at the lead times of --horizons to this file.",
)
@click.option(
    "--demand-out",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="Write the demand of the running and the next window at each minute, and the running window's actual mean, to "
    "this file.",
)
@click.option(
    "--control",
    is_flag=True,
    help="Add a car and a dishwasher to each house, and compare ways to keep them below demand.limit_kw.",
)
@click.option(
    "--tariff",
    "tariff_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="TOML",
    help="With --control: price the months by this tariff; can be repeated (default: three that come with gapcast).",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run several FILEs in at most N processes (default: one per processor). The results are the same.",
)
def backtest(
    files: tuple[Path, ...],
    config: Path | None,
    assignments: tuple[str, ...],
    start: str | None,
    limit: int | None,
    score_from: str | None,
    all_models: bool,
    json_file: Path | None,
    out: Path | None,
    horizons: str | None,
    outlook_out: Path | None,
    demand_out: Path | None,
    control: bool,
    tariff_files: tuple[Path, ...],
    jobs: int | None,
    **of_file: Any,
) -> None:
    """Run the service's engine over each FILE and score its forecasts.

    Each FILE has the readings of one house: an export of Home Assistant or InfluxDB, a CSV file with --time-column
    and --value-column, a file in the format of UCI's household power data set, or Parquet from `gapcast-trainer
    prepare`. Samples are averaged over each minute. Learning starts from scratch with each file.
    """
    from gapcast.app.models.models import library_of
    from gapcast.backtest.comparison import comparison_document, comparison_lines, run_comparison
    from gapcast.backtest.control.report import control_lines
    from gapcast.backtest.control.run import run_control
    from gapcast.backtest.control.tariffs import tariffs_of
    from gapcast.backtest.demands.demand_tally import DemandRequest
    from gapcast.backtest.forecasts.whole_file import write_whole
    from gapcast.backtest.inputs.engine_settings import has_limit, require_limit
    from gapcast.backtest.inputs.houses import FilePart
    from gapcast.backtest.outlooks.outlook_tally import OutlookRequest, parse_horizons
    from gapcast.backtest.processes import run_files
    from gapcast.backtest.request import BacktestRequest
    from gapcast.backtest.results.report import check_writable, document, lines
    from gapcast.config.loader import configuration_path
    from gapcast.observability.logs import configure_logs
    from gapcast.recordings.written_files import check_apart, exiting_on_signals

    click.get_current_context().with_resource(exiting_on_signals())
    _check_options(
        all_models=all_models, out=out, horizons=horizons, outlook_out=outlook_out, demand_out=demand_out,
        control=control, tariff_files=tariff_files,
        with_submeters=bool(of_file["submeters"] or of_file["submeter_columns"]),
    )  # fmt: skip
    outlook = None if horizons is None else OutlookRequest(parse_horizons(horizons), outlook_out)
    configure_logs("auto", "warning")
    settings = read_settings(config, assignments)
    form, zone = read_format(of_file, settings)
    settings = with_zone(settings, zone)
    settings_file = configuration_path(config)
    check_apart(
        (*files, *tariff_files, *([] if settings_file is None else [settings_file])),
        {"--json": json_file, "--out": out, "--outlook-out": outlook_out, "--demand-out": demand_out},
        library_of(settings, os.environ).folders,
    )
    if json_file is not None:
        check_writable("--json", json_file)
    part = FilePart(start, limit, score_from, zone)
    found: dict[str, Any]
    if demand_out is not None:
        require_limit(settings.demand, "--demand-out")
    if control:
        controlled = run_control(settings, files, form, part, tariffs_of(tariff_files), show=show_file)
        shown, found = control_lines(controlled), controlled.document()
    elif all_models:
        compared = run_comparison(settings, files, form, part, show=show_file)
        shown, found = comparison_lines(compared), comparison_document(compared)
    else:
        demand = (
            DemandRequest(settings.demand.site_options(settings.site.zone), demand_out)
            if has_limit(settings.demand)
            else None
        )
        request = BacktestRequest(out, outlook, demand)
        result = run_files(settings, files, form, part, request, jobs=jobs, show=show_file)
        shown, found = lines(result), document(result)
    for line in shown:
        click.echo(line)
    if json_file is not None:
        write_whole("--json", json_file, json.dumps(found, indent=2, allow_nan=False) + "\n")


def _check_options(
    *,
    all_models: bool,
    out: Path | None,
    horizons: str | None,
    outlook_out: Path | None,
    demand_out: Path | None,
    control: bool,
    tariff_files: tuple[Path, ...],
    with_submeters: bool,
) -> None:
    """Raise :class:`click.UsageError` if these options do not go together."""
    written = {"--out": out, "--horizons": horizons, "--demand-out": demand_out, "--all-models": all_models or None}
    given = [name for name, value in written.items() if value is not None]
    problems = {
        "--out writes the forecasts of one run: remove --all-models": all_models and out is not None,
        "--horizons scores the outlook of one run: remove --all-models": all_models and horizons is not None,
        "--demand-out writes the demands of one run: remove --all-models": all_models and demand_out is not None,
        "--outlook-out needs the lead times to write: add --horizons, such as --horizons 15,30,60": (
            outlook_out is not None and horizons is None
        ),
        "--submeters and --submeter-column are for the forecasts of one run: remove --all-models and --control": (
            with_submeters and (all_models or control)
        ),
        f"--control drives loads and scores no forecasts: remove {', '.join(given)}": control and bool(given),
        "--tariff prices controlled loads: add --control": bool(tariff_files) and not control,
    }
    for msg, applies in problems.items():
        if applies:
            raise click.UsageError(msg)
