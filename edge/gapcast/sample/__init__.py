"""A recorded week of one household, for trying gapcast without a download."""

from __future__ import annotations

from pathlib import Path

SAMPLE_FILE = "uci-household-2010-week.csv.gz"


def sample_path() -> Path:
    """Return the path of the bundled week: beside this module, in a checkout and in an installed wheel.

    It is in the UCI format (fields separated by ``;``, day/month/year), compressed; its source and license are in
    ``ATTRIBUTION.md`` beside it.

    >>> sample_path().name
    'uci-household-2010-week.csv.gz'
    """
    return Path(__file__).resolve().parent / SAMPLE_FILE
