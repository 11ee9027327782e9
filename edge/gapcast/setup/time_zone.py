"""The time zone of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gapcast.text.time_zone_names import time_zone_problem

_FOLDER = "zoneinfo/"
#: The name in Debian; site.timezone is "UTC" by default, and another name counts as a change of the zone.
_DEBIAN_UTC = "Etc/UTC"


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
        if name and time_zone_problem(name) is None:
            return "UTC" if name == _DEBIAN_UTC else name
    return "UTC"
