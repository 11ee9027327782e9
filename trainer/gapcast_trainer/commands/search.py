"""The command that searches hyperparameters: sweep."""

from __future__ import annotations

from pathlib import Path

import click
from tqdm import tqdm

from gapcast.recordings.formats import clean_file
from gapcast_trainer.commands.options import CLEAN, FILE, FOLDER, clean_option, shows_progress
from gapcast_trainer.commands.tensorflow_import import import_tensorflow


@click.command(short_help="Search the hyperparameters of an experiment.")
@click.argument("space", type=FILE)
@clean_option
@click.option("--out", type=FOLDER, help="Folder of the study.  [default: runs/sweep-NAME]")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="MINUTES",
    help="Duration of the search.",
)
@click.option("--trials", "n_trials", type=click.IntRange(min=1), metavar="N", help="Maximum number of trials.")
def sweep(space: Path, path: Path, out: Path | None, minutes: float, n_trials: int | None) -> None:
    """Search hyperparameters of the experiment in SPACE, a TOML file with a [search] table.

    Run it again to resume. The report is in the study's folder.
    """
    from gapcast_trainer.sweep.space import read_space

    tried = read_space(space)
    readings = clean_file.read(path)
    import_tensorflow()
    from gapcast_trainer.sweep.report import check_any_usable, finished, lines, unfinished_line, write_page
    from gapcast_trainer.sweep.search import search

    folder = out or CLEAN.parent / f"sweep-{tried.experiment.name}"
    study = search(
        tried, readings, folder, minutes=minutes, n_trials=n_trials, progress=shows_progress(), show=tqdm.write
    )
    check_any_usable(study, folder)
    if not finished(study):
        click.echo(unfinished_line(study))
        return
    write_page(study, tried, folder / "report.html")
    click.echo("\n".join(lines(study, tried)))
    click.echo(f"wrote {folder / 'report.html'}")
