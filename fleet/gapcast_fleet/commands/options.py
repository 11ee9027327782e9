"""Options shared by the commands: for Spark, and for Parquet with the readings of many houses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gapcast.core.windows.features import GAP
from gapcast.recordings.options import sample_options, single_column

if TYPE_CHECKING:
    from gapcast_fleet.histories.history import ParquetFormat


def spark_options(command: Any) -> Any:
    """Add the option ``--conf`` for Spark settings to ``command``."""
    return click.option(
        "--conf", "conf", multiple=True, metavar="KEY=VALUE", help="Set a key of Spark, e.g. spark.driver.memory=4g."
    )(command)


def history_options(command: Any) -> Any:
    """Add the argument ``folder`` and the options of :func:`format_of` to ``command``."""
    for option in (
        sample_options("site.timezone"),
        click.option(
            "--value-column",
            multiple=True,
            callback=single_column,
            default=[GAP],
            show_default=True,
            metavar="NAME",
            help="Column with the power values.",
        ),
        click.option("--time-column", metavar="NAME", help="Column with the timestamps.  [default: ts or time]"),
        click.option(
            "--device-column",
            metavar="NAME",
            help="Column with the houses.  [default: device; in Parquet of `gapcast-trainer prepare` a "
            "file is a house]",
        ),
        click.argument("folder", metavar="FOLDER_OF_PARQUET", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


def format_of(options: Mapping[str, Any], site_zone: tzinfo) -> ParquetFormat:
    """Return the format given by :func:`history_options`."""
    from gapcast_fleet.histories.history import ParquetFormat

    return ParquetFormat(
        options["device_column"],
        options["time_column"],
        options["value_column"],
        options["unit"],
        options["time_format"],
        options["zone"] or site_zone,
        options["hold_min"],
    )
