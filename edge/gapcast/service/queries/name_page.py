"""One page of a list of devices by name."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest


def name_page(names: Iterable[str], limit: int, after: str) -> tuple[list[str], str | None]:
    """Return the first ``limit`` of ``names`` that sort after ``after``, and the last of them if more follow.

    >>> name_page(["c", "a", "b"], 2, "")
    (['a', 'b'], 'b')
    >>> name_page(["c", "a", "b"], 2, "b")
    (['c'], None)
    """
    page = nsmallest(limit + 1, (name for name in names if name > after))
    return page[:limit], page[limit - 1] if len(page) > limit else None
