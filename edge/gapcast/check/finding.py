"""What a check finds, and what the checks are given to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from gapcast.app.models import Models
from gapcast.config.settings import Settings
from gapcast.mqtt.session import Session


class Mark(Enum):
    """How it stands: nothing to do, something to look at, or no forecasts until it is mended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


#: Exit codes, by what failed: those of ``gapcast run``, where that would end with one.
BROKER_FAILS, SETTINGS_FAIL, MODEL_FAILS = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: ``what`` and how it stands, and where that is not well, what to do about it.

    ``code`` is the exit code of a failure.
    """

    mark: Mark
    what: str
    text: str
    cure: str = ""
    code: int = 0

    def lines(self) -> list[str]:
        """Return it as people read it."""
        told = [f"{self.mark.value:<4} {self.what}: {self.text}"]
        return [*told, f"     cure: {self.cure}"] if self.cure else told


def ok(what: str, text: str) -> Finding:
    """Return that there is nothing to do."""
    return Finding(Mark.OK, what, text)


def warn(what: str, text: str, cure: str) -> Finding:
    """Return what is worth a look; forecasts come all the same."""
    return Finding(Mark.WARN, what, text, cure)


def fail(what: str, text: str, cure: str, code: int) -> Finding:
    """Return what keeps forecasts from coming."""
    return Finding(Mark.FAIL, what, text, cure, code)


@dataclass(slots=True)
class Situation:
    """What there is to look at, and what earlier checks have made of it."""

    settings: Settings
    environment: Mapping[str, str]
    #: How long to listen for readings.
    wait_s: float
    models: Models | None = None
    #: A connection of the check's own, where the broker lets it in.
    session: Session | None = None
