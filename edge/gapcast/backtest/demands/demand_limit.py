"""The limit that a back-test of demands needs."""

from __future__ import annotations

from gapcast.config.sections.demand import MONTH_PEAK, NO_LIMIT, DemandSettings
from gapcast.core.errors import SettingsError


def has_limit(demand: DemandSettings) -> bool:
    """Return whether the windows of any device have a limit."""
    return any(keys.limit_kw not in (None, NO_LIMIT) for _, keys in demand.sections())


def require_limit(demand: DemandSettings, option: str) -> None:
    """Raise :class:`SettingsError` if no window has a limit, which ``option`` needs."""
    if not has_limit(demand):
        fix = f"set demand.limit_kw, as in --set demand.limit_kw=2.5 or --set demand.limit_kw={MONTH_PEAK}"
        msg = f"{option}: there is no limit to compare with: {fix}"
        raise SettingsError(msg)
