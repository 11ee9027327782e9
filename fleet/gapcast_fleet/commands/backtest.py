"""The command ``gapcast-fleet backtest``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from gapcast.commands.options import read_settings, settings_options, with_zone
from gapcast_fleet.commands.options import format_of, history_options, spark_options


@click.command(short_help="Score the forecasts for the history of many houses.")
@settings_options
@spark_options
@history_options
@click.option("--results", type=click.Path(path_type=Path), required=True, help="Folder of the results.")
@click.option(
    "--start", metavar="ISO", help="Start with the readings from this time on (in --timezone without an offset)."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read at most N readings of each house.")
@click.option(
    "--score-from", metavar="ISO", help="Score only forecasts made from this time on; learn from the readings before."
)
@click.option(
    "--houses-at-once",
    type=click.IntRange(min=1),
    metavar="N",
    default=100,
    show_default=True,
    help="Houses per engine.",
)
@click.option(
    "--horizons",
    metavar="MINUTES",
    help="Score the outlook too: at these lead times, 1 to 60 minutes, such as 5,15,30,60.",
)
@click.option(
    "--outlook", is_flag=True, help="Write each outlook at the lead times of --horizons, a CSV file per group."
)
def backtest(
    folder: Path,
    config: Path | None,
    assignments: tuple[str, ...],
    conf: tuple[str, ...],
    results: Path,
    houses_at_once: int,
    start: str | None,
    limit: int | None,
    score_from: str | None,
    horizons: str | None,
    outlook: bool,
    **of_files: Any,
) -> None:
    """Run the engine over the history of many houses on all cores and score its forecasts; resume from RESULTS.

    FOLDER_OF_PARQUET holds rows with a house, a time and a power, in any number of files, or files of
    `gapcast-trainer prepare`. Samples are averaged over each minute.
    """
    from gapcast.backtest.inputs.houses import FilePart
    from gapcast.backtest.outlooks.outlook_tally import parse_horizons
    from gapcast_fleet.backtest.backtest import BacktestOptions, lines, run_backtest
    from gapcast_fleet.backtest.groups import GroupOutlook
    from gapcast_fleet.histories.footers import require_parquet
    from gapcast_fleet.output_folders import check_outside, make_output_folder
    from gapcast_fleet.spark import session

    if outlook and horizons is None:
        msg = "--outlook needs the lead times to write: add --horizons, such as --horizons 15,30,60"
        raise click.UsageError(msg)
    scored = None if horizons is None else GroupOutlook(parse_horizons(horizons), is_written=outlook)
    settings = read_settings(config, assignments)
    form = format_of(of_files, settings.site.zone)
    settings = with_zone(settings, form.zone)
    options = BacktestOptions(folder, form, FilePart(start, limit, score_from, form.zone), houses_at_once, scored)
    check_outside(folder, "--results", results)
    require_parquet(folder)
    make_output_folder("--results", results)
    spark = session("gapcast-fleet backtest", conf)
    try:
        for line in lines(run_backtest(spark, settings, options, results, show=partial(click.echo, err=True))):
            click.echo(line)
    finally:
        spark.stop()
