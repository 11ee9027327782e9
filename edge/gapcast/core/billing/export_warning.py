"""Exported power and a limit: it makes room in a window, which not every tariff grants."""

from __future__ import annotations

from gapcast.core.billing.options import DemandOptions

#: What to do if exported power counts.
EXPORT_FIX = (
    'if the tariff bills imported energy alone, set demand.imports_only = true ("With photovoltaics" in '
    "docs/demand.md); otherwise nothing is to be done"
)


def export_warning(options: DemandOptions, lowest_kw: float) -> str | None:
    """Return what the exported power of a device with these ``options`` does; None if it exports none or has no limit.

    ``lowest_kw`` is its lowest power, kW.

    >>> export_warning(DemandOptions(limit_kw=4.0), -1.5)
    'exports power (-1.500 kW), which makes room in its billing windows'
    >>> export_warning(DemandOptions(limit_kw=4.0, imports_only=True), -1.5)
    """
    is_limited = (options.by_month_peak or options.limit_kw is not None) and not options.imports_only
    if lowest_kw >= 0 or not is_limited:
        return None
    return f"exports power ({lowest_kw:.3f} kW), which makes room in its billing windows"
