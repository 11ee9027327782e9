"""Options shared by the commands: for Spark, and for Parquet with the readings of many houses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gapcast_fleet.history import ParquetColumns


def spark_options(command: Any) -> Any:
    """Add the option ``--conf`` for Spark settings to ``command``."""
    return click.option(
        "--conf", "conf", multiple=True, metavar="KEY=VALUE", help="Set a key of Spark, e.g. spark.driver.memory=4g."
    )(command)


def history_options(command: Any) -> Any:
    """Add the argument ``folder`` and the options of :func:`columns_of` to ``command``."""
    for option in (
        click.option("--unit", type=click.Choice(["W", "kW"], case_sensitive=False), default="kW", show_default=True),
        click.option("--value-column", default="gap_kw", show_default=True, metavar="NAME"),
        click.option("--time-column", default="ts", show_default=True, metavar="NAME"),
        click.option("--device-column", default="device", show_default=True, metavar="NAME"),
        click.argument("folder", metavar="FOLDER_OF_PARQUET", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


def columns_of(options: Mapping[str, Any]) -> ParquetColumns:
    """Return the columns given by :func:`history_options`."""
    from gapcast_fleet.history import ParquetColumns  # noqa: PLC0415 - imports Spark

    return ParquetColumns(*(options[name] for name in ("device_column", "time_column", "value_column", "unit")))
