"""Numbers and names in sentences for people."""

from __future__ import annotations

from collections.abc import Sequence


def counted(n: int, noun: str) -> str:
    """Return a number and its noun, in the plural if need be.

    >>> counted(1, "gap"), counted(2_000, "row")
    ('1 gap', '2,000 rows')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(names: Sequence[str], n_most: int) -> str:
    """Return the first ``n_most`` of ``names``, and how many more there are.

    >>> listed(["a", "b", "c"], 2), listed(["a", "b"], 2)
    ('a, b and 1 more', 'a, b')
    """
    shown = ", ".join(names[:n_most])
    return f"{shown} and {len(names) - n_most:,} more" if len(names) > n_most else shown
