"""Who answers the questions: a person at a terminal, or nobody, in a script."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import click

from gapcast.core.errors import SettingsError


class Prompts(Protocol):
    """Answers questions; each has an option of the command that answers it too."""

    #: Whether someone is there, who can be asked again.
    is_person: bool

    def text(self, question: str, default: str | None, option: str, choices: Sequence[str] = ()) -> str:
        """Return a line, one of ``choices`` where there are any; ``default`` where none is given."""
        ...

    def secret(self, question: str) -> str:
        """Return a line that is not shown."""
        ...

    def yes(self, question: str, *, default: bool) -> bool:
        """Return whether it is so."""
        ...

    def enough(self) -> bool:
        """Tell whether to wait no longer."""
        ...


class InteractivePrompts:
    """Asks at the terminal."""

    is_person = True

    def text(self, question: str, default: str | None, option: str, choices: Sequence[str] = ()) -> str:
        """Ask until the answer is one of ``choices``, where there are any."""
        kind = click.Choice(list(choices), case_sensitive=False) if choices else str
        answer: str = click.prompt(question, default=default, type=kind, show_choices=bool(choices))
        return answer.strip()

    def secret(self, question: str) -> str:
        """Ask without showing what is typed."""
        answer: str = click.prompt(question, default="", hide_input=True, show_default=False)
        return answer

    def yes(self, question: str, *, default: bool) -> bool:
        """Ask for y or n."""
        return click.confirm(question, default=default)

    def enough(self) -> bool:
        """Tell whether Enter was pressed."""
        if not select.select([sys.stdin], [], [], 0)[0]:
            return False
        sys.stdin.readline()
        return True


class UnattendedPrompts:
    """Takes the default of each question, and says which option answers one that has none."""

    is_person = False

    def __init__(self, is_enough: Callable[[], bool] = lambda: False) -> None:
        self._is_enough = is_enough

    def text(self, question: str, default: str | None, option: str, choices: Sequence[str] = ()) -> str:
        """Return the default; raise :class:`SettingsError` where there is none."""
        if default is None:
            msg = f"{question}: pass {option}"
            raise SettingsError(msg)
        return default

    def secret(self, question: str) -> str:
        """Raise :class:`SettingsError`: a password has no default."""
        msg = f"{question}: pass a file that holds it with --password-file"
        raise SettingsError(msg)

    def yes(self, question: str, *, default: bool) -> bool:
        """Return the default."""
        return default

    def enough(self) -> bool:
        """Nobody presses a key."""
        return self._is_enough()
