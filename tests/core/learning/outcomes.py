"""Outcomes for tests: handwritten, and generated as streams of several devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from gapcast.core.forecasts.outcomes import Outcomes

MEMBERS = ("lstm", "linear", "persistence")
START = 21_038_400  # the first minute of 2010
NAN = float("nan")


def outcomes(
    rows: Sequence[int],
    minute: int | Sequence[int],
    actual_kw: ArrayLike,
    published_kw: ArrayLike = (1.0, 1.0, 0.0, 2.0),
    last_kw: float = 1.0,
    members_kw: ArrayLike = 1.0,
) -> Outcomes:
    """Return outcomes of ``rows``; a single value applies to all rows."""
    n = len(rows)
    return Outcomes(
        rows=np.array(rows, dtype=np.int64),
        minutes=np.broadcast_to(np.asarray(minute, dtype=np.int64), n).copy(),
        actual_kw=np.broadcast_to(np.asarray(actual_kw, dtype=float), n).copy(),
        last_kw=np.full(n, last_kw),
        members_kw=np.broadcast_to(np.asarray(members_kw, dtype=float), (n, 2, len(MEMBERS))).copy(),
        published_kw=np.broadcast_to(np.asarray(published_kw, dtype=float), (n, 4)).copy(),
    )


def streams(max_step_min: int = 4_000, huge: float = 1e6) -> st.SearchStrategy[list[Outcomes]]:
    """Batches of up to four devices, with gaps, jumps ahead and back, repeated minutes, and missing forecasts."""
    kw = st.one_of(st.floats(0, 5), st.just(0.25), st.sampled_from([huge, -huge, 0.0]))
    step = st.one_of(st.just(1), st.integers(1, max_step_min), st.integers(-max_step_min, 0))
    batch = st.tuples(
        step, st.sets(st.integers(0, 4), min_size=1), st.lists(kw, min_size=12, max_size=12), st.integers(0, 4)
    )

    def made(steps: list[tuple[int, set[int], list[float], int]]) -> list[Outcomes]:
        minute, found = START, []
        for moved, rows, values, left_out in steps:
            minute = max(minute + moved, START - 10_000)
            published, members = np.array(values[:4]), np.array(values[4:10]).reshape(2, 3)
            published[2:] = np.sort(published[2:])
            published[{1: slice(1, 2), 2: slice(2, 4), 3: slice(3, 4)}.get(left_out, slice(0, 0))] = np.nan
            if left_out == 4:
                members[:, 0] = np.nan
            last_kw, scale = values[10], np.arange(1, len(rows) + 1)
            found.append(outcomes(sorted(rows), minute, values[11] / scale, published, last_kw, members))
        return found

    return st.lists(batch, max_size=25).map(made)
