"""Names of IANA time zones, and suggestions for invalid names."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, available_timezones

#: Parts of the database that are not places: ``Etc/GMT+2`` is two hours behind UTC, not ahead.
_NO_PLACES = ("Etc/", "posix/", "right/", "SystemV/")
_N_SUGGESTED, _LONGEST = 3, 64
#: Similarity of a suggestion, from 0 to 1.
_CUTOFF = 0.8


def zone_of(name: str) -> tzinfo:
    """Return the time zone of that name; UTC needs no database.

    Raises :class:`ValueError` for an invalid name, with the likeliest names.

    >>> zone_of("Europe/Berlin")
    zoneinfo.ZoneInfo(key='Europe/Berlin')
    >>> zone_of("Berlin")
    Traceback (most recent call last):
    ValueError: there is no such time zone: use an IANA name; did you mean Europe/Berlin?
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:  # also raised for a path, or a folder of the database
        msg = f"there is no such time zone: use an IANA name{suggestion(name, ', such as Europe/Paris')}"
        raise ValueError(msg) from error


def suggestion(name: str, otherwise: str) -> str:
    """Return the end of a sentence about the invalid ``name``: the likely name, or ``otherwise`` without one.

    >>> suggestion("Berlin", ", such as UTC"), suggestion("Mars", ", such as UTC")
    ('; did you mean Europe/Berlin?', ', such as UTC')
    """
    similar = similar_time_zones(name)
    return f"; did you mean {' or '.join(similar)}?" if similar else otherwise


def time_zone_problem(name: str) -> str | None:
    """Return what is wrong with the name of a time zone, None if it is valid.

    >>> time_zone_problem("Europe/Berlin")
    >>> time_zone_problem("Berlin")
    'there is no time zone "Berlin": did you mean Europe/Berlin?'
    """
    try:
        zone_of(name)
    except ValueError:
        similar = similar_time_zones(name)
        hint = f"did you mean {' or '.join(similar)}?" if similar else "use an IANA name, such as Europe/Paris or UTC"
        return f'there is no time zone "{name[:_LONGEST]}": {hint}'
    return None


def similar_time_zones(name: str) -> list[str]:
    """Return the zones that ``name`` may mean, likeliest first: of that city, else with a similar name.

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
    from difflib import get_close_matches  # noqa: PLC0415 - few names are misspelt

    close = get_close_matches(wanted, by_name, _N_SUGGESTED, _CUTOFF)
    return list(dict.fromkeys(by_name[one] for one in close))
