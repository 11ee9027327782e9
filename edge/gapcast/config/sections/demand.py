"""``[demand]`` and ``[[demand.devices]]``: billing windows and their limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import tzinfo
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from gapcast.config.sections.active_times import parse_hours, parse_months, parse_weekdays
from gapcast.config.sections.demand_registers import RegisterKeys, RegisterTopic, register_problems, register_topics
from gapcast.core.billing.changes import LEAST_LIMIT_KW
from gapcast.core.billing.options import WINDOW_MINUTES, ActiveTimes, DemandOptions, SiteDemandOptions
from gapcast.core.readings.reading import DEVICE_ID_RULE, is_device_id

#: Values of ``limit_kw`` that are not numbers.
MONTH_PEAK, NO_LIMIT = "month_peak", "none"
#: Probabilities are published with six decimals. With 1e-17, 1 - risk is 1, which no finite power reaches.
_LOWEST_RISK, _HIGHEST_RISK = 0.000_001, 0.5
#: Keys with a power, which must be within the limits of readings.
_POWERS = ("limit_kw", "fuse_kw", "floor_kw")


def _parsed_by(parse: Callable[[str], object]) -> AfterValidator:
    """Return a validator that checks a text with ``parse``, which raises :class:`ValueError`, and keeps the text."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


class DemandKeys(RegisterKeys):
    """The keys of ``[demand]`` and of each of ``[[demand.devices]]``, which replace those of ``[demand]``."""

    #: Minutes of a billing window, on the clock of ``site.timezone``.
    window_min: int = 15
    #: Limit of a window's mean power: a number, ``month_peak``, or ``none``; None: no limit.
    limit_kw: float | Literal["month_peak", "none"] | None = None
    #: With ``month_peak``: number of days whose highest windows count; the limit is their mean.
    peak_days: int = Field(default=1, ge=1, le=31)
    #: With ``month_peak``: the lowest limit.
    floor_kw: float = Field(default=2.5, ge=0)
    #: Limit of each single minute; None: no limit.
    fuse_kw: float | None = Field(default=None, gt=0)
    #: Probability of an exceedance that the headroom accepts.
    risk: float = 0.05
    #: Whether exported power counts as 0, as in tariffs that bill imported energy; otherwise it counts as negative.
    imports_only: bool = False
    #: Times of the day, weekdays and months in which a limit applies, to windows that start in them; empty: all.
    hours: Annotated[str, _parsed_by(parse_hours)] = ""
    weekdays: Annotated[str, _parsed_by(parse_weekdays)] = ""
    months: Annotated[str, _parsed_by(parse_months)] = ""

    @field_validator("window_min")
    @classmethod
    def _check_window(cls, window_min: int) -> int:
        if window_min not in WINDOW_MINUTES:
            *others, last = map(str, WINDOW_MINUTES)
            msg = f"windows must divide the hour evenly: use {', '.join(others)} or {last} minutes"
            raise ValueError(msg)
        return window_min

    @field_validator("limit_kw", mode="before")
    @classmethod
    def _parse_limit(cls, limit: object) -> object:
        if limit is None or limit in (MONTH_PEAK, NO_LIMIT):
            return limit
        try:
            limit_kw = float(limit) if isinstance(limit, (int, float, str)) and not isinstance(limit, bool) else 0.0
        except (ValueError, OverflowError):  # not a number, or a number of hundreds of digits
            limit_kw = 0.0
        if not LEAST_LIMIT_KW <= limit_kw < float("inf"):
            msg = f'must be a number of kW, at least {LEAST_LIMIT_KW:g}, "{MONTH_PEAK}" or "{NO_LIMIT}"'
            raise ValueError(msg)
        return limit_kw

    @field_validator("risk")
    @classmethod
    def _check_risk(cls, risk: float) -> float:
        if not _LOWEST_RISK <= risk <= _HIGHEST_RISK:
            msg = f"must be a probability from {_LOWEST_RISK:f} to {_HIGHEST_RISK}, as 0.05 for 5 %"
            raise ValueError(msg)
        return risk

    @property
    def options(self) -> DemandOptions:
        """The options for the engine."""
        is_number = isinstance(self.limit_kw, float)
        return DemandOptions(
            window_min=self.window_min,
            limit_kw=float(self.limit_kw) if is_number and self.limit_kw is not None else None,
            by_month_peak=self.limit_kw == MONTH_PEAK,
            n_peak_days=self.peak_days,
            floor_kw=self.floor_kw,
            fuse_kw=self.fuse_kw,
            risk=self.risk,
            active=ActiveTimes(parse_hours(self.hours), parse_weekdays(self.weekdays), parse_months(self.months)),
            imports_only=self.imports_only,
        )


