"""``gapcast import``: imports past readings into a stopped gateway."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gapcast.commands.options import read_format, read_settings, readings_options, settings_options, show_file


@click.command(name="import", short_help="Let a stopped gateway learn from past readings.")
@settings_options
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--device", metavar="NAME", required=True, help="Device id, as in the topics of its forecasts.")
@click.option(
    "--start",
    metavar="ISO",
    help="Use readings from this time on (in --timezone without an offset).",
)
@click.option("--replace", "replaces", is_flag=True, help="Delete the device's stored state first.")
@readings_options("Import")
def import_history(
    files: tuple[Path, ...],
    device: str,
    start: str | None,
    replaces: bool,
    config: Path | None,
    assignments: tuple[str, ...],
    **of_file: Any,
) -> None:
    """Let the stopped gateway learn from the past readings of a device, as if it had received them live.

    Stop the service first. Each FILE is an export of Home Assistant or InfluxDB, a CSV file with --time-column and
    --value-column, a file in the format of UCI's household power data set, or Parquet from `gapcast-trainer prepare`.
    Several files are joined in order of time.
    """
    from gapcast.config.shards import single_shard_settings
    from gapcast.history_import.past_readings import PastFiles
    from gapcast.history_import.report import lines
    from gapcast.history_import.run import Target, import_past
    from gapcast.observability.logs import configure_logs
    from gapcast.recordings.recording import minute_at

    settings = single_shard_settings(read_settings(config, assignments))
    configure_logs("auto", "warning")
    form, zone = read_format(of_file, settings)
    is_utc = str(zone).removeprefix("Etc/") == "UTC"
    if of_file["zone"] is not None and "timezone" not in settings.site.model_fields_set and not is_utc:
        show_file(
            f"site.timezone is not set: the gateway takes the time of day from UTC, not from {zone}; set it to {zone}, "
            "for the import and the service"
        )
    past = PastFiles(files, form, zone, None if start is None else minute_at("--start", start, zone))
    result = import_past(settings, os.environ, past, Target(device, replaces), show_file)
    for line in lines(result, zone):
        click.echo(line)
