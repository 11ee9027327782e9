"""Commands that get readings: fetch and prepare."""

from __future__ import annotations

from pathlib import Path

import click

from trainer import clean, cleanfile
from trainer.commands.options import CLEAN, FILE, OUT, RAW, progress
from trainer.datasets import uci


@click.command()
@click.option("--out", type=OUT, default=RAW, show_default=True, help="File to write.")
@click.option("--url", default=uci.URL, show_default="UCI's archive", help="Where to get it.")
def fetch(out: Path, url: str) -> None:
    """Download UCI's household set (20 MB) and check that it is whole.

    What has come is kept where the connection breaks: run it again to go on from there.
    """
    from trainer.download import download  # noqa: PLC0415 - the other commands need no network

    download(url, out, lambda path: uci.check_whole(path, progress=progress()), progress=progress())
    click.echo(
        f"wrote {out}: {uci.N_ROWS:,} minutes, {uci.N_MISSING:,} of them missing, mean {uci.MEAN_KW} kW, as published"
    )


@click.command()
@click.argument("raw", type=FILE)
@click.option("--out", type=OUT, default=CLEAN, show_default=True, help="Clean file to write.")
def prepare(raw: Path, out: Path) -> None:
    """Check UCI's household set (RAW: its zip or txt) and write a clean file."""
    table = uci.read(raw, progress=progress())
    series, report = clean.check(table)
    for line in (*report.lines(), uci.completeness(table)):
        click.echo(line)
    cleanfile.write(series, report, out, progress=progress())
    click.echo(f"wrote {out} and {cleanfile.report_path(out)}")
