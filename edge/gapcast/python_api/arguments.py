"""Checks of the library's arguments: an error names the invalid value and what is expected."""

from __future__ import annotations

import math
import operator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gapcast.bundled import models_path
from gapcast.core.arrays.array_types import F64
from gapcast.core.documents.message_format import shown_argument
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.readings.state_limits import FIRST_MINUTE, LAST_MINUTE, MOST
from gapcast.core.time_grid import minute_of
from gapcast.predictors.models_folder.files import REGISTRY_FILE
from gapcast.text.time_zone_names import time_zone_problem

#: Types that Python or numpy would convert to a number.
_NOT_NUMBERS = (str, bytes, bytearray, bool, np.bool_)
#: Kinds of numpy's and pandas' types whose values are numbers, and of objects, which are checked one by one.
_NUMBERS, _OBJECTS = "iuf", "O"


def checked_time(at: Any) -> datetime:
    """Return ``at`` if it is a time with a time zone.

    Raises :class:`ValueError` otherwise.
    """
    if not isinstance(at, datetime):
        msg = f"at={at!r}: must be a datetime with a time zone, such as datetime.fromisoformat('2026-01-15T12:00Z')"
        raise ValueError(msg)
    if at.tzinfo is None:
        msg = f"at={at.isoformat()}: the time has no time zone; use datetime(..., tzinfo=ZoneInfo('Europe/Berlin'))"
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


def checked_power_kw(power_kw: Any, low_kw: float, high_kw: float, *, name: str = "power_kw") -> float:
    """Return the power, an argument or field ``name``, as a number within the limits.

    Raises :class:`ValueError` otherwise.
    """
    try:
        number = float(_checked_number(power_kw))
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"{name}={shown_argument(power_kw)}: must be a number, kW"
        raise ValueError(msg) from error
    if not low_kw <= number <= high_kw:
        fix = "convert watts to kW" if math.isfinite(number) else "leave out minutes without a value"
        msg = f"{number:g} kW is outside {low_kw:g} to {high_kw:g} kW; {fix}"
        raise ValueError(msg)
    return number


def check_reading(reading: Reading, limits: Limits) -> None:
    """Raise :class:`ValueError` if ``reading`` has a value that no reading can have, or a power outside ``limits``."""
    checked_power_kw(reading.gap_kw, limits.min_kw, limits.max_kw, name="gap_kw")
    try:
        is_possible = FIRST_MINUTE <= operator.index(_checked_number(reading.minute)) < LAST_MINUTE
    except TypeError:
        is_possible = False
    if not is_possible:
        expected = "must be the number of a minute between 2000 and 2099, int(at.timestamp()) // 60"
        msg = f"minute={shown_argument(reading.minute)}: {expected}"
        raise ValueError(msg)
    for name, value in (reading.measured or {}).items():
        try:
            is_possible = abs(float(_checked_number(value))) <= MOST
        except (TypeError, ValueError, OverflowError):
            is_possible = False
        if not is_possible:
            msg = f"{name}={shown_argument(value)}: must be a number, at most {MOST:g}; leave out what is missing"
            raise ValueError(msg)


def checked_powers_kw(readings_kw: Any) -> F64:
    """Return the powers of a list, an array or a pandas Series as numbers ``[N]``, NaN if missing or masked.

    Raises :class:`ValueError` otherwise.
    """
    data_type = getattr(readings_kw, "dtype", None)
    kind = getattr(data_type, "kind", _OBJECTS)
    if kind not in _NUMBERS + _OBJECTS:
        msg = f"readings_kw: must be numbers, kW, not of the type {data_type}"
        raise ValueError(msg)
    if kind == _OBJECTS and getattr(readings_kw, "ndim", 1) == 1:
        for at, value in enumerate(readings_kw):
            if isinstance(value, _NOT_NUMBERS):
                msg = f"readings_kw[{at}]={shown_argument(value)}: must be a number, kW"
                raise ValueError(msg)
    try:
        if hasattr(readings_kw, "to_numpy"):
            readings_kw = readings_kw.to_numpy(dtype=np.float64, na_value=np.nan)
        if isinstance(readings_kw, np.ma.MaskedArray):
            readings_kw = np.ma.filled(readings_kw.astype(np.float64), np.nan)
        power_kw: F64 = np.asarray(readings_kw, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"readings_kw: must be numbers, kW ({error})"
        raise ValueError(msg) from error
    if power_kw.ndim != 1:
        msg = f"readings_kw: must have one dimension, not the shape {power_kw.shape}"
        raise ValueError(msg)
    return power_kw


def checked_lead_min(minutes: Any) -> int:
    """Return the lead time as a whole number; raise :class:`ValueError` otherwise."""
    try:
        return operator.index(_checked_number(minutes))
    except TypeError as error:
        msg = f"minutes={shown_argument(minutes)}: must be a whole number, such as minutes=5"
        raise ValueError(msg) from error


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


def folder_of_models(models: Path | str | None) -> Path:
    """Return the folder of models: the user's own, or without one the bundled models.

    Raises :class:`ValueError` if it is not a folder, or has no registry.
    """
    if models is None:
        return models_path()
    folder = Path(models)
    if not folder.is_dir():
        needed = "it needs a folder for each model, with its model.tflite and card.json, and registry.json"
        msg = f"models={str(models)!r}: is not a folder; {needed}"
        raise ValueError(msg)
    if not (folder / REGISTRY_FILE).exists():
        msg = f'models={str(models)!r}: has no {REGISTRY_FILE}; write {{"default": "<name of a model>"}} to it'
        raise ValueError(msg)
    return folder


def _checked_number(value: Any) -> Any:
    """Return ``value``; raise :class:`TypeError` if it is of a type that Python or numpy would convert to a number."""
    if isinstance(value, _NOT_NUMBERS):
        raise TypeError(type(value).__name__)
    return value
