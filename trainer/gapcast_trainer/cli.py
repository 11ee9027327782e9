"""The command ``gapcast-trainer``."""

from __future__ import annotations

from typing import Any

import click

from gapcast.core.errors import GapcastError, ModelError
from gapcast.recordings.written_files import exiting_on_signals
from gapcast.text.install_command import install_command
from gapcast_trainer.commands import data, score_pages, scoring, search, study, synthesis, training
from gapcast_trainer.errors import ExportError

#: Exit codes: an unusable file or name, and a model that failed a check.
BAD_INPUT, BAD_MODEL = 2, 3

#: The extra that installs each optional module.
_EXTRA_OF = {
    **dict.fromkeys(
        ("httpx", "jinja2", "keras", "matplotlib", "optuna", "pandas", "pyarrow", "sklearn", "tensorflow"), "trainer"
    ),
    **dict.fromkeys(("lightgbm", "statsforecast"), "peers"),
}


class _Commands(click.Group):
    """Converts gapcast's own errors to a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GapcastError as error:
            click.echo(f"gapcast-trainer: {error}", err=True)
            ctx.exit(BAD_MODEL if isinstance(error, (ExportError, ModelError)) else BAD_INPUT)
        except ModuleNotFoundError as error:
            extra = _EXTRA_OF.get(error.name or "")
            if extra is None:
                raise
            fix = f"{install_command(extra)} in the checkout"
            click.echo(
                f"gapcast-trainer: {error.name} is not installed; this command needs the {extra} extra: {fix}",
                err=True,
            )
            ctx.exit(BAD_INPUT)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gapcast")
def main() -> None:
    """Train and export gapcast's models, from raw readings to self-tested model files.

    \b
    gapcast-trainer fetch
    gapcast-trainer prepare household_power_consumption.zip
    gapcast-trainer train lstm-5-3
    gapcast-trainer export runs/lstm-5-3
    gapcast-trainer evaluate

    These commands need the trainer extra. Without it, they print the command that installs it.
    """  # noqa: D301 - \b keeps click from joining the lines
    click.get_current_context().with_resource(exiting_on_signals())


for command in (
    data.fetch, data.prepare, data.learning_prior, synthesis.synthesize, training.train, search.sweep,
    training.export, training.share_body, scoring.evaluate, score_pages.models_page, score_pages.weeks,
    study.reproduce,
):  # fmt: skip
    main.add_command(command)
