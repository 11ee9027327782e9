"""State that was stored before windows that have not begun had a regression of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.device_rows import DeviceRows

#: The learned arrays that have a row for each regression, and those of the limits that wait for their outcome.
LEARNED, WAITING = ("coefficients", "information"), ("due_minute", "n_minutes", "due_kw", "due_features")
_Stored = dict[str, NDArray[Any] | None]


def with_later_regression(found: _Stored, state: DeviceRows) -> _Stored:
    """Return the stored arrays ``found`` of ``state`` with the regression that an older version did not have.

    It begins with its prior. No limit waits for its outcome: the older version stored fewer of each window. Other
    arrays are returned as they are.
    """
    stored = found.get(LEARNED[0])
    initial = {name: state.initial(name) for name in (*LEARNED, *WAITING) if name in found}
    if stored is None or stored.shape[1:] != (len(initial[LEARNED[0]]) - 1, *initial[LEARNED[0]].shape[1:]):
        return found
    with_later = dict(found)
    for name, values in initial.items():
        of_rows = np.repeat(values[np.newaxis], len(stored), axis=0)
        before = found[name]
        if name in LEARNED and before is not None:
            of_rows = np.concatenate((before, of_rows[:, -1:]), axis=1, dtype=before.dtype)
        with_later[name] = of_rows
    return with_later
