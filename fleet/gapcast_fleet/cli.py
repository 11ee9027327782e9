"""The command ``gapcast-fleet``."""

from __future__ import annotations

import sys
from typing import Any

import click

from gapcast.core.errors import EXIT_BAD_INPUT, GapcastError
from gapcast.observability.logs import configure_logs
from gapcast.text.install_command import install_command
from gapcast.text.terminal_text import printable
from gapcast_fleet.commands.backtest import backtest
from gapcast_fleet.commands.prepare import prepare
from gapcast_fleet.commands.score import score

_NEEDED = frozenset({"pandas", "pyarrow", "pyspark", "google"})


class _Group(click.Group):
    """Converts gapcast's own errors, also those of workers, to a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GapcastError as error:
            click.echo(f"gapcast-fleet: {printable(str(error))}", err=True)
            sys.exit(error.exit_code)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in _NEEDED:
                raise
            fix = f"{install_command('fleet')} in the checkout"
            click.echo(f"gapcast-fleet: {error.name} is not installed: {fix}", err=True)
            sys.exit(EXIT_BAD_INPUT)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gapcast")
def main() -> None:
    """Forecasts for a fleet of meters on Apache Spark, with the same engine as the gateway."""
    configure_logs("auto", "warning")


for command in (score, backtest, prepare):
    main.add_command(command)