class DemandDeviceSettings(DemandKeys):
    """One of ``[[demand.devices]]``: keys that it does not set have the values of ``[demand]``."""

    device: str

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str) -> str:
        if not is_device_id(device):
            msg = f"cannot name a device: {DEVICE_ID_RULE}"
            raise ValueError(msg)
        return device


class DemandSettings(DemandKeys):
    """``[demand]``: the running billing window, its limit, and the power that may still be drawn."""

    devices: tuple[DemandDeviceSettings, ...] = ()

    @model_validator(mode="after")
    def _check_devices_differ(self) -> DemandSettings:
        names = [one.device for one in self.devices]
        for i, name in enumerate(names):
            if name in names[:i]:
                msg = f"devices.{i}.device: {name!r} is set by devices.{names.index(name)} already: merge the two"
                raise ValueError(msg)
        return self

    @property
    def is_limited(self) -> bool:
        """Whether any device has a limit, so that there is a demand to publish."""
        return any(keys.options.is_limited for _, keys in self.sections())

    @property
    def sets_no_limit(self) -> bool:
        """Whether there are keys, but neither a limit of any device nor a key that switches it off."""
        return (
            bool(self.model_fields_set) and not self.is_limited and not self.model_fields_set & {"limit_kw", "devices"}
        )

    def sections(self) -> Iterator[tuple[str, DemandKeys]]:
        """Yield the section's name and keys, then each device's, with the values that it inherits from ``[demand]``."""
        yield "demand", self
        own = {name: getattr(self, name) for name in DemandKeys.model_fields}
        for i, one in enumerate(self.devices):
            set_here = {name: getattr(one, name) for name in one.model_fields_set}
            yield f"demand.devices.{i}", DemandDeviceSettings.model_construct(**own | set_here)

    @property
    def registers(self) -> list[RegisterTopic]:
        """The registers of the meters: the registers of ``[demand]``, and single devices' own registers."""
        found = list(register_topics("demand", self, ""))
        for i, one in enumerate(self.devices):
            own = RegisterKeys(
                **{name: getattr(one, name) for name in one.model_fields_set & {*RegisterKeys.model_fields}}
            )
            found += register_topics(f"demand.devices.{i}", own, one.device)
        return found

    def site_options(self, zone: tzinfo) -> SiteDemandOptions:
        """Return the options of all devices; windows are on the clock of ``zone``."""
        devices = {keys.device: keys.options for _, keys in self.sections() if isinstance(keys, DemandDeviceSettings)}
        return SiteDemandOptions(self.options, devices, zone)


def demand_problems(demand: DemandSettings, max_kw: float, *, has_outlook: bool) -> Iterator[str]:
    """Yield each problem of ``demand`` with other sections in a sentence that names the key and the fix.

    ``max_kw`` is the highest power of a reading; ``has_outlook``: whether outlooks are enabled.
    """
    yield from register_problems(demand.registers)
    for key, keys in demand.sections():
        # The default of floor_kw, which has no effect without month_peak, is not a problem of a small meter.
        is_unused = not keys.options.by_month_peak and keys.floor_kw == DemandKeys.model_fields["floor_kw"].default
        for name in _POWERS:
            kw = getattr(keys, name)
            if isinstance(kw, float) and kw > max_kw and not (is_unused and name == "floor_kw"):
                fix = "give it in kW" if kw > 1_000 else "lower it, or raise limits.max_kw"  # noqa: PLR2004 - watts
                yield f"{key}.{name}: {kw:g} kW is above limits.max_kw ({max_kw:g}): {fix}"
        if keys.options.is_limited and not has_outlook:
            limit = "fuse_kw" if keys.limit_kw in (None, NO_LIMIT) else "limit_kw"
            fix = "set outlook.enabled = true and outlook.max_devices above 0"
            yield f"{key}.{limit}: the demand is made from the outlook, which is off: {fix}"
