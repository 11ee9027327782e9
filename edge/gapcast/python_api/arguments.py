"""Checks of the library's arguments: an error names the invalid value and what is expected."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

from gapcast.bundled import models_path
from gapcast.core.documents.message_format import shown_argument
from gapcast.core.readings.state_limits import FIRST_MINUTE, LAST_MINUTE
from gapcast.core.time_grid import minute_of
from gapcast.predictors.models_folder.files import REGISTRY_FILE
from gapcast.text.time_zone_names import time_zone_problem


def checked_time(at: Any, name: str = "at") -> datetime:
    """Return ``at`` if it is a time with a time zone.

    Raises :class:`ValueError` otherwise.
    """
    if not isinstance(at, datetime):
        msg = f"{name}={at!r}: must be a datetime with a time zone, such as datetime.fromisoformat('2026-01-15T12:00Z')"
        raise ValueError(msg)
    if at.tzinfo is None:
        msg = f"{name}={at.isoformat()}: the time has no time zone; use datetime(..., tzinfo=ZoneInfo('Europe/Berlin'))"
        raise ValueError(msg)
    return at


def checked_minute(at: Any) -> int:
    """Return the minute (since the epoch) of ``at``, a time that readings can have.

    Raises :class:`ValueError` otherwise.
    """
    minute = minute_of(int(checked_time(at).timestamp() * 1_000))
    if not FIRST_MINUTE <= minute < LAST_MINUTE:
        msg = f"at={at.isoformat()}: is not between 2000 and 2099; is the clock wrong?"
        raise ValueError(msg)
    return minute


def checked_power_kw(power_kw: Any, low_kw: float, high_kw: float) -> float:
    """Return the power as a number within the limits.

    Raises :class:`ValueError` otherwise.
    """
    try:
        number = float(power_kw)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"power_kw={shown_argument(power_kw)}: must be a number, kW"
        raise ValueError(msg) from error
    if not low_kw <= number <= high_kw:
        fix = "leave out minutes without a value" if math.isnan(number) else "convert watts to kW"
        msg = f"{number:g} kW is outside {low_kw:g} to {high_kw:g} kW; {fix}"
        raise ValueError(msg)
    return number


def checked_time_zone(name: Any) -> str:
    """Return the name of a time zone.

    Raises :class:`ValueError` with the most similar names for an unknown one.
    """
    if not isinstance(name, str):
        msg = f"time_zone={name!r}: must be an IANA name, such as 'Europe/Berlin'"
        raise ValueError(msg)
    if (problem := time_zone_problem(name)) is not None:
        msg = f"time_zone: {problem}"
        raise ValueError(msg)
    return name


def folder_of_models(models: Path | str | None) -> tuple[Path | None, Path]:
    """Return the user's own folder of models (None: the bundled models are used), and the folder to load.

    Raises :class:`ValueError` if it is not a folder, or has no registry.
    """
    if models is None:
        return None, models_path()
    folder = Path(models)
    if not folder.is_dir():
        needed = "it needs a folder for each model, with its model.tflite and card.json, and registry.json"
        msg = f"models={str(models)!r}: is not a folder; {needed}"
        raise ValueError(msg)
    if not (folder / REGISTRY_FILE).exists():
        msg = f'models={str(models)!r}: has no {REGISTRY_FILE}; write {{"default": "<name of a model>"}} to it'
        raise ValueError(msg)
    return folder, folder
