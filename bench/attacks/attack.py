"""Data types of attacks: attack, victim and report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from bench.attacks.target import AttackTarget

Group = Literal["mqtt", "http", "models", "devices"]


@dataclass(frozen=True, slots=True)
class Victim:
    """The attacked gateway, and the size of the run."""

    target: AttackTarget
    #: A device of the normal traffic, which the gateway tracks.
    device: str
    #: Whether to save time.
    quick: bool

    def choose(self, thorough: int, quick: int) -> int:
        """Return ``quick`` in a quick run, else ``thorough``."""
        return quick if self.quick else thorough


@dataclass(slots=True)
class AttackReport:
    """The report of an attack."""

    #: Short description of what was sent.
    sent: str
    #: Wrong answers or behaviour of the gateway.
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack on a running gateway."""

    name: str
    group: Group
    run: Callable[[Victim], AttackReport]
    #: Memory that the gateway may keep afterwards, MB: the documented cost of the devices that it tracks after the
    #: attack.
    lasting_mb: float = 0.0
