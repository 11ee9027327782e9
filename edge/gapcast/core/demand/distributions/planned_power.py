"""The planned power of announced loads in windows: it is known minute by minute, unlike the outlook's power."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F64, I64


class PlannedPower(NamedTuple):
    """The planned power of N readings in each of the next M minutes, all ``[N, M]``, kW.

    ``minutes_kw`` is the power of the plan, ``remaining_kw`` the power that it adds to the distributions of windows,
    and ``expected_kw`` the power that it adds to their expected means. They differ where planned generation exports,
    and only imported power counts.
    """

    minutes_kw: F64
    remaining_kw: F64
    expected_kw: F64


def planned_power(parts: Sequence[F64 | None]) -> PlannedPower | None:
    """Return the planned power of readings with the planned minutes ``parts``, each ``[M]`` or None; None without any.

    All of it counts in windows.
    """
    known = [part for part in parts if part is not None]
    if not known:
        return None
    none_kw = np.zeros(len(known[0]))
    minutes_kw = np.array([none_kw if part is None else part for part in parts])
    return PlannedPower(minutes_kw, minutes_kw, minutes_kw)


def means_between(minutes_kw: F64, ahead_from: I64, ahead_to: I64, unmeasured_min: I64) -> F64:
    """Return the means ``[S, N]`` of the minutes ``ahead_from`` + 1 to ``ahead_to`` and of ``unmeasured_min`` minutes.

    All are ``[S, N]``; in unmeasured minutes no planned load runs. ``minutes_kw`` is ``[N, M]``; later minutes are left
    out.

    >>> ahead, none = (np.array([[0], [1]]), np.array([[2], [3]])), np.zeros((2, 1), dtype=np.int64)
    >>> means_between(np.array([[1.0, 2.0, 6.0]]), *ahead, none).tolist()
    [[1.5], [4.0]]
    """
    n, n_minutes = minutes_kw.shape
    sums_kw = np.zeros((n, n_minutes + 1))
    np.cumsum(minutes_kw, axis=1, out=sums_kw[:, 1:])
    first, last = np.minimum(ahead_from, n_minutes - 1), np.minimum(ahead_to, n_minutes)
    at = np.arange(n)
    found: F64 = (sums_kw[at, last] - sums_kw[at, first]) / (last - first + unmeasured_min)
    return found


def without_plan(mean_kw: F64, point_kw: F64, minutes_kw: F64, leads_min: Sequence[int]) -> tuple[F64, F64]:
    """Return the outlooks ``mean_kw`` and ``point_kw`` ``[N, K, 4]`` without the planned power ``minutes_kw``.

    ``minutes_kw`` ``[N, M]`` has the minutes until the last of the K lead times, at least.
    """
    leads = np.asarray(leads_min)
    of_means = np.cumsum(minutes_kw, axis=1)[:, leads - 1] / leads
    return mean_kw - of_means[..., np.newaxis], point_kw - minutes_kw[:, leads - 1, np.newaxis]
