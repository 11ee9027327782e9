"""Outlooks before and after the learned correction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import RowIndex


class OutlookInputs(NamedTuple):
    """The windows of N outlooks; each device occurs once.

    ``rows`` and ``minutes`` are ``[N]``; ``windows`` ``[N, context]``, kW; ``is_measured`` ``[N]``: the newest minute
    is a reading. ``model_kw`` ``[N, K, 2, 4]`` is the model's outlook, ``quantiles_kw`` ``[N, K, Q]`` all its quantiles
    of the means, ``base_kw`` ``[N, K, 2, 2]`` its mean and median shifted by the published forecast, ``published_kw``
    ``[N, 2]`` the difference of the published forecast from the model, and ``history`` ``[N, 672]`` the week's
    quarter-hours (None: unknown).
    """

    rows: I64
    minutes: I64
    windows: F32
    is_measured: NDArray[np.bool_]
    model_kw: F64
    quantiles_kw: F64
    base_kw: F64
    published_kw: F64
    history: F32 | None

    def select(self, which: RowIndex) -> OutlookInputs:
        """Return the inputs of the selected windows."""
        return OutlookInputs(
            self.rows[which],
            self.minutes[which],
            self.windows[which],
            self.is_measured[which],
            self.model_kw[which],
            self.quantiles_kw[which],
            self.base_kw[which],
            self.published_kw[which],
            None if self.history is None else self.history[which],
        )


class CorrectedOutlooks(NamedTuple):
    """Corrected outlooks of N windows: ``kw`` ``[N, K, 2, 4]``, the lower limit of bounds ``[N]``, and their inputs.

    ``columns`` ``[N, D]`` are the inputs of the correction, ``change`` ``[N, K, 2, 2]`` is the whole correction in
    units of the scale, and ``log_width`` ``[N, K, 2]`` the log(width) of the bounds. ``local`` ``[N]`` is the local
    minute of the day.
    """

    kw: F64
    floor_kw: F64
    columns: F32
    change: F64
    log_width: F64
    local: I64
