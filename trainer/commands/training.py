"""Commands that make models: train and export."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from trainer import cleanfile
from trainer.commands.options import CLEAN, FOLDER, MODELS, TIME, clean_option, progress
from trainer.quiet import import_tensorflow
from trainer.split import Split


@click.command()
@click.argument("model")
@clean_option
@click.option("--out", type=FOLDER, help="Folder of the run.  [default: runs/MODEL]")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a hyper-parameter (may be repeated)."
)
@click.option(
    "--train-until", type=TIME, default="2009-07-01", show_default=True, help="End of the training part, UTC."
)
@click.option(
    "--validate-until", type=TIME, default="2010-01-01", show_default=True, help="Where the test part begins."
)
@click.option("--test-until", type=TIME, default="2011-01-01", show_default=True, help="End of the test part.")
def train(  # noqa: PLR0913, PLR0917
    model: str,
    path: Path,
    out: Path | None,
    changes: tuple[str, ...],
    train_until: datetime,
    validate_until: datetime,
    test_until: datetime,
) -> None:
    """Fit MODEL (linear, lstm-5-3) in order of time and keep its best weights.

    Ctrl-C ends the fitting with the best weights so far.
    """
    try:
        split = Split(
            train_until=train_until.replace(tzinfo=UTC),
            validate_until=validate_until.replace(tzinfo=UTC),
            test_until=test_until.replace(tzinfo=UTC),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    wanted = dict(_change(text) for text in changes)
    readings = cleanfile.read(path)
    import_tensorflow()
    from trainer.fit import fit  # noqa: PLC0415 - imports TensorFlow

    folder = out or CLEAN.parent / model
    run = fit(model, readings, folder, split=split, changes=wanted, progress=progress(), note=tqdm.write)
    best = "" if run.best_epoch is None else f", best after epoch {run.best_epoch} of {len(run.history)}"
    click.echo(f"{model}: {run.status}{best}; the weights are in {folder}")
    if run.validate_mse_kw2 is not None:
        click.echo(f"MSE on the validation part (whole and short windows): {run.validate_mse_kw2:.5f} kW²")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@clean_option
@click.option("--models", type=FOLDER, default=MODELS, show_default=True, help="Folder of the shipped models.")
@click.option("--default", metavar="NAME", help="Model that registry.json names.  [default: as it is, or the first]")
def export(runs: tuple[Path, ...], path: Path, models: Path, default: str | None) -> None:
    """Turn each of RUNS into model.tflite and card.json, checked and scored."""
    readings = cleanfile.read(path)
    import_tensorflow()
    from trainer.export import choose_default  # noqa: PLC0415
    from trainer.export import export as export_run  # noqa: PLC0415 - imports TensorFlow

    for run in runs:
        done = export_run(run, readings, models, note=click.echo)
        measured, naive = done.card.scores.model, done.card.scores.persistence
        click.echo(
            f"{done.card.name}: {done.card.parameters:,} parameters, {done.card.bytes:,} bytes; "
            f"Keras differs by {done.parity_kw:.1e} kW at most, batches by {done.agreement_kw:.1e} kW\n"
            f"{done.card.name}: MSE {measured.mse_kw2:.4f} kW², MAE {measured.mae_kw:.4f} kW, "
            f"skill {done.card.scores.skill:.3f} (persistence {naive.mse_kw2:.4f}, {naive.mae_kw:.4f})\n"
            f"wrote {done.folder}"
        )
    click.echo(f"the default model is {choose_default(models, default)}")


def _change(text: str) -> tuple[str, Any]:
    """Return a hyper-parameter's name and value.

    >>> _change("units=[16, 8]"), _change("epochs=3"), _change("learning_rate=1e-3")
    (('units', [16, 8]), ('epochs', 3), ('learning_rate', 0.001))
    """
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError as error:
        msg = f"--set {text}: must be KEY=VALUE with a number, or a list of them as [16,8]"
        raise click.UsageError(msg) from error
