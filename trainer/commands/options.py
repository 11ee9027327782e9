"""What the commands share: paths, kinds of options, and whether a bar is drawn."""

from __future__ import annotations

import sys
from pathlib import Path

import click

RAW = Path("household_power_consumption.zip")
CLEAN = Path("runs/household.parquet")
MODELS = Path("models")

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
OUT = click.Path(path_type=Path, dir_okay=False)
TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])
clean_option = click.option(
    "--clean", "path", type=OUT, default=CLEAN, show_default=True, help="File that `prepare` wrote."
)


def progress() -> bool:
    """Tell whether someone looks on."""
    return sys.stderr.isatty()
