"""Commands that show existing scores: models-page and weeks."""

from __future__ import annotations

from pathlib import Path

import click

from gapcast_trainer.commands.options import FILE, FOLDER, MODELS, OUT
from gapcast_trainer.errors import RunError


@click.command("models-page", short_help="Regenerate README.md of the models folder.")
@click.option("--models", type=FOLDER, default=MODELS, show_default=True, help="Folder of the shipped models.")
def models_page(models: Path) -> None:
    """Regenerate README.md of the models folder from the model cards."""
    from gapcast_trainer.export.models_page import write_page

    click.echo(f"wrote {write_page(models)}")


@click.command(short_help="Plot skill and interval coverage by week.")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--out", type=OUT, default=Path("weeks.svg"), show_default=True, help="Figure to write: .svg or .png.")
def weeks(files: tuple[Path, ...], out: Path) -> None:
    """Plot skill and interval coverage by week, from FILES that `gapcast backtest --json` wrote."""
    if out.suffix not in {".svg", ".png"}:
        msg = f"--out {out}: a picture is .svg or .png"
        raise RunError(msg)
    from gapcast_trainer.report.figure_file import write_figure
    from gapcast_trainer.report.weeks import figure_of, read

    houses = read(files)
    write_figure(figure_of(houses), out)
    click.echo(f"wrote {out}: {', '.join(houses)}")
