"""What an attack is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from bench.attacks.target import Target

Group = Literal["mqtt", "http", "models", "devices"]


@dataclass(frozen=True, slots=True)
class Victim:
    """The gateway that is attacked, and how thoroughly."""

    target: Target
    #: A device of the normal traffic, which the gateway knows.
    device: str
    #: Whether seconds are to be saved.
    quick: bool

    def choose(self, thorough: int, quick: int) -> int:
        """Return how many, by how thorough the run is."""
        return quick if self.quick else thorough


@dataclass(slots=True)
class Report:
    """What an attack did."""

    #: What was sent, in a few words.
    sent: str
    #: What the gateway should not have answered or done.
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack on a running gateway."""

    name: str
    group: Group
    run: Callable[[Victim], Report]
