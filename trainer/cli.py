"""The command ``gapcast-trainer``: fetch, prepare, train, export, evaluate."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from edge.core.errors import GapcastError, ModelError
from trainer import clean, cleanfile
from trainer.datasets import uci
from trainer.errors import ExportError, RunError
from trainer.files import write_whole
from trainer.quiet import import_tensorflow
from trainer.split import Split

#: Exit codes: a file or a name that cannot be used, and a model that failed a check.
BAD_INPUT, BAD_MODEL = 2, 3
RAW = Path("household_power_consumption.zip")
CLEAN = Path("runs/household.csv")
MODELS = Path("models")

#: What the plain install does without.
_OF_THE_EXTRA = frozenset({"httpx", "keras", "pandas", "tensorflow"})

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_OUT = click.Path(path_type=Path, dir_okay=False)
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])
_clean = click.option("--clean", "path", type=_OUT, default=CLEAN, show_default=True, help="File that `prepare` wrote.")


class _Commands(click.Group):
    """Turns the errors that are raised on purpose into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GapcastError as error:
            click.echo(f"gapcast-trainer: {error}", err=True)
            ctx.exit(BAD_MODEL if isinstance(error, (ExportError, ModelError)) else BAD_INPUT)
        except ModuleNotFoundError as error:
            if error.name not in _OF_THE_EXTRA:
                raise
            cure = "pip install '.[trainer]' in the checkout, or pip install 'gapcast[trainer]'"
            click.echo(
                f"gapcast-trainer: {error.name} is not installed; this command needs the trainer extra: {cure}",
                err=True,
            )
            ctx.exit(BAD_INPUT)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gapcast")
def main() -> None:
    """Make gapcast's models: raw readings in, checked models out.

    \b
    gapcast-trainer fetch
    gapcast-trainer prepare household_power_consumption.zip
    gapcast-trainer train lstm-5-3
    gapcast-trainer export runs/lstm-5-3
    gapcast-trainer evaluate

    All but `prepare` need the trainer extra: pip install '.[trainer]' in the checkout.
    """  # noqa: D301 - \b keeps click from joining the lines


@main.command()
@click.option("--out", type=_OUT, default=RAW, show_default=True, help="File to write.")
@click.option("--url", default=uci.URL, show_default="UCI's archive", help="Where to get it.")
def fetch(out: Path, url: str) -> None:
    """Download UCI's household set (20 MB) and check that it is whole.

    What has come is kept where the connection breaks: run it again to go on from there.
    """
    from trainer.download import download  # noqa: PLC0415 - the other commands need no network

    download(url, out, lambda path: uci.check_whole(path, progress=_progress()), progress=_progress())
    click.echo(
        f"wrote {out}: {uci.N_ROWS:,} minutes, {uci.N_MISSING:,} of them missing, mean {uci.MEAN_KW} kW, as published"
    )


@main.command()
@click.argument("raw", type=_FILE)
@click.option("--out", type=_OUT, default=CLEAN, show_default=True, help="Clean file to write.")
def prepare(raw: Path, out: Path) -> None:
    """Check UCI's household set (RAW: its zip or txt) and write a clean file."""
    table = uci.read(raw, progress=_progress())
    series, report = clean.check(table)
    for line in (*report.lines(), uci.completeness(table)):
        click.echo(line)
    cleanfile.write(series, report, out, progress=_progress())
    click.echo(f"wrote {out} and {cleanfile.report_path(out)}")


@main.command()
@click.argument("model")
@_clean
@click.option("--out", type=_FOLDER, help="Folder of the run.  [default: runs/MODEL]")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a hyper-parameter (may be repeated)."
)
@click.option(
    "--train-until", type=_TIME, default="2009-07-01", show_default=True, help="End of the training part, UTC."
)
@click.option(
    "--validate-until", type=_TIME, default="2010-01-01", show_default=True, help="Where the test part begins."
)
@click.option("--test-until", type=_TIME, default="2011-01-01", show_default=True, help="End of the test part.")
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
    run = fit(model, readings, folder, split=split, changes=wanted, progress=_progress(), note=tqdm.write)
    best = "" if run.best_epoch is None else f", best after epoch {run.best_epoch} of {len(run.history)}"
    click.echo(f"{model}: {run.status}{best}; the weights are in {folder}")
    if run.validate_mse_kw2 is not None:
        click.echo(f"MSE on the validation part (whole and short windows): {run.validate_mse_kw2:.5f} kW²")


@main.command()
@click.argument("runs", nargs=-1, required=True, type=_FOLDER)
@_clean
@click.option("--models", type=_FOLDER, default=MODELS, show_default=True, help="Folder of the shipped models.")
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


@main.command()
@click.argument("names", nargs=-1)
@_clean
@click.option("--models", type=_FOLDER, default=MODELS, show_default=True, help="Folder of the shipped models.")
@click.option("--json", "json_path", type=_OUT, help="Write all scores to this file as well.")
@click.option("--brief", is_flag=True, help="Leave out the scores by readings seen.")
def evaluate(names: tuple[str, ...], path: Path, models: Path, json_path: Path | None, brief: bool) -> None:
    """Score models (NAMES, or all there are) on the test part beside persistence and trend."""
    from edge.predictors.store import load_model, model_names  # noqa: PLC0415 - imports a TFLite runtime
    from trainer.evaluate import evaluate as score_models  # noqa: PLC0415

    found = names or model_names(models)
    if not found:
        msg = f"{models}: holds no model: make one with `gapcast-trainer export`"
        raise RunError(msg)
    predictors = [load_model(models / name) for name in found]
    evaluations = score_models(predictors, cleanfile.read(path), by_readings=not brief, progress=_progress())
    click.echo("\n\n".join("\n".join(evaluation.lines()) for evaluation in evaluations))
    if json_path is not None:
        write_whole(json_path, json.dumps([evaluation.as_json() for evaluation in evaluations], indent=2) + "\n")
        click.echo(f"\nwrote {json_path}")


def _progress() -> bool:
    return sys.stderr.isatty()


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
