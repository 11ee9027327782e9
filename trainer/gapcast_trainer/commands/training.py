"""Commands that create models: train, export and share-body."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from gapcast.recordings.formats import clean_file
from gapcast_trainer.commands.options import (
    CLEAN,
    FOLDER,
    check_different_houses,
    chosen_readings,
    clean_option,
    house_option,
    models_option,
    other_houses,
    own_models,
    run_clean_option,
    set_option,
    shows_progress,
)  # fmt: skip
from gapcast_trainer.commands.split_warnings import split_warnings
from gapcast_trainer.commands.tensorflow_import import import_tensorflow
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import TEXT_KEYS
from gapcast_trainer.experiments.experiment_files import find_experiment
from gapcast_trainer.training_data.training_set import TrainingSet

#: Exit code, as in click, of a training that Ctrl-C ends before there is anything to store.
_INTERRUPTED = 1


@click.command(short_help="Train the model of an experiment.")
@click.argument("name_or_path", metavar="EXPERIMENT")
@clean_option
@set_option
@click.option("--out", type=FOLDER, help="Folder of the run.  [default: runs/NAME]")
@house_option
@click.option(
    "--start",
    type=FOLDER,
    help="Folder of a run of the same family, to start from its weights; for an outlook, of the model that it extends.",
)
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Set a key, e.g. descent.epochs=3 (may be repeated)."
)
def train(
    name_or_path: str,
    path: Path,
    training_set: Path | None,
    out: Path | None,
    houses: tuple[str, ...],
    start: Path | None,
    changes: tuple[str, ...],
) -> None:
    """Train the model of EXPERIMENT (name of a shipped one, or a TOML file) and store its best weights.

    With --from it trains on the windows of many houses, with a few hundred megabytes in memory at a time; the set then
    defines the training and validation parts. With --house it also trains on other houses that the experiment names.
    Ctrl-C stops the training with the best weights so far; before the end of the first epoch there are none.
    """
    changed = dict(_change(text) for text in changes)
    parts = sorted(key for key in changed if key.startswith("data.") and key != "data.every")
    if training_set is not None and parts:
        msg = f"--set {parts[0]}: a training set defines its parts itself: prepare another one, or omit this"
        raise click.UsageError(msg)
    experiment = find_experiment(name_or_path).changed(changed)
    experiment.check_start(has_start=start is not None)  # before the slow import of TensorFlow
    if note := experiment.outputs.interval_note:
        click.echo(f"{experiment.name}: {note}", err=True)
    others = other_houses(houses, training_set)
    readings = chosen_readings(path, training_set) or clean_file.read(path)
    if isinstance(readings, TrainingSet):
        readings.check(experiment)  # also before the import
    else:
        check_different_houses(readings, path, houses, others.values())
        experiment = experiment.with_dates(readings)
        omitted = [house.name for house in experiment.houses if house.name not in others]
        if omitted:
            click.echo(f"{experiment.name}: without {', '.join(omitted)} (give them by --house NAME=FILE)", err=True)
        click.echo(
            f"{experiment.name}: {experiment.split()}, of {path}; time of day by the clock of {readings.series.zone}",
            err=True,
        )
        for warning in split_warnings(experiment, readings.series, n_others=len(others)):
            click.echo(f"{experiment.name}: {warning}", err=True)
    folder = out or CLEAN.parent / experiment.name
    _show_replaced(folder, experiment.name)
    import_tensorflow()
    from gapcast_trainer.training.fit import fit

    try:
        run = fit(experiment, readings, folder, houses=others, start=start, progress=shows_progress(), show=tqdm.write)
    except KeyboardInterrupt:
        click.echo(f"{experiment.name}: interrupted before the end of the first epoch: nothing is stored", err=True)
        click.get_current_context().exit(_INTERRUPTED)
    best = "" if run.best_epoch is None else f", best after epoch {run.best_epoch} of {len(run.history)}"
    click.echo(f"{experiment.name}: {run.status}{best}; the weights are in {folder}")
    if run.best is not None:
        naive = "" if run.persistence_mse_kw2 is None else f", of persistence {run.persistence_mse_kw2:.5f} kW²"
        click.echo(f"MSE on the validation part (whole and short windows): {run.best.validate_mse_kw2:.5f} kW²{naive}")


@click.command(short_help="Write model.tflite and card.json of a run, self-tested.")
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@run_clean_option
@set_option
@models_option
@click.option("--default", metavar="NAME", help="Default model in registry.json.  [default: unchanged, or the first]")
def export(
    runs: tuple[Path, ...], path: Path | None, training_set: Path | None, models: Path | None, default: str | None
) -> None:
    """Export each of RUNS as model.tflite and card.json, self-tested and scored.

    It is scored on the test part of the file that it was trained on, or on the houses that its training set leaves out.
    """
    from gapcast.predictors.models_folder.store import model_names
    from gapcast_trainer.training.run import read_run
    from gapcast_trainer.training.run_readings import readings_of

    given = chosen_readings(path, training_set)
    found = [(run, given or readings_of(run)) for run in runs]
    models = own_models(models)
    names = sorted({*model_names(models), *(read_run(run).name for run in runs)})
    if default is not None and default not in names:
        msg = f"--default {default}: {models} will have no such model; it will have {', '.join(names)}"
        raise RunError(msg)
    import_tensorflow()
    from gapcast_trainer.export.export import choose_default
    from gapcast_trainer.export.export import export as export_run

    for run, readings in found:
        done = export_run(run, readings, models, show=click.echo)
        measured, naive = done.card.scores.model, done.card.scores.persistence
        click.echo(
            f"{done.card.name}: {done.card.parameters:,} parameters, {done.card.bytes:,} bytes; "
            f"largest difference between TFLite and Keras {done.parity_kw:.1e} kW, "
            f"between batch sizes {done.agreement_kw:.1e} kW\n"
            f"{done.card.name}: MSE {measured.mse_kw2:.4f} kW², MAE {measured.mae_kw:.4f} kW, "
            f"skill {done.card.scores.skill:.3f} (persistence {naive.mse_kw2:.4f}, {naive.mae_kw:.4f})\n"
            f"wrote {done.folder}: gapcast models install {done.folder}"
        )
    click.echo(f"the default model of the folder {models} is {choose_default(models, default)}")


@click.command(short_help="Let an outlook continue from the layers of another model.")
@click.argument("first")
@click.argument("outlook")
@models_option
def share_body(first: str, outlook: str, models: Path | None) -> None:
    """Let the model OUTLOOK continue from the layers that it has in common with FIRST, the model that it extends.

    Both files and cards are rewritten; weights and forecasts stay as they are. A gateway whose primary model is FIRST
    computes these layers once for both models. Do this after `export`.
    """
    models = own_models(models)
    _check_pair(models, first, outlook)
    import_tensorflow()
    from gapcast_trainer.export.share import share

    for exported in share(models, first, outlook):
        click.echo(f"wrote {exported.folder}: {exported.card.bytes:,} bytes, body {(exported.card.body or '')[:12]}")


def _show_replaced(folder: Path, name: str) -> None:
    """Print which earlier run in ``folder`` the training of the experiment ``name`` replaces, if there is one."""
    from gapcast_trainer.training.run import read_run

    try:
        earlier = read_run(folder)
    except RunError:
        return
    loss = "" if earlier.best is None else f", validation loss {earlier.best.validate_loss:.5f}"
    click.echo(
        f"{name}: replaces the run in {folder} of {earlier.started_at}{loss} (keep it by --out or --set name=…)",
        err=True,
    )


def _check_pair(models: Path, first: str, outlook: str) -> None:
    """Raise :class:`RunError` if ``models`` lacks one of the two models, or ``outlook`` is no outlook."""
    from gapcast.predictors.models_folder.files import CARD_FILE
    from gapcast.predictors.models_folder.store import model_names, read_card

    names = model_names(models)
    unknown = [name for name in (first, outlook) if name not in names]
    if unknown:
        msg = f"no model is called {unknown[0]} in {models}: there are {', '.join(names) or 'none'}"
        raise RunError(msg)
    if not read_card(models / outlook / CARD_FILE).history_steps:
        msg = f"{models / outlook}: is no outlook: name the outlook second, and first the model that it extends"
        raise RunError(msg)
    if first == outlook:
        msg = f"{models / outlook}: cannot continue from itself: name first the model that it extends"
        raise RunError(msg)


def _change(text: str) -> tuple[str, Any]:
    """Return a key and its new value, parsed as JSON if possible, otherwise as text.

    >>> _change("hyper.units=[16, 8]"), _change("descent.learning_rate=1e-3"), _change("window.padding=zero")
    (('hyper.units', [16, 8]), ('descent.learning_rate', 0.001), ('window.padding', 'zero'))

    A number that is to be a text needs no quotes, which a shell would remove.

    >>> _change("version=1.10"), _change('version="1.10"')
    (('version', '1.10'), ('version', '1.10'))
    """
    key, found, value = text.partition("=")
    if not found or not key:
        msg = f"--set {text}: must be KEY=VALUE, as descent.epochs=3"
        raise click.UsageError(msg)
    try:
        parsed = json.loads(value)
    except ValueError:
        return key, value
    return key, value if key in TEXT_KEYS and not isinstance(parsed, str) else parsed
