"""Prompts: at a terminal, or with defaults in a script."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import click

from gapcast.core.errors import SettingsError


class Prompts(Protocol):
    """Answers questions; each question corresponds to a command-line option."""

    #: Whether a user can be prompted, and prompted again.
    is_interactive: bool

    def text(self, question: str, default: str | None, option: str, choices: Sequence[str] = ()) -> str:
        """Return a line, one of ``choices`` if there are any; ``default`` if the line is empty."""
        ...

    def secret(self, question: str) -> str:
        """Return a line without echoing it."""
        ...

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return the answer to a yes/no question."""
        ...

    def wants_to_stop(self) -> bool:
        """Return whether to stop waiting."""
        ...


def ask_valid(
    prompts: Prompts,
    show: Callable[[str], None],
    question: str,
    default: str | None,
    option: str,
    problem_of: Callable[[str], str | None],
) -> str:
    """Return an answer without a problem: ask again at a terminal; else raise :class:`SettingsError`."""
    while (problem := problem_of(answer := prompts.text(question, default, option))) is not None:
        if not prompts.is_interactive:
            msg = f"{option}: {problem}"
            raise SettingsError(msg)
        show(f"  {problem}")
    return answer


class InteractivePrompts:
    """Prompts at the terminal."""

    is_interactive = True

    def text(self, question: str, default: str | None, option: str, choices: Sequence[str] = ()) -> str:
        """Prompt until the answer is one of ``choices``, if there are any."""
        kind = click.Choice(list(choices), case_sensitive=False) if choices else str
        answer: str = click.prompt(question, default=default, type=kind, show_choices=bool(choices))
        return answer.strip()

    def secret(self, question: str) -> str:
        """Prompt without echo."""
        answer: str = click.prompt(question, default="", hide_input=True, show_default=False)
        return answer

    def confirm(self, question: str, *, default: bool) -> bool:
        """Prompt for y or n."""
        return click.confirm(question, default=default)

    def wants_to_stop(self) -> bool:
        """Return whether Enter was pressed."""
        if not select.select([sys.stdin], [], [], 0)[0]:
            return False
        sys.stdin.readline()
        return True


class UnattendedPrompts:
    """Uses the default of each question; without one, the error names the option to pass."""

    is_interactive = False

    def text(self, question: str, default: str | None, option: str, choices: Sequence[str] = ()) -> str:
        """Return the default; raise :class:`SettingsError` if there is none."""
        if default is None:
            msg = f"{question}: pass {option}"
            raise SettingsError(msg)
        return default

    def secret(self, question: str) -> str:
        """Raise :class:`SettingsError`, because a password has no default."""
        msg = f"{question}: pass a file that holds it with --password-file"
        raise SettingsError(msg)

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return the default."""
        return default

    def wants_to_stop(self) -> bool:
        """Return False."""
        return False
