"""Shows the limits of ``[demand]`` as they apply, so that a wrong unit or a missing key is noticed."""

from __future__ import annotations

from collections.abc import Iterator

from gapcast.check.finding import CheckInput, Finding, ok, warn
from gapcast.config.sections.demand import DemandDeviceSettings, DemandKeys
from gapcast.config.sections.sources import SourceSettings
from gapcast.config.settings import Settings

#: Maximum number of devices with a line of their own.
_MAX_DEVICES = 50


def check_demand(inputs: CheckInput) -> Iterator[Finding]:
    """Show the limit of each configured device, and the limit of all others if they have one."""
    settings = inputs.settings
    _, *sections = (keys for _, keys in settings.demand.sections())
    devices = {keys.device: keys for keys in sections if isinstance(keys, DemandDeviceSettings)}
    for device, keys in list(devices.items())[:_MAX_DEVICES]:
        yield ok("demand", f"{device}: {_described(keys, settings.site.timezone)}")
    if len(devices) > _MAX_DEVICES:
        yield ok("demand", f"and {len(devices) - _MAX_DEVICES} more devices")
    if settings.demand.options.is_limited:
        others = "every other device" if devices else "every device"
        yield ok("demand", f"{others}: {_described(settings.demand, settings.site.timezone)}")
    elif settings.demand.sets_no_limit:
        text = "[demand] has no limit, so there is no demand"
        yield warn("demand", text, 'set limit_kw, to a number of kW or "month_peak", or fuse_kw; or remove [demand]')
    for source in settings.sources:
        if source.is_minute_of_arrival and _may_have_limit(source, settings):
            yield _late_minutes(source)


def _described(keys: DemandKeys, zone: str) -> str:
    """Return the limits, and other keys that have not their default, in words.

    >>> _described(DemandKeys(limit_kw="month_peak", peak_days=3, fuse_kw=9.2), "Europe/Oslo")
    "limit: the month's peak (mean of 3 days), at least 2.5 kW; fuse 9.2 kW; windows of 15 min, Europe/Oslo"
    >>> _described(DemandKeys(limit_kw=5.0, hours="16:00-19:00", weekdays="mon-fri", months="5-10"), "UTC")
    'limit 5 kW; windows of 15 min, UTC; 16:00-19:00, mon-fri, months 5-10'
    >>> _described(DemandKeys(), "UTC")
    'no limit'
    """
    options = keys.options
    if not options.is_limited:
        return "no limit"
    limit, times = "no limit", ""
    if options.by_month_peak:
        days = f" (mean of {options.n_peak_days} days)" if options.n_peak_days > 1 else ""
        limit = f"limit: the month's peak{days}, at least {options.floor_kw:g} kW"
    elif options.limit_kw is not None:
        limit = f"limit {options.limit_kw:g} kW"
    if options.by_month_peak or options.limit_kw is not None:  # a fuse applies at all times
        times = ", ".join(filter(None, (keys.hours, keys.weekdays, keys.months and f"months {keys.months}")))
    fuse = "" if options.fuse_kw is None else f"fuse {options.fuse_kw:g} kW"
    windows = f"windows of {options.window_min} min, {zone}"
    imports = "imported power alone" if options.imports_only else ""
    has_usual_risk = options.risk == DemandKeys.model_fields["risk"].default
    risk = "" if has_usual_risk else f"risk {options.risk:g}"
    return "; ".join(filter(None, (limit, fuse, windows, times, imports, risk)))


def _may_have_limit(source: SourceSettings, settings: Settings) -> bool:
    """Return whether a device of ``source`` has a limit, or may have one if its topic names the device."""
    demand = settings.demand.site_options(settings.site.zone)
    if source.device and "{" not in source.device:
        return demand.for_device(source.device).is_limited
    elsewhere = {one.device for one in settings.sources}
    own = any(options.is_limited for device, options in demand.devices.items() if device not in elsewhere)
    return demand.default.is_limited or own


def _late_minutes(source: SourceSettings) -> Finding:
    """Return the warning about a ``source`` whose minutes have the time of arrival."""
    text = (
        f"{source.topic}: each message counts in the minute of its arrival. If it contains the mean of the previous "
        "minute, the mean is recorded one minute late, and the last minute of a billing window counts in the next one"
    )
    with_time = 'set time = "path", the path of the minute\'s time in the payload'
    if source.format == "number":
        with_time = 'publish {"ts": "2026-01-01T12:00:00Z", "gap_kw": 1.234} and set preset = "gapcast"'
    return warn("demand", text, f'{with_time}; if the value is the current power, not a mean, set kind = "samples"')
