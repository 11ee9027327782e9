"""Answers given on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gapcast.setup.broker_access import BrokerAccess


@dataclass(frozen=True, slots=True)
class PresetAnswers:
    """The answers; None: prompt for it."""

    config: Path
    access: BrokerAccess | None = None
    topic: str | None = None
    preset: str | None = None
    value: str | None = None
    unit: str | None = None
    device: str | None = None
    timezone: str | None = None
    home_assistant: bool | None = None
    wait_s: float = 70.0
    overwrite: bool = False
