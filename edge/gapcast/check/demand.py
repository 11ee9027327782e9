"""Shows the limits of ``[demand]`` as they apply, so that a wrong unit or a missing key is noticed."""

from __future__ import annotations

from collections.abc import Iterator

from gapcast.check.finding import CheckInput, Finding, ok
from gapcast.core.billing.options import DemandOptions

#: Maximum number of devices with a line of their own.
_MAX_DEVICES = 50


def check_demand(inputs: CheckInput) -> Iterator[Finding]:
    """Show the limit of each configured device, and the limit of all others if they have one."""
    settings = inputs.settings
    site = settings.demand.site_options(settings.site.zone)
    for device, options in list(site.devices.items())[:_MAX_DEVICES]:
        yield ok("demand", f"{device}: {_described(options, settings.site.timezone)}")
    if len(site.devices) > _MAX_DEVICES:
        yield ok("demand", f"and {len(site.devices) - _MAX_DEVICES} more devices")
    if site.default.is_limited:
        others = "every other device" if site.devices else "every device"
        yield ok("demand", f"{others}: {_described(site.default, settings.site.timezone)}")


def _described(options: DemandOptions, zone: str) -> str:
    """Return the limits in words.

    >>> _described(DemandOptions(by_month_peak=True, n_peak_days=3, fuse_kw=9.2), "Europe/Oslo")
    "limit: the month's peak (mean of 3 days), at least 2.5 kW; fuse 9.2 kW; windows of 15 min, Europe/Oslo"
    >>> _described(DemandOptions(), "UTC")
    'no limit'
    """
    if not options.is_limited:
        return "no limit"
    limit = "no limit"
    if options.by_month_peak:
        days = f" (mean of {options.n_peak_days} days)" if options.n_peak_days > 1 else ""
        limit = f"limit: the month's peak{days}, at least {options.floor_kw:g} kW"
    elif options.limit_kw is not None:
        limit = f"limit {options.limit_kw:g} kW"
    fuse = "" if options.fuse_kw is None else f"; fuse {options.fuse_kw:g} kW"
    return f"{limit}{fuse}; windows of {options.window_min} min, {zone}"
