"""`--help` of each program: what a new user reads first."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

import gapcast.cli
import gapcast_fleet.cli
import gapcast_trainer.cli

PROGRAMS = {
    "gapcast": gapcast.cli.main,
    "gapcast-trainer": gapcast_trainer.cli.main,
    "gapcast-fleet": gapcast_fleet.cli.main,
}
COMMANDS = [
    (program, name)
    for program, main in PROGRAMS.items()
    for name in sorted(name for name, command in main.commands.items() if not command.hidden)
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_has_a_whole_sentence_for_each_command(program: str) -> None:
    shown = CliRunner().invoke(PROGRAMS[program], ["--help"], terminal_width=80).output
    lines = shown.partition("Commands:\n")[2].splitlines()

    assert [(program, line.split()[0]) for line in lines] == [one for one in COMMANDS if one[0] == program]
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_names_no_installer(program: str) -> None:
    """The error of a missing extra names the one that was used: pip would change another environment than pipx's."""
    assert "pip" not in CliRunner().invoke(PROGRAMS[program], ["--help"]).output


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_help_of_a_command_explains_each_option(program: str, name: str) -> None:
    options = [one for one in PROGRAMS[program].commands[name].params if isinstance(one, click.Option)]

    assert [one.opts for one in options if not one.help and not one.hidden] == []


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_help_of_a_command_names_the_value_of_each_option(program: str, name: str) -> None:
    command = PROGRAMS[program].commands[name]
    shown = command.get_help(click.Context(command, info_name=name, terminal_width=120))

    assert " RANGE" not in shown
    assert " TEXT" not in shown
