"""The command ``gapcast-fleet prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gapcast.commands.options import read_settings, settings_options
from gapcast.core.readings.reading import Limits
from gapcast.core.windows.training_set import MANIFEST_FILE, Contract, Draw
from gapcast.core.windows.window import MIN_OBSERVED
from gapcast_fleet.commands.options import format_of, history_options, spark_options


class _LeadTimes(click.ParamType[tuple[int, ...]]):
    """Comma-separated minutes ahead, in ascending order."""

    name = "minutes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        parts = [part.strip() for part in value.split(",")]
        minutes = [int(part) for part in parts if part.isdecimal()]
        if len(minutes) < len(parts) or minutes != sorted(set(minutes)) or minutes[0] < 1:
            self.fail(f"{value!r} must be minutes in ascending order from 1, such as 1,2,3,4,5", param, ctx)
        return tuple(minutes)


@click.command(short_help="Sample training windows from many houses.")
@settings_options
@spark_options
@history_options
@click.option(
    "--to", "out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the training set."
)
@click.option("--context", type=click.IntRange(MIN_OBSERVED, 100_000), default=30, show_default=True, metavar="MINUTES",
              help="Window length: window.context of the experiment.")  # fmt: skip
@click.option("--padding", type=click.Choice(["oldest", "zero"]), default="oldest", show_default=True,
              help="Padding of short windows: window.padding of the experiment.")  # fmt: skip
@click.option("--lead-times", type=_LeadTimes(), default="5", show_default=True, metavar="MINUTES,...",
              help="Lead times: outputs.lead_times_min of the experiment.")  # fmt: skip
@click.option("--windows-a-house", type=click.IntRange(min=1), metavar="N",
              help="Maximum number of training windows per house.  [default: that of the smallest house]")  # fmt: skip
@click.option("--validate-share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.1,
              show_default=True, metavar="SHARE",
              help="Share of each house's last readings for validation.")  # fmt: skip
@click.option(
    "--validate-from", metavar="ISO", help="Validate on readings from this time on (in --timezone without an offset)."
)
@click.option("--leave-out", multiple=True, metavar="NAME", help="Exclude this house (may be repeated).")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, metavar="N",
              help="Seed of the random draw.")  # fmt: skip
def prepare(
    config: Path | None,
    assignments: tuple[str, ...],
    conf: tuple[str, ...],
    folder: Path,
    out: Path,
    **options: Any,
) -> None:
    """Sample training windows from the readings of many houses, the same number from each; resume if interrupted.

    FOLDER_OF_PARQUET is as for backtest. Train on the result by `gapcast-trainer train NAME --from FOLDER`.
    """
    from gapcast_fleet.histories.footers import require_parquet
    from gapcast_fleet.output_folders import check_outside, make_output_folder
    from gapcast_fleet.spark import session
    from gapcast_fleet.training_sets.prepare import PrepareOptions, lines
    from gapcast_fleet.training_sets.prepare import prepare as prepare_set

    contract = Contract(options["context"], options["padding"], options["lead_times"])
    draw = Draw(*(options[name] for name in ("seed", "windows_a_house", "validate_share", "validate_from")))
    settings = read_settings(config, assignments)
    limits, form = settings.limits, format_of(options, settings.site.zone)
    wanted = PrepareOptions(folder, form, contract, draw, options["leave_out"])
    check_outside(folder, "--to", out)
    require_parquet(folder)
    make_output_folder("--to", out)
    spark = session("gapcast-fleet prepare", conf)
    try:
        manifest = prepare_set(spark, Limits(limits.min_kw, limits.max_kw), wanted, out, show=click.echo)
    finally:
        spark.stop()
    click.echo("\n".join(lines(manifest)))
    click.echo(f"wrote {out / MANIFEST_FILE}")
