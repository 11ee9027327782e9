"""Outlooks of the last hour that wait for their outcomes, one slot per minute, in the columns of a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.learning.device_rows import DeviceRows
from gapcast.core.window import F32, I64

_ISSUED = "issued_minute"
_VALUES = ("columns", "gains", "spread", "base", "change", "kw")
_NONE = -1


class IssuedOutlooks(NamedTuple):
    """The outlooks of N devices, and what they were made from.

    ``columns`` and ``gains`` ``[N, D]`` and ``spread`` ``[N]`` are those of the correction; ``base`` and ``change``
    ``[N, K, 2, 2]`` mean and median before the correction, kW, and the whole correction, in units of the scale, by
    lead time and kind; ``kw`` ``[N, K, 2, 4]`` the published values.
    """

    columns: F32
    gains: F32
    spread: F32
    base: F32
    change: F32
    kw: F32


class DueOutlooks(NamedTuple):
    """What N readings are outcomes of: the arrays of :class:`IssuedOutlooks` for each of the K lead times.

    ``columns`` and ``gains`` are ``[N, K, D]``, ``spread`` ``[N, K]``, ``base`` and ``change`` ``[N, K, 2, 2]``, and
    ``kw`` ``[N, K, 2, 4]``. ``is_due`` ``[N, K]`` is unset where there was no outlook.
    """

    is_due: NDArray[np.bool_]
    columns: F32
    gains: F32
    spread: F32
    base: F32
    change: F32
    kw: F32


class PendingOutlooks:
    """Stores :class:`IssuedOutlooks` in :class:`~gapcast.core.learning.device_rows.DeviceRows`."""

    def __init__(self, leads_min: Sequence[int], n_columns: int) -> None:
        """Store outlooks of ``leads_min``, made from ``n_columns``."""
        self._leads = np.asarray(leads_min, dtype=np.int64)
        self._lead_at = np.arange(len(leads_min))
        self._n_slots = leads_min[-1] + 1
        self._n_columns = n_columns

    def initial_state(self) -> Mapping[str, NDArray[Any]]:
        """Return the initial state of a device."""
        n, k, d = self._n_slots, len(self._leads), self._n_columns
        shapes: tuple[tuple[int, ...], ...] = ((d,), (d,), (), (k, 2, 2), (k, 2, 2), (k, 2, 4))
        values = {name: np.zeros((n, *shape), dtype=np.float32) for name, shape in zip(_VALUES, shapes, strict=True)}
        return {_ISSUED: np.full(n, _NONE, dtype=np.int64), **values}

    def store(self, state: DeviceRows, rows: I64, minutes: I64, issued: IssuedOutlooks) -> None:
        """Store ``issued`` outlooks, of ``minutes`` ``[N]``, in ``rows`` of ``state``."""
        slots = minutes % self._n_slots
        state.arrays[_ISSUED][rows, slots] = minutes
        for name, values in zip(_VALUES, issued, strict=True):
            state.arrays[name][rows, slots] = values

    def discard(self, state: DeviceRows, rows: I64) -> None:
        """Remove the outlooks of ``rows`` of ``state``."""
        state.arrays[_ISSUED][rows] = _NONE

    def due(self, state: DeviceRows, rows: I64, minutes: I64) -> DueOutlooks:
        """Return the outlooks that the readings of ``minutes`` ``[N]`` are outcomes of."""
        issued = minutes[:, np.newaxis] - self._leads
        slots, at = issued % self._n_slots, rows[:, np.newaxis]
        is_due = state.arrays[_ISSUED][at, slots] == issued
        columns, gains, spread = (state.arrays[name][at, slots] for name in _VALUES[:3])
        by_lead = (state.arrays[name][at, slots, self._lead_at] for name in _VALUES[3:])
        return DueOutlooks(is_due, columns, gains, spread, *by_lead)
