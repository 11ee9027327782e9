"""The results of checks, and their shared input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from gapcast.app.models.loaded_models import Models
from gapcast.config.settings import Settings
from gapcast.mqtt.session.session import Session


class Severity(Enum):
    """The severity: nothing to do, worth a look, or no forecasts until it is fixed."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: its subject (``what``), its result (``text``), and the fix (``fix``).

    ``code`` is the exit code of a failure, as of ``gapcast run``.
    """

    severity: Severity
    what: str
    text: str
    fix: str = ""
    code: int = 0

    def lines(self) -> list[str]:
        """Return the lines to print."""
        lines = [f"{self.severity.value:<4} {self.what}: {self.text}"]
        return [*lines, f"     fix: {self.fix}"] if self.fix else lines


def ok(what: str, text: str) -> Finding:
    """Return a finding with nothing to do."""
    return Finding(Severity.OK, what, text)


def warn(what: str, text: str, fix: str) -> Finding:
    """Return a finding that does not prevent forecasts."""
    return Finding(Severity.WARN, what, text, fix)


def fail(what: str, text: str, fix: str, code: int) -> Finding:
    """Return a finding that prevents forecasts."""
    return Finding(Severity.FAIL, what, text, fix, code)


@dataclass(slots=True)
class CheckInput:
    """The input of the checks, and results of earlier ones."""

    settings: Settings
    environment: Mapping[str, str]
    #: How long to wait for readings.
    wait_s: float
    models: Models | None = None
    #: The check's own connection, if the broker accepts it.
    session: Session | None = None
