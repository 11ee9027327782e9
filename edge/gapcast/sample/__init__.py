"""A real week of one household's minutes, so that the runtime can be seen at work with nothing downloaded."""

from __future__ import annotations

from pathlib import Path

SAMPLE_FILE = "uci-household-2010-week.csv.gz"


def sample_path() -> Path:
    """Return where the bundled week lies: beside this module, in a checkout and in an installed wheel.

    Its form is UCI's own (fields parted by ``;``, day/month/year), compressed; ``ATTRIBUTION.md``
    beside it says whose it is.

    >>> sample_path().name
    'uci-household-2010-week.csv.gz'
    """
    return Path(__file__).resolve().parent / SAMPLE_FILE
