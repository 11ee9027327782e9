"""Runs commands that end by themselves in the tests' process, which saves a start of Python for each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import chdir
from pathlib import Path

import click
from click.testing import CliRunner, Result


def run_command(
    program: tuple[str, click.Command], arguments: Iterable[object], folder: Path, environment: Mapping[str, str]
) -> Result:
    """Run ``program``, a name and its command, in ``folder`` with this environment alone; unexpected errors are raised.

    Tests that use it need the fixture ``restored_logs`` if the command configures logs.
    """
    name, command = program
    unset = dict.fromkeys(os.environ.keys() - environment.keys())
    with chdir(folder):
        return CliRunner().invoke(
            command, [str(argument) for argument in arguments], prog_name=name,
            env=unset | dict(environment), catch_exceptions=False,
        )  # fmt: skip
