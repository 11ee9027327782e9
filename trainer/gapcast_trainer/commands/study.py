"""The command that reproduces the original study."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gapcast.bundled import models_path
from gapcast_trainer.commands.options import FILE, FOLDER, MODELS, OUT, RAW, shows_progress
from gapcast_trainer.errors import RunError
from gapcast_trainer.files import write_atomically

_OUT = Path("runs/study")


@click.command(short_help="Reproduce the study that the project began with.")
@click.option("--raw", type=OUT, default=RAW, show_default=True, help="UCI's zip or text.")
@click.option("--out", type=FOLDER, default=_OUT, show_default=True, help="Folder of the results.")
@click.option("--only", metavar="PARTS", help="Parts to run, separated by commas.  [default: all]")
@click.option("--again", is_flag=True, help="Run parts again that already have a result.")
@click.option("--quick", is_flag=True, help="Smoke test with a few epochs and windows; its results mean nothing.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=0.01, show_default=True, metavar="SHARE",
              help="Share of the rows that is sampled.")  # fmt: skip
@click.option(
    "--models", type=FOLDER, help=f"Models to choose from.  [default: {MODELS} if it exists, else the shipped ones]"
)
@click.option("--pictures", type=FOLDER, help="Folder of the pictures.  [default: OUT/pictures]")
@click.option("--docs", type=FILE, help="Page in which the tables between markers are regenerated.")
@click.option(
    "--draw", "only_draw", is_flag=True, help="Regenerate tables and figures from existing results, without training."
)
def reproduce(
    raw: Path,
    out: Path,
    only: str | None,
    again: bool,
    quick: bool,
    share: float,
    models: Path | None,
    pictures: Path | None,
    docs: Path | None,
    only_draw: bool,
) -> None:
    """Reproduce the study that the project began with, and repeat it with a chronological split.

    \b
    study       its two models on shuffled rows, compared with its figures
    line        the linear trend: a line through the recent readings
    streaming   the test year reading by reading, from the second one on
    choice      which model to choose for a gateway
    padding     how to pad a short window
    contiguous  the two models on 1 % of the rows, consecutive
    all         the two models on all rows, in chronological order

    Parts with a result in OUT are skipped. Ctrl-C keeps finished parts.
    """  # noqa: D301 - \b keeps click from joining the lines
    from gapcast_trainer.commands.tensorflow_import import import_tensorflow

    import_tensorflow()
    from gapcast_trainer.study import comparison, tables
    from gapcast_trainer.study.household import load
    from gapcast_trainer.study.pictures import draw
    from gapcast_trainer.study.run import find_parts, load_results, run
    from gapcast_trainer.study.settings import StudySettings

    if not only_draw:
        parts = find_parts(only)
        models = models or (MODELS if MODELS.is_dir() else models_path())
        settings = StudySettings(out=out, models=models, share=share, quick=quick, progress=shows_progress())
        run(load(raw, progress=shows_progress()), settings, parts, again=again, show=click.echo)
    results = load_results(out)
    if not results:
        msg = f"{out}: holds no result of the study: do it without --draw first"
        raise RunError(msg)
    rows = comparison.compare(results)
    if rows:
        write_atomically(out / "comparison.json", json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        write_atomically(out / "comparison.csv", comparison.as_csv(rows))
        click.echo(tables.comparison(results))
    write_atomically(out / "study.md", tables.page(results))
    drawn = draw(results, pictures or out / "pictures")
    if docs is not None:
        write_atomically(docs, tables.refresh(docs.read_text(encoding="utf-8"), results))
    click.echo(f"wrote {out / 'study.md'}" + (f" and {len(drawn)} pictures in {drawn[0].parent}" if drawn else ""))
