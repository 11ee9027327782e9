"""Tariffs by peak power: TOML files with the price of a month."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from gapcast.backtest.control.billing import billed_windows, month_peaks
from gapcast.config.sections.demand import DemandKeys
from gapcast.config.sections.section import SettingsSection
from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.documents.field_problem import field_problem
from gapcast.core.errors import SettingsError

_MONTHS = 12
#: A peak that exceeds a step by less is on the step: it differs by the rounding of a mean, kW.
_ROUNDING_KW = 1e-9
#: The keys of ``[demand]`` that a tariff can have.
_WINDOW_KEYS = ("window_min", "peak_days", "floor_kw", "hours", "weekdays", "months")
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Tariff(SettingsSection):
    """The price of a month's peak power.

    ``demand`` defines the windows that count, with these keys of ``[demand]``: their length, ``peak_days``,
    ``floor_kw`` (default 0), hours, weekdays and months. Either ``per_kw_month`` is the price of each kW, one or twelve
    from January on, or ``steps`` are pairs of a power, kW, and the price of a month up to it, rising.
    """

    name: str
    currency: str
    source: str
    checked: str
    note: str = ""
    demand: DemandKeys = DemandKeys(floor_kw=0.0)
    per_kw_month: tuple[_NotNegative, ...] = ()
    steps: tuple[tuple[_NotNegative, _NotNegative], ...] = ()

    @field_validator("demand")
    @classmethod
    def _check_keys(cls, demand: DemandKeys) -> DemandKeys:
        unused = [name for name in type(demand).model_fields if name in demand.model_fields_set - {*_WINDOW_KEYS}]
        if unused:
            msg = f"{unused[0]} has no effect in a tariff: remove it (possible keys: {', '.join(_WINDOW_KEYS)})"
            raise ValueError(msg)
        return demand

    @field_validator("demand")
    @classmethod
    def _default_floor(cls, demand: DemandKeys) -> DemandKeys:
        """Set the floor to 0: the default of ``[demand]`` is one particular tariff's."""
        return demand if "floor_kw" in demand.model_fields_set else demand.model_copy(update={"floor_kw": 0.0})

    @field_validator("per_kw_month", mode="before")
    @classmethod
    def _check_monthly_prices(cls, prices: object) -> object:
        many = [prices] if isinstance(prices, (int, float)) else prices
        if not isinstance(many, (list, tuple)) or len(many) not in (1, _MONTHS):
            msg = "give one price, or twelve from January on"
            raise ValueError(msg)
        return many

    @model_validator(mode="after")
    def _check_prices(self) -> Tariff:
        if bool(self.steps) == bool(self.per_kw_month):
            msg = "give either per_kw_month or steps"
            raise ValueError(msg)
        if list(self.steps) != sorted(self.steps):
            msg = "steps must rise"
            raise ValueError(msg)
        return self

    def peaks_kw(self, kw: F64, local: I64) -> dict[int, float]:
        """Return the power billed for each month since January 1970, of the power ``kw`` ``[T]``.

        Only imported power is billed: a minute that exports counts as 0.
        """
        options = self.demand.options
        peaks = month_peaks(billed_windows(np.maximum(kw, 0.0), local, options), options.n_peak_days)
        return {month: max(peak_kw, options.floor_kw) for month, peak_kw in peaks.items()}

    def month_price(self, month: int, peak_kw: float) -> float:
        """Return the price of a month since January 1970 with the power ``peak_kw``.

        Raises :class:`SettingsError` if the power is above the highest step.
        """
        if self.steps:
            for kw, price in self.steps:
                if peak_kw <= kw + _ROUNDING_KW:
                    return price
            msg = f"--tariff: the steps of {self.name} end at {kw:g} kW, and a month has {peak_kw:.1f} kW: add a step"
            raise SettingsError(msg)
        return self.per_kw_month[month % _MONTHS % len(self.per_kw_month)] * peak_kw

    def year_price(self, peak_kw: float) -> float:
        """Return the price of a year with the power ``peak_kw`` in each month that the tariff bills."""
        return sum(self.month_price(month - 1, peak_kw) for month in sorted(self.demand.options.active.months))


def read_tariff(path: Path) -> Tariff:
    """Return the tariff in ``path``; raise :class:`SettingsError` if the file is not a valid tariff."""
    try:
        return _tariff_of(path.read_bytes())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"--tariff {path}: cannot be read ({reason})"
        raise SettingsError(msg) from error
    except ValidationError as error:
        msg = f"--tariff {path}: {field_problem(error.errors()[0])}"
        raise SettingsError(msg) from error


def bundled_tariffs() -> list[Tariff]:
    """Return the tariffs bundled with gapcast, by file name."""
    folder = files(__package__) / "tariffs"
    return [_tariff_of(one.read_bytes()) for one in sorted(folder.iterdir(), key=lambda one: one.name)]


def tariffs_of(paths: Sequence[Path]) -> list[Tariff]:
    """Return the tariffs in ``paths``, or the bundled tariffs without any paths.

    Raises :class:`SettingsError` if a file is not a tariff, or if two tariffs have the same name: prices are by name.
    """
    found: dict[str, Tariff] = {}
    for path in paths:
        tariff = read_tariff(path)
        if tariff.name in found:
            msg = f"--tariff {path}: another tariff is also named {tariff.name!r}: change the name in one of the files"
            raise SettingsError(msg)
        found[tariff.name] = tariff
    return [*found.values()] or bundled_tariffs()


def _tariff_of(content: bytes) -> Tariff:
    return Tariff.model_validate(tomllib.loads(content.decode()))
