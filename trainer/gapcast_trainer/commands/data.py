"""Commands that obtain readings: fetch and prepare."""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import click

from gapcast_trainer import clean, cleanfile
from gapcast_trainer.commands.options import CLEAN, FILE, OUT, RAW, progress
from gapcast_trainer.datasets import meter, uci
from gapcast_trainer.windows import DEFAULT_LEAD_TIMES_MIN


class _Zone(click.ParamType[tzinfo]):
    """The name of an IANA time zone."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        if isinstance(value, tzinfo):
            return value
        try:
            return ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            self.fail(f"{value!r} is not an IANA time zone, such as Europe/London or UTC", param, ctx)


class _Separator(click.ParamType[str]):
    """One character, or the word tab."""

    name = "separator"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        character = {"tab": "\t", "\\t": "\t"}.get(value, value)
        if len(character) != 1 or character in '"\r\n':
            self.fail(f"{value!r} is neither one character nor the word tab", param, ctx)
        return str(character)


@click.command()
@click.option("--out", type=OUT, default=RAW, show_default=True, help="File to write.")
@click.option("--url", default=uci.URL, show_default="UCI's archive", help="URL of the archive.")
def fetch(out: Path, url: str) -> None:
    """Download the UCI household data set (20 MB) and verify it.

    Run it again after a broken connection: the download resumes.
    """
    from gapcast_trainer.download import download

    download(url, out, lambda path: uci.check_whole(path, progress=progress()), progress=progress())
    click.echo(
        f"wrote {out}: {uci.N_ROWS:,} minutes, {uci.N_MISSING:,} of them missing, mean {uci.MEAN_KW} kW, as published"
    )


@click.command()
@click.argument("raw", type=FILE)
@click.option("--out", type=OUT, default=CLEAN, show_default=True, help="Clean file to write (Parquet).")
@click.option("--report", "page", type=OUT, help="Data report to write.  [default: beside the clean file, as .html]")
@click.option("--time-column", metavar="NAME", help="Column with the timestamps; without it, RAW is in the UCI format.")
@click.option("--value-column", metavar="NAME", help="Column with the power values.")
@click.option(
    "--unit",
    type=click.Choice(["W", "kW"], case_sensitive=False),
    help="Unit of the power, if the column name does not contain it.",
)
@click.option("--separator", type=_Separator(), help="Field separator.  [default: the one of , ; | tab in the header]")
@click.option("--decimal", type=click.Choice([".", ","]), default=".", show_default=True, help="Decimal separator.")
@click.option("--time-format", metavar="FORM", help="Such as '%d.%m.%Y %H:%M'.  [default: ISO 8601, or epoch s or ms]")
@click.option("--timezone", "zone", type=_Zone(), help="Time zone of timestamps without an offset, and of the report.")
@click.option(
    "--horizon",
    "horizon_min",
    type=click.IntRange(min=1),
    default=DEFAULT_LEAD_TIMES_MIN[-1],
    show_default=True,
    metavar="MINUTES",
    help="Minutes ahead at which the data report scores persistence.",
)
@click.option(
    "--feature", "features", multiple=True, metavar="NAME=COLUMN", help=f"One of {', '.join(meter.FEATURES)}."
)
@click.option("--hold", type=click.FloatRange(min=0, min_open=True), metavar="MINUTES",
              help="Longest time that a sample is valid.  [default: twice the usual interval]")  # fmt: skip
def prepare(
    raw: Path,
    out: Path,
    page: Path | None,
    time_column: str | None,
    value_column: str | None,
    unit: Literal["W", "kW"] | None,
    separator: str | None,
    decimal: Literal[".", ","],
    time_format: str | None,
    zone: tzinfo | None,
    horizon_min: int,
    features: tuple[str, ...],
    hold: float | None,
) -> None:
    """Check the readings in RAW and write a clean file, with a data report.

    RAW is UCI's household set (its zip or txt), or the CSV of any meter (plain, .gz or .zip) whose columns
    are named. Rows at other times than once a minute are averaged over each minute.
    """
    from gapcast_trainer.datareport.page import data_report

    page = page or out.with_suffix(".html")
    if len({path.resolve() for path in (raw, out, page)}) < 3:  # noqa: PLR2004 - all of them differ
        msg = f"{raw}, {out} and {page} must be three files: say others by --out and --report"
        raise click.UsageError(msg)
    if time_column is not None and value_column is not None:
        named = _features(features)
        layout = meter.Layout(time_column, value_column, unit, separator, decimal, time_format, zone, named)
        table = meter.read(raw, layout, progress=progress())
        remarks = []
    elif time_column is None and value_column is None:
        if unit or separator or time_format or features or hold:
            msg = "UCI's set needs no option; for another file name its columns by --time-column and --value-column"
            raise click.UsageError(msg)
        table = uci.read(raw, progress=progress())
        remarks = [uci.completeness(table)]
    else:
        msg = f"name the other column too, by {'--time-column' if time_column is None else '--value-column'}"
        raise click.UsageError(msg)
    series, report = clean.check(table, hold)
    content, findings = data_report(series, report, horizon_min, zone or UTC, out.name)
    for line in (*report.lines(), *remarks, *findings):
        click.echo(line)
    cleanfile.write(series, report, out)
    with cleanfile.writing(page) as temporary:
        temporary.write_text(content, encoding="utf-8")
    click.echo(f"wrote {out} and {page}")


def _features(named: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in named:
        name, _, column = text.partition("=")
        if name not in meter.FEATURES or not column or name in found:
            msg = f"--feature {text}: must be NAME=COLUMN, each NAME once, of {', '.join(meter.FEATURES)}"
            raise click.UsageError(msg)
        found[name] = column
    return found
