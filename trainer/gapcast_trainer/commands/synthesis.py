"""The command that simulates houses: synthesize."""

from __future__ import annotations

from pathlib import Path

import click

from gapcast_trainer.commands.options import OUT
from gapcast_trainer.files import write_atomically


@click.command(short_help="Simulate an American house as a CSV of minutes.")
@click.option("--family", required=True, metavar="NAME", help="Kind of house; `list` shows the names.")
@click.option(
    "--days", "n_days", type=click.IntRange(1, 1_000), default=70, show_default=True, metavar="N", help="Length, days."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, metavar="N", help="Each seed is another house."
)
@click.option("--out", type=OUT, help="CSV file to write.  [default: synthetic-FAMILY-SEED.csv]")
def synthesize(family: str, n_days: int, seed: int, out: Path | None) -> None:
    """Simulate an American house and write its power per minute as CSV, for training and design.

    The file's value column is synthetic_power_kw: the readings are simulated, and scores on them are not scores of a
    real house. Read it with --time-column time --value-column synthetic_power_kw.
    """
    from gapcast_trainer.synthetic_houses.csv_file import as_csv
    from gapcast_trainer.synthetic_houses.families import FAMILIES, simulate

    if family == "list":
        for name, kind in FAMILIES.items():
            click.echo(f"{name:<17} {kind.about}")
        return
    if family not in FAMILIES:
        msg = f"--family {family}: there is no such family; there are {', '.join(FAMILIES)}"
        raise click.UsageError(msg)
    power_kw = simulate(family, n_days, seed)
    out = out or Path(f"synthetic-{family}-{seed}.csv")
    write_atomically(out, as_csv(power_kw))
    click.echo(
        f"wrote {out}: {n_days} simulated days of {family}, {power_kw.min():.2f} to {power_kw.max():.2f} kW, "
        f"mean {power_kw.mean():.2f} kW"
    )
