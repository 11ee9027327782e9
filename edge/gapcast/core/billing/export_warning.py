"""The warning that exported power lowers the mean of billing windows: some tariffs bill imported energy alone."""

from __future__ import annotations

from gapcast.core.billing.options import DemandOptions

#: The fix for a device whose exported power counts.
EXPORT_FIX = (
    'if the tariff bills imported energy alone, set demand.imports_only = true ("With photovoltaics" in '
    "docs/demand.md); otherwise ignore this warning"
)


def counts_exports(options: DemandOptions, set_limit_kw: float | None = None) -> bool:
    """Return whether exported power lowers the mean of the windows of a device with these ``options``.

    ``set_limit_kw`` is the limit that was set at run time (None: not set).

    >>> counts_exports(DemandOptions(fuse_kw=9.2)), counts_exports(DemandOptions(fuse_kw=9.2), 4.0)
    (False, True)
    """
    is_limited = options.by_month_peak or options.limit_kw is not None or set_limit_kw is not None
    return is_limited and not options.imports_only


def export_warning(options: DemandOptions, lowest_kw: float) -> str | None:
    """Return the effect of the exported power of a device with these ``options``; None without exports or a limit.

    ``lowest_kw`` is the lowest power of the device, kW.

    >>> export_warning(DemandOptions(limit_kw=4.0), -1.5)
    'exports power (-1.500 kW), which lowers the mean of its billing windows'
    >>> export_warning(DemandOptions(limit_kw=4.0, imports_only=True), -1.5)
    """
    if lowest_kw >= 0 or not counts_exports(options):
        return None
    return f"exports power ({lowest_kw:.3f} kW), which lowers the mean of its billing windows"
