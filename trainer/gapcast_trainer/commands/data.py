"""Commands that obtain readings, fetch and prepare, and the prior of the learning state, learning-prior."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any, cast

import click
from tqdm import tqdm

from gapcast.bundled.learning_prior import PRIOR_FILE, encode_prior
from gapcast.core.documents.message_format import counted
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.features import GAP, MEASURED
from gapcast.recordings.formats import uci
from gapcast.recordings.options import file_options
from gapcast.recordings.recording import read_recording
from gapcast.recordings.text.layout import FileOptions, file_format
from gapcast.recordings.written_files import check_apart
from gapcast_trainer.commands.options import CLEAN, FILE, OUT, RAW, shows_progress
from gapcast_trainer.data import clean_file_writer
from gapcast_trainer.data.windows import DEFAULT_LEAD_TIMES_MIN
from gapcast_trainer.files import atomic_path, reported_if_unwritable

#: Measured features besides the power.
FEATURES = tuple(name for name in MEASURED if name != GAP)


@click.command(short_help="Download and verify the UCI household data set (20 MB).")
@click.option("--out", type=OUT, default=RAW, show_default=True, help="File to write.")
@click.option("--url", metavar="URL", default=uci.URL, show_default="UCI's archive", help="URL of the archive.")
def fetch(out: Path, url: str) -> None:
    """Download the UCI household data set (20 MB) and verify it.

    Run it again after a broken connection: the download resumes.
    """
    from gapcast_trainer.data.download import download

    download(url, out, lambda path: uci.check_whole(path, progress=shows_progress()), progress=shows_progress())
    click.echo(
        f"wrote {out}: {uci.N_ROWS:,} minutes, {uci.N_MISSING:,} of them missing, mean {uci.MEAN_KW} kW, as published"
    )


@click.command(short_help="Check readings; write a clean file and a data report.")
@click.argument("raw", type=FILE)
@click.option("--out", type=OUT, default=CLEAN, show_default=True, help="Clean file to write (Parquet).")
@click.option("--report", "page", type=OUT, help="Data report to write.  [default: beside the clean file, as .html]")
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
    "--feature",
    "features",
    multiple=True,
    metavar="NAME=COLUMN",
    help=f"Column of another measured value; NAME is one of {', '.join(FEATURES)}.",
)
@file_options("none: such timestamps are an error; for the time of day that of a clean file, otherwise UTC")
def prepare(
    raw: Path,
    out: Path,
    page: Path | None,
    horizon_min: int,
    features: tuple[str, ...],
    **of_file: Any,
) -> None:
    """Check the readings in RAW and write a clean file, with a data report.

    RAW (plain, .gz or .zip) is UCI's household set, an export of Home Assistant or InfluxDB, or the CSV of any
    meter whose columns are named. Rows at other times than once a minute are averaged over each minute.
    """
    from gapcast_trainer.data_report.page import data_report

    page = page or out.with_suffix(".html")
    if len({path.resolve() for path in (raw, out, page)}) < 3:  # noqa: PLR2004 - all of them differ
        msg = f"{raw}, {out} and {page} must be three files: name others by --out and --report"
        raise click.UsageError(msg)
    form = file_format(cast("FileOptions", of_file), _features(features))
    recording = read_recording(raw, form, progress=shows_progress())
    zone = of_file["zone"] or recording.series.zone
    series, report = replace(recording.series, zone=zone), recording.report
    content, findings = data_report(series, report, horizon_min, zone, out.name)
    n_without_value = report.n_missing - report.n_missing_rows
    remarks = [uci.completeness(report.n_rows, n_without_value)] if recording.time_kind == uci.TIME_KIND else []
    rows, *about = report.lines(zone)
    source = f"source: {report.source}; each timestamp is {recording.time_kind}"
    for line in (rows, source, *about, *recording.remarks, *remarks, *findings):
        click.echo(line)
    with clean_file_writer.writing(page) as temporary:  # the report replaces the last one after the clean file
        temporary.write_text(content, encoding="utf-8")
        clean_file_writer.write(series, report, out)
    click.echo(f"wrote {out} and {page}")


def _features(named: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in named:
        name, _, column = text.partition("=")
        if name not in FEATURES or not column or name in found:
            msg = f"--feature {text}: must be NAME=COLUMN, each NAME once, of {', '.join(FEATURES)}"
            raise click.UsageError(msg)
        found[name] = column
    return found


@click.command("learning-prior", short_help="Fit the initial learning state of a device to many houses.")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--out", type=OUT, default=PRIOR_FILE, show_default="the bundled one", help="File to write.")
@click.option(
    "--limit",
    "limit_min",
    type=click.IntRange(min=2 * DAY_MIN),
    default=80 * DAY_MIN,
    show_default=True,
    metavar="MINUTES",
    help="Minutes to use of each house.",
)
@file_options("UTC")
def learning_prior(files: tuple[Path, ...], out: Path, limit_min: int, **of_file: Any) -> None:
    """Fit the initial learning state of a device (its prior) to FILES, one house each, and write it.

    All houses have the same weight. The files are as for `gapcast backtest`. Do not score a house as unseen if a part
    of it was used to fit or to choose a method.
    """
    from gapcast_trainer.prior.fit import fit_prior

    check_apart(files, {"--out": out})
    of_file["zone"] = of_file["zone"] or UTC
    form = file_format(cast("FileOptions", of_file))
    houses = {str(file): read_recording(file, form, progress=shows_progress()) for file in files}
    with reported_if_unwritable(out, "; a previous file is unchanged"), atomic_path(out) as temporary:
        with tqdm(unit=" readings", disable=not shows_progress()) as bar:
            prior = fit_prior(houses, limit_min, bar.update)
        temporary.write_bytes(encode_prior(prior))
    click.echo(f"wrote {out}: {counted(len(prior.rls.names), 'column')}, from {counted(len(houses), 'house')}")
