"""The time zone of this machine, and whether a name is one."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from zoneinfo import available_timezones

from gapcast.config.settings import SiteSettings

_FOLDER = "zoneinfo/"
#: Parts of the database that are no places: ``Etc/GMT+2`` is two hours behind UTC, not ahead.
_NO_PLACES = ("Etc/", "posix/", "right/", "SystemV/")
_N_SUGGESTED, _LONGEST = 3, 64
#: Similarity of a suggestion, from 0 to 1.
_CUTOFF = 0.8


def system_time_zone(environment: Mapping[str, str], root: Path = Path("/")) -> str:
    """Return the IANA name of the machine's time zone, UTC if unknown.

    >>> system_time_zone({"TZ": "Europe/Paris"})
    'Europe/Paris'
    """
    link = root / "etc/localtime"
    linked = str(link.readlink()) if link.is_symlink() else ""
    file = root / "etc/timezone"
    configured = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    for name in (environment.get("TZ", "").removeprefix(":"), linked.partition(_FOLDER)[2], configured):
        if name and _is_zone(name):
            return name
    return "UTC"


def time_zone_problem(name: str) -> str | None:
    """Return what is wrong with the name of a time zone, None if nothing is.

    >>> time_zone_problem("Europe/Berlin")
    >>> time_zone_problem("Berlin")
    'there is no time zone "Berlin": did you mean Europe/Berlin?'
    """
    if _is_zone(name):
        return None
    similar = similar_time_zones(name)
    hint = f"did you mean {' or '.join(similar)}?" if similar else "use an IANA name, such as Europe/Paris or UTC"
    return f'there is no time zone "{name[:_LONGEST]}": {hint}'


def similar_time_zones(name: str) -> list[str]:
    """Return the zones that ``name`` may stand for, likeliest first: of that city, else with a similar name.

    >>> similar_time_zones("new york"), similar_time_zones("Europe/Pariss")
    (['America/New_York'], ['Europe/Paris'])
    """
    wanted = name.strip().replace(" ", "_").casefold()[:_LONGEST]
    zones = sorted(one for one in available_timezones() if "/" in one and not one.startswith(_NO_PLACES))
    same = [one for one in zones if wanted in {one.casefold(), one.casefold().rpartition("/")[2]}]
    if same:
        return same[:_N_SUGGESTED]
    by_name: dict[str, str] = {}
    for zone in zones:
        by_name.setdefault(zone.casefold(), zone)
        by_name.setdefault(zone.casefold().rpartition("/")[2], zone)
    close = get_close_matches(wanted, by_name, _N_SUGGESTED, _CUTOFF)
    return list(dict.fromkeys(by_name[one] for one in close))


def _is_zone(name: str) -> bool:
    try:
        SiteSettings(timezone=name)
    except ValueError:
        return False
    return True
