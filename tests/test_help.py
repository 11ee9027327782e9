"""`gapcast --help`: what a new user reads first."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from gapcast.cli import main

COMMANDS = sorted(name for name, command in main.commands.items() if not command.hidden)


def test_help_has_a_whole_sentence_for_each_command() -> None:
    lines = CliRunner().invoke(main, ["--help"], terminal_width=80).output.partition("Commands:\n")[2].splitlines()

    assert [line.split()[0] for line in lines] == COMMANDS
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_explains_each_option(name: str) -> None:
    options = [one for one in main.commands[name].params if isinstance(one, click.Option)]

    assert [one.opts for one in options if not one.help and not one.hidden] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_names_the_value_of_each_option(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"], terminal_width=120).output

    assert " RANGE" not in shown
    assert " TEXT" not in shown
